//! New desired state: peers come, change and go; Vips are added, renamed, split, merged and dropped. What is owned
//! goes by address, so an address that moves from one Vip to another keeps its epoch and, if it can, its role.

use super::{
    Machine,
    facts::Rival,
    peer::{Local, PeerState},
    rules::Rule,
    vip::VipState,
};
use crate::model::{Candidate, Front, Mac, Name, Peer, Role};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Instant,
};

/// Devices whose own addresses are heartbeat paths.
const MAX_FRONTS: usize = 8;

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
        self.own = own.cloned();
        let Some(own) = own else { return self.revoke_dropped() };
        self.heartbeat = own.heartbeat;
        self.next_heartbeat = self.next_heartbeat.min(now + own.heartbeat.interval);
        self.local = self.local_of(own);
        self.take_peers(now, own, peers);
        self.take_candidates(now, me, candidates);
        self.take_segments(now);
        self.revoke_dropped();
    }

    /// This node's devices that carry Vips, in the order of the smallest address of a Vip on each, so that all nodes
    /// list theirs in the same order. Without it there are no heartbeat paths but those that the files list.
    pub fn handle_fronts(&mut self, now: Instant, fronts: Vec<Front>) {
        self.pending |= self.fronts != fronts;
        self.fronts = fronts;
        let Some(own) = self.own.clone() else { return };
        self.local = self.local_of(&own);
        let first_seq = self.first_seq(now);
        for peer in self.peers.values_mut() {
            peer.configure(peer.config.clone(), self.local.clone(), first_seq);
        }
    }

    /// Where heartbeats are received, by index of the path: the configured addresses, then one of each device that
    /// carries Vips and is on no configured path.
    pub fn local_ends(&self) -> Vec<SocketAddr> {
        self.local.configured.iter().chain(&self.local.fronts).copied().collect()
    }

    fn local_of(&self, own: &Peer) -> Local {
        let listed = |ip: &IpAddr| own.addresses.iter().any(|address| address.ip() == *ip);
        let port = own.addresses.first().map_or(0, SocketAddr::port);
        let fronts = self.fronts.iter().filter_map(|front| front.address).filter(|ip| !listed(ip));
        let fronts: Vec<SocketAddr> = fronts.map(|ip| SocketAddr::new(ip, port)).take(MAX_FRONTS).collect();
        let fronts = if self.rules.hold(Rule::FrontPath) { fronts } else { Vec::new() };
        Local { configured: own.addresses.clone(), fronts }
    }

    /// What there is to be asked on each device.
    fn take_segments(&mut self, now: Instant) {
        let mut old = std::mem::take(&mut self.segments);
        let links: BTreeSet<u32> = self.vips.values().filter_map(VipState::wire).collect();
        for link in links {
            let here = || self.vips.values().filter(|vip| vip.wire() == Some(link)).map(|vip| &vip.candidate);
            let nodes: BTreeMap<IpAddr, &Name> =
                here().flat_map(|vip| &vip.node_addresses).map(|(node, ip)| (*ip, node)).collect();
            let listed = here().flat_map(|vip| &vip.references).map(|ip| (*ip, nodes.get(ip).copied()));
            let own = nodes.iter().filter(|(_, node)| self.peers.contains_key(**node));
            let own = own.map(|(ip, node)| (*ip, Some(*node)));
            let mut segment = old.remove(&link).unwrap_or_default();
            segment.vips = here().count() as u32;
            segment.configure(now, listed.chain(own));
            self.segments.insert(link, segment);
        }
    }

    /// Leases of addresses that no owner of this node goes on with, and that are not being released either, end at once.
    fn revoke_dropped(&mut self) {
        let kept: BTreeSet<IpAddr> = self.vips.values().flat_map(|vip| &vip.leased).copied().collect();
        let ended: Vec<IpAddr> = self.leased_before.iter().filter(|ip| !kept.contains(*ip)).copied().collect();
        self.leased_before = kept;
        self.out.revokes.extend(ended);
    }

    fn take_peers(&mut self, now: Instant, own: &Peer, peers: &[Arc<Peer>]) {
        self.peers.retain(|name, _| peers.iter().any(|peer| peer.name == *name && peer.name != own.name));
        let first_seq = self.first_seq(now);
        for peer in peers.iter().filter(|peer| peer.name != own.name) {
            match self.peers.get_mut(&peer.name) {
                Some(known) => known.configure(peer.clone(), self.local.clone(), first_seq),
                None => {
                    let state = PeerState::new(now, peer.clone(), self.session, self.local.clone(), first_seq);
                    self.peers.insert(peer.name.clone(), state);
                }
            }
        }
    }

    fn take_candidates(&mut self, now: Instant, me: &Name, candidates: Vec<Candidate>) {
        let mut old = std::mem::take(&mut self.vips);
        let before = Before::of(&old);
        self.leased_before = old.values().flat_map(|vip| &vip.leased).copied().collect();
        self.drop_vips(&old, &candidates);
        let mine = candidates.into_iter().filter(|candidate| candidate.nodes.contains(me));
        for (serial, candidate) in (0..).zip(mine) {
            let known = old.remove(&candidate.vip);
            let name = candidate.vip.clone();
            let mut vip = self.succeed(now, me, candidate, known, &before);
            vip.serial = serial;
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
                vip.adopt(now, before, "took the addresses over from another Vip of this node");
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
        vip.leased.retain(|ip| vip.candidate.addresses.contains(ip));
        if vip.role == Role::Active {
            vip.leased.extend(before.leased(&vip.candidate.addresses));
        }
        // An attempt to claim was for the addresses as they were.
        if grown {
            vip.granting = None;
        }
        // Addresses that this Vip did not have may be somebody else's: then it starts anew, and the start rule decides.
        let free = active.all || (vip.role == Role::Active && active.any && !self.occupied(now, me, &vip));
        if !grown || (vip.role == Role::Active && free) || (vip.role != Role::Active && !active.any) {
            return vip;
        }
        let mut fresh = VipState::new(now, vip.candidate, vip.epoch);
        (fresh.announcement, fresh.became_active) = (vip.announcement, vip.became_active);
        fresh.may_hold = vip.may_hold;
        if active.all {
            fresh.adopt(now, before, "took the addresses over from another Vip of this node");
        }
        fresh
    }

    /// A peer owns or has any of the Vip's addresses.
    fn occupied(&self, now: Instant, me: &Name, vip: &VipState) -> bool {
        Rival::gather(&self.context(now, me, false), vip).iter().any(Rival::occupies)
    }
}

