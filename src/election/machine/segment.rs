//! The segment of one device: who else can be heard there, and the rounds of probes that its Vips share.
//!
//! Silence about a Vip proves something only if this node could have heard an answer. So each round asks the Vips that
//! want to know and, once for all of them, the *references*: hosts that should answer whoever owns the Vip (gateways,
//! other nodes' own addresses, clients that were heard asking). Where nearly all of their answers arrive, twelve
//! silent rounds are proof; where many are lost, forty; where references once answered and none does now, this node is
//! *blind*: it asks the references until one answers, and claims nothing meanwhile, for whoever cannot hear anybody
//! could not serve anybody. Where no reference has ever answered there is nothing to compare with: forty rounds, and the
//! claim is unverified.
//!
//! Rounds go out every 5 ms and are judged after 10 ms. An answer is put down to the last round before it, so that one
//! answer never counts for two questions.

use super::rules::{HUNT_EVERY, LEARNED_FOR, REFERENCES_CLOSELY, REFERENCES_EVERY, ROUND_EVERY};
use crate::model::{Mac, Name};
use std::{
    collections::{BTreeMap, VecDeque},
    net::IpAddr,
    time::{Duration, Instant},
};

/// References of one device: as many as a round has bits for.
const MAX_REFERENCES: usize = 16;
/// Of these, learned ones.
const MAX_LEARNED: usize = 4;
/// Rounds that are remembered.
const MAX_ROUNDS: usize = 64;
/// A round that is this late begins anew: what was asked before is too old to be worth anything.
const STALE_AFTER: Duration = Duration::from_millis(50);

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Segment {
    pub(super) references: BTreeMap<IpAddr, Reference>,
    pub(super) rounds: VecDeque<Round>,
    next_round: Option<Instant>,
    asked_at: Option<Instant>,
    /// Packets received in all, and when that last grew.
    received: Option<(u64, Instant)>,
    /// Vips on this device.
    pub(super) vips: u32,
}

/// A host that should answer.
#[derive(Debug)]
pub(super) struct Reference {
    /// Its bit in a round.
    pub(super) bit: u16,
    learned: bool,
    node: Option<Name>,
    /// That answered for it last.
    mac: Option<Mac>,
    since: Instant,
    pub(super) answered_at: Option<Instant>,
}

/// Questions that went out together.
#[derive(Debug)]
pub(super) struct Round {
    pub(super) at: Instant,
    pub(super) asked: u16,
    pub(super) answered: u16,
}

/// What the wire says of a Vip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nobody has the addresses. `verified`: somebody would have been heard.
    Silent {
        /// See [`Verdict::Silent`].
        verified: bool,
    },
    /// Not known yet, or somebody answers.
    Wait,
    /// References once answered, and none does now.
    Blind,
}

/// For whom a verdict is.
#[derive(Clone, Copy)]
pub(super) struct Question<'a> {
    /// Rounds before this do not count,
    pub(super) from: Instant,
    /// nor those up to the last answer.
    pub(super) answered_at: Option<Instant>,
    /// Nodes that may be dead: their own addresses need not answer.
    pub(super) suspects: &'a [&'a Name],
}

