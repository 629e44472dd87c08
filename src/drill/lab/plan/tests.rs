//! Golden networks: the text on the right is what the state on the left implies.

use super::*;
use crate::{
    drill::fixture::{desired, listener, name, pair, peer, pool, vip, with_web},
    model::Protocol,
};
use proptest::prelude::*;
use std::sync::Arc;

#[track_caller]
fn assert_plan(desired: &Desired, expected: &str) {
    let plan = Topology::plan(desired).to_string();
    assert!(plan.trim() == expected.trim(), "planned:\n{plan}\nexpected:\n{expected}");
}

#[test]
fn the_readme_scenario() {
    assert_plan(
        &with_web(pair(), |web| web.track.ping = vec!["198.51.100.1".parse().unwrap()]),
        "
lb1 (Balancer)
  eth0 on front: 198.51.100.2/32
    reaches 198.51.100.1 198.51.100.3 203.0.113.1
  eth1 on path0: 192.0.2.1/32
    reaches 192.0.2.2 192.0.2.102 192.0.2.103
lb2 (Balancer)
  eth0 on front: 198.51.100.3/32
    reaches 198.51.100.1 198.51.100.2 203.0.113.1
  eth1 on path0: 192.0.2.2/32
    reaches 192.0.2.1 192.0.2.102 192.0.2.103
clients (Clients)
  eth0 on front: 203.0.113.1/32
    reaches 198.51.100.1 198.51.100.2 198.51.100.3 198.51.100.10
targets (Targets)
  eth0 on front: 198.51.100.1/32
    reaches 198.51.100.2 198.51.100.3 198.51.100.10 203.0.113.1
192.0.2.102 (Server)
  eth0 on path0: 192.0.2.102/32
    reaches 192.0.2.1 192.0.2.2 192.0.2.103
  192.0.2.102:80 answers as web/s0 {}
192.0.2.103 (Server)
  eth0 on path0: 192.0.2.103/32
    reaches 192.0.2.1 192.0.2.2 192.0.2.102
  192.0.2.103:80 answers as web/s1 {}
",
    );
}

#[test]
fn ipv6_only() {
    let state = desired(
        [vip("web", &["2001:db8:1::10"], &["lb1", "lb2"])],
        [pool("web", &["[2001:db8:2::102]:80"])],
        [peer("lb1", &["[2001:db8:2::1]:694"]), peer("lb2", &["[2001:db8:2::2]:694"])],
    );
    assert_plan(
        &state,
        "
lb1 (Balancer)
  eth0 on front: 2001:db8:2::1/128
    reaches 2001:db8:2::2 2001:db8:2::102 2001:db8:ffff::1
lb2 (Balancer)
  eth0 on front: 2001:db8:2::2/128
    reaches 2001:db8:2::1 2001:db8:2::102 2001:db8:ffff::1
clients (Clients)
  eth0 on front: 2001:db8:ffff::1/128
    reaches 2001:db8:1::10 2001:db8:2::1 2001:db8:2::2 2001:db8:2::102
2001:db8:2::102 (Server)
  eth0 on front: 2001:db8:2::102/128
    reaches 2001:db8:2::1 2001:db8:2::2 2001:db8:ffff::1
  [2001:db8:2::102]:80 answers as web/s0 {}
",
    );
}

#[test]
fn a_lone_node_whose_vip_names_no_interface() {
    let state = with_web(
        desired(
            [vip("web", &["198.51.100.10"], &["lb1"])],
            [pool("web", &["127.0.0.1:8080", "10.1.2.3:80"])],
            [peer("lb1", &["127.0.0.1:694"])],
        ),
        |web| web.interface = None,
    );
    assert_plan(
        &state,
        "
lb1 (Balancer)
  eth0 on front: 198.51.100.254/24
    reaches 203.0.113.1
  eth1 on back: 203.0.113.2/32
    reaches 10.1.2.3
  127.0.0.1:8080 answers as web/s0 {}
clients (Clients)
  eth0 on front: 203.0.113.1/32
    reaches 198.51.100.10 198.51.100.254
10.1.2.3 (Server)
  eth0 on back: 10.1.2.3/32
    reaches 203.0.113.2
  10.1.2.3:80 answers as web/s1 {}
",
    );
}

