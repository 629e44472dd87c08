//! A VIP serves, and is never the source of the node's own connections.

use super::*;
use std::net::{TcpListener, TcpStream, UdpSocket};

const PORT: u16 = 7000;

/// A host with `own` addresses beside a VIP, and a peer that listens.
struct Scene {
    host: Host,
    peer: Host,
    peer_ip: IpAddr,
    listener: TcpListener,
}

impl Scene {
    /// `peer` is the address of the peer.
    fn new(peer_cidr: &str) -> Self {
        let [host, peer] = joined();
        let peer = peer.with(&[peer_cidr]);
        let peer_ip = cidr_of(peer_cidr).ip;
        let listener = peer.blocking(|| TcpListener::bind((peer_ip, PORT)).unwrap());
        Self { host, peer, peer_ip, listener }
    }

    /// Which source a connected UDP socket and a TCP connection to the peer get. They must agree.
    fn source(&self) -> IpAddr {
        let (udp, tcp) = self.host.blocking(|| {
            let any: IpAddr = if self.peer_ip.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
            let udp = UdpSocket::bind((any, 0)).unwrap();
            udp.connect((self.peer_ip, PORT)).unwrap();
            let tcp = connect(self.peer_ip).unwrap();
            (udp.local_addr().unwrap().ip(), tcp.local_addr().unwrap().ip())
        });
        let seen = self.listener.accept().unwrap().1.ip();
        assert_eq!([udp, tcp], [seen; 2]);
        seen
    }

    /// The peer resolves the VIP and gets a connection to it.
    fn serves(&self, vip: &str, route_needed: bool) {
        let ip = cidr_of(vip).ip;
        let listener = self.host.blocking(|| TcpListener::bind((ip, PORT)).unwrap());
        if route_needed {
            self.peer.run(async |net| net.on_link(ip).await);
        }
        let stream = self.peer.blocking(|| connect(ip).unwrap());
        assert_eq!(stream.peer_addr().unwrap().ip(), ip);
        let (accepted, _) = listener.accept().unwrap();
        assert_eq!(accepted.local_addr().unwrap().ip(), ip);
        let mac = self.host.run(async |net| net.link("eth0").await.mac);
        assert_eq!(self.peer.run(async |net| net.neighbour(ip).await), mac, "ARP or ND");
    }

    fn add(&self, cidr: &str) {
        self.host.run(async |net| net.add("eth0", cidr).await);
    }

    fn add_vip(&self, cidr: &str) {
        self.host.run(async |_| assert_eq!(Subject::new(true).add("eth0", cidr).await, Addition::Added));
    }
}

fn connect(ip: IpAddr) -> io::Result<TcpStream> {
    TcpStream::connect_timeout(&(ip, PORT).into(), Duration::from_secs(5))
}

/// Own address, peer and VIP, once per family, with the VIP inside and outside of the node's subnet.
const HOSTS: [[&str; 3]; 4] = [
    ["192.0.2.1/24", "192.0.2.2/24", "192.0.2.10/32"],
    ["192.0.2.1/24", "192.0.2.2/24", "203.0.113.10/32"],
    ["2001:db8::1/64", "2001:db8::2/64", "2001:db8::10/128"],
    ["2001:db8::ff/64", "2001:db8::2/64", "2001:db8:0::10/128"],
];

#[test]
fn a_host_address_that_comes_later_is_no_source() {
    for [own, peer, vip] in HOSTS {
        let scene = Scene::new(peer);
        scene.add(own);
        scene.add_vip(vip);
        assert_eq!(scene.source(), cidr_of(own).ip);
        scene.serves(vip, true);
    }
}

#[test]
fn a_host_address_that_comes_first_is_no_source() {
    for [own, peer, vip] in HOSTS {
        let scene = Scene::new(peer);
        scene.add_vip(vip);
        scene.add(own);
        assert_eq!(scene.source(), cidr_of(own).ip);
        scene.serves(vip, true);
    }
}

#[test]
fn a_host_address_that_is_the_only_one_of_its_device_is_no_source() {
    for [_, peer, vip] in HOSTS {
        let scene = Scene::new(peer);
        let own = if scene.peer_ip.is_ipv4() { "198.51.100.1/32" } else { "2001:db8:1::1/128" };
        scene.host.run(async |net| net.add("lo", own).await);
        scene.add_vip(vip);
        scene.host.run(async |net| net.on_link(scene.peer_ip).await);
        scene.serves(vip, true);
        // By way of the VIP, because ND answers only for addresses of the device that was asked.
        scene.peer.run(async |net| net.route(cidr_of(own).ip, cidr_of(vip).ip).await);
        assert_eq!(scene.source(), cidr_of(own).ip, "{vip}");
    }
}

