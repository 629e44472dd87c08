//! CPU per request or MiB, and instructions.

use super::{
    Failure, Options,
    client::{self, Client},
    contestant::{Contestant, Kind},
    table::{Row, Unit},
    wrk,
};
use std::cell::RefCell;

/// Of a transfer.
const BULK: usize = 512;
/// Requests of the two runs under callgrind, whose difference is what counts.
const FEW: u32 = 500;
const MANY: u32 = 3000;

pub(crate) fn keep_alive(options: &Options) -> Result<Vec<Row>, Failure> {
    under_wrk(options, "HTTP keep-alive, small", Kind::http, "/", true, 0.65)
}

pub(crate) fn connection(options: &Options) -> Result<Vec<Row>, Failure> {
    under_wrk(options, "HTTP, a connection per request", Kind::http, "/", false, 0.90)
}

pub(crate) fn large(options: &Options) -> Result<Vec<Row>, Failure> {
    under_wrk(options, "HTTP, 64 KiB responses", Kind::http, "/65536", true, 0.65)
}

pub(crate) fn tcp_connection(options: &Options) -> Result<Vec<Row>, Failure> {
    under_wrk(options, "TCP, a connection per request", Kind::tcp, "/", false, 0.95)
}

/// CPU per request, and how many a second one core does.
fn under_wrk(
    options: &Options,
    what: &str,
    to: impl Fn(Kind) -> std::net::SocketAddr,
    path: &str,
    kept: bool,
    bar: f64,
) -> Result<Vec<Row>, Failure> {
    let rates = RefCell::new([Vec::new(), Vec::new()]);
    let rounds = options.take_turns(|proxy| {
        let before = proxy.cpu_ns()?;
        let load = wrk::run(to(proxy.kind), path, 50, kept)?;
        rates.borrow_mut()[usize::from(proxy.kind == Kind::Haproxy)].push(load.per_second);
        Ok((proxy.cpu_ns()? - before) / load.requests / 1000.0 / 2.0)
    })?;
    let [ours, theirs] = rates.into_inner();
    let rates = ours.iter().enumerate().map(|(turn, rate)| (*rate, theirs.get(turn).copied()));
    Ok(vec![
        Row::ratio(format!("{what}: CPU per request"), Unit::Micros, &rounds, Some(bar)),
        Row::ratio(format!("{what}: requests/s, one core"), Unit::PerSecond, &rates.collect::<Vec<_>>(), None),
    ])
}

pub(crate) fn bulk(options: &Options) -> Result<Vec<Row>, Failure> {
    let rounds = options.take_turns(|proxy| {
        let before = proxy.cpu_ns()?;
        client::stream(proxy.kind.tcp(), BULK)?;
        Ok((proxy.cpu_ns()? - before) / BULK as f64 / 1000.0 / 2.0)
    })?;
    Ok(vec![Row::ratio("TCP bulk: CPU per MiB", Unit::Micros, &rounds, Some(0.95))])
}

/// Two counted runs of each under callgrind.
pub(crate) fn instructions(_: &Options) -> Result<Vec<Row>, Failure> {
    let per_request = |kind| -> Result<f64, Failure> {
        let (few, many) = (instructions_of(kind, FEW)?, instructions_of(kind, MANY)?);
        Ok((many - few) / f64::from(MANY - FEW))
    };
    let theirs = Kind::Haproxy.is_installed().then(|| per_request(Kind::Haproxy)).transpose()?;
    let round = [(per_request(Kind::Lbagent)?, theirs)];
    Ok(vec![Row::ratio("HTTP keep-alive, small: user instructions per request", Unit::Count, &round, Some(0.30))])
}

fn instructions_of(kind: Kind, requests: u32) -> Result<f64, Failure> {
    let proxy = Contestant::start_under(kind, &["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"])?;
    let mut client = Client::connect(kind.http())?;
    for _ in 0..requests {
        client.get("/")?;
    }
    drop(client);
    let log = proxy.end()?;
    let collected = log.lines().filter_map(|line| line.split_once("Collected :")).last();
    Ok(collected.ok_or_else(|| format!("callgrind counted nothing:\n{log}"))?.1.trim().parse()?)
}
