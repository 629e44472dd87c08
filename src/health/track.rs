//! The ping targets of Vips: which of them answer *this node*.
//!
//! The opinion on a target changes slowly and unevenly: it is lost after [`FALL`] silent pings over at least [`WINDOW`],
//! and back with the first answer. A gateway that drops a few pings under load must not move a Vip; and as a lost
//! target only ever yields to a node that has it, being slow costs little. A target that has not been pinged for a whole
//! window yet counts as fine.
//!
//! Nothing here decides anything about ownership: the plan makes reasons of it, with those of the devices
//! ([`Eligibility`](crate::model::Eligibility)), and the election compares nodes.

use crate::model::Desired;
use futures::{StreamExt, stream};
use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// Silence shorter than this never counts.
pub const WINDOW: Duration = Duration::from_secs(2);
/// Unanswered pings in a row that lose a target (if they took at least [`WINDOW`]).
pub const FALL: u32 = 4;
/// Between two pings of a target, unless answers take longer.
const INTERVAL: Duration = Duration::from_millis(500);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_millis(450);
/// Pings under way at one time.
const AT_ONCE: usize = 64;

/// Which targets answer. A target that is not listed counts as answering.
pub type PingTable = BTreeMap<IpAddr, bool>;

/// Sends ICMP echo requests; the kernel's part.
pub trait PingIo: Send + Sync + 'static {
    /// The time to the answer, or why there is none within the time given, in words.
    fn ping(&self, target: IpAddr, timeout: Duration) -> impl Future<Output = Result<Duration, String>> + Send;
}

/// What is known of one ping target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// The opinion.
    pub answering: bool,
    /// Pings in a row that spoke against it; 0 while it does not answer.
    pub against: u32,
    /// The last answer, or when pinging began.
    pub heard: Instant,
}

impl Target {
    /// One that is about to be pinged for the first time.
    pub fn new(now: Instant) -> Self {
        Self { answering: true, against: 0, heard: now }
    }

    /// The opinion after one more ping.
    pub fn record(&mut self, answered: bool, now: Instant) {
        if answered {
            *self = Self::new(now);
        } else if self.answering {
            self.against += 1;
            let silent = now.saturating_duration_since(self.heard);
            if self.against >= FALL && silent >= WINDOW {
                (self.answering, self.against) = (false, 0);
            }
        }
    }
}

/// Pings what the Vips of `desired` track, for as long as both ends are held. Receivers are woken when an opinion
/// changes. Call it within a tokio runtime.
pub fn start(desired: watch::Receiver<Arc<Desired>>, io: impl PingIo) -> watch::Receiver<Arc<PingTable>> {
    let (table, receiver) = watch::channel(Arc::default());
    tokio::spawn(run(desired, io, table));
    receiver
}

#[expect(clippy::disallowed_methods, reason = "the shell that says when answers came")]
async fn run(mut desired: watch::Receiver<Arc<Desired>>, io: impl PingIo, table: watch::Sender<Arc<PingTable>>) {
    let mut targets: BTreeMap<IpAddr, Target> = BTreeMap::new();
    loop {
        let start = Instant::now();
        let wanted = wanted(&desired.borrow_and_update());
        targets.retain(|target, _| wanted.contains(target));
        let pings = stream::iter(wanted.iter().copied().map(|target| ping(&io, target)));
        let answers: Vec<(IpAddr, Result<Duration, String>)> = pings.buffer_unordered(AT_ONCE).collect().await;
        for (target, answer) in answers {
            // The window of a new target opens when its first ping was sent.
            let known = targets.entry(target).or_insert_with(|| Target::new(start));
            let before = known.answering;
            known.record(answer.is_ok(), Instant::now());
            announce(target, before, known.answering, &answer);
        }
        publish(&targets, &table);
        tokio::select! {
            changed = desired.changed() => if changed.is_err() { return },
            () = tokio::time::sleep_until((start + INTERVAL).into()), if !wanted.is_empty() => {}
            () = table.closed() => return,
        }
    }
}

async fn ping(io: &impl PingIo, target: IpAddr) -> (IpAddr, Result<Duration, String>) {
    // Whatever the other side makes of its time, a round never hangs.
    let answer = tokio::time::timeout(PATIENCE * 2, io.ping(target, PATIENCE)).await;
    (target, answer.unwrap_or_else(|_| Err("the ping did not end in time".to_owned())))
}

fn publish(targets: &BTreeMap<IpAddr, Target>, table: &watch::Sender<Arc<PingTable>>) {
    let now: PingTable = targets.iter().map(|(target, known)| (*target, known.answering)).collect();
    table.send_if_modified(|table| {
        let modified = **table != now;
        if modified {
            *table = Arc::new(now);
        }
        modified
    });
}

fn announce(target: IpAddr, before: bool, after: bool, answer: &Result<Duration, String>) {
    match (before, after, answer) {
        (true, false, Err(error)) => tracing::warn!(%target, "tracked address no longer answers pings: {error}"),
        (false, true, _) => tracing::info!(%target, "tracked address answers pings again"),
        _ => {}
    }
}

fn wanted(desired: &Desired) -> BTreeSet<IpAddr> {
    desired.vips.values().flat_map(|vip| vip.track.ping.iter().copied()).collect()
}

#[cfg(test)]
#[path = "track_tests.rs"]
mod tests;
