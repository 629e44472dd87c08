//! User instructions per request: callgrind counts those of a short and of a long run, of which the start is the same.

use super::{
    client::Client,
    common::Failure,
    contestant::{Contestant, Kind},
    rounds::Round,
    table::{Row, Unit},
};

/// Requests of the two runs.
const FEW: u32 = 500;
const MANY: u32 = 5500;

/// What the machine does meanwhile changes nothing: one round will do.
pub(crate) fn rows() -> Result<Vec<Row>, Failure> {
    let ours = [per_request(Kind::Lbagent)?];
    let theirs = Kind::Haproxy.is_installed().then(|| per_request(Kind::Haproxy)).transpose()?;
    let round = [Round { ours, theirs: theirs.map(|it| [it]) }];
    let what = "HTTP keep-alive, small: user instructions per request";
    Ok(vec![Row::of(what, Unit::Instructions, (&round, 0), Some(0.30))])
}

fn per_request(kind: Kind) -> Result<f64, Failure> {
    Ok((count(kind, MANY)? - count(kind, FEW)?) / f64::from(MANY - FEW))
}

fn count(kind: Kind, requests: u32) -> Result<f64, Failure> {
    let callgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"];
    let proxy = Contestant::start_under(kind, &callgrind)?;
    let mut client = Client::connect(kind.http())?;
    for _ in 0..requests {
        client.get("/")?;
    }
    drop(client);
    let log = proxy.end()?;
    let collected = log.lines().filter_map(|line| line.split_once("Collected :")).next_back();
    Ok(collected.ok_or_else(|| format!("callgrind counted nothing:\n{log}"))?.1.trim().parse()?)
}
