//! What comes in from outside: heartbeats, refused datagrams, answers to probes; and who is heard because of it.

use super::{
    Machine,
    peer::{Change, dead_time},
    probe::Doubt,
    rules::Rule,
};
use crate::{
    election::{session::Verdict, wire::Packet},
    model::{Name, Sight, SightKind, format_duration},
};
use std::{
    net::{IpAddr, SocketAddr},
    time::Instant,
};

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
        let from = |peer: &&Name| self.peers[*peer].ends.get(path).is_some_and(|ends| ends.1.ip() == source.ip());
        match self.peers.keys().find(from).cloned() {
            Some(peer) => self.count_refusal(now, &peer, path, reason),
            // One subject for all strangers: sources can be forged, and must not push out what people should read.
            None => self.out.refusal(now, "unknown sources", reason),
        }
    }

    /// A probe for `ip` could not be sent: its silence proves nothing.
    pub fn handle_probe_failed(&mut self, ip: IpAddr) {
        self.pending = true;
        let vips = self.vips.values_mut().filter(|vip| vip.candidate.addresses.contains(&ip));
        vips.filter_map(|vip| vip.probing.as_mut()).for_each(|probing| probing.doubted(Doubt::Unsent(ip)));
    }

    /// Something was seen on the wire.
    pub fn handle_sight(&mut self, now: Instant, sight: Sight) {
        let Sight { ip, mac, kind, .. } = sight;
        if self.macs.contains(&mac) || kind != SightKind::Has {
            return;
        }
        let peer = self.peers.iter().find(|(_, peer)| peer.macs.contains(&mac)).map(|(name, _)| name.clone());
        for vip in self.vips.values_mut().filter(|vip| vip.candidate.addresses.contains(&ip)) {
            let Some(probing) = &mut vip.probing else { continue };
            self.pending = true;
            if let Some(name) = &peer {
                probing.doubted(Doubt::Peer(name.clone(), ip));
                continue;
            }
            probing.stranger_answered(now);
            vip.claiming = false;
            if vip.foreign.replace((ip, mac)) != Some((ip, mac)) {
                self.out.event(now, &*vip.candidate.vip, format!("{mac}, which belongs to no peer, answers for {ip}"));
            }
        }
    }

    fn receive(&mut self, now: Instant, path: usize, packet: Packet) -> Result<(), &'static str> {
        match &self.me {
            Some(me) if packet.sender == *me => return Err("reflected"),
            Some(me) if packet.destination == *me => {}
            _ => return Err("wrong_destination"),
        }
        if usize::from(packet.path) != path {
            return Err("wrong_path");
        }
        let sender = packet.sender.clone();
        let peer = self.peers.get_mut(&sender).ok_or("unknown_peer")?;
        let (verdict, news) = peer.receive(now, packet);
        if news {
            self.out.changed();
        }
        match verdict {
            Verdict::Live { adopted } => {
                self.pending = true;
                if adopted {
                    self.greet.push((sender, path));
                }
                Ok(())
            }
            Verdict::Reply(echo) => {
                self.reply(now, &sender, path, echo);
                Err("stale_session")
            }
            Verdict::Refused(reason) => Err(reason),
        }
    }

    fn count_refusal(&mut self, now: Instant, peer: &Name, path: usize, reason: &'static str) {
        if let Some(state) = self.peers.get_mut(peer) {
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
                    let silence = format_duration(peer.dead_time());
                    self.out.event(now, &**name, format!("silent for {silence} on all paths"));
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
        newly_heard
    }
}
