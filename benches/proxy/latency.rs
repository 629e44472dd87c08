//! How long a request takes at a fixed rate that leaves both proxies idle most of the time.

use super::{
    TURN,
    client::Client,
    common::{Failure, Options},
    rounds::take_turns,
    table::{Row, Unit},
};
use lbagent::drill::lab::clock::now;
use std::{
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

/// Each on a kept connection of its own, and each with every twentieth request.
const CLIENTS: u32 = 20;
/// Between two requests of all: 2,000 a second.
const PACE: Duration = Duration::from_micros(500);

/// The median and the 99th percentile.
pub(crate) fn rows(options: &Options) -> Result<Vec<Row>, Failure> {
    let rounds = take_turns(options, |proxy| {
        let times = paced(proxy.kind.http())?;
        let at = |share: f64| times.get((times.len() as f64 * share) as usize).copied().ok_or("no request");
        Ok([at(0.5)?, at(0.99)?])
    })?;
    let row = |figure, at, bar| {
        Row::of(format!("HTTP keep-alive, small, 2,000/s: {figure}"), Unit::Micros, (&rounds, at), Some(bar))
    };
    Ok(vec![row("p50", 0, 0.8), row("p99", 1, 1.1)])
}

/// Microseconds of each request, ascending.
fn paced(to: SocketAddr) -> Result<Vec<f64>, Failure> {
    let clients = (0..CLIENTS).map(|_| Client::connect(to)).collect::<Result<Vec<_>, _>>()?;
    let start = now();
    let times = thread::scope(|scope| {
        let begin = |(client, first)| scope.spawn(move || on_schedule(client, start + first * PACE));
        let threads: Vec<_> = clients.into_iter().zip(0..).map(begin).collect();
        let times =
            |thread: thread::ScopedJoinHandle<'_, _>| thread.join().map_err(|_| "a client panicked".to_owned())?;
        threads.into_iter().map(times).collect::<Result<Vec<Vec<f64>>, String>>()
    });
    let mut times = times?.concat();
    times.sort_by(f64::total_cmp);
    Ok(times)
}

/// A request that is due while the last one is still waited for counts from when it was due: a proxy that stalls makes
/// the schedule wait, and must not thereby hide its stall. That a client wakes late is not the proxy's doing.
fn on_schedule(mut client: Client, first: Instant) -> Result<Vec<f64>, String> {
    let (mut due, mut times) = (first, Vec::new());
    while due < first + TURN {
        let mut begin = due;
        if let Some(early) = due.checked_duration_since(now()) {
            thread::sleep(early);
            begin = now();
        }
        client.get("/").map_err(|error| error.to_string())?;
        times.push(begin.elapsed().as_secs_f64() * 1e6);
        due += CLIENTS * PACE;
    }
    Ok(times)
}
