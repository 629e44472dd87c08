//! What this node says: heartbeats at every interval, and at once when there is something new.

use super::{Machine, Transmit, peer::PeerState};
use crate::{
    election::wire::{self, Claim, Echo, Packet},
    model::{Digest, Heartbeat, Mac, Name, Role},
};
use std::{net::IpAddr, time::Instant};

/// What all datagrams of one statement have in common.
struct Statement<'a> {
    me: &'a Name,
    session: u64,
    round: u64,
    heartbeat: Heartbeat,
    macs: &'a [Mac],
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
        if due || claims != self.said {
            self.said = claims;
            self.tell(now, |_, _| true);
        } else if !greet.is_empty() {
            self.tell(now, |name, path| greet.iter().any(|(peer, on)| peer == name && *on == path));
        }
    }

    /// Answers a hello directly, outside the regular stream.
    pub(super) fn reply(&mut self, now: Instant, peer: &Name, path: usize, echo: Echo) {
        self.round += 1;
        let claims = self.claims();
        let Some(statement) = statement(self.me.as_ref(), self.session, self.round, self.heartbeat, &self.macs, claims)
        else {
            return;
        };
        let Some(state) = self.peers.get_mut(peer) else { return };
        let heard = state.heard;
        let Some(seq) = state.session.stamp_reply(now, path) else { return };
        let packet = statement.packet(peer, path, 0, seq, Some(Echo { hears_you: heard, ..echo }));
        self.transmits.push_back(Transmit::Heartbeat { peer: peer.clone(), path, packet });
    }

    fn tell(&mut self, now: Instant, wanted: impl Fn(&Name, usize) -> bool) {
        self.round += 1;
        let claims = self.said.clone();
        let Some(statement) = statement(self.me.as_ref(), self.session, self.round, self.heartbeat, &self.macs, claims)
        else {
            return;
        };
        for (name, peer) in &mut self.peers {
            for path in (0..peer.ends.len()).filter(|path| wanted(name, *path)) {
                statement.send(now, name, peer, path, &mut self.transmits);
            }
        }
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

fn statement<'a>(
    me: Option<&'a Name>,
    session: u64,
    round: u64,
    heartbeat: Heartbeat,
    macs: &'a [Mac],
    claims: Vec<Claim>,
) -> Option<Statement<'a>> {
    Some(Statement { me: me?, session, round, heartbeat, macs, slices: wire::slices(claims) })
}

impl Statement<'_> {
    fn send(
        &self,
        now: Instant,
        name: &Name,
        peer: &mut PeerState,
        path: usize,
        out: &mut std::collections::VecDeque<Transmit>,
    ) {
        for slice in 0..self.slices.len() {
            let Some((seq, echo)) = peer.session.stamp(now, path, peer.heard) else { return };
            let packet = self.packet(name, path, slice, seq, echo);
            out.push_back(Transmit::Heartbeat { peer: name.clone(), path, packet });
        }
    }

    fn packet(&self, to: &Name, path: usize, slice: usize, seq: u64, echo: Option<Echo>) -> Box<Packet> {
        Box::new(Packet {
            sender: self.me.clone(),
            destination: to.clone(),
            path: path as u8,
            session: self.session,
            seq,
            round: self.round,
            slice: slice as u16,
            slices: self.slices.len() as u16,
            interval: self.heartbeat.interval,
            dead_after: self.heartbeat.dead_after,
            echo,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            macs: self.macs.to_vec(),
            fenced: false,
            fronts: Vec::new(),
            claims: self.slices[slice].clone(),
        })
    }
}
