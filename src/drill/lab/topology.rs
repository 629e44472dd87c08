//! What a lab consists of: hosts, the switches between them, and who is a direct neighbour of whom.
//!
//! A plain value, so that the plan of a whole network can be compared with a golden text before anything is built.

use crate::model::{Mac, VipAddress};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::{IpAddr, SocketAddr},
};

/// A network to build.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Topology {
    /// Names of the switches; an [`InterfacePlan::segment`] is an index into them.
    pub segments: Vec<String>,
    /// The balancers first.
    pub hosts: Vec<HostPlan>,
}

/// What a host is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HostRole {
    /// Runs an agent.
    Balancer,
    /// Sends the traffic.
    Clients,
    /// Holds the addresses that `track.ping` names, and answers.
    Targets,
    /// Simulated servers on one address.
    Server,
}

/// A network namespace and what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPlan {
    /// Of a balancer: its Peer's name.
    pub name: String,
    /// What it is there for.
    pub role: HostRole,
    /// In the order they are made.
    pub interfaces: Vec<InterfacePlan>,
    /// Simulated servers that run here.
    pub servers: Vec<ServerPlan>,
}

/// A device of a host: one end of a veth pair, whose other end is a port of a switch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfacePlan {
    /// As the host sees it.
    pub name: String,
    /// `None`: the other end leads nowhere; the device has a carrier all the same.
    pub segment: Option<usize>,
    /// Of the host's end. It stays the same when the host is built anew.
    pub mac: Mac,
    /// The host's own.
    pub addresses: Vec<VipAddress>,
    /// Direct neighbours, and the source that packets to them get.
    pub neighbours: BTreeMap<IpAddr, Option<IpAddr>>,
}

/// A simulated server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerPlan {
    /// Where it serves.
    pub listen: SocketAddr,
    /// What it calls itself in its answers: the first `pool/backend` with this address.
    pub name: String,
    /// Speaks first, as an SMTP server does. Only where nobody speaks HTTP to it.
    pub greets: bool,
    /// Paths that health checks ask for, and the status that they want to see.
    pub statuses: BTreeMap<String, u16>,
}

impl Topology {
    /// A network of hosts that are given; hardware addresses and neighbours are filled in. Clients reach `virtuals`,
    /// addresses that move, on the segments that are given with them.
    pub fn new<'a>(
        segments: impl IntoIterator<Item = &'a str>,
        hosts: Vec<HostPlan>,
        virtuals: &[(IpAddr, usize)],
    ) -> Self {
        let mut topology = Self { segments: segments.into_iter().map(str::to_owned).collect(), hosts };
        topology.finish(virtuals, &BTreeSet::from([HostRole::Clients]));
        topology
    }

    /// The host of this role and name.
    pub fn host(&self, role: HostRole, name: &str) -> Option<&HostPlan> {
        self.hosts.iter().find(|host| host.role == role && host.name == name)
    }

    /// Gives every device its Ethernet address, and every host a route to each address that shares a switch with it.
    /// `virtuals` are addresses that move: reachable on their segment, from hosts whose role is in `audience`.
    pub(super) fn finish(&mut self, virtuals: &[(IpAddr, usize)], audience: &BTreeSet<HostRole>) {
        let residents = self.residents();
        for (number, host) in self.hosts.iter_mut().enumerate() {
            let role = host.role;
            for (position, interface) in host.interfaces.iter_mut().enumerate() {
                let [high, low] = (number as u16).to_be_bytes();
                interface.mac = Mac([0x02, b'l', b'b', high, low, position as u8]);
                let Some(segment) = interface.segment else { continue };
                let others = residents.iter().filter(|(_, there, owner)| *there == segment && *owner != number);
                let virtuals = virtuals.iter().filter(|(_, there)| *there == segment && audience.contains(&role));
                let reach = others.map(|(ip, _, _)| *ip).chain(virtuals.map(|(ip, _)| *ip));
                interface.neighbours = reach.map(|ip| (ip, source_for(&interface.addresses, ip))).collect();
            }
            forget_repeated_neighbours(host);
        }
    }

    /// Every fixed address: itself, its segment, its host's index.
    fn residents(&self) -> Vec<(IpAddr, usize, usize)> {
        let mut residents = Vec::new();
        for (number, host) in self.hosts.iter().enumerate() {
            for interface in &host.interfaces {
                let Some(segment) = interface.segment else { continue };
                residents.extend(interface.addresses.iter().map(|address| (address.ip, segment, number)));
            }
        }
        residents
    }
}

/// The address of the device that packets to `to` get as their source: of its family, global rather than link-local.
fn source_for(own: &[VipAddress], to: IpAddr) -> Option<IpAddr> {
    own.iter().map(|address| address.ip).find(|ip| ip.is_ipv4() == to.is_ipv4())
}

/// A host with two devices on one segment reaches each neighbour through the first that has a source for it.
fn forget_repeated_neighbours(host: &mut HostPlan) {
    let mut reached = BTreeSet::new();
    for wants_source in [true, false] {
        for interface in &mut host.interfaces {
            interface.neighbours.retain(|ip, source| source.is_some() != wants_source || reached.insert(*ip));
        }
    }
}

impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for host in &self.hosts {
            writeln!(f, "{} ({:?})", host.name, host.role)?;
            for interface in &host.interfaces {
                let segment = interface.segment.map_or("nowhere", |index| &self.segments[index]);
                write!(f, "  {} on {segment}:", interface.name)?;
                for address in &interface.addresses {
                    write!(f, " {address}")?;
                }
                writeln!(f)?;
                let reach: Vec<_> = interface.neighbours.keys().map(IpAddr::to_string).collect();
                if !reach.is_empty() {
                    writeln!(f, "    reaches {}", reach.join(" "))?;
                }
            }
            for server in &host.servers {
                let manner = if server.greets { "greets as" } else { "answers as" };
                writeln!(f, "  {} {manner} {} {:?}", server.listen, server.name, server.statuses)?;
            }
        }
        Ok(())
    }
}
