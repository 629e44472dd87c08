//! What a step gives rise to: probes, events, and the next time at which something is due.

use crate::model::ElectionEvent;
use std::{
    collections::{BTreeMap, VecDeque},
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

/// Events that are kept for people to read.
const MAX_EVENTS: usize = 200;
/// The same refusal is told at most this often.
const REFUSAL_EVERY: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(super) struct Outbox {
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
        self.event(at, subject, format!("refuses heartbeats: {reason}"));
    }

    pub(super) fn events(&self) -> impl Iterator<Item = &Arc<ElectionEvent>> {
        self.events.iter()
    }
}
