//! ARP and ND frames as bytes: pure, no sockets.
//!
//! Building gives whole Ethernet frames. Parsing takes any bytes that came from a wire and gives either what they say
//! or nothing: a frame that the kernel would ignore (bad checksum, wrong hop limit, wrong sizes) is nothing here too.
//!
//! Sources: RFC 826 (ARP), RFC 5227 (ARP probes and announcements), RFC 4861 (ND), RFC 4443 §2.3 (checksum),
//! RFC 2464 §7 (multicast MACs); which announcement moves whose cache was measured.

use crate::model::Mac;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// `ETH_P_ARP`.
pub const ETHERTYPE_ARP: u16 = 0x0806;
/// `ETH_P_IPV6`.
pub const ETHERTYPE_IPV6: u16 = 0x86dd;
/// IPv6 next header of ICMPv6.
pub const NEXT_HEADER_ICMPV6: u8 = 58;
/// ICMPv6 type of a neighbour solicitation.
pub const NEIGHBOUR_SOLICITATION: u8 = 135;
/// ICMPv6 type of a neighbour advertisement.
pub const NEIGHBOUR_ADVERTISEMENT: u8 = 136;

const BROADCAST: Mac = Mac([0xff; 6]);
const ZERO: Mac = Mac([0; 6]);
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ETHERNET_LEN: usize = 14;
const IPV6_LEN: usize = 40;
/// Ethernet, IPv4, with their address lengths: the first six bytes of every ARP packet that is understood here.
const ARP_PREFIX: [u8; 6] = [0, 1, 8, 0, 6, 4];
const ARP_LEN: usize = 28;
/// ICMPv6 header, reserved or flags, target.
const ND_LEN: usize = 24;
const OPTION_SOURCE_MAC: u8 = 1;
const OPTION_TARGET_MAC: u8 = 2;
const FLAG_SOLICITED: u8 = 0x40;
const FLAG_OVERRIDE: u8 = 0x20;

/// An ARP packet for IPv4 over Ethernet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arp {
    /// Asks or answers.
    pub operation: ArpOperation,
    /// `ar$sha`
    pub sender_mac: Mac,
    /// `ar$spa`; 0.0.0.0 in a probe.
    pub sender_ip: Ipv4Addr,
    /// `ar$tha`
    pub target_mac: Mac,
    /// `ar$tpa`
    pub target_ip: Ipv4Addr,
}

/// `ar$op`; others (RARP, InARP) are not parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArpOperation {
    /// 1
    Request,
    /// 2
    Reply,
}

/// A neighbour solicitation or advertisement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Neighbour {
    /// Asks or answers.
    pub kind: NeighbourKind,
    /// Source address of the packet; `::` in a probe.
    pub source: Ipv6Addr,
    /// Who is asked for, or who answers.
    pub target: Ipv6Addr,
    /// The source (solicitation) or target (advertisement) link-layer address option.
    pub mac: Option<Mac>,
}

/// Which ND message, with the flags that are of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NeighbourKind {
    /// Type 135.
    Solicitation,
    /// Type 136.
    Advertisement {
        /// It answers a solicitation.
        solicited: bool,
        /// It replaces what is in caches.
        overrides: bool,
    },
}

/// A frame that was understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Ethernet source.
    pub source: Mac,
    /// What it says.
    pub body: Body,
}

/// What a [`Frame`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// IPv4
    Arp(Arp),
    /// IPv6
    Neighbour(Neighbour),
}

impl Frame {
    /// The address that the sender of this frame shows to have, and the MAC that it gives for it. Frames that only ask
    /// (probes: no sender address yet) claim nothing.
    pub fn claim(&self) -> Option<(IpAddr, Mac)> {
        match self.body {
            Body::Arp(arp) => (!arp.sender_ip.is_unspecified()).then_some((arp.sender_ip.into(), arp.sender_mac)),
            Body::Neighbour(nd) => {
                let ip = if nd.kind == NeighbourKind::Solicitation { nd.source } else { nd.target };
                (!ip.is_unspecified()).then_some((ip.into(), nd.mac.unwrap_or(self.source)))
            }
        }
    }

    /// The address that this frame asks for, and the address of who asks: none in a probe.
    pub fn question(&self) -> Option<(IpAddr, Option<IpAddr>)> {
        match self.body {
            Body::Arp(arp) => {
                let asker = (!arp.sender_ip.is_unspecified()).then_some(arp.sender_ip.into());
                (arp.operation == ArpOperation::Request).then_some((arp.target_ip.into(), asker))
            }
            Body::Neighbour(nd) => {
                let asker = (!nd.source.is_unspecified()).then_some(nd.source.into());
                (nd.kind == NeighbourKind::Solicitation).then_some((nd.target.into(), asker))
            }
        }
    }
}

