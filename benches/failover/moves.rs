//! The Vip moves: the owner's host crashes, the other takes over, the first returns and takes back.

use super::{
    figures::{Figure, Samples},
    pair::{Failure, PAIR, Pair, eventually},
};
use lbagent::{
    drill::lab::{
        clock::now,
        topology::HostRole,
        traffic::{GIVE_UP, record::Record},
    },
    model::Name,
};
use std::time::{Duration, Instant};

/// Crashes and returns.
const RUNS: usize = 10;
/// On a machine so slow that this has passed, fewer runs must do.
const TIME: Duration = Duration::from_secs(130);
/// How long traffic is watched on either side of a failback, and before a crash to see what is noise.
const WATCH: Duration = Duration::from_millis(700);
const BAR: Duration = Duration::from_millis(250);

#[derive(Default)]
struct Seen {
    takeover: Samples,
    steady: Samples,
    failback: Samples,
    requests: usize,
    failed: usize,
    cut: usize,
}

/// Of takeover and failback.
pub(crate) fn figures(pair: &mut Pair) -> Result<Vec<Figure>, Failure> {
    let (mut seen, start) = (Seen::default(), now());
    for run in 1..=RUNS {
        if start.elapsed() > TIME {
            eprintln!("takeover and failback: out of time");
            break;
        }
        eprintln!("takeover and failback: {run} of {RUNS}");
        there_and_back(pair, &mut seen)?;
    }
    let Seen { takeover, steady, failback, requests, failed, cut } = seen;
    let losses = format!("failback: failed of {requests} requests around it ({cut} more were cut)");
    let clean = failed == 0 && failback.median() <= steady.worst();
    Ok(vec![
        Figure::of("takeover: crash of the owner's host → first answer", &takeover)
            .against("median ≤ 250 ms", takeover.median() <= BAR),
        Figure::of("steady: longest time between good answers (the noise)", &steady),
        Figure::of("failback: longest time between good answers", &failback).against("median within the noise", clean),
        Figure::single(losses, failed.to_string()).against("none failed", failed == 0),
    ])
}

fn there_and_back(pair: &mut Pair, seen: &mut Seen) -> Result<(), Failure> {
    let [first, other] = PAIR;
    let (traffic, vip) = pair.clients()?;
    eventually("clients are served", || first_answer(&traffic.record(), now() - WATCH).is_some())?;
    // Twice: the same length as what is watched of a failback.
    let from = now();
    std::thread::sleep(2 * WATCH);
    seen.steady.add(traffic.record().outage(&vip, from, now()));

    let crash = now();
    pair.lab.set_forwarding(HostRole::Balancer, first, false)?;
    // What is asked from here on can only be answered by the other.
    let silent = now();
    pair.lab.crash(first)?;
    eventually("clients are served again", || first_answer(&traffic.record(), silent).is_some())?;
    let answered = first_answer(&traffic.record(), silent).ok_or("an answer has been lost")?;
    seen.takeover.add(answered - crash);
    pair.wait_for_owner(other)?;

    pair.lab.boot(first)?;
    pair.start_agent(first)?;
    let moved = pair.wait_for_owner(first)?;
    std::thread::sleep(WATCH + GIVE_UP);
    judge_failback(&traffic.record(), &vip, moved, seen);
    Ok(())
}

fn judge_failback(record: &Record, vip: &Name, moved: Instant, seen: &mut Seen) {
    let around = record.summary(vip, moved - WATCH, moved + WATCH);
    seen.failback.add(around.outage);
    seen.requests += around.requests;
    seen.failed += around.failed;
    seen.cut += around.cut;
    for (why, count) in around.reasons {
        eprintln!("failback: {count} × {why}");
    }
}

/// When the first good answer was complete among those to requests begun at `since` or later.
fn first_answer(record: &Record, since: Instant) -> Option<Instant> {
    let good = record.attempts.iter().filter(|attempt| attempt.started >= since && attempt.result.is_ok());
    good.map(|attempt| attempt.ended).min()
}
