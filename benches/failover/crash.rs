//! The owner's host crashes, its daemon is killed, its daemon hangs: when does the other serve, and who answers meanwhile?

use super::{
    Options, Report,
    common::Failure,
    contest::{Contest, Row},
    figures::{Bar, Unit},
    millis, never_or,
    pair::PAIR,
    rig::{Rig, Setup},
};
use lbagent::drill::lab::clock::now;
use nix::sys::signal::Signal;
use std::time::Duration;

/// For the other to serve at all.
const LIMIT: Duration = Duration::from_secs(10);
/// How long the wire is watched after that.
const AFTERMATH: Duration = Duration::from_secs(3);
/// Of a daemon that is stopped.
const HANG: Duration = Duration::from_secs(5);
/// After it has been resumed. Shorter than the wait before a failback.
const RESUMED: Duration = Duration::from_secs(2);

/// Of the crash of a host.
pub(crate) fn takeover(options: &Options) -> Result<Report, Failure> {
    let bar = Some(Bar::median(120.0, 200.0));
    let contest = Contest {
        name: "host crash",
        rows: [Row { what: "host crash → first answered request", unit: Unit::Millis, bar }],
        most_of_others: usize::MAX,
        setup: Setup::plain,
    };
    contest.hold(options, |rig| {
        let watch = rig.settle()?;
        let crash = now();
        let silent = rig.crash(PAIR[0])?;
        Ok([never_or(watch.served(None, crash, silent, LIMIT))])
    })
}

/// Of the end of a daemon only.
pub(crate) fn kill(options: &Options) -> Result<Report, Failure> {
    let contest = Contest {
        name: "kill -9",
        rows: [
            Row {
                what: "kill -9 of the daemon → the peer serves",
                unit: Unit::Millis,
                bar: Some(Bar::median(100.0, f64::INFINITY)),
            },
            Row {
                what: "kill -9: both answered ARP, until 3 s after that",
                unit: Unit::Millis,
                bar: Some(Bar::worst(0.0)),
            },
        ],
        most_of_others: 5,
        setup: Setup::plain,
    };
    contest.hold(options, |rig| {
        let watch = rig.settle()?;
        let killed = now();
        rig.kill(PAIR[0])?;
        let served = watch.served(Some(PAIR[1]), killed, killed, LIMIT);
        std::thread::sleep(AFTERMATH);
        let both = watch.answers().both(killed, now());
        Ok([never_or(served), millis(both)])
    })
}

/// Of a hang, and of its end.
pub(crate) fn hang(options: &Options) -> Result<Report, Failure> {
    let row = |what, unit, bar| Row { what, unit, bar };
    let contest = Contest {
        name: "hang",
        rows: [
            row("SIGSTOP of the daemon → the peer serves", Unit::Millis, Some(Bar::worst(420.0))),
            row("SIGSTOP: both answered ARP, of 5 s", Unit::Millis, Some(Bar::worst(0.0))),
            row("SIGCONT: both answered ARP, in 2 s after", Unit::Millis, Some(Bar::worst(0.0))),
            row("SIGCONT: failed requests, in 2 s after", Unit::Count, Some(Bar::worst(0.0))),
            row("SIGCONT: GARPs of the resumed node, in 2 s after", Unit::Count, Some(Bar::worst(4.0))),
            row("SIGCONT: GARPs of both, in 2 s after", Unit::Count, None),
        ],
        most_of_others: 3,
        setup: Setup::plain,
    };
    contest.hold(options, hang_and_resume)
}

fn hang_and_resume(rig: &mut Rig) -> Result<[f64; 6], Failure> {
    let [owner, peer] = PAIR;
    let watch = rig.settle()?;
    let stopped = now();
    rig.signal(owner, Signal::SIGSTOP)?;
    let served = watch.served(Some(peer), stopped, stopped, HANG);
    std::thread::sleep(HANG.saturating_sub(stopped.elapsed()));
    let resumed = now();
    rig.signal(owner, Signal::SIGCONT)?;
    std::thread::sleep(RESUMED);
    let end = now();
    watch.let_requests_end();
    let seen = watch.seen(resumed, end);
    let [own, all] = watch.announcements(owner, resumed, end)?;
    let answers = watch.answers();
    let counts = [seen.failed + seen.cut, own, all].map(|count| count as f64);
    let both = [answers.both(stopped, resumed), answers.both(resumed, end)].map(millis);
    Ok([never_or(served), both[0], both[1], counts[0], counts[1], counts[2]])
}
