//! From a desired state to a network in which it can run as it is.
//!
//! Nothing in the state says how the machines are cabled, so the plan works it out backwards from what the files use:
//!
//! 1. Every device that a Vip names (as each Peer resolves it) is a veth on a *front* switch, with the clients and the
//!    ping targets on it. Vips that meet on one device of one Peer share a switch.
//! 2. Each front takes the Peer addresses (paired by index) that fit it best: those of a Vip's own subnet, else those
//!    of a Vip's family. Every other path gets a device and a switch of its own.
//! 3. Backends live on the switch whose Peer or Vip addresses share their subnet, else on a *back* switch.
//! 4. A device that is only tracked gets a carrier and leads nowhere.
//! 5. All addresses are host addresses with on-link routes, so no subnet or gateway need be known. Where the state gives
//!    a node or the clients no address on a switch, one is chosen from the documentation ranges.

mod free;
pub(super) mod fronts;
mod servers;
#[cfg(test)]
mod tests;

use super::topology::{HostPlan, HostRole, InterfacePlan, Topology};
use crate::model::{Desired, Mac, Peer, Vip, VipAddress};
use free::FreeAddresses;
use fronts::Front;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

/// Which hosts send packets to Vips.
const AUDIENCE: [HostRole; 2] = [HostRole::Clients, HostRole::Targets];

impl Topology {
    /// The network that `desired` implies.
    pub fn plan(desired: &Desired) -> Self {
        let mut planner = Planner::new(desired);
        let fronts = fronts::group(desired);
        let paths = planner.assign_paths(&fronts);
        for (front, path) in fronts.iter().zip(&paths) {
            planner.add_front(front, *path);
        }
        planner.add_paths(&paths.into_iter().flatten().collect());
        planner.add_clients(&fronts);
        planner.add_targets(&fronts);
        planner.add_servers();
        planner.add_tracked();
        planner.finish()
    }
}

/// Whether two addresses look like neighbours: the same /24 or /64.
fn same_subnet(a: IpAddr, b: IpAddr) -> bool {
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => a.octets()[..3] == b.octets()[..3],
        (IpAddr::V6(a), IpAddr::V6(b)) => a.segments()[..4] == b.segments()[..4],
        _ => false,
    }
}

struct Planner<'a> {
    desired: &'a Desired,
    peers: Vec<&'a Peer>,
    segments: Vec<String>,
    /// One per Peer, in the same order.
    balancers: Vec<HostPlan>,
    others: Vec<HostPlan>,
    virtuals: Vec<(IpAddr, usize)>,
    free: FreeAddresses,
}

impl<'a> Planner<'a> {
    fn new(desired: &'a Desired) -> Self {
        let peers: Vec<&Peer> = desired.peers.values().map(AsRef::as_ref).collect();
        let balancers = peers.iter().map(|peer| host(&peer.name, HostRole::Balancer)).collect();
        let free = FreeAddresses::besides(desired);
        Self { desired, peers, segments: Vec::new(), balancers, others: Vec::new(), virtuals: Vec::new(), free }
    }

    fn add_segment(&mut self, name: impl Into<String>) -> usize {
        self.segments.push(name.into());
        self.segments.len() - 1
    }

