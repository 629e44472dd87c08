//! CPU per request or per MiB, and how many requests one core does.

use super::{
    client,
    common::{Failure, Options},
    contestant::Kind,
    rounds::take_turns,
    table::{Row, Unit},
    wrk::{self, Load},
};
use lbagent::drill::lab::clock::now;
use std::net::SocketAddr;

/// MiB of a long transfer.
const BULK: usize = 1024;

pub(crate) fn keep_alive(options: &Options) -> Result<Vec<Row>, Failure> {
    under_wrk(options, "HTTP keep-alive, small", Kind::http, Load { path: "/", kept: true }, 0.65)
}

pub(crate) fn connection(options: &Options) -> Result<Vec<Row>, Failure> {
    under_wrk(options, "HTTP, a connection per request", Kind::http, Load { path: "/", kept: false }, 0.90)
}

pub(crate) fn large(options: &Options) -> Result<Vec<Row>, Failure> {
    under_wrk(options, "HTTP, 64 KiB responses", Kind::http, Load { path: "/65536", kept: true }, 0.65)
}

pub(crate) fn tcp_connection(options: &Options) -> Result<Vec<Row>, Failure> {
    under_wrk(options, "TCP, a connection per request", Kind::tcp, Load { path: "/", kept: false }, 0.95)
}

/// Transfers from the backend to the client.
pub(crate) fn tcp_bulk(options: &Options) -> Result<Vec<Row>, Failure> {
    let rounds = take_turns(options, |proxy| {
        let before = proxy.cpu_ns()?;
        client::stream(proxy.kind.tcp(), BULK)?;
        Ok([(proxy.cpu_ns()? - before) / 1000.0 / BULK as f64])
    })?;
    Ok(vec![Row::of("TCP bulk: CPU per MiB", Unit::Micros, (&rounds, 0), Some(0.95))])
}

fn under_wrk(
    options: &Options,
    what: &str,
    address: impl Fn(Kind) -> SocketAddr,
    load: Load,
    bar: f64,
) -> Result<Vec<Row>, Failure> {
    let rounds = take_turns(options, |proxy| {
        let (start, before) = (now(), proxy.cpu_ns()?);
        let done = wrk::run(address(proxy.kind), load)?;
        let (cpu, elapsed) = (proxy.cpu_ns()? - before, start.elapsed());
        Ok([cpu / 1000.0 / done.requests, done.per_second, cpu / elapsed.as_nanos() as f64 * 100.0])
    })?;
    let row = |figure, unit, at, bar| Row::of(format!("{what}: {figure}"), unit, (&rounds, at), bar);
    Ok(vec![
        row("CPU per request", Unit::Micros, 0, Some(bar)),
        row("requests/s", Unit::PerSecond, 1, None),
        row("of one core in use", Unit::Percent, 2, None),
    ])
}
