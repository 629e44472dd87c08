use super::{Planner, addresses_on, host, interface, same_subnet};
use crate::{
    drill::lab::topology::{HostRole, ServerPlan},
    model::{CheckKind, Desired, Name, Pool, Protocol, RouteAction, StatusRange, VipAddress},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

impl Planner<'_> {
    /// A host for each address of a backend, with a server on each of its ports; a backend on an address of a balancer
    /// is served by that balancer's host.
    pub(super) fn add_servers(&mut self) {
        let mut by_ip: BTreeMap<IpAddr, Vec<ServerPlan>> = BTreeMap::new();
        for server in servers(self.desired) {
            by_ip.entry(server.listen.ip()).or_default().push(server);
        }
        for (ip, servers) in by_ip {
            if !self.serve_at_home(ip, &servers) {
                self.add_server_host(ip, servers);
            }
        }
    }

    /// True if `ip` is a balancer's own: of one of its devices, or of every balancer's loopback.
    fn serve_at_home(&mut self, ip: IpAddr, servers: &[ServerPlan]) -> bool {
        let owns = |balancer: &super::HostPlan| {
            ip.is_loopback() || balancer.interfaces.iter().flat_map(|nic| &nic.addresses).any(|own| own.ip == ip)
        };
        let homes = self.balancers.iter_mut().filter(|balancer| owns(balancer));
        homes.map(|balancer| balancer.servers.extend_from_slice(servers)).count() > 0
    }

    fn add_server_host(&mut self, ip: IpAddr, servers: Vec<ServerPlan>) {
        let segment = self.segment_near(ip);
        self.cover_families(segment, std::iter::once(ip));
        let mut server = host(&ip.to_string(), HostRole::Server);
        let mut nic = interface("eth0", Some(segment));
        nic.addresses.push(VipAddress::host(ip));
        server.interfaces.push(nic);
        server.servers = servers;
        self.others.push(server);
    }

    /// The segment whose Peer addresses, else whose Vips, share a subnet with `ip`; else the back segment, which is made
    /// when it is first needed.
    fn segment_near(&mut self, ip: IpAddr) -> usize {
        let peers = (0..self.segments.len()).find(|segment| {
            self.balancers.iter().flat_map(|host| addresses_on(host, *segment)).any(|own| same_subnet(own, ip))
        });
        let virtuals = || self.virtuals.iter().find(|(vip, _)| same_subnet(*vip, ip)).map(|(_, segment)| *segment);
        let back = || self.segments.iter().position(|name| name == "back");
        if let Some(segment) = peers.or_else(virtuals).or_else(back) {
            return segment;
        }
        let segment = self.add_segment("back");
        (0..self.balancers.len()).for_each(|index| self.attach(index, segment));
        segment
    }
}

/// The simulated servers that the pools of `desired` want, one per address and port.
fn servers(desired: &Desired) -> Vec<ServerPlan> {
    let relayed = pools_of(desired, Protocol::Tcp);
    let proxied = pools_of(desired, Protocol::Http);
    let mut servers: BTreeMap<SocketAddr, ServerPlan> = BTreeMap::new();
    for pool in desired.pools.values() {
        let greets = relayed.contains(&pool.name) && !proxied.contains(&pool.name) && pool.check.kind == CheckKind::Tcp;
        // The lab has no name service: who goes by a name is as if it could not be found.
        for backend in pool.backends.iter().filter(|backend| backend.is_known()) {
            let name = format!("{}/{}", pool.name, backend.name);
            let listen = backend.address;
            let server = ServerPlan { listen, name, greets, statuses: BTreeMap::new() };
            let server = servers.entry(listen).or_insert(server);
            server.greets &= greets;
            server.statuses.extend(checked_status(pool));
        }
    }
    servers.into_values().collect()
}

/// Names of the pools that listeners of `protocol` lead to.
fn pools_of(desired: &Desired, protocol: Protocol) -> BTreeSet<Name> {
    let listeners =
        desired.vips.values().flat_map(|vip| &vip.listeners).filter(|listener| listener.protocol == protocol);
    let mut pools = BTreeSet::new();
    for listener in listeners {
        pools.extend(listener.pool.clone());
        pools.extend(listener.routes.iter().filter_map(|route| match &route.action {
            RouteAction::Pool(pool) => Some(pool.clone()),
            RouteAction::Redirect(_) => None,
        }));
    }
    pools
}

/// What the check of `pool` asks for, and a status that it is content with: 200 where that is one.
fn checked_status(pool: &Pool) -> Option<(String, u16)> {
    let CheckKind::Http { path, expect, .. } = &pool.check.kind else { return None };
    let expects = |status: u16| expect.iter().any(|StatusRange { first, last }| (*first..=*last).contains(&status));
    let status = if expects(200) { 200 } else { expect.first()?.first };
    Some((path.clone(), status))
}