/// "Does anyone have `ip`?", in a way that no cache learns from (RFC 5227 §2.1.1; RFC 4861 §4.3 with source `::`).
pub fn probe(from: Mac, ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(target_ip) => {
            let sender_ip = Ipv4Addr::UNSPECIFIED;
            arp(
                BROADCAST,
                Arp { operation: ArpOperation::Request, sender_mac: from, sender_ip, target_mac: ZERO, target_ip },
            )
        }
        IpAddr::V6(target) => neighbour(
            from,
            solicited_node(target),
            Neighbour { kind: NeighbourKind::Solicitation, source: Ipv6Addr::UNSPECIFIED, target, mac: None },
        ),
    }
}

/// "`ip` is at `mac` now", for every cache that has an entry. IPv4: a gratuitous request, and a gratuitous reply whose
/// target MAC is our own, because Linux ignores one with 00 or ff there while its entry is young. IPv6: an unsolicited
/// advertisement with the override flag to all nodes.
pub fn announcement(mac: Mac, ip: IpAddr) -> Vec<Vec<u8>> {
    match ip {
        IpAddr::V4(ip) => {
            let gratuitous = |operation, target_mac| {
                arp(BROADCAST, Arp { operation, sender_mac: mac, sender_ip: ip, target_mac, target_ip: ip })
            };
            vec![gratuitous(ArpOperation::Request, ZERO), gratuitous(ArpOperation::Reply, mac)]
        }
        IpAddr::V6(ip) => {
            let kind = NeighbourKind::Advertisement { solicited: false, overrides: true };
            vec![neighbour(mac, ALL_NODES, Neighbour { kind, source: ip, target: ip, mac: Some(mac) })]
        }
    }
}

/// An ARP packet in an Ethernet frame from its sender's MAC to `to`.
pub fn arp(to: Mac, packet: Arp) -> Vec<u8> {
    let mut frame = ethernet(to, packet.sender_mac, ETHERTYPE_ARP);
    frame.extend(ARP_PREFIX);
    frame.extend([0, if packet.operation == ArpOperation::Request { 1 } else { 2 }]);
    frame.extend(packet.sender_mac.0);
    frame.extend(packet.sender_ip.octets());
    frame.extend(packet.target_mac.0);
    frame.extend(packet.target_ip.octets());
    frame
}

/// An ND message to a multicast group, in IPv6, in an Ethernet frame from `from`.
pub fn neighbour(from: Mac, to: Ipv6Addr, message: Neighbour) -> Vec<u8> {
    let mut icmp = Vec::with_capacity(ND_LEN + 8);
    let (kind, flags, option) = match message.kind {
        NeighbourKind::Solicitation => (NEIGHBOUR_SOLICITATION, 0, OPTION_SOURCE_MAC),
        NeighbourKind::Advertisement { solicited, overrides } => {
            let flags = if solicited { FLAG_SOLICITED } else { 0 } | if overrides { FLAG_OVERRIDE } else { 0 };
            (NEIGHBOUR_ADVERTISEMENT, flags, OPTION_TARGET_MAC)
        }
    };
    icmp.extend([kind, 0, 0, 0, flags, 0, 0, 0]);
    icmp.extend(message.target.octets());
    if let Some(mac) = message.mac {
        icmp.extend([option, 1]);
        icmp.extend(mac.0);
    }
    let sum = icmpv6_checksum(message.source, to, &icmp);
    icmp[2..4].copy_from_slice(&sum.to_be_bytes());

    let mut frame = ethernet(multicast_mac(to), from, ETHERTYPE_IPV6);
    frame.extend([0x60, 0, 0, 0, 0, icmp.len() as u8, NEXT_HEADER_ICMPV6, 255]);
    frame.extend(message.source.octets());
    frame.extend(to.octets());
    frame.extend(icmp);
    frame
}

/// What the bytes of an Ethernet frame say, if it is ARP or ND that a host would heed. Bytes behind the packet
/// (Ethernet padding) are ignored.
pub fn parse(frame: &[u8]) -> Option<Frame> {
    let (header, payload) = frame.split_at_checked(ETHERNET_LEN)?;
    let source = mac(&header[6..12])?;
    let body = match u16::from_be_bytes([header[12], header[13]]) {
        ETHERTYPE_ARP => Body::Arp(parse_arp(payload)?),
        ETHERTYPE_IPV6 => Body::Neighbour(parse_neighbour(payload)?),
        _ => return None,
    };
    Some(Frame { source, body })
}

