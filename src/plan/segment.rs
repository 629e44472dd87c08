//! Who else is on the segment of a Vip: the hosts that should answer there whoever owns the Vip, the other nodes'
//! addresses, and this node's own.
//!
//! A node that hears nothing of a Vip may have lost the owner, or its own link. It tells the two apart by *references*:
//! hosts that answer ARP or ND all the time. Those that a network cannot do without come first (gateways, then what the
//! operator chose to track), then the other nodes, then whoever has been seen lately. An unchanged network must give an
//! unchanged list, or the election would start its questions anew with every stray packet; so neighbours that were
//! chosen before stay for as long as the kernel knows them.

use super::placement::Placements;
use crate::model::{Desired, ElectionView, Front, MAX_REFERENCES, Mac, Name, ObservedAddress, ObservedNetwork, Vip};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv6Addr},
};

/// What is known of the hosts around this node.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// This node.
    pub me: &'a Name,
    /// Whose addresses are Vips, and the other nodes' Peers.
    pub desired: &'a Desired,
    /// Devices, addresses, neighbours and gateways.
    pub network: &'a ObservedNetwork,
    /// The other nodes' Ethernet addresses.
    pub election: &'a ElectionView,
}

impl Surroundings<'_> {
    /// One address of each other node whose file lists one on the segment of the device `link`; of a family of `vip` if
    /// it can be had.
    pub fn node_addresses(&self, vip: &Vip, link: u32) -> BTreeMap<Name, IpAddr> {
        let here = |ip: &IpAddr| self.network.is_connected(link, *ip) && self.is_usable(*ip);
        let address = |name: &Name| {
            let listed = self.desired.peers.get(name).into_iter().flat_map(|peer| &peer.addresses).map(|at| at.ip());
            // The first of the best, as `min_by_key` gives it.
            listed.filter(here).min_by_key(|ip| is_other_family(vip, *ip))
        };
        let others = self.desired.peers.keys().filter(|name| *name != self.me);
        others.filter_map(|name| Some((name.clone(), address(name)?))).collect()
    }

    /// The hosts whose answers prove that silence about `vip` is real, see [`Candidate::references`]. Of each other node
    /// none but its address in `nodes` (from [`Self::node_addresses`]), so that all that depends on a node is known to.
    /// `previous`: the last result, if there was one.
    ///
    /// [`Candidate::references`]: crate::model::Candidate::references
    pub fn references(&self, vip: &Vip, link: u32, nodes: &BTreeMap<Name, IpAddr>, previous: &[IpAddr]) -> Vec<IpAddr> {
        let mut gateways = self.network.gateways.get(&link).cloned().unwrap_or_default();
        gateways.sort();
        let pinged = vip.track.ping.iter().copied().filter(|ip| self.network.is_connected(link, *ip));
        let fixed = gateways.into_iter().chain(pinged).chain(nodes.values().copied());
        let found: Vec<IpAddr> = fixed.chain(self.neighbours(vip, link, previous)).collect();
        let (same, other): (Vec<_>, Vec<_>) = found.into_iter().partition(|ip| !is_other_family(vip, *ip));
        let mut seen = BTreeSet::new();
        let each = same.into_iter().chain(other).filter(|ip| self.is_usable(*ip) && !self.is_node(*ip, nodes));
        each.filter(|ip| seen.insert(*ip)).take(MAX_REFERENCES).collect()
    }

    /// Learned neighbours that are no nodes, one address of each: in each family those in `previous` in their order there,
    /// then others.
    fn neighbours(&self, vip: &Vip, link: u32, previous: &[IpAddr]) -> Vec<IpAddr> {
        let nodes = self.node_macs();
        let here = self.network.neighbours.iter().filter(|it| it.link == link);
        let mut hosts: Vec<_> = here.filter(|it| is_host(it.mac) && !nodes.contains(&it.mac)).collect();
        let rank = |ip| previous.iter().position(|it| *it == ip).unwrap_or(usize::MAX);
        hosts.sort_by_key(|it| (is_other_family(vip, it.ip), rank(it.ip), it.ip));
        let mut seen = BTreeSet::new();
        hosts.into_iter().filter(|it| self.is_usable(it.ip) && seen.insert(it.mac)).map(|it| it.ip).collect()
    }

    /// Of this node and the others, as announced and as the kernel has learned them.
    fn node_macs(&self) -> BTreeSet<Mac> {
        let own = self.network.links.values().filter_map(|link| link.mac);
        let announced = self.election.peers.values().flat_map(|peer| peer.macs.iter().copied());
        let listed: BTreeSet<IpAddr> = self.listed().collect();
        let learned = self.network.neighbours.iter().filter(|it| listed.contains(&it.ip)).map(|it| it.mac);
        own.chain(announced).chain(learned).collect()
    }

    /// It is the address of a node, but not the one that stands for it.
    fn is_node(&self, ip: IpAddr, nodes: &BTreeMap<Name, IpAddr>) -> bool {
        !nodes.values().any(|node| *node == ip) && self.listed().any(|listed| listed == ip)
    }

    /// Every address of a node that the files tell.
    fn listed(&self) -> impl Iterator<Item = IpAddr> {
        self.desired.peers.values().flat_map(|peer| &peer.addresses).map(|at| at.ip())
    }

    /// It can be a host, and is neither this one nor a Vip's.
    fn is_usable(&self, ip: IpAddr) -> bool {
        let own = self.network.addresses.iter().any(|address| address.ip == ip);
        let is_unicast = !(ip.is_unspecified() || ip.is_multicast() || ip.is_loopback());
        is_unicast && !own && !is_vip(self.desired, ip)
    }
}

