//! The PROXY protocol's header, written: a connection to a backend begins with it and tells who the client is (HAProxy,
//! `doc/proxy-protocol.txt`, sections 2.1 and 2.2).

use crate::{
    dataplane::proxy_protocol::{PROXY, STREAM_OVER_IPV4, STREAM_OVER_IPV6},
    model::ProxyProtocol,
};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Of a client's connection.
#[derive(Debug, Clone, Copy)]
pub(in crate::dataplane) struct Ends {
    /// Who has connected.
    pub(in crate::dataplane) client: SocketAddr,
    /// Where to.
    pub(in crate::dataplane) here: SocketAddr,
}

/// What is sent first.
pub(super) fn header(version: ProxyProtocol, ends: Ends) -> Vec<u8> {
    let addresses = match (ends.client.ip().to_canonical(), ends.here.ip().to_canonical()) {
        (IpAddr::V4(client), IpAddr::V4(here)) => Addresses { v4: true, client: client.into(), here: here.into() },
        (client, here) => Addresses { v4: false, client: v6(client).into(), here: v6(here).into() },
    };
    let ports = [ends.client.port(), ends.here.port()];
    match version {
        ProxyProtocol::V1 => text(&addresses, ports),
        ProxyProtocol::V2 => binary(&addresses, ports),
    }
}

/// Two of one family, for a header has one family.
struct Addresses {
    v4: bool,
    client: IpAddr,
    here: IpAddr,
}

fn v6(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    }
}

fn text(addresses: &Addresses, [client_port, port]: [u16; 2]) -> Vec<u8> {
    let Addresses { v4, client, here } = addresses;
    let family = if *v4 { "TCP4" } else { "TCP6" };
    format!("PROXY {family} {client} {here} {client_port} {port}\r\n").into_bytes()
}

fn binary(addresses: &Addresses, ports: [u16; 2]) -> Vec<u8> {
    let (family, length) = if addresses.v4 { (STREAM_OVER_IPV4, 12u16) } else { (STREAM_OVER_IPV6, 36) };
    let mut header = Vec::with_capacity(16 + usize::from(length));
    header.extend(ProxyProtocol::SIGNATURE);
    header.extend([PROXY, family]);
    header.extend(length.to_be_bytes());
    for ip in [addresses.client, addresses.here] {
        match ip {
            IpAddr::V4(ip) => header.extend(ip.octets()),
            IpAddr::V6(ip) => header.extend(ip.octets()),
        }
    }
    header.extend(ports.iter().flat_map(|port| port.to_be_bytes()));
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(version: ProxyProtocol, client: &str, here: &str) -> Vec<u8> {
        header(version, Ends { client: client.parse().unwrap(), here: here.parse().unwrap() })
    }

    #[test]
    fn version_1_is_a_line() {
        let of = |client, here| String::from_utf8(of(ProxyProtocol::V1, client, here)).unwrap();
        let v4 = of("203.0.113.7:51234", "198.51.100.10:443");
        assert_eq!(v4, "PROXY TCP4 203.0.113.7 198.51.100.10 51234 443\r\n");
        let v6 = of("[2001:db8::7]:1", "[2001:db8::10]:65535");
        assert_eq!(v6, "PROXY TCP6 2001:db8::7 2001:db8::10 1 65535\r\n");
        let mapped = of("[::ffff:203.0.113.7]:1", "198.51.100.10:2");
        assert_eq!(mapped, "PROXY TCP4 203.0.113.7 198.51.100.10 1 2\r\n");
        let mixed = of("203.0.113.7:1", "[2001:db8::10]:2");
        assert_eq!(mixed, "PROXY TCP6 ::ffff:203.0.113.7 2001:db8::10 1 2\r\n");
        let longest =
            of("[2001:db8:1111:2222:3333:4444:5555:6666]:65535", "[2001:db8:1111:2222:3333:4444:5555:7777]:65535");
        assert!(longest.len() <= 107, "the longest that a receiver must be ready for");
    }

    #[test]
    fn version_2_is_binary() {
        let v4 = of(ProxyProtocol::V2, "203.0.113.7:51234", "198.51.100.10:443");
        let mut wanted = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
        wanted.extend([203, 0, 113, 7, 198, 51, 100, 10, 0xc8, 0x22, 0x01, 0xbb]);
        assert_eq!(v4, wanted);
        let v6 = of(ProxyProtocol::V2, "[2001:db8::7]:1", "[2001:db8::10]:2");
        assert_eq!(v6[12..16], [0x21, 0x21, 0, 36]);
        assert_eq!(v6.len(), 16 + 36);
        assert_eq!(v6[16..32], "2001:db8::7".parse::<Ipv6Addr>().unwrap().octets());
        assert_eq!(v6[48..], [0, 1, 0, 2]);
    }
}
