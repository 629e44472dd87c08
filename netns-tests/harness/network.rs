//! The network that the cases run on.
//!
//! ```text
//!   clients      auditor
//!  .200│            │(no address)
//! ─────┴──┬─────────┴──┬───── front  198.51.100.0/24  2001:db8:1::/64   VIPs .10, ::10
//!       .1│eth0      .2│eth0
//!        lb1          lb2   (lb3)
//!       .1│eth1      .2│eth1
//! ────────┴──┬─────────┴──┬── back   192.0.2.0/24
//!        .101│        .102│
//!          server       server
//! ```

use super::state::{VIP4, VIP6};
use lbagent::{
    drill::lab::topology::{HostPlan, HostRole, InterfacePlan, ServerPlan, Topology},
    model::{Mac, VipAddress},
};
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

/// The picture.
pub(crate) fn topology(balancers: usize) -> Topology {
    topology_with(balancers, Vec::new(), Vec::new())
}

/// The same with further devices of each balancer and further hosts.
pub(crate) fn topology_with(balancers: usize, devices: Vec<InterfacePlan>, others: Vec<HostPlan>) -> Topology {
    let mut hosts = Vec::new();
    for number in 1..=balancers {
        let front = [format!("198.51.100.{number}"), format!("2001:db8:1::{number}")];
        let mut interfaces =
            vec![nic("eth0", 0, &[&front[0], &front[1]]), nic("eth1", 1, &[&format!("192.0.2.{number}")])];
        interfaces.extend(devices.iter().cloned());
        hosts.push(host(&format!("lb{number}"), HostRole::Balancer, interfaces));
    }
    let clients = ["198.51.100.200", "2001:db8:1::200"];
    hosts.push(host("clients", HostRole::Clients, vec![nic("eth0", 0, &clients)]));
    hosts.push(host("auditor", HostRole::Targets, vec![nic("eth0", 0, &[])]));
    for ip in ["192.0.2.101", "192.0.2.102"] {
        let mut server = host(ip, HostRole::Server, vec![nic("eth0", 1, &[ip])]);
        server.servers = vec![serve(ip, 80, "web", false), serve(ip, 25, "mail", true)];
        hosts.push(server);
    }
    hosts.extend(others);
    let virtuals = [VIP4, VIP6].map(|ip| (address(ip), 0));
    Topology::new(["front", "back"], hosts, &virtuals)
}

/// The address of the gateway of [`with_gateway`].
pub(crate) const GATEWAY: &str = "198.51.100.254";

/// The picture, and a host `gateway` on the front segment: something that answers there besides the pair.
pub(crate) fn with_gateway() -> Topology {
    let gateway = host("gateway", HostRole::Targets, vec![nic("eth0", 0, &[GATEWAY, "2001:db8:1::fe"])]);
    topology_with(2, Vec::new(), vec![gateway])
}

/// A host that is only there.
pub(crate) fn host(name: &str, role: HostRole, interfaces: Vec<InterfacePlan>) -> HostPlan {
    HostPlan { name: name.into(), role, interfaces, servers: Vec::new() }
}

/// A device on a segment (0: front, 1: back).
pub(crate) fn nic(name: &str, segment: usize, ips: &[&str]) -> InterfacePlan {
    let addresses = ips.iter().map(|ip| VipAddress::host(address(ip))).collect();
    let (mac, neighbours) = (Mac([0; 6]), BTreeMap::new());
    InterfacePlan { name: name.into(), segment: Some(segment), mac, addresses, neighbours }
}

fn serve(ip: &str, port: u16, pool: &str, greets: bool) -> ServerPlan {
    let listen = SocketAddr::new(address(ip), port);
    ServerPlan { listen, name: format!("{pool}@{ip}"), greets, statuses: BTreeMap::new() }
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address of this file")
}