impl Segment {
    /// The references that the files and the kernel know; those that stay keep their past.
    pub(super) fn configure<'a>(&mut self, now: Instant, wanted: impl Iterator<Item = (IpAddr, Option<&'a Name>)>) {
        let wanted: BTreeMap<IpAddr, Option<&Name>> = wanted.collect();
        self.references.retain(|ip, known| known.learned || wanted.contains_key(ip));
        for (ip, node) in wanted {
            if self.references.len() >= MAX_REFERENCES - MAX_LEARNED && !self.references.contains_key(&ip) {
                continue;
            }
            let bit = self.free_bit();
            let known = self.references.entry(ip).or_insert(Reference::new(now, bit));
            known.learned = false;
            known.node = node.cloned().or(known.node.take());
        }
    }

    /// A host that asked for a Vip: it is there, and should answer.
    pub(super) fn learn(&mut self, now: Instant, ip: IpAddr) {
        if self.references.contains_key(&ip) {
            return;
        }
        let learned = || self.references.iter().filter(|(_, known)| known.learned);
        if learned().count() >= MAX_LEARNED {
            let oldest = learned().min_by_key(|(_, known)| known.answered_at.unwrap_or(known.since)).map(|(ip, _)| *ip);
            oldest.and_then(|ip| self.references.remove(&ip));
        }
        let bit = self.free_bit();
        self.references.insert(ip, Reference { learned: true, ..Reference::new(now, bit) });
    }

    /// `ip` has answered, or spoken; whether it is a reference. `node`: whose Ethernet address it is by its heartbeats;
    /// the files need not tell all of a node's addresses.
    pub(super) fn sight(&mut self, now: Instant, ip: IpAddr, mac: Mac, node: Option<&Name>) -> bool {
        let Some(known) = self.references.get_mut(&ip) else { return false };
        (known.answered_at, known.mac) = (Some(now), Some(mac));
        if known.node.is_none() {
            known.node = node.cloned();
        }
        let bit = known.bit;
        if let Some(round) = self.rounds.iter_mut().rev().find(|round| round.at <= now) {
            round.answered |= bit & round.asked;
        }
        true
    }

    /// The node whose own address this Ethernet address answers for. One that answers for other hosts too (a router
    /// with proxy ARP) is nobody's.
    pub(super) fn node_of(&self, mac: Mac) -> Option<&Name> {
        let mut hosts = self.references.values().filter(|known| known.mac == Some(mac)).map(|known| &known.node);
        let first = hosts.next()?.as_ref()?;
        hosts.all(|other| other.as_ref() == Some(first)).then_some(first)
    }

    /// The device has received this many packets in all.
    pub(super) fn receive(&mut self, now: Instant, packets: u64) {
        if self.received.is_none_or(|(before, _)| before != packets) {
            self.received = Some((packets, now));
        }
    }

    /// Since when no packet at all has come in. `None` if nobody counts.
    pub(super) fn still_since(&self) -> Option<Instant> {
        self.received.map(|(_, at)| at)
    }

    /// When a reference answered last.
    pub(super) fn answered_at(&self) -> Option<Instant> {
        self.references.values().filter_map(|known| known.answered_at).max()
    }

    /// Whether the address of this host, itself a reference, has answered since.
    pub(super) fn has_answered(&self, ip: IpAddr, since: Instant) -> bool {
        self.references.get(&ip).is_some_and(|known| known.answered_at >= Some(since))
    }

    /// Whether a host that is no suspect has answered after this.
    pub(super) fn hears_since(&self, since: Instant) -> bool {
        self.references.values().any(|known| known.answered_at > Some(since))
    }

    /// How many references answer, and how many are expected to; for people.
    pub(super) fn answering(&self, now: Instant) -> (usize, usize) {
        let answer = |known: &&Reference| known.answered_at.is_some_and(|at| now < at + REFERENCES_EVERY * 2);
        (self.references.values().filter(answer).count(), self.references.len())
    }

    /// A round is to be sent now, if anybody wants one.
    pub(super) fn round_due(&self, now: Instant) -> bool {
        self.next_round.is_none_or(|next| now >= next)
    }

    /// When the next round is due.
    pub(super) fn next_round(&self, now: Instant) -> Instant {
        self.next_round.map_or(now, |next| next.max(now))
    }

    /// Takes down a round that is sent now, and asks the references for it.
    pub(super) fn begin_round(&mut self, now: Instant, ask: &mut impl FnMut(IpAddr)) {
        if self.rounds.back().is_some_and(|last| now > last.at + ROUND_EVERY + STALE_AFTER) {
            self.rounds.clear();
        }
        if self.rounds.len() == MAX_ROUNDS {
            self.rounds.pop_front();
        }
        let asked = self.references.values().map(|known| known.bit).sum();
        self.rounds.push_back(Round { at: now, asked, answered: 0 });
        self.next_round = Some(now + ROUND_EVERY);
        self.ask_all(now, ask);
    }

    /// Nobody wants rounds any more.
    pub(super) fn rest(&mut self) {
        self.rounds.clear();
        self.next_round = None;
    }

    /// Asks the references if it is time; when it is time next.
    pub(super) fn ask_references(
        &mut self,
        now: Instant,
        haste: Haste,
        ask: &mut impl FnMut(IpAddr),
    ) -> Option<Instant> {
        let keep = |known: &Reference| !known.learned || now < known.answered_at.unwrap_or(known.since) + LEARNED_FOR;
        self.references.retain(|_, known| keep(known));
        if self.references.is_empty() {
            return None;
        }
        let every = match haste {
            Haste::Hunt => HUNT_EVERY,
            Haste::Closely => REFERENCES_CLOSELY,
            Haste::None if self.asked_at > self.answered_at() => REFERENCES_CLOSELY,
            Haste::None => REFERENCES_EVERY,
        };
        if self.asked_at.is_none_or(|at| now >= at + every) {
            self.ask_all(now, ask);
        }
        Some(self.asked_at? + every)
    }

    fn ask_all(&mut self, now: Instant, ask: &mut impl FnMut(IpAddr)) {
        self.asked_at = Some(now);
        self.references.keys().for_each(|ip| ask(*ip));
    }

    /// A bit that no reference has, and that means nothing in past rounds any more.
    fn free_bit(&mut self) -> u16 {
        let used: u16 = self.references.values().map(|known| known.bit).sum();
        let bit = 1 << used.trailing_ones().min(15);
        for round in &mut self.rounds {
            round.asked &= !bit | used;
            round.answered &= !bit | used;
        }
        bit
    }
}

/// How often references are to be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) enum Haste {
    /// To know them when they are needed.
    #[default]
    None,
    /// An owner depends on them.
    Closely,
    /// A claim waits for one of them.
    Hunt,
}

impl Reference {
    fn new(now: Instant, bit: u16) -> Self {
        Self { bit, learned: false, node: None, mac: None, since: now, answered_at: None }
    }

    pub(super) fn is_one_of(&self, nodes: &[&Name]) -> bool {
        self.node.as_ref().is_some_and(|node| nodes.contains(&node))
    }
}
