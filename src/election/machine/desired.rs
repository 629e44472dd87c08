//! New desired state: peers come, change and go; Vips are added, renamed, split, merged and dropped. What is owned
//! goes by address, so an address that moves from one Vip to another keeps its epoch and, if it can, its role.

use super::{
    Machine,
    facts::{Context, Rival},
    peer::PeerState,
    vip::VipState,
};
use crate::model::{Candidate, Mac, Name, Peer, Role};
use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Instant};

impl Machine {
    /// What is wanted. `peers` are all nodes, this one included; if `me` is none of them, this node takes no part.
    /// `candidates` that do not list this node are not its business.
    pub fn handle_desired(
        &mut self,
        now: Instant,
        me: &Name,
        peers: &[Arc<Peer>],
        candidates: Vec<Candidate>,
        macs: Vec<Mac>,
    ) {
        self.pending = true;
        self.out.changed();
        self.macs = macs;
        let own = peers.iter().find(|peer| peer.name == *me);
        if self.me.as_ref() != Some(me) || own.is_none() {
            self.peers.clear();
            self.vips.clear();
        }
        self.me = own.map(|peer| peer.name.clone());
        let Some(own) = own else { return };
        self.heartbeat = own.heartbeat;
        self.next_heartbeat = self.next_heartbeat.min(now + own.heartbeat.interval);
        self.take_peers(now, own, peers);
        self.take_candidates(now, me, candidates);
    }

    fn take_peers(&mut self, now: Instant, own: &Peer, peers: &[Arc<Peer>]) {
        self.peers.retain(|name, _| peers.iter().any(|peer| peer.name == *name && peer.name != own.name));
        let first_seq = self.first_seq(now);
        for peer in peers.iter().filter(|peer| peer.name != own.name) {
            match self.peers.get_mut(&peer.name) {
                Some(known) => known.configure(peer.clone(), &own.addresses, first_seq),
                None => {
                    let state = PeerState::new(now, peer.clone(), self.session, &own.addresses, first_seq);
                    self.peers.insert(peer.name.clone(), state);
                }
            }
        }
    }

    fn take_candidates(&mut self, now: Instant, me: &Name, candidates: Vec<Candidate>) {
        let mut old = std::mem::take(&mut self.vips);
        let before = Before::of(&old);
        self.drop_vips(&old, &candidates);
        for candidate in candidates.into_iter().filter(|candidate| candidate.nodes.contains(me)) {
            let known = old.remove(&candidate.vip);
            let name = candidate.vip.clone();
            let vip = self.succeed(now, me, candidate, known, &before);
            self.vips.insert(name, vip);
        }
    }

    /// Remembers what the reconcile loop may still have to remove of Vips that are gone.
    fn drop_vips(&mut self, old: &BTreeMap<Name, VipState>, candidates: &[Candidate]) {
        let gone =
            old.values().filter(|vip| vip.may_hold && !candidates.iter().any(|new| new.vip == vip.candidate.vip));
        self.dropped.extend(gone.map(|vip| Dropped {
            vip: vip.candidate.vip.clone(),
            since: vip.since,
            addresses: vip.candidate.addresses.clone(),
        }));
    }

    /// The state of a Vip after its candidate has come or changed.
    fn succeed(
        &self,
        now: Instant,
        me: &Name,
        candidate: Candidate,
        known: Option<VipState>,
        before: &Before,
    ) -> VipState {
        let epoch = before.epoch(&candidate.addresses);
        let active = before.active(&candidate.addresses);
        let Some(mut vip) = known else {
            let mut vip = VipState::new(now, candidate, epoch);
            vip.may_hold = before.may_hold(&vip.candidate.addresses);
            if active.all {
                vip.adopt(now, "took the addresses over from another Vip of this node");
            }
            return vip;
        };
        if vip.candidate.link != candidate.link || vip.candidate.addresses != candidate.addresses {
            vip.cannot_hold_until = None;
        }
        let grown = candidate.addresses.iter().any(|ip| !vip.candidate.addresses.contains(ip));
        vip.candidate = candidate;
        (vip.epoch, vip.seen_epoch) = (vip.epoch.max(epoch), vip.seen_epoch.max(epoch));
        vip.may_hold |= before.may_hold(&vip.candidate.addresses);
        // Addresses that this Vip did not have may be somebody else's: then it starts anew, and the start rule decides.
        let free = active.all || (vip.role == Role::Active && active.any && !self.occupied(now, me, &vip));
        if !grown || (vip.role == Role::Active && free) || (vip.role != Role::Active && !active.any) {
            return vip;
        }
        let mut fresh = VipState::new(now, vip.candidate, vip.epoch);
        (fresh.announcement, fresh.became_active) = (vip.announcement, vip.became_active);
        fresh.may_hold = vip.may_hold;
        if active.all {
            fresh.adopt(now, "took the addresses over from another Vip of this node");
        }
        fresh
    }

    /// A peer owns or has any of the Vip's addresses.
    fn occupied(&self, now: Instant, me: &Name, vip: &VipState) -> bool {
        let ctx = Context {
            now,
            me,
            wall_ms: 0,
            peers: &self.peers,
            held: &self.held,
            voice: self.voice,
            newly_heard: false,
            rules: self.rules,
        };
        Rival::gather(&ctx, vip).iter().any(Rival::occupies)
    }
}

impl VipState {
    /// Goes on as the owner that this node already is.
    fn adopt(&mut self, now: Instant, why: &str) {
        self.role = Role::Active;
        self.since = now;
        self.started = true;
        self.may_hold = true;
        self.became_active += 1;
        self.why = format!("{why} (epoch {})", self.epoch);
    }
}

/// A Vip that is gone, but whose addresses the reconcile loop may not have removed yet.
#[derive(Debug)]
pub(super) struct Dropped {
    pub(super) vip: Name,
    /// Of its last role: tells it from a later Vip of the same name.
    pub(super) since: Instant,
    pub(super) addresses: Vec<IpAddr>,
}

/// What was known of every address before the change.
struct Before(BTreeMap<IpAddr, Was>);

struct Was {
    epoch: u64,
    active: bool,
    may_hold: bool,
}

struct WasActive {
    any: bool,
    all: bool,
}

impl Before {
    fn of(vips: &BTreeMap<Name, VipState>) -> Self {
        let each = vips.values().flat_map(|vip| {
            let active = vip.role == Role::Active;
            let epoch = if active { vip.epoch } else { vip.epoch.max(vip.seen_epoch) };
            vip.candidate.addresses.iter().map(move |ip| (*ip, Was { epoch, active, may_hold: vip.may_hold }))
        });
        Self(each.collect())
    }

    fn epoch(&self, addresses: &[IpAddr]) -> u64 {
        addresses.iter().filter_map(|ip| self.0.get(ip)).map(|was| was.epoch).max().unwrap_or(0)
    }

    fn may_hold(&self, addresses: &[IpAddr]) -> bool {
        addresses.iter().filter_map(|ip| self.0.get(ip)).any(|was| was.may_hold)
    }

    fn active(&self, addresses: &[IpAddr]) -> WasActive {
        let mut each = addresses.iter().map(|ip| self.0.get(ip).is_some_and(|was| was.active));
        WasActive { any: each.clone().any(|active| active), all: each.all(|active| active) }
    }
}
