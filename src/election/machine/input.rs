//! What comes in from outside: heartbeats, refused datagrams, the kernel's word on leases; and who is heard because of it.

use super::{
    Machine,
    heartbeat::number_of,
    peer::{Change, dead_time},
    rules::{AUDIT_EVERY, CLOCK_STEP, Rule},
};
use crate::{
    election::{session::Verdict, wire::Packet},
    model::{Name, format_duration},
};
use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

/// Hellos that are answered in one step; the others will come again.
const MAX_REPLIES: usize = 32;

impl Machine {
    /// An authentic heartbeat that came in on `path`. The error is the word under which a refused one is counted.
    pub fn handle_heartbeat(&mut self, now: Instant, path: usize, packet: Packet) -> Result<(), &'static str> {
        let sender = packet.sender.clone();
        let result = self.receive(now, path, packet);
        if let Err(reason) = result {
            self.count_refusal(now, &sender, path, reason);
        }
        result
    }

    /// A datagram that came in on `path` and could not be verified or read.
    pub fn handle_rejected(&mut self, now: Instant, path: usize, source: SocketAddr, reason: &'static str) {
        let number = number_of(path, self.local.configured.len());
        let remote = |peer: &Name| number.and_then(|path| self.peers[peer].ends.get(&path)).map(|ends| ends.1.ip());
        let from = |peer: &&Name| remote(peer) == Some(source.ip());
        match self.peers.keys().find(from).cloned() {
            Some(peer) => self.count_refusal(now, &peer, path, reason),
            // One subject for all strangers: sources can be forged, and must not push out what people should read.
            None => self.out.refusal(now, "unknown sources", reason),
        }
    }

    /// The host of a peer says that nobody listens there (ECONNREFUSED): worth a probe, and a sooner end
    /// of its dead timer, but no proof.
    pub fn handle_hint(&mut self, now: Instant, path: usize, source: SocketAddr) {
        let Some(path) = number_of(path, self.local.configured.len()) else { return };
        let of = |peer: &&mut super::PeerState| peer.ends.get(&path).is_some_and(|ends| ends.1.ip() == source.ip());
        for peer in self.peers.values_mut().filter(of) {
            peer.hint(now);
            self.pending = true;
        }
    }

    /// The kernel has carried out a [`super::Transmit::Grant`], or refused it because the ticket had expired.
    pub fn handle_grant(&mut self, _now: Instant, vip: &Name, granted: bool) {
        self.pending = true;
        let waiting = self.vips.get_mut(vip).and_then(|vip| vip.granting.as_mut());
        if let Some(granting) = waiting {
            granting.answer = Some(granted);
        }
    }

    /// The leases of these addresses have ended although nobody revoked them: this agent was stopped, or kept from
    /// renewing. Others may own them by now.
    pub fn handle_lost(&mut self, now: Instant, ips: &[IpAddr]) {
        if !self.rules.hold(Rule::LostLeaseLeaves) {
            return;
        }
        let mut any = false;
        for vip in self.vips.values_mut() {
            let lost = |ip: &IpAddr| ips.contains(ip);
            // This agent was stopped after the kernel had answered, and before it took note of that.
            if let Some(granting) = vip.granting.as_mut().filter(|granting| granting.ips.iter().any(lost)) {
                granting.answer = Some(false);
                any = true;
            }
            if vip.leased.iter().any(lost) {
                vip.fallen = Some("the lease ended: this agent did not renew it in time");
                any = true;
            }
        }
        if any {
            self.pending = true;
            self.peers.values_mut().for_each(|peer| peer.doubt(now));
        }
    }

    /// This machine slept (CLOCK_BOOTTIME went ahead of CLOCK_MONOTONIC): whatever was known is old.
    pub fn handle_jump(&mut self, now: Instant) {
        if self.rules.hold(Rule::JumpStartsAnew) {
            self.pending = true;
            self.vips.values_mut().for_each(|vip| vip.fallen = Some("this machine slept"));
            self.peers.values_mut().for_each(|peer| peer.forget(now));
        }
    }

    /// The wall clock, in milliseconds since 1970. Epochs only grow whatever it does. A step of it may mean that this
    /// machine was stopped without knowing: then what the others said before proves nothing, and owners look closely.
    pub fn handle_wall_clock(&mut self, now: Instant, wall_ms: u64) {
        let elapsed = now.saturating_duration_since(self.wall.1).as_millis() as u64;
        let step = wall_ms.abs_diff(self.wall.0.saturating_add(elapsed));
        self.wall = (wall_ms, now);
        if Duration::from_millis(step) > CLOCK_STEP && self.rules.hold(Rule::FreshNonces) {
            self.pending = true;
            self.doubt_until = Some(now + AUDIT_EVERY);
            self.peers.values_mut().for_each(|peer| peer.session.ask_anew(now));
        }
    }

    fn receive(&mut self, now: Instant, arrived_on: usize, packet: Packet) -> Result<(), &'static str> {
        match &self.me {
            Some(me) if packet.sender == *me => return Err("reflected"),
            Some(me) if packet.destination == *me => {}
            _ => return Err("wrong_destination"),
        }
        let path = packet.path;
        if number_of(arrived_on, self.local.configured.len()) != Some(path) {
            return Err("wrong_path");
        }
        let first_seq = self.first_seq(now);
        let sender = packet.sender.clone();
        let peer = self.peers.get_mut(&sender).ok_or("unknown_peer")?;
        let (verdict, news) = peer.receive(now, packet, first_seq);
        if news.view {
            self.out.changed();
        }
        match verdict {
            Verdict::Live { adopted } => {
                // What only says the same again can wait for the next step, unless something is going on.
                self.pending |= news.due || self.busy;
                if adopted {
                    self.greet.push((sender, path));
                }
                Ok(())
            }
            Verdict::Reply(echo) => {
                if self.replies.len() < MAX_REPLIES {
                    self.replies.push((sender, path, echo));
                }
                self.pending = true;
                Err("stale_session")
            }
            Verdict::Refused(reason) => Err(reason),
        }
    }

    fn count_refusal(&mut self, now: Instant, peer: &Name, path: usize, reason: &'static str) {
        let number = number_of(path, self.local.configured.len());
        if let (Some(state), Some(path)) = (self.peers.get_mut(peer), number) {
            state.reject(path, reason);
        }
        // These come with every restart and with packets that overtake each other: counted, but no event.
        if !matches!(reason, "stale_session" | "replayed") {
            self.out.refusal(now, peer, reason);
        }
    }

    /// An agent that was stopped for a while (a busy host, SIGSTOP) has not listened: what it did not hear in that
    /// time proves nothing.
    pub(super) fn forgive_sleep(&mut self, now: Instant) {
        let slept = now.saturating_duration_since(self.stepped_at.max(self.born));
        if slept > self.heartbeat.interval * 2 && self.rules.hold(Rule::ForgiveSleep) {
            let silent_since = self.stepped_at;
            for peer in self.peers.values_mut() {
                if peer.last_heard.is_some_and(|at| at <= silent_since) {
                    peer.forgive(slept);
                }
            }
        }
        // Long enough for others to take this node for dead, and nothing here answered their questions.
        if slept >= dead_time(self.heartbeat) {
            for vip in self.vips.values_mut().filter(|vip| vip.unheld_since.is_some()) {
                vip.fallen = Some("this agent was stopped while the addresses were not on their device");
            }
        }
    }

    /// Whether a peer is heard that was not.
    pub(super) fn refresh_peers(&mut self, now: Instant) -> bool {
        let my_dead = dead_time(self.heartbeat);
        let mut newly_heard = false;
        for (name, peer) in &mut self.peers {
            let mutual = peer.mutual();
            match peer.refresh(now, my_dead) {
                Some(Change::Heard) => {
                    newly_heard = true;
                    self.out.event(now, &**name, "heard");
                }
                Some(Change::Lost) => {
                    let text = match peer.is_hinted() {
                        true => "its agent has ended: its host refuses heartbeats, and none came since".to_owned(),
                        false => format!("silent for {} on all paths", format_duration(peer.dead_time())),
                    };
                    self.out.event(now, &**name, text);
                }
                None => {}
            }
            if mutual != peer.mutual() {
                self.out.changed();
            }
            if let Some(dead_at) = peer.dead_at() {
                self.out.wake_at(dead_at);
            }
        }
        let fresh = self.peers.values().all(|peer| !peer.heard || peer.session.is_fresh());
        if self.doubt_until.is_some_and(|until| fresh || now >= until) {
            self.doubt_until = None;
        }
        newly_heard
    }
}
