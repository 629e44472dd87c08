//! What this node says: heartbeats at every interval, and at once when there is something new.

use super::{
    Machine, Transmit,
    facts::ticket,
    peer::{FRONT_PATHS, PeerState},
    rules::OFFER_TICKET_FOR,
};
use crate::{
    election::wire::{self, Claim, Echo, Packet},
    model::{Digest, Heartbeat, Mac, Name, Role},
};
use std::{net::IpAddr, time::Instant};

/// What all datagrams of one statement have in common.
struct Statement {
    me: Name,
    session: u64,
    round: u64,
    heartbeat: Heartbeat,
    macs: Vec<Mac>,
    fenced: bool,
    fronts: Vec<IpAddr>,
    slices: Vec<Vec<Claim>>,
}

impl Machine {
    /// Sends what is due.
    pub(super) fn speak(&mut self, now: Instant) {
        let greet = std::mem::take(&mut self.greet);
        let claims = self.claims();
        let due = now >= self.next_heartbeat;
        if due {
            let next = self.next_heartbeat + self.heartbeat.interval;
            self.next_heartbeat = if next > now { next } else { now + self.heartbeat.interval };
        }
        for (peer, path, echo) in std::mem::take(&mut self.replies) {
            self.reply(now, &peer, path, echo, claims.clone());
        }
        if due || claims != self.said {
            self.said = claims;
            self.tell(now, |_, _| true);
        } else if !greet.is_empty() {
            self.tell(now, |name, path| greet.iter().any(|(peer, on)| peer == name && *on == path));
        }
    }

    /// Answers a hello directly, outside the regular stream.
    fn reply(&mut self, now: Instant, peer: &Name, path: u8, echo: Echo, claims: Vec<Claim>) {
        self.begin_round();
        let configured = self.local.configured.len();
        let Some(statement) = self.statement(claims) else { return };
        let Some(state) = self.peers.get_mut(peer) else { return };
        let heard = state.heard;
        let Some(seq) = state.session.stamp_reply(now, path) else { return };
        let packet = statement.packet(peer, path, 0, seq, Some(Echo { hears_you: heard, ..echo }));
        let path = index_of(path, configured);
        self.transmits.push_back(Transmit::Heartbeat { peer: peer.clone(), path, packet });
    }

    fn tell(&mut self, now: Instant, wanted: impl Fn(&Name, u8) -> bool) {
        self.begin_round();
        let configured = self.local.configured.len();
        let Some(statement) = self.statement(self.said.clone()) else { return };
        let transmits = &mut self.transmits;
        for (name, peer) in &mut self.peers {
            for path in peer.ends.keys().copied().filter(|path| wanted(name, *path)).collect::<Vec<u8>>() {
                statement.send(now, name, peer, path, |packet| {
                    let path = index_of(path, configured);
                    transmits.push_back(Transmit::Heartbeat { peer: name.clone(), path, packet });
                });
            }
        }
    }

    /// What is said now can be referred to. Where this node asks for addresses, a ticket makes sure that an answer is
    /// worth something only for a short time.
    fn begin_round(&mut self) {
        self.round += 1;
        for vip in self.vips.values().filter(|vip| vip.asks) {
            let id = ticket(self.round, vip.serial);
            self.transmits.push_back(Transmit::Ticket { id, ttl: OFFER_TICKET_FOR });
        }
    }

    fn statement(&self, claims: Vec<Claim>) -> Option<Statement> {
        Some(Statement {
            me: self.me.clone()?,
            session: self.session,
            round: self.round,
            heartbeat: self.heartbeat,
            macs: self.macs.clone(),
            fenced: self.fenced,
            fronts: self.local.fronts.iter().map(|front| front.ip()).collect(),
            slices: wire::slices(claims),
        })
    }

    /// All that this node says of addresses: its Vips', and those it still has although no Vip names them any more.
    fn claims(&self) -> Vec<Claim> {
        let mut claims: Vec<Claim> = self.vips.values().flat_map(|vip| vip.claims(&self.held)).collect();
        let dropped = self.dropped.iter().flat_map(|dropped| &dropped.addresses);
        let left: std::collections::BTreeSet<&IpAddr> = self.held.iter().chain(dropped).collect();
        let orphans = left.into_iter().filter(|ip| !claims.iter().any(|claim| claim.ip == **ip));
        let orphans: Vec<Claim> = orphans.map(|ip| orphan(*ip)).collect();
        claims.extend(orphans);
        claims
    }
}

/// An address that this node still has although none of its Vips names it: it does not want it, but nobody else may
/// have it yet.
fn orphan(ip: IpAddr) -> Claim {
    Claim {
        ip,
        role: Role::Backup,
        epoch: 0,
        digest: Digest::default(),
        holding: true,
        asks: false,
        claiming: false,
        eligible: false,
        takes_part: false,
        settled: false,
        verified: true,
        lost: false,
        sees_silence: false,
        has_references: false,
        offer: None,
        reason: "no Vip of this node names the address".to_owned(),
    }
}

/// The index of a path, front paths coming after the configured ones, from its number on the wire;
pub(super) fn index_of(number: u8, configured: usize) -> usize {
    match number.checked_sub(FRONT_PATHS) {
        Some(front) => configured + usize::from(front),
        None => usize::from(number),
    }
}

/// and the other way round.
pub(super) fn number_of(index: usize, configured: usize) -> Option<u8> {
    match index.checked_sub(configured) {
        Some(front) => u8::try_from(front).ok()?.checked_add(FRONT_PATHS),
        None => u8::try_from(index).ok(),
    }
}

impl Statement {
    fn send(&self, now: Instant, name: &Name, peer: &mut PeerState, path: u8, mut out: impl FnMut(Box<Packet>)) {
        for slice in 0..self.slices.len() {
            let Some((seq, echo)) = peer.session.stamp(now, path, peer.heard) else { return };
            let packet = self.packet(name, path, slice, seq, echo);
            out(packet);
        }
    }

    fn packet(&self, to: &Name, path: u8, slice: usize, seq: u64, echo: Option<Echo>) -> Box<Packet> {
        Box::new(Packet {
            sender: self.me.clone(),
            destination: to.clone(),
            path,
            session: self.session,
            seq,
            round: self.round,
            slice: slice as u16,
            slices: self.slices.len() as u16,
            interval: self.heartbeat.interval,
            dead_after: self.heartbeat.dead_after,
            echo,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            macs: self.macs.clone(),
            fenced: self.fenced,
            fronts: self.fronts.clone(),
            claims: self.slices[slice].clone(),
        })
    }
}
