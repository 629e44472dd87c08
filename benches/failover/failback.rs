//! The first owner returns after a crash and takes the Vip back, with the shipped state: what do clients notice?

use super::{
    Report,
    common::Failure,
    figures::{Bar, Figure, Samples, Unit},
    millis,
    pair::{PAIR, Pair, eventually},
};
use lbagent::{
    drill::lab::{
        clock::now,
        traffic::{GIVE_UP, record::Record},
    },
    model::Name,
};
use std::time::{Duration, Instant};

/// On a machine so slow that this has passed, fewer runs must do.
const TIME: Duration = Duration::from_secs(130);
/// How long traffic is watched on either side of a failback, and before a crash to see what is noise.
const WATCH: Duration = Duration::from_millis(700);

struct Seen {
    steady: Samples,
    failback: Samples,
    requests: usize,
    failed: usize,
    cut: usize,
}

/// Of failback.
pub(crate) fn figures(pair: &mut Pair, runs: usize) -> Result<Report, Failure> {
    let [steady, failback] = [(); 2].map(|()| Samples::new(Unit::Millis));
    let (mut seen, start) = (Seen { steady, failback, requests: 0, failed: 0, cut: 0 }, now());
    let mut report = Report::default();
    for run in 1..=runs {
        if start.elapsed() > TIME {
            report.notes.push(format!("failback: out of time, cut short to {} of {runs} runs", run - 1));
            break;
        }
        eprintln!("failback: {run} of {runs}");
        there_and_back(pair, &mut seen)?;
    }
    let Seen { steady, failback, requests, failed, cut } = seen;
    let noise = Bar::median(steady.worst(), f64::INFINITY);
    let losses = format!("failback: failed of {requests} requests around it ({cut} more were cut)");
    report.figures = vec![
        Figure::of("steady: longest time between good answers (the noise)", "lbagent", &steady),
        Figure::held("failback: longest time between good answers", "lbagent", &failback, &noise),
        Figure::held(losses, "lbagent", &Samples::one(Unit::Count, failed as f64), &Bar::worst(0.0)),
    ];
    Ok(report)
}

fn there_and_back(pair: &mut Pair, seen: &mut Seen) -> Result<(), Failure> {
    let [first, other] = PAIR;
    let (traffic, vip) = pair.clients()?;
    eventually("clients are served", || first_answer(&traffic.record(), now() - WATCH).is_some())?;
    // Twice: the same length as what is watched of a failback.
    let from = now();
    std::thread::sleep(2 * WATCH);
    seen.steady.add(millis(traffic.record().outage(&vip, from, now())));

    pair.lab.crash(first)?;
    pair.wait_for_owner(other)?;

    pair.lab.boot(first)?;
    pair.start_agent(first)?;
    let moved = pair.wait_for_owner(first)?;
    std::thread::sleep(WATCH + GIVE_UP);
    judge_failback(&traffic.record(), &vip, moved, seen);
    // A node that keeps vanishing waits longer each time. Whoever starts anew remembers nothing of it.
    pair.restart_agent(other)
}

fn judge_failback(record: &Record, vip: &Name, moved: Instant, seen: &mut Seen) {
    let around = record.summary(vip, moved - WATCH, moved + WATCH);
    seen.failback.add(millis(around.outage));
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
