//! The path of the heartbeats is cut while clients reach both nodes; the front is split, and heals.

use super::{
    Options, Report,
    common::Failure,
    contest::{Contest, Row},
    figures::{Bar, Unit},
    millis,
    pair::PAIR,
    rig::{Contender, Heartbeats, Rig, Setup},
    watch::Watch,
};
use lbagent::drill::lab::{clock::now, clock::wait_until, traffic::GIVE_UP};
use std::time::{Duration, Instant};

/// Longer than the slowest contender takes to miss its peer.
const CUT: Duration = Duration::from_secs(5);
/// From the start of the daemons to the first answer.
const BOOT: Duration = Duration::from_secs(15);
/// Watched from the first answer on. Shorter than the wait before a failback.
const BOOTED: Duration = Duration::from_secs(2);
/// For both sides of a split front to be served.
const SPLIT: Duration = Duration::from_secs(6);
/// Not a question and not a request goes wrong for so long: healed.
const STEADY: Duration = Duration::from_secs(1);
/// For that. Clients that are not told of a change take up to 45 s to find out.
const HEAL: Duration = Duration::from_secs(60);

const NEVER_BOTH: Option<Bar> = Some(Bar::worst(0.0));

/// Of the loss of the heartbeats' path.
pub(crate) fn heartbeats(options: &Options) -> Result<Report, Failure> {
    let mut report = cut(options)?;
    report.append(boot(options)?);
    Ok(report)
}

fn on_the_back(contender: Contender) -> Setup {
    Setup { heartbeats: Heartbeats::Back, ..Setup::plain(contender) }
}

fn cut(options: &Options) -> Result<Report, Failure> {
    let contest = Contest {
        name: "heartbeat path cut",
        rows: [
            Row { what: "heartbeat path cut: moves, in 5 s", unit: Unit::Count, bar: Some(Bar::worst(0.0)) },
            Row { what: "heartbeat path cut: both answered ARP", unit: Unit::Millis, bar: NEVER_BOTH },
        ],
        most_of_others: 3,
        setup: on_the_back,
    };
    contest.hold(options, |rig| {
        let watch = rig.settle()?;
        let since = now();
        rig.cut_back(true)?;
        std::thread::sleep(CUT);
        let answers = watch.answers();
        Ok([answers.moves(since, now()) as f64, millis(answers.both(since, now()))])
    })
}

fn boot(options: &Options) -> Result<Report, Failure> {
    let contest = Contest {
        name: "both boot, heartbeats cut",
        rows: [
            Row { what: "both boot, heartbeats cut: owners", unit: Unit::Count, bar: Some(Bar::exactly(1.0)) },
            Row { what: "both boot, heartbeats cut: both answered ARP, of 2 s", unit: Unit::Millis, bar: NEVER_BOTH },
        ],
        most_of_others: 3,
        setup: on_the_back,
    };
    contest.hold(options, |rig| {
        rig.reset()?;
        rig.cut_back(true)?;
        let watch = Watch::start(rig)?;
        let since = now();
        for node in PAIR {
            rig.start(node)?;
        }
        let first = || watch.answers().first_answer(since);
        if !wait_until(BOOT, || first().is_some()) {
            return Ok([0.0, 0.0]);
        }
        let first = first().ok_or("an answer has been lost")?;
        std::thread::sleep((first + BOOTED).saturating_duration_since(now()));
        let answers = watch.answers();
        Ok([answers.owners(since, now()).len() as f64, millis(answers.both(since, now()))])
    })
}

/// Of the end of a full partition.
pub(crate) fn heal(options: &Options) -> Result<Report, Failure> {
    let contest = Contest {
        name: "heal",
        rows: [
            Row { what: "full partition: sides that are served, of 2", unit: Unit::Count, bar: None },
            Row {
                what: "heal of a full partition → one answers, all are served",
                unit: Unit::Millis,
                bar: Some(Bar::worst(100.0)),
            },
        ],
        most_of_others: 1,
        setup: |contender| Setup { splits: true, ..Setup::plain(contender) },
    };
    contest.hold(options, split_and_heal)
}

fn split_and_heal(rig: &mut Rig) -> Result<[f64; 2], Failure> {
    let watch = rig.settle()?;
    rig.cut_back(true)?;
    rig.cut_front(true)?;
    // Requests that were under way do not count as served.
    watch.let_requests_end();
    let split = now();
    wait_until(SPLIT, || watch.sides_served(split) == 2);
    let sides = watch.sides_served(split);
    let healed = now();
    rig.cut_front(false)?;
    rig.cut_back(false)?;
    let steady = || now().saturating_duration_since(last_trouble(&watch, healed)) >= STEADY + GIVE_UP;
    let took = if wait_until(HEAL, steady) { millis(last_trouble(&watch, healed) - healed) } else { f64::INFINITY };
    Ok([sides as f64, took])
}

/// When the last thing was not as it should be since `healed`; `healed` itself if nothing was.
fn last_trouble(watch: &Watch, healed: Instant) -> Instant {
    let unclear = watch.answers().last_unclear(healed, now());
    unclear.max(watch.last_failure(healed, now())).unwrap_or(healed)
}