/// The multicast group in which the holder of `ip` listens for solicitations (RFC 4291 §2.7.1).
pub fn solicited_node(ip: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = ip.octets();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), u16::from_be_bytes([b, c]))
}

fn parse_arp(packet: &[u8]) -> Option<Arp> {
    let packet: &[u8; ARP_LEN] = packet.first_chunk()?;
    if packet[..6] != ARP_PREFIX {
        return None;
    }
    let operation = match u16::from_be_bytes([packet[6], packet[7]]) {
        1 => ArpOperation::Request,
        2 => ArpOperation::Reply,
        _ => return None,
    };
    Some(Arp {
        operation,
        sender_mac: mac(&packet[8..14])?,
        sender_ip: ipv4(&packet[14..18])?,
        target_mac: mac(&packet[18..24])?,
        target_ip: ipv4(&packet[24..28])?,
    })
}

fn parse_neighbour(packet: &[u8]) -> Option<Neighbour> {
    let (ip, rest) = packet.split_at_checked(IPV6_LEN)?;
    let icmp = rest.get(..usize::from(u16::from_be_bytes([ip[4], ip[5]])))?;
    let (source, destination) = (ipv6(&ip[8..24])?, ipv6(&ip[24..40])?);
    // Hop limit 255: it was not forwarded, so it was sent on this very link (RFC 4861 §3.1).
    let on_link = ip[0] >> 4 == 6 && ip[6] == NEXT_HEADER_ICMPV6 && ip[7] == 255;
    if !on_link || icmp.len() < ND_LEN || icmp[1] != 0 || icmpv6_checksum(source, destination, icmp) != 0 {
        return None;
    }
    let (kind, option) = match icmp[0] {
        NEIGHBOUR_SOLICITATION => (NeighbourKind::Solicitation, OPTION_SOURCE_MAC),
        NEIGHBOUR_ADVERTISEMENT => {
            let [solicited, overrides] = [FLAG_SOLICITED, FLAG_OVERRIDE].map(|flag| icmp[4] & flag != 0);
            (NeighbourKind::Advertisement { solicited, overrides }, OPTION_TARGET_MAC)
        }
        _ => return None,
    };
    let target = ipv6(&icmp[8..24])?;
    let mac = mac_option(&icmp[ND_LEN..], option)?;
    (!target.is_multicast()).then_some(Neighbour { kind, source, target, mac })
}

/// Outer `None`: the options are malformed, and the whole message has to be ignored (RFC 4861 §7.1).
fn mac_option(mut options: &[u8], wanted: u8) -> Option<Option<Mac>> {
    let mut found = None;
    while let [kind, eights, ..] = *options {
        let option = options.get(..8 * usize::from(eights)).filter(|option| !option.is_empty())?;
        if kind == wanted && option.len() == 8 {
            found = mac(&option[2..]);
        }
        options = &options[option.len()..];
    }
    options.is_empty().then_some(found)
}

fn ethernet(to: Mac, from: Mac, ethertype: u16) -> Vec<u8> {
    let mut frame = Vec::with_capacity(ETHERNET_LEN + IPV6_LEN + ND_LEN + 8);
    frame.extend(to.0);
    frame.extend(from.0);
    frame.extend(ethertype.to_be_bytes());
    frame
}

fn multicast_mac(group: Ipv6Addr) -> Mac {
    let [.., a, b, c, d] = group.octets();
    Mac([0x33, 0x33, a, b, c, d])
}

/// Over the pseudo header and `message`; 0 for a message that carries its right checksum.
fn icmpv6_checksum(source: Ipv6Addr, destination: Ipv6Addr, message: &[u8]) -> u16 {
    let mut sum = message.len() as u32 + u32::from(NEXT_HEADER_ICMPV6);
    for bytes in [&source.octets()[..], &destination.octets()[..], message] {
        for pair in bytes.chunks(2) {
            sum += u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

fn mac(bytes: &[u8]) -> Option<Mac> {
    bytes.try_into().ok().map(Mac)
}

fn ipv4(bytes: &[u8]) -> Option<Ipv4Addr> {
    <[u8; 4]>::try_from(bytes).ok().map(Ipv4Addr::from)
}

fn ipv6(bytes: &[u8]) -> Option<Ipv6Addr> {
    <[u8; 16]>::try_from(bytes).ok().map(Ipv6Addr::from)
}

#[cfg(test)]
mod tests;