impl VipState {
    /// Goes on as the owner that this node already is.
    fn adopt(&mut self, now: Instant, before: &Before, why: &str) {
        self.leased = before.leased(&self.candidate.addresses).collect();
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
    /// Owned, with a lease.
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
            vip.candidate.addresses.iter().map(move |ip| {
                let leased = active && vip.leased.contains(ip);
                (*ip, Was { epoch, active: leased, may_hold: vip.may_hold })
            })
        });
        Self(each.collect())
    }

    fn epoch(&self, addresses: &[IpAddr]) -> u64 {
        addresses.iter().filter_map(|ip| self.0.get(ip)).map(|was| was.epoch).max().unwrap_or(0)
    }

    /// Addresses of which this node is the owner, with a lease.
    fn leased(&self, addresses: &[IpAddr]) -> impl Iterator<Item = IpAddr> {
        addresses.iter().filter(|ip| self.0.get(*ip).is_some_and(|was| was.active)).copied()
    }

    fn may_hold(&self, addresses: &[IpAddr]) -> bool {
        addresses.iter().filter_map(|ip| self.0.get(ip)).any(|was| was.may_hold)
    }

    fn active(&self, addresses: &[IpAddr]) -> WasActive {
        let mut each = addresses.iter().map(|ip| self.0.get(ip).is_some_and(|was| was.active));
        WasActive { any: each.clone().any(|active| active), all: each.all(|active| active) }
    }
}