#[test]
fn a_host_address_that_comes_first_is_no_source_for_routes_that_name_none() {
    for (peer, own, vip) in [
        ("192.0.2.2/32", "198.51.100.1/32", "203.0.113.10/32"),
        ("2001:db8::2/128", "2001:db8:1::1/128", "2001:db8:2::10/128"),
    ] {
        let scene = Scene::new(peer);
        scene.add_vip(vip);
        scene.add(own);
        scene.host.run(async |net| net.on_link(scene.peer_ip).await);
        scene.peer.run(async |net| net.on_link(cidr_of(own).ip).await);
        assert_eq!(scene.source(), cidr_of(own).ip);
        scene.serves(vip, true);
        // And by way of a gateway.
        let far: IpAddr =
            if scene.peer_ip.is_ipv4() { [192, 0, 2, 77].into() } else { "2001:db8::77".parse().unwrap() };
        scene.host.run(async |net| net.route(far, scene.peer_ip).await);
        let udp = scene.host.blocking(|| {
            let any: IpAddr = if far.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
            let udp = UdpSocket::bind((any, 0)).unwrap();
            udp.connect((far, PORT)).unwrap();
            udp.local_addr().unwrap().ip()
        });
        assert_eq!(udp, cidr_of(own).ip);
    }
}

#[test]
fn an_address_added_by_anyone_else_would_be_the_source() {
    // The control: without scope host, or preferred_lft 0, the first address of the device is taken.
    let scene = Scene::new("192.0.2.2/24");
    scene.add("203.0.113.10/32");
    scene.host.run(async |net| {
        net.add("lo", "198.51.100.1/32").await;
        net.on_link(scene.peer_ip).await;
    });
    scene.peer.run(async |net| net.on_link([203, 0, 113, 10].into()).await);
    assert_eq!(scene.source(), IpAddr::from([203, 0, 113, 10]));
}

#[test]
fn a_prefix_length_is_honoured_beside_an_address_of_the_same_subnet() {
    for [own, peer, vip] in
        [["192.0.2.1/24", "192.0.2.2/24", "192.0.2.10/24"], ["2001:db8::ff/64", "2001:db8::2/64", "2001:db8::10/64"]]
    {
        let scene = Scene::new(peer);
        scene.add(own);
        scene.add_vip(vip);
        assert_eq!(scene.source(), cidr_of(own).ip);
        scene.serves(vip, false);
    }
}

#[test]
fn an_ipv6_prefix_length_is_honoured_whatever_came_first() {
    let scene = Scene::new("2001:db8::2/64");
    scene.add_vip("2001:db8::10/64");
    scene.add("2001:db8::ff/64");
    assert_eq!(scene.source(), cidr_of("2001:db8::ff/64").ip);
    scene.serves("2001:db8::10/64", false);
}

#[test]
fn an_ipv4_prefix_length_brings_its_connected_route_and_that_has_the_vip_as_source() {
    // The combination that the module docs say cannot be had; if this ever fails, they can say better.
    let scene = Scene::new("192.0.2.2/24");
    scene.host.run(async |net| net.add("lo", "198.51.100.1/32").await);
    scene.add_vip("192.0.2.10/24");
    scene.serves("192.0.2.10/24", false);
    assert_eq!(scene.source(), cidr_of("192.0.2.10/24").ip);
}

#[test]
fn a_vip_on_lo_is_no_source() {
    for [own, peer, vip] in HOSTS {
        let scene = Scene::new(peer);
        scene.host.run(async |_| {
            Subject::new(true).add("lo", vip).await;
        });
        scene.add(own);
        assert_eq!(scene.source(), cidr_of(own).ip);
    }
}

#[test]
fn an_ipv6_vip_is_usable_at_once_and_deprecated() {
    use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags};
    let [host, _peer] = joined();
    host.run(async |_| {
        let subject = Subject::new(true);
        subject.add("eth0", "2001:db8::10/128").await;
        let addresses = subject.netlink.addresses().await.unwrap();
        let vip = find(&addresses, subject.link("eth0").await, cidr_of("2001:db8::10/128")).unwrap();
        let flags = vip.message.attributes.iter().find_map(|it| match it {
            AddressAttribute::Flags(flags) => Some(*flags),
            _ => None,
        });
        let flags = flags.unwrap();
        assert!(flags.contains(AddressFlags::Deprecated | AddressFlags::Permanent), "{flags:?}");
        assert!(!flags.intersects(AddressFlags::Tentative | AddressFlags::Dadfailed), "{flags:?}");
        let valid = vip.message.attributes.iter().find_map(|it| match it {
            AddressAttribute::CacheInfo(info) => Some((info.ifa_preferred, info.ifa_valid)),
            _ => None,
        });
        assert_eq!(valid, Some((0, u32::MAX)));
    });
}
