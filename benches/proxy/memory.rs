//! What connections cost that do nothing. Memory of the process; the kernel's share is the same for both.

use super::{
    client::Client,
    common::{Failure, Options},
    contestant::{Contestant, Kind},
    rounds::Round,
    table::{Row, Unit},
};
use std::{array, time::Duration};

const IDLE: usize = 4000;
/// For what a proxy does a moment later.
const REST: Duration = Duration::from_secs(2);

/// Fresh ones; the same after a small request on one after the other; and after one for 64 KiB on all at once. Every
/// figure is of a process that has just been started.
pub(crate) fn rows(options: &Options) -> Result<Vec<Row>, Failure> {
    let round = || {
        let ours = per_connection(Kind::Lbagent)?;
        let theirs = Kind::Haproxy.is_installed().then(|| per_connection(Kind::Haproxy)).transpose()?;
        Ok(Round { ours, theirs })
    };
    let rounds = (0..options.times).map(|_| round()).collect::<Result<Vec<_>, Failure>>()?;
    let row = |what, at, bar| Row::of(format!("memory per idle connection, {what}"), Unit::Bytes, (&rounds, at), bar);
    Ok(vec![row("fresh", 0, Some(1.0)), row("used once", 1, None), row("after a burst", 2, Some(0.25))])
}

fn per_connection(kind: Kind) -> Result<[f64; 3], Failure> {
    let proxy = Contestant::start(kind)?;
    let settled = || {
        std::thread::sleep(REST);
        proxy.memory()
    };
    let before = settled()?;
    let mut clients = (0..IDLE).map(|_| Client::connect(kind.http())).collect::<Result<Vec<_>, _>>()?;
    let fresh = settled()?;
    clients.iter_mut().try_for_each(|client| client.get("/"))?;
    let used = settled()?;
    clients.iter_mut().try_for_each(|client| client.ask("/65536"))?;
    clients.iter_mut().try_for_each(Client::answer)?;
    let after = settled()?;
    let memory = [fresh, used, after];
    Ok(array::from_fn(|at| (memory[at] - before) / IDLE as f64))
}
