//! The election machine: pure. Each input takes `now`, records what has happened and asks for a step; all decisions
//! are made in [`Machine::handle_timeout`], from the situation as a whole.
//!
//! The life of a Vip, in short: a new agent leaves the addresses as it found them (`Initialize`) until it has heard the
//! other nodes or knows them to be silent. Then the first eligible node of the list claims: it probes the addresses and,
//! if nobody answers, becomes `Active` with a higher epoch than any it has heard. The others are `Backup`, watch it,
//! and claim in turn when it falls silent. A preferred node that returns asks, and is handed the addresses. Two owners
//! that come to hear each other compare epochs: the lower one leaves at once, the higher one announces anew.
//!
//! ```text
//! handle_desired  ─┐                                   ┌─▶ poll_transmit: heartbeats, probes
//! handle_held      │                                   │
//! handle_heartbeat ├─▶ facts ─▶ handle_timeout ─▶ vips ─┼─▶ view: roles, peers, events
//! handle_probe_…   │           (steps each Vip)         │
//! clock            ─┘                                   └─▶ poll_timeout: when to step next
//! ```

mod desired;
mod facts;
mod handover;
mod heartbeat;
mod input;
mod look;
mod outbox;
mod own;
mod peer;
mod probe;
mod rules;
mod stand_by;
#[cfg(test)]
mod tests;
mod vip;

#[cfg(test)]
pub(super) use rules::Rule;
pub(super) use rules::Rules;

use super::wire::Packet;
use crate::model::{ElectionView, Front, Heartbeat, Held, Mac, Name, Role};
use desired::Dropped;
use facts::Context;
use outbox::Outbox;
use peer::PeerState;
use std::{
    collections::{BTreeMap, VecDeque},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};
use vip::VipState;

/// The election of one node.
#[derive(Debug)]
pub struct Machine {
    session: u64,
    born: Instant,
    me: Option<Name>,
    heartbeat: Heartbeat,
    macs: Vec<Mac>,
    held: Held,
    dropped: Vec<Dropped>,
    peers: BTreeMap<Name, PeerState>,
    vips: BTreeMap<Name, VipState>,
    /// Wall clock in ms, and when it was read.
    wall: (u64, Instant),
    voice: bool,
    rules: Rules,
    out: Outbox,
    transmits: VecDeque<Transmit>,
    /// Something was recorded that has not been decided upon yet.
    pending: bool,
    stepped_at: Instant,
    next_heartbeat: Instant,
    round: u64,
    /// What was last said to everybody.
    said: Vec<super::wire::Claim>,
    /// Peers that should hear from this node at once, by path.
    greet: Vec<(Name, usize)>,
}

/// What a pass of the reconcile loop has to tell.
///
/// A node that has just decided to give addresses up must not say that it does not have them while a pass is under way
/// that adds them. So a report names the view that the pass went by: until a pass has gone by the present role, the
/// addresses count as held.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeldReport {
    /// Which Vip addresses were on this node's devices at the end of the pass.
    pub held: Held,
    /// The view that the pass went by. Passes must not overlap.
    pub acted_on: Arc<ElectionView>,
}

/// Something to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transmit {
    /// A heartbeat.
    Heartbeat {
        /// To this node,
        peer: Name,
        /// on the path of this index.
        path: usize,
        /// To be encoded and signed.
        packet: Box<Packet>,
    },
    /// Put a ticket into the kernel: [`Transmit::Grant`] is refused once it has expired. Must be carried out before
    /// whatever follows it.
    Ticket {
        /// Never used before by this process.
        id: u64,
        /// The kernel forgets it after this.
        ttl: Duration,
    },
    /// Take the ticket and start the leases of `ips`, in one step of the kernel; the result is to be handed to
    /// [`Machine::handle_grant`] at once.
    Grant {
        /// For whom.
        vip: Name,
        /// Of an earlier [`Transmit::Ticket`].
        ticket: u64,
        /// The addresses.
        ips: Vec<IpAddr>,
    },
    /// End the leases of `ips`, before whatever follows this.
    Revoke {
        /// The addresses.
        ips: Vec<IpAddr>,
    },
    /// An ARP or ND probe.
    Probe {
        /// `ifindex` of the device.
        link: u32,
        /// Who has this?
        ip: IpAddr,
    },
}