/// Each device that carries a Vip, with this node's own address there (IPv4 before IPv6): where it can be reached on those
/// segments, and one more path for its heartbeats. In the order of the smallest Vip address on the device, so that the
/// nodes of equal files list theirs in the same order.
pub fn fronts(desired: &Desired, placements: &Placements, network: &ObservedNetwork) -> Vec<Front> {
    let mut carried: BTreeMap<u32, BTreeSet<IpAddr>> = BTreeMap::new();
    for placement in placements.vips.values() {
        if let Some(link) = placement.link.as_ref().filter(|link| !link.loopback) {
            let ips = placement.vip.addresses.iter().map(|address| address.ip);
            carried.entry(link.index).or_default().extend(ips);
        }
    }
    let mut devices: Vec<_> = carried.into_iter().collect();
    devices.sort_by_key(|(_, vips)| vips.first().copied());
    let own = |(link, vips): (u32, BTreeSet<IpAddr>)| {
        let mac = network.links.get(&link).and_then(|link| link.mac);
        let family = |v4| front(desired, network, link, &vips, v4);
        Front { link, mac, address: family(true).or_else(|| family(false)) }
    };
    devices.into_iter().map(own).collect()
}

/// One in the subnet of a Vip before others, one that stays before one with an end, then the smallest.
fn front(desired: &Desired, network: &ObservedNetwork, link: u32, vips: &BTreeSet<IpAddr>, v4: bool) -> Option<IpAddr> {
    let own = network.addresses.iter().filter(|it| it.link == link && it.ip.is_ipv4() == v4 && !it.ours);
    let global = own.filter(|it| !is_link_local(it.ip) && !is_vip(desired, it.ip));
    let beside_vip = |it: &ObservedAddress| vips.iter().any(|vip| it.connects(*vip));
    global.min_by_key(|it| (!beside_vip(it), it.valid_for.is_some(), it.ip)).map(|it| it.ip)
}

fn is_vip(desired: &Desired, ip: IpAddr) -> bool {
    desired.vips.values().any(|vip| vip.addresses.iter().any(|address| address.ip == ip))
}

fn is_other_family(vip: &Vip, ip: IpAddr) -> bool {
    !vip.addresses.iter().any(|address| address.ip.is_ipv4() == ip.is_ipv4())
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => Ipv6Addr::is_unicast_link_local(&ip),
    }
}

/// Neither a group nor nothing.
fn is_host(mac: Mac) -> bool {
    mac.0[0] & 1 == 0 && mac.0 != [0; 6]
}

#[cfg(test)]
#[path = "segment_tests.rs"]
mod tests;
