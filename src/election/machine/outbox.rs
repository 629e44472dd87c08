//! What a step gives rise to: leases to ask for and to end, probes, events, and the next time at which something is due.

use super::segment::Haste;
use crate::model::{ElectionEvent, Name};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

/// Events that are kept for people to read.
const MAX_EVENTS: usize = 200;
/// The same refusal is told at most this often.
const REFUSAL_EVERY: Duration = Duration::from_secs(60);

/// The word under which it is counted that ICMP said of a heartbeat of this node's own that it did not arrive. All other
/// reasons are of heartbeats that did.
const UNDELIVERED: &str = "icmp_error";

#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// Addresses whose leases end before anything else is done or said.
    pub(super) revokes: Vec<IpAddr>,
    /// Tickets to put into the kernel, and for how long.
    pub(super) tickets: Vec<(u64, Duration)>,
    /// Leases to ask for: for which Vip, on which ticket, of which addresses.
    pub(super) grants: Vec<(Name, u64, Vec<IpAddr>)>,
    /// Devices on which rounds of probes are wanted.
    pub(super) probing: BTreeSet<u32>,
    /// How often references are to be asked, by device.
    pub(super) haste: BTreeMap<u32, Haste>,
    /// On some device an answer of a reference is waited for.
    pub(super) hunting: bool,
    /// Probes to send, by device.
    pub(super) probes: Vec<(u32, IpAddr)>,
    /// The earliest deadline.
    pub(super) wake: Option<Instant>,
    /// Grows with each change that the view shows, counters aside.
    pub(super) revision: u64,
    events: VecDeque<Arc<ElectionEvent>>,
    refusals: BTreeMap<(String, &'static str), Instant>,
}

impl Outbox {
    pub(super) fn wake_at(&mut self, at: Instant) {
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
    }

    /// Asks for references to be asked at least this often.
    pub(super) fn hasten(&mut self, link: u32, haste: Haste) {
        let known = self.haste.entry(link).or_default();
        *known = haste.max(*known);
    }

    pub(super) fn changed(&mut self) {
        self.revision += 1;
    }

    pub(super) fn event(&mut self, at: Instant, subject: impl Into<String>, message: impl Into<String>) {
        if self.events.len() == MAX_EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(Arc::new(ElectionEvent { at, subject: subject.into(), message: message.into() }));
        self.changed();
    }

    /// Tells of a refused heartbeat, once a minute per source and reason.
    pub(super) fn refusal(&mut self, at: Instant, subject: &str, reason: &'static str) {
        self.refusals.retain(|_, told| at < *told + REFUSAL_EVERY);
        let key = (subject.to_owned(), reason);
        if self.refusals.len() >= MAX_EVENTS || self.refusals.contains_key(&key) {
            return;
        }
        self.refusals.insert(key, at);
        let message = match reason {
            UNDELIVERED => "heartbeats to it do not arrive: its host or a router says so (ICMP)".to_owned(),
            _ => format!("heartbeats from it are refused: {reason}"),
        };
        self.event(at, subject, message);
    }

    pub(super) fn events(&self) -> impl Iterator<Item = &Arc<ElectionEvent>> {
        self.events.iter()
    }
}