impl Machine {
    /// A machine that knows nothing yet. `session`: drawn at random for this process. `wall_ms`: the wall clock in
    /// milliseconds since 1970. `highest_epoch`: as remembered from [`Machine::highest_epoch`] of earlier processes, or 0.
    pub fn new(now: Instant, session: u64, wall_ms: u64, highest_epoch: u64) -> Self {
        Self {
            session,
            born: now,
            me: None,
            heartbeat: Heartbeat::default(),
            macs: Vec::new(),
            held: Held::new(),
            dropped: Vec::new(),
            peers: BTreeMap::new(),
            vips: BTreeMap::new(),
            wall: (wall_ms.max(highest_epoch), now),
            voice: true,
            rules: Rules::default(),
            out: Outbox::default(),
            transmits: VecDeque::new(),
            pending: true,
            stepped_at: now,
            next_heartbeat: now,
            round: 0,
            said: Vec::new(),
            greet: Vec::new(),
        }
    }

    /// The wall clock, in milliseconds since 1970. A clock that jumps is harmless: epochs only grow.
    pub fn handle_wall_clock(&mut self, now: Instant, wall_ms: u64) {
        self.wall = (wall_ms, now);
    }

    /// Whether this node can speak to its peers, that is, has a key. While it cannot, it does not take their silence
    /// for death when it starts: it stays in Initialize and changes nothing.
    pub fn handle_voice(&mut self, voice: bool) {
        self.pending |= voice != self.voice;
        self.voice = voice;
    }

    /// The kernel has carried out a [`Transmit::Grant`], or refused it because the ticket had expired.
    pub fn handle_grant(&mut self, _now: Instant, _vip: &Name, _granted: bool) {
        self.pending = true;
    }

    /// The leases of these addresses have ended although nobody revoked them: this agent was stopped, or kept from
    /// renewing. Others may own them by now.
    pub fn handle_lost(&mut self, _now: Instant, _ips: &[IpAddr]) {
        self.pending = true;
    }

    /// Whether this node's kernel enforces leases; said in heartbeats.
    pub fn handle_fenced(&mut self, _fenced: bool) {}

    /// What keeps this agent from owning anything, in words; empty if nothing does.
    pub fn handle_unfit(&mut self, _reasons: Vec<String>) {}

    /// This machine slept (CLOCK_BOOTTIME went ahead of CLOCK_MONOTONIC): whatever was known is old.
    pub fn handle_jump(&mut self, _now: Instant) {
        self.pending = true;
    }

    /// How many packets a device has received in all; for each of [`Self::watched_links`] about every 100 ms.
    pub fn handle_rx(&mut self, _now: Instant, _link: u32, _packets: u64) {}

    /// Devices whose counters matter now.
    pub fn watched_links(&self) -> Vec<u32> {
        Vec::new()
    }

    /// The host of a peer says that nobody listens there (ECONNREFUSED): worth a probe, but no proof.
    pub fn handle_hint(&mut self, _now: Instant, _path: usize, _source: SocketAddr) {
        self.pending = true;
    }

    /// Where heartbeats are received, by index of the path: the configured addresses, then one of each device that
    /// carries Vips and is on no configured path.
    pub fn local_ends(&self) -> Vec<SocketAddr> {
        Vec::new()
    }

    /// This node's devices that carry Vips, in the order of the smallest address of a Vip on each, so that all nodes
    /// list theirs in the same order. Without it there are no heartbeat paths but those that the files list.
    pub fn handle_fronts(&mut self, _now: Instant, _fronts: Vec<Front>) {
        self.pending = true;
    }

