//! The network that contenders meet on, and the files that lbagent runs there with.
//!
//! ```text
//!  clients  auditor  gateway            in a split lab   clients-b
//!  .250│       │      .1│                                .251│
//! ─────┴──┬────┴────────┴──────┬── front   198.51.100.0/24  ─┴── (front-b, joined by a cable that can be cut)
//!       .2│eth0              .3│eth0                        VIPs .10 to .209
//!        lb1                  lb2                           each with a server of its own, which tells clients who
//!       .1│eth1              .2│eth1                        served them
//! ────────┴────────────────────┴── back    192.0.2.0/24
//! ```

use super::{
    common::Failure,
    pair::PAIR,
    rig::{Contender, Heartbeats, Setup},
    wire::AUDITOR,
};
use lbagent::{
    drill::lab::{
        Lab,
        topology::{HostPlan, HostRole, InterfacePlan, ServerPlan, Topology},
    },
    model::{Mac, VipAddress},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

/// The clients on the far side of a lab that can be split.
pub(crate) const FAR_CLIENTS: &str = "clients-b";
/// The cable between the two fronts of a split lab.
pub(crate) const CABLE: &str = "cable";
/// The most Vips that there is room for.
pub(crate) const MOST: u8 = 200;

const FRONT: usize = 0;
const BACK: usize = 1;
const FAR_FRONT: usize = 2;
const GATEWAY: &str = "198.51.100.1";
/// The router on the far side of a split lab: as the other one is on its side, it is what shows the node there that it
/// is the network that has been cut and not its own cable.
const FAR_GATEWAY: &str = "198.51.100.254";

/// The address of the Vip number `index`, below [`MOST`].
pub(crate) fn vip(index: u8) -> IpAddr {
    IpAddr::from([198, 51, 100, 10 + index])
}

/// The network.
pub(crate) fn topology(setup: &Setup) -> Topology {
    let far = if setup.splits { FAR_FRONT } else { FRONT };
    let listen = match setup.contender {
        // Its own listeners are on the Vip; this is what they lead to.
        Contender::Lbagent => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 8080),
        Contender::Keepalived { .. } => SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 80),
    };
    let mut hosts = Vec::new();
    for (number, (node, front)) in PAIR.into_iter().zip([FRONT, far]).enumerate() {
        let interfaces = vec![
            nic("eth0", front, &[&format!("198.51.100.{}", number + 2)]),
            nic("eth1", BACK, &[&format!("192.0.2.{}", number + 1)]),
        ];
        let server = ServerPlan { listen, name: node.into(), greets: false, statuses: BTreeMap::new() };
        hosts.push(HostPlan { servers: vec![server], ..host(node, HostRole::Balancer, interfaces) });
    }
    hosts.push(host("clients", HostRole::Clients, vec![nic("eth0", FRONT, &["198.51.100.250"])]));
    hosts.push(host(AUDITOR, HostRole::Targets, vec![nic("eth0", FRONT, &[])]));
    hosts.push(host("gateway", HostRole::Targets, vec![nic("eth0", FRONT, &[GATEWAY])]));
    let mut segments = vec!["front", "back"];
    if setup.splits {
        segments.push("front-b");
        hosts.push(host(FAR_CLIENTS, HostRole::Clients, vec![nic("eth0", FAR_FRONT, &["198.51.100.251"])]));
        hosts.push(host("gateway-b", HostRole::Targets, vec![nic("eth0", FAR_FRONT, &[FAR_GATEWAY])]));
        hosts.push(host(CABLE, HostRole::Targets, vec![nic("eth0", FRONT, &[]), nic("eth1", FAR_FRONT, &[])]));
    }
    Topology::new(segments, hosts, &[])
}

/// Makes one front of the two of a split lab.
pub(crate) fn join(lab: &Lab) -> Result<(), Failure> {
    let cable = lab.host(HostRole::Targets, CABLE)?.rtnl();
    let bridge = cable.add_bridge("through")?;
    for device in ["eth0", "eth1"] {
        cable.add_to_bridge(device, bridge)?;
    }
    Ok(())
}

/// The state files of lbagent, by name: timers, tracking and failback as in the shipped ones, but for a shorter wait
/// before a failback (`after`).
pub(crate) fn files(setup: &Setup, after: &str) -> Vec<(String, Value)> {
    let mut files = Vec::new();
    for (number, node) in PAIR.into_iter().enumerate() {
        let back = format!("192.0.2.{}:694", number + 1);
        let front = format!("198.51.100.{}:694", number + 2);
        let addresses = match setup.heartbeats {
            Heartbeats::Back => vec![back],
            Heartbeats::Both => vec![back, front],
        };
        let spec = json!({ "addresses": addresses, "heartbeat": { "interval": "25ms", "deadAfter": "100ms" } });
        files.push(object("Peer", node, spec));
    }
    let backends = json!([{ "name": "own", "address": "127.0.0.1:8080" }]);
    let check = json!({ "tcp": {}, "interval": "2s", "timeout": "1s" });
    files.push(object("Pool", "web", json!({ "check": check, "backends": backends })));
    let gateways = if setup.splits { vec![GATEWAY, FAR_GATEWAY] } else { vec![GATEWAY] };
    for index in 0..setup.vips.min(MOST) {
        let spec = json!({
            "addresses": [vip(index)],
            "interface": "eth0",
            "nodes": PAIR,
            "failback": { "mode": "auto", "after": after },
            "track": { "interfaces": ["eth0"], "ping": gateways },
            "listeners": [{ "port": 80, "protocol": "http", "pool": "web" }],
        });
        files.push(object("Vip", &format!("v{index}"), spec));
    }
    files
}

fn object(kind: &str, name: &str, spec: Value) -> (String, Value) {
    let value = json!({ "apiVersion": "lbagent/v1", "kind": kind, "metadata": { "name": name }, "spec": spec });
    (format!("{}-{name}.json", kind.to_lowercase()), value)
}

fn host(name: &str, role: HostRole, interfaces: Vec<InterfacePlan>) -> HostPlan {
    HostPlan { name: name.into(), role, interfaces, servers: Vec::new() }
}

/// A device whose addresses make the whole subnet its neighbours.
fn nic(name: &str, segment: usize, ips: &[&str]) -> InterfacePlan {
    let ips = ips.iter().filter_map(|ip| ip.parse().ok());
    let addresses = ips.map(|ip| VipAddress { ip, prefix_len: 24 }).collect();
    let (mac, neighbours) = (Mac([0; 6]), BTreeMap::new());
    InterfacePlan { name: name.into(), segment: Some(segment), mac, addresses, neighbours }
}