#[test]
fn aliases_that_differ_per_peer_and_tracked_devices() {
    let mut state = with_web(pair(), |web| {
        web.interface = Some("front".into());
        web.track.interfaces = vec!["front".into(), "uplink".into()];
    });
    for (peer, device) in [("lb1", "eno1"), ("lb2", "enp3s0")] {
        let peer = Arc::make_mut(state.peers.get_mut(peer).unwrap());
        peer.interfaces.insert("front".into(), device.into());
    }
    state.vips.insert(
        name("zz"),
        Arc::new(Vip { interface: Some("eno1".into()), ..vip("zz", &["203.0.113.1"], &["lb2", "lb1"]) }),
    );
    assert_plan(
        &state,
        "
lb1 (Balancer)
  eno1 on front: 198.51.100.2/32
    reaches 198.51.100.3 203.0.113.2
  eth1 on path0: 192.0.2.1/32
    reaches 192.0.2.2 192.0.2.102 192.0.2.103
  uplink on nowhere:
lb2 (Balancer)
  enp3s0 on front: 198.51.100.3/32
    reaches 198.51.100.2 203.0.113.2
  eno1 on front:
  eth1 on path0: 192.0.2.2/32
    reaches 192.0.2.1 192.0.2.102 192.0.2.103
  uplink on nowhere:
clients (Clients)
  eth0 on front: 203.0.113.2/32
    reaches 198.51.100.2 198.51.100.3 198.51.100.10 203.0.113.1
192.0.2.102 (Server)
  eth0 on path0: 192.0.2.102/32
    reaches 192.0.2.1 192.0.2.2 192.0.2.103
  192.0.2.102:80 answers as web/s0 {}
192.0.2.103 (Server)
  eth0 on path0: 192.0.2.103/32
    reaches 192.0.2.1 192.0.2.2 192.0.2.102
  192.0.2.103:80 answers as web/s1 {}
",
    );
}

