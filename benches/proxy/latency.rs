//! How long a request takes at a fixed rate that leaves both proxies idle most of the time.

use super::{
    Failure, Options, TURN,
    client::Client,
    table::{Row, Unit},
};
use lbagent::drill::lab::clock::now;
use std::{cell::RefCell, time::Duration};

/// Between two requests.
const PACE: Duration = Duration::from_micros(500);
const CONNECTIONS: usize = 20;

/// The median and the 99th percentile.
pub(crate) fn rows(options: &Options) -> Result<Vec<Row>, Failure> {
    let tails = RefCell::new([Vec::new(), Vec::new()]);
    let rounds = options.take_turns(|proxy| {
        let times = paced(proxy.kind.http())?;
        let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
        tails.borrow_mut()[usize::from(proxy.kind == super::Kind::Haproxy)].push(at(0.99));
        Ok(at(0.5) / 2.0)
    })?;
    let [ours, theirs] = tails.into_inner();
    let tails = ours.iter().enumerate().map(|(turn, tail)| (*tail, theirs.get(turn).copied()));
    Ok(vec![
        Row::ratio("HTTP keep-alive, small, 2,000/s: p50", Unit::Micros, &rounds, Some(0.8)),
        Row::ratio("HTTP keep-alive, small, 2,000/s: p99", Unit::Micros, &tails.collect::<Vec<_>>(), Some(1.1)),
    ])
}

/// Microseconds of each, ascending.
fn paced(to: std::net::SocketAddr) -> Result<Vec<f64>, Failure> {
    let mut clients = (0..CONNECTIONS).map(|_| Client::connect(to)).collect::<Result<Vec<_>, _>>()?;
    let (start, mut times, mut due) = (now(), Vec::new(), Duration::ZERO);
    while due < TURN {
        if let Some(early) = due.checked_sub(start.elapsed()) {
            std::thread::sleep(early);
        }
        let begin = now();
        let client = times.len() % CONNECTIONS;
        clients[client].get("/")?;
        times.push(begin.elapsed().as_secs_f64() * 1e6);
        due += PACE;
    }
    times.sort_by(f64::total_cmp);
    Ok(times)
}