    /// The highest epoch of any claim known: to be kept on disk, without making anything wait for the disk.
    pub fn highest_epoch(&self) -> u64 {
        0
    }

    /// A pass of the reconcile loop has ended.
    pub fn handle_held(&mut self, report: HeldReport) {
        self.pending = true;
        self.held = report.held;
        for (name, vip) in &mut self.vips {
            vip.acted_on(report.acted_on.vips.get(name));
        }
        let told = &report.acted_on.vips;
        self.dropped.retain(|dropped| told.get(&dropped.vip).is_some_and(|vip| vip.since == dropped.since));
    }

    /// Decides. To be called whenever [`Self::poll_timeout`] is due, after all inputs at hand have been handed in.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.pending = false;
        self.out.wake = None;
        self.forgive_sleep(now);
        let newly_heard = self.refresh_peers(now);
        self.step_vips(now, newly_heard);
        for (link, ip) in std::mem::take(&mut self.out.probes) {
            self.transmits.push_back(Transmit::Probe { link, ip });
        }
        self.speak(now);
        self.stepped_at = now;
    }

    /// When [`Self::handle_timeout`] is to be called next; a time that has passed means at once.
    pub fn poll_timeout(&self) -> Instant {
        let next = self.out.wake.map_or(self.next_heartbeat, |wake| wake.min(self.next_heartbeat));
        if self.pending { self.stepped_at } else { next }
    }

    /// The next thing to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// Grows with every change of the view that is worth publishing at once; counters alone are not.
    pub fn revision(&self) -> u64 {
        self.out.revision
    }

    /// What has been decided and what is known.
    pub fn view(&self, now: Instant) -> ElectionView {
        let digests = self.vips.values().flat_map(|vip| {
            let digest = vip.candidate.digest;
            vip.candidate.addresses.iter().map(move |ip| (*ip, digest))
        });
        let digests = digests.collect();
        ElectionView {
            vips: self.vips.iter().map(|(name, vip)| (name.clone(), vip.view(now))).collect(),
            peers: self.peers.iter().map(|(name, peer)| (name.clone(), peer.view(now, &digests))).collect(),
            events: self.out.events().cloned().collect(),
        }
    }

    /// The role for one Vip; cheaper than a whole view.
    pub fn role(&self, vip: &str) -> Option<Role> {
        self.vips.get(vip).map(|vip| vip.role)
    }

    /// Whether `peer` is heard.
    pub fn hears(&self, peer: &str) -> bool {
        self.peers.get(peer).is_some_and(|peer| peer.heard)
    }

    /// Where `peer` listens on the path of this index.
    pub fn remote(&self, peer: &str, path: usize) -> Option<SocketAddr> {
        self.peers.get(peer)?.ends.get(path).map(|(_, remote)| *remote)
    }

    fn step_vips(&mut self, now: Instant, newly_heard: bool) {
        let Some(me) = &self.me else { return };
        let elapsed = now.saturating_duration_since(self.wall.1).as_millis();
        let ctx = Context {
            now,
            me,
            wall_ms: self.wall.0.saturating_add(elapsed as u64),
            peers: &self.peers,
            held: &self.held,
            voice: self.voice,
            newly_heard,
            rules: self.rules,
        };
        for vip in self.vips.values_mut() {
            vip.step(&ctx, &mut self.out);
        }
    }

    /// A number for the first datagram of a new path: higher than any that this process can have sent on it before.
    fn first_seq(&self, now: Instant) -> u64 {
        let age = now.saturating_duration_since(self.born).max(Duration::from_micros(1));
        age.as_micros() as u64
    }

    /// Switches off one rule.
    #[cfg(test)]
    pub(super) fn set_rules(&mut self, rules: Rules) {
        self.rules = rules;
    }
}
