//! Neighbours and gateways.

use super::*;
use crate::model::ObservedNeighbour;
use std::net::UdpSocket;

#[test]
fn neighbours_are_those_who_answered() {
    for (own, peer_cidr, nobody) in
        [("192.0.2.1/24", "192.0.2.2/24", "192.0.2.77"), ("2001:db8::1/64", "2001:db8::2/64", "2001:db8::77")]
    {
        let [host, peer] = joined();
        let host = host.with(&[own]);
        let peer = peer.with(&[peer_cidr]);
        let (ip, mac) = (cidr_of(peer_cidr).ip, peer.run(async |net| net.link("eth0").await.mac.unwrap()));
        host.run(async |net| {
            let link = net.link("eth0").await.index;
            let known = async || net.observe().await.neighbours;
            assert!(!known().await.iter().any(|it| it.ip == ip));
            for to in [nobody.parse().unwrap(), ip] {
                UdpSocket::bind((cidr_of(own).ip, 0)).unwrap().send_to(b"x", (to, 9)).unwrap();
            }
            let wanted = ObservedNeighbour { link, ip, mac };
            eventually("it is known", async || known().await.contains(&wanted).then_some(())).await;
            assert!(known().await.iter().all(|it| it.ip.to_string() != nobody && !it.ip.is_multicast()));
        });
    }
}

#[test]
fn gateways_are_the_next_hops_of_default_routes() {
    let [host, _peer] = joined();
    let host = host.with(&["192.0.2.1/24", "2001:db8::1/64"]);
    host.run(async |net| {
        assert!(net.observe().await.gateways.is_empty());
        let [v4, v6, other] =
            ["192.0.2.254", "2001:db8::fe", "192.0.2.253"].map(|text| text.parse::<IpAddr>().unwrap());
        net.route("203.0.113.1".parse().unwrap(), other).await;
        let v4_default = rtnetlink::RouteMessageBuilder::<std::net::Ipv4Addr>::new();
        let v6_default = rtnetlink::RouteMessageBuilder::<std::net::Ipv6Addr>::new();
        let (IpAddr::V4(four), IpAddr::V6(six)) = (v4, v6) else { unreachable!() };
        net.0.route().add(v4_default.gateway(four).build()).execute().await.unwrap();
        net.0.route().add(v6_default.gateway(six).build()).execute().await.unwrap();
        let link = net.link("eth0").await.index;
        assert_eq!(net.observe().await.gateways, [(link, vec![v4, v6])].into());
    });
}
