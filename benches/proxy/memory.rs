//! What connections cost that do nothing.

use super::{
    Failure, Options,
    client::Client,
    contestant::{Contestant, Kind},
    table::{Row, Unit},
};
use std::time::Duration;

const IDLE: usize = 4000;
/// For what a proxy does a moment later.
const REST: Duration = Duration::from_secs(2);

/// Fresh, and after each has fetched 64 KiB.
pub(crate) fn rows(_: &Options) -> Result<Vec<Row>, Failure> {
    let ours = connections(Kind::Lbagent)?;
    let theirs = Kind::Haproxy.is_installed().then(|| connections(Kind::Haproxy)).transpose()?;
    let row = |what: &str, ours: f64, theirs: Option<f64>, bar| {
        Row::ratio(format!("memory per idle connection, {what}"), Unit::Bytes, &[(ours, theirs)], Some(bar))
    };
    Ok(vec![
        row("fresh", ours.0, theirs.map(|it| it.0), 1.0),
        row("after a burst", ours.1, theirs.map(|it| it.1), 0.25),
    ])
}

fn connections(kind: Kind) -> Result<(f64, f64), Failure> {
    let proxy = Contestant::start(kind)?;
    std::thread::sleep(REST);
    let before = proxy.memory()?;
    // The client's buffers are its own affair: they come and go with each.
    let mut clients = (0..IDLE).map(|_| Client::connect(kind.http())).collect::<Result<Vec<_>, _>>()?;
    std::thread::sleep(REST);
    let fresh = proxy.memory()?;
    for client in &mut clients {
        client.get("/65536")?;
    }
    std::thread::sleep(REST);
    let after = proxy.memory()?;
    Ok(((fresh - before) / IDLE as f64, (after - before) / IDLE as f64))
}
