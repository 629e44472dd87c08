//! A host with 200 Vips crashes: how long until the last of them is answered by the other?
//!
//! lbagent has 200 Vips of one address, keepalived one instance with 200 addresses, as it is configured for so many.

use super::{
    Options, Report,
    common::Failure,
    contest::{Contest, Row},
    figures::{Bar, Unit},
    ground::{MOST, vip},
    never_or,
    pair::PAIR,
    rig::Setup,
    wire::{Heard, Post, Wire, front_mac},
};
use lbagent::{drill::lab::clock::now, model::Mac};
use std::{
    collections::BTreeSet,
    net::IpAddr,
    time::{Duration, Instant},
};
use tokio::time::Instant as Deadline;

/// From one question for the first address to the next, until the other answers it.
const PACE: Duration = Duration::from_millis(2);
/// From one round of questions for all that the other has not answered yet to the next.
const ROUND: Duration = Duration::from_millis(10);
const LIMIT: Duration = Duration::from_secs(15);

/// Of the crash.
pub(crate) fn figures(options: &Options) -> Result<Report, Failure> {
    let contest = Contest {
        name: "200 Vips",
        rows: [Row {
            what: "host crash → the last of 200 addresses answered",
            unit: Unit::Millis,
            bar: Some(Bar::worst(300.0)),
        }],
        most_of_others: 3,
        setup: |contender| Setup { vips: MOST, ..Setup::plain(contender) },
    };
    contest.hold(options, |rig| {
        let watch = rig.settle()?;
        let post = Post::of(&rig.lab)?;
        // Its questions are no help here.
        drop(watch);
        let [first, other] = PAIR.map(|node| front_mac(&rig.lab, node));
        let (first, other) = (first?, other?);
        if ask_all(post.clone(), first)?.is_none() {
            return Err("lb1 does not have all addresses".into());
        }
        let crash = now();
        let last = std::thread::scope(|scope| {
            let asking = scope.spawn(|| ask_all(post, other).map_err(|error| error.to_string()));
            rig.crash(PAIR[0])?;
            let asked: Result<_, Failure> = asking.join().map_err(|_| "the asking thread panicked".into());
            Ok::<_, Failure>(asked??)
        })?;
        Ok([never_or(last.map(|last| last.saturating_duration_since(crash)))])
    })
}

/// Asks for all addresses until `owner` has answered for each; when the last of these answers came, if it did within
/// [`LIMIT`].
///
/// Until it answers for the first it is asked for no other: the questions must not be what slows it down.
fn ask_all(post: Post, owner: Mac) -> Result<Option<Instant>, Failure> {
    let asked = post.namespace.clone().run(|| {
        let all = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let (wire, end) = (Wire::open(post)?, Deadline::now() + LIMIT);
                let first = ask_until(&wire, BTreeSet::from([vip(0)]), PACE, owner, end).await?;
                let rest = ask_until(&wire, (1..MOST).map(vip).collect(), ROUND, owner, end).await?;
                Ok(first.and(rest))
            })
        };
        all().map_err(|error: Failure| error.to_string())
    });
    Ok(asked??)
}

/// Asks for what is `missing` every `pace`, until `owner` has answered for each.
async fn ask_until(
    wire: &Wire,
    mut missing: BTreeSet<IpAddr>,
    pace: Duration,
    owner: Mac,
    end: Deadline,
) -> Result<Option<Instant>, Failure> {
    let mut last = None;
    while !missing.is_empty() && Deadline::now() < end {
        let next = Deadline::now() + pace;
        for ip in &missing {
            wire.ask(*ip)?;
        }
        while let Some(heard) = wire.hear(next).await? {
            match heard {
                Heard::Answer(ip, by) if by == owner && missing.remove(&ip.into()) => last = Some(now()),
                _ => {}
            }
        }
    }
    Ok(last.filter(|_| missing.is_empty()))
}