#[test]
fn dual_stack_three_nodes_and_mail() {
    let state = with_web(
        desired(
            [vip("web", &["198.51.100.10", "2001:db8::10"], &["lb1", "lb2", "lb3"])],
            [pool("web", &["192.0.2.102:80"]), pool("smtp", &["192.0.2.102:25"])],
            [
                peer("lb1", &["198.51.100.1:694"]),
                peer("lb2", &["198.51.100.2:694"]),
                peer("lb3", &["198.51.100.3:694"]),
            ],
        ),
        |web| web.listeners.push(listener(25, Protocol::Tcp, "smtp")),
    );
    assert_plan(&state, "
lb1 (Balancer)
  eth0 on front: 198.51.100.1/32 2001:db8:ffff::1/128
    reaches 198.51.100.2 198.51.100.3 203.0.113.1 2001:db8:ffff::2 2001:db8:ffff::3 2001:db8:ffff::4
  eth1 on back: 203.0.113.2/32
    reaches 192.0.2.102 203.0.113.3 203.0.113.4
lb2 (Balancer)
  eth0 on front: 198.51.100.2/32 2001:db8:ffff::2/128
    reaches 198.51.100.1 198.51.100.3 203.0.113.1 2001:db8:ffff::1 2001:db8:ffff::3 2001:db8:ffff::4
  eth1 on back: 203.0.113.3/32
    reaches 192.0.2.102 203.0.113.2 203.0.113.4
lb3 (Balancer)
  eth0 on front: 198.51.100.3/32 2001:db8:ffff::3/128
    reaches 198.51.100.1 198.51.100.2 203.0.113.1 2001:db8:ffff::1 2001:db8:ffff::2 2001:db8:ffff::4
  eth1 on back: 203.0.113.4/32
    reaches 192.0.2.102 203.0.113.2 203.0.113.3
clients (Clients)
  eth0 on front: 2001:db8:ffff::4/128 203.0.113.1/32
    reaches 198.51.100.1 198.51.100.2 198.51.100.3 198.51.100.10 2001:db8::10 2001:db8:ffff::1 2001:db8:ffff::2 2001:db8:ffff::3
192.0.2.102 (Server)
  eth0 on back: 192.0.2.102/32
    reaches 203.0.113.2 203.0.113.3 203.0.113.4
  192.0.2.102:25 greets as smtp/s0 {}
  192.0.2.102:80 answers as web/s0 {}
");
}

/// A state of addresses out of a few subnets, so that all kinds of coincidence occur.
fn any_state() -> impl Strategy<Value = Desired> {
    let ip = prop_oneof![
        (0u8..4, 1u8..40).prop_map(|(net, host)| IpAddr::from([10, 0, net, host])),
        (0u16..3, 1u16..40).prop_map(|(net, host)| IpAddr::from([0x2001, 0xdb8, 0, net, 0, 0, 0, host])),
    ];
    let ips = proptest::collection::btree_set(ip, 12..20).prop_map(|ips| ips.into_iter().collect::<Vec<_>>());
    let devices = proptest::collection::vec(prop_oneof![Just(None), Just(Some("eth0")), Just(Some("eth1"))], 2);
    (ips.prop_shuffle(), 1usize..4, 0usize..3, devices).prop_map(|(ips, peers, paths, devices)| {
        let mut ips = ips.into_iter().map(|ip| ip.to_string());
        let mut take = || ips.next().unwrap_or_else(|| "203.0.113.77".into());
        let nodes: Vec<String> = (0..peers).map(|number| format!("lb{number}")).collect();
        let nodes: Vec<&str> = nodes.iter().map(String::as_str).collect();
        let vips: Vec<Vip> = (devices.into_iter().enumerate())
            .map(|(number, device)| {
                let vip = vip(&format!("v{number}"), &[&take()], &nodes);
                Vip { interface: device.map(str::to_owned), ..vip }
            })
            .collect();
        let backends: Vec<String> = (0..3).map(|_| with_port(&take())).collect();
        let backends: Vec<&str> = backends.iter().map(String::as_str).collect();
        let peers: Vec<Peer> = (nodes.iter())
            .map(|node| {
                let ends: Vec<String> = (0..paths).map(|_| with_port(&take())).collect();
                peer(node, &ends.iter().map(String::as_str).collect::<Vec<_>>())
            })
            .collect();
        desired(vips, [pool("web", &backends)], peers)
    })
}

fn with_port(ip: &str) -> String {
    if ip.contains(':') { format!("[{ip}]:80") } else { format!("{ip}:80") }
}

proptest! {
    /// Whatever the state: everyone is somewhere, once, and whoever needs a neighbour has it.
    #[test]
    fn every_plan_can_be_built_and_used(state in any_state()) {
        let plan = Topology::plan(&state);
        let balancers = || plan.hosts.iter().filter(|host| host.role == HostRole::Balancer);
        let clients = plan.host(HostRole::Clients, "clients").unwrap();
        let reaches = |host: &HostPlan, ip| host.interfaces.iter().filter(|nic| nic.neighbours.contains_key(&ip)).count();
        let holds = |host: &HostPlan, ip| {
            host.interfaces.iter().flat_map(|nic| &nic.addresses).filter(|own| own.ip == ip).count()
        };
        for (host, peer) in balancers().zip(state.peers.values()) {
            prop_assert_eq!(&host.name, peer.name.as_str());
            let names: BTreeSet<&str> = host.interfaces.iter().map(|nic| nic.name.as_str()).collect();
            prop_assert_eq!(names.len(), host.interfaces.len(), "two devices of one name");
            for (path, end) in peer.addresses.iter().enumerate() {
                prop_assert_eq!(holds(host, end.ip()), 1);
                for other in state.peers.values().filter(|other| other.name != peer.name) {
                    prop_assert_eq!(reaches(host, other.addresses[path].ip()), 1, "{}", plan);
                }
            }
            for backend in &state.pools["web"].backends {
                let ip = backend.address.ip();
                prop_assert_eq!(reaches(host, ip) + holds(host, ip), 1, "{}", plan);
            }
            for vip in state.vips.values() {
                let device = host.interfaces.iter().find(|nic| Some(nic.name.as_str()) == vip.interface.as_deref());
                prop_assert!(vip.interface.is_none() || device.is_some_and(|nic| nic.segment.is_some()));
                prop_assert_eq!(reaches(clients, vip.addresses[0].ip), 1, "{}", plan);
                if vip.interface.is_none() {
                    let connected = host.interfaces.iter().flat_map(|nic| &nic.addresses).any(|own| {
                        same_subnet(own.ip, vip.addresses[0].ip) && own.prefix_len < if own.ip.is_ipv4() { 32 } else { 128 }
                    });
                    prop_assert!(connected, "no device is connected to the subnet of {}:\n{}", vip.name, plan);
                }
            }
        }
        let macs: Vec<Mac> = plan.hosts.iter().flat_map(|host| &host.interfaces).map(|nic| nic.mac).collect();
        prop_assert_eq!(macs.iter().collect::<BTreeSet<_>>().len(), macs.len());
    }
}
