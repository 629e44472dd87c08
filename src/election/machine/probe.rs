//! Asking the wire: a run of probes of all addresses of one Vip.

use super::rules::{FOREIGN_EVERY, PROBE_EVERY, SILENT_PROBES};
use crate::model::Name;
use std::{net::IpAddr, time::Instant};

/// Probes go out every 20 ms for as long as the run lasts; the last three without an answer make silence.
#[derive(Debug)]
pub(super) struct Probing {
    next_at: Instant,
    /// A probe is under way, sent at the last tick.
    sent: bool,
    answered: bool,
    silent: u32,
    /// Probes that no stranger has answered since one did.
    without_stranger: u32,
    /// Why silence proves nothing.
    pub(super) doubt: Option<Doubt>,
}

/// Something that delays a claim, but not for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Doubt {
    /// A device of this peer has answered for this address.
    Peer(Name, IpAddr),
    /// A probe for this address could not be sent.
    Unsent(IpAddr),
}

/// What the wire says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nobody has the addresses.
    Silent,
    /// Not known yet, or somebody answers.
    Wait,
}

impl Probing {
    pub(super) fn new(now: Instant) -> Self {
        Self { next_at: now, sent: false, answered: false, silent: 0, without_stranger: 0, doubt: None }
    }

    /// Whether probes are to be sent now.
    pub(super) fn tick(&mut self, now: Instant) -> bool {
        if now < self.next_at {
            return false;
        }
        if self.sent {
            self.without_stranger += 1;
            self.silent += u32::from(!self.answered);
        }
        self.sent = true;
        self.answered = false;
        self.next_at = now + PROBE_EVERY;
        true
    }

    pub(super) fn next_at(&self) -> Instant {
        self.next_at
    }

    /// Silence would prove nothing now.
    pub(super) fn doubted(&mut self, doubt: Doubt) {
        self.answered = true;
        self.silent = 0;
        self.doubt = Some(doubt);
    }

    /// A host that is no peer has answered: it is asked again after a while.
    pub(super) fn stranger_answered(&mut self, now: Instant) {
        self.sent = false;
        self.answered = false;
        self.silent = 0;
        self.without_stranger = 0;
        self.next_at = now + FOREIGN_EVERY;
    }

    /// A host that is no peer has answered before, and does no more.
    pub(super) fn stranger_is_gone(&self) -> bool {
        self.without_stranger >= SILENT_PROBES
    }

    pub(super) fn verdict(&self) -> Verdict {
        if self.silent >= SILENT_PROBES { Verdict::Silent } else { Verdict::Wait }
    }
}