    /// The path that each front carries: first those that share a subnet with a Vip, then those that share a family.
    fn assign_paths(&self, fronts: &[Front<'a>]) -> Vec<Option<usize>> {
        let count = self.peers.iter().map(|peer| peer.addresses.len()).min().unwrap_or(0);
        let mut free: BTreeSet<usize> = (0..count).filter(|path| !self.is_loopback(*path)).collect();
        let mut assigned = vec![None; fronts.len()];
        let fits: [fn(IpAddr, IpAddr) -> bool; 2] = [same_subnet, |a, b| a.is_ipv4() == b.is_ipv4()];
        for fits in fits {
            for (front, slot) in fronts.iter().zip(&mut assigned).filter(|(_, slot)| slot.is_none()) {
                let ips = |path: usize| self.peers.iter().filter_map(move |peer| Some(peer.addresses.get(path)?.ip()));
                *slot = free.iter().copied().find(|path| ips(*path).any(|ip| front.ips().any(|vip| fits(ip, vip))));
                if let Some(path) = slot {
                    free.remove(path);
                }
            }
        }
        assigned
    }

    fn is_loopback(&self, path: usize) -> bool {
        self.peers.iter().any(|peer| peer.addresses.get(path).is_some_and(|address| address.ip().is_loopback()))
    }

    fn add_front(&mut self, front: &Front<'a>, path: Option<usize>) {
        let number = self.segments.iter().filter(|name| name.starts_with("front")).count();
        let segment = self.add_segment(if number == 0 { "front".into() } else { format!("front{}", number + 1) });
        self.virtuals.extend(front.ips().map(|ip| (ip, segment)));
        for (index, peer) in self.peers.clone().into_iter().enumerate() {
            for device in front.devices(peer) {
                self.balancers[index].interfaces.push(interface(device, Some(segment)));
            }
            if let Some(address) = path.and_then(|path| peer.addresses.get(path)) {
                self.give(index, segment, VipAddress::host(address.ip()));
            }
            for vip in front.vips.iter().filter(|vip| vip.interface.is_none()) {
                self.connect_subnet(index, segment, vip);
            }
        }
        self.cover_families(segment, front.ips());
    }

    /// A Vip without an interface goes to the device whose connected subnet holds its first address: there must be one.
    fn connect_subnet(&mut self, index: usize, segment: usize, vip: &Vip) {
        let Some(first) = vip.addresses.first().map(|address| address.ip) else { return };
        let prefix_len = if first.is_ipv4() { 24 } else { 64 };
        let own = self.balancers[index].interfaces.iter_mut().filter(|nic| nic.segment == Some(segment));
        let fitting = own.flat_map(|nic| &mut nic.addresses).find(|own| same_subnet(own.ip, first));
        match fitting {
            Some(address) => address.prefix_len = prefix_len,
            None => {
                let ip = self.free.near(first);
                self.give(index, segment, VipAddress { ip, prefix_len });
            }
        }
    }

    /// Every balancer gets an address on `segment` in each family of `ips` in which it has none.
    fn cover_families(&mut self, segment: usize, ips: impl Iterator<Item = IpAddr>) {
        let families: BTreeSet<bool> = ips.map(|ip| ip.is_ipv4()).collect();
        for index in 0..self.balancers.len() {
            for v4 in &families {
                if !addresses_on(&self.balancers[index], segment).any(|ip| ip.is_ipv4() == *v4) {
                    let ip = self.free.any(*v4);
                    self.give(index, segment, VipAddress::host(ip));
                }
            }
        }
    }

    /// Adds an address to the first device that balancer `index` has on `segment`, unless it has that address already.
    fn give(&mut self, index: usize, segment: usize, address: VipAddress) {
        let held =
            self.balancers[index].interfaces.iter().flat_map(|nic| &nic.addresses).any(|own| own.ip == address.ip);
        let nic = self.balancers[index].interfaces.iter_mut().find(|nic| nic.segment == Some(segment));
        if let Some(nic) = nic.filter(|_| !held) {
            nic.addresses.push(address);
        }
    }

    /// A switch for each path that no front has taken.
    fn add_paths(&mut self, taken: &BTreeSet<usize>) {
        let count = self.peers.iter().map(|peer| peer.addresses.len()).max().unwrap_or(0);
        for path in (0..count).filter(|path| !taken.contains(path)) {
            let missing = self.unplaced(path);
            if missing.is_empty() || self.is_loopback(path) {
                continue;
            }
            let segment = self.add_segment(format!("path{path}"));
            for (index, ip) in missing {
                self.attach(index, segment);
                self.give(index, segment, VipAddress::host(ip));
            }
        }
    }

    /// The addresses of a path that no device has yet: two paths of one Peer may share an address.
    fn unplaced(&self, path: usize) -> Vec<(usize, IpAddr)> {
        let ends =
            self.peers.iter().enumerate().filter_map(|(index, peer)| Some((index, peer.addresses.get(path)?.ip())));
        let placed = |index: usize, ip| {
            self.balancers[index].interfaces.iter().flat_map(|nic| &nic.addresses).any(|own| own.ip == ip)
        };
        ends.filter(|(index, ip)| !placed(*index, *ip)).collect()
    }

    /// A new device on `segment`, by a name that nothing in the state uses for another.
    fn attach(&mut self, index: usize, segment: usize) {
        let names = reserved_names(self.desired, self.peers[index]);
        let host = &mut self.balancers[index];
        let taken = |name: &str| names.contains(name) || host.interfaces.iter().any(|nic| nic.name == name);
        let name = (0..).map(|number| format!("eth{number}")).find(|name| !taken(name)).unwrap_or_default();
        host.interfaces.push(interface(&name, Some(segment)));
    }

    fn add_clients(&mut self, fronts: &[Front<'a>]) {
        let mut clients = host("clients", HostRole::Clients);
        for (segment, front) in fronts.iter().enumerate() {
            let mut nic = interface(&format!("eth{segment}"), Some(segment));
            let families: BTreeSet<bool> = front.ips().map(|ip| ip.is_ipv4()).collect();
            nic.addresses = families.into_iter().map(|v4| VipAddress::host(self.free.any(v4))).collect();
            clients.interfaces.push(nic);
        }
        self.others.push(clients);
    }

    fn add_targets(&mut self, fronts: &[Front<'a>]) {
        let elsewhere = self.fixed_addresses();
        let mut seen = BTreeSet::new();
        let mut targets = host("targets", HostRole::Targets);
        for (segment, front) in fronts.iter().enumerate() {
            let wanted = front.vips.iter().flat_map(|vip| &vip.track.ping).copied();
            let wanted: Vec<IpAddr> = wanted.filter(|ip| !elsewhere.contains(ip) && seen.insert(*ip)).collect();
            if wanted.is_empty() {
                continue;
            }
            self.cover_families(segment, wanted.iter().copied());
            let mut nic = interface(&format!("eth{}", targets.interfaces.len()), Some(segment));
            nic.addresses = wanted.into_iter().map(VipAddress::host).collect();
            targets.interfaces.push(nic);
        }
        if !targets.interfaces.is_empty() {
            self.others.push(targets);
        }
    }

    /// Addresses of Peers and backends: a ping target among them needs no host of its own.
    fn fixed_addresses(&self) -> BTreeSet<IpAddr> {
        let peers = self.peers.iter().flat_map(|peer| &peer.addresses);
        let backends = self.desired.pools.values().flat_map(|pool| &pool.backends).map(|backend| &backend.address);
        peers.chain(backends).map(|address| address.ip()).collect()
    }

    fn add_tracked(&mut self) {
        for (index, peer) in self.peers.iter().enumerate() {
            let host = &mut self.balancers[index];
            for vip in self.desired.vips.values().filter(|vip| vip.nodes.contains(&peer.name)) {
                for device in vip.track.interfaces.iter().map(|name| peer.resolve_interface(name)) {
                    if device != "lo" && !host.interfaces.iter().any(|nic| nic.name == device) {
                        host.interfaces.push(interface(device, None));
                    }
                }
            }
        }
    }

    fn finish(self) -> Topology {
        let mut hosts = self.balancers;
        hosts.extend(self.others);
        let mut topology = Topology { segments: self.segments, hosts };
        topology.finish(&self.virtuals, &AUDIENCE.into());
        topology
    }
}

fn host(name: &str, role: HostRole) -> HostPlan {
    HostPlan { name: name.to_owned(), role, interfaces: Vec::new(), servers: Vec::new() }
}

fn interface(name: &str, segment: Option<usize>) -> InterfacePlan {
    let (addresses, neighbours) = (Vec::new(), BTreeMap::new());
    InterfacePlan { name: name.to_owned(), segment, mac: Mac([0; 6]), addresses, neighbours }
}

fn addresses_on(host: &HostPlan, segment: usize) -> impl Iterator<Item = IpAddr> + '_ {
    let nics = host.interfaces.iter().filter(move |nic| nic.segment == Some(segment));
    nics.flat_map(|nic| &nic.addresses).map(|address| address.ip)
}

/// Names that the state uses for devices of this Peer.
fn reserved_names<'a>(desired: &'a Desired, peer: &'a Peer) -> BTreeSet<&'a str> {
    let vips = || desired.vips.values();
    let tracked = vips().flat_map(|vip| &vip.track.interfaces).map(String::as_str);
    let used = vips().filter_map(|vip| vip.interface.as_deref()).chain(tracked);
    used.map(|name| peer.resolve_interface(name)).chain([fronts::DEFAULT_DEVICE]).collect()
}
