use super::*;
use proptest::prelude::*;

const A: Mac = Mac([2, 0, 0, 0, 0, 0xa]);
const VIP4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10));
const VIP6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0x12, 0x3456);

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().filter_map(|c| c.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
}

#[test]
fn arp_probe_is_these_bytes() {
    let golden = "ffffffffffff 02000000000a 0806  0001 0800 06 04 0001
                  02000000000a 00000000  000000000000 c000020a";
    assert_eq!(probe(A, VIP4), bytes(golden));
}

#[test]
fn gratuitous_arp_is_these_bytes() {
    let request = "ffffffffffff 02000000000a 0806  0001 0800 06 04 0001
                   02000000000a c000020a  000000000000 c000020a";
    let reply = "ffffffffffff 02000000000a 0806  0001 0800 06 04 0002
                 02000000000a c000020a  02000000000a c000020a";
    assert_eq!(announcement(A, VIP4), [bytes(request), bytes(reply)]);
}

#[test]
fn solicitation_is_these_bytes() {
    let golden = "3333ff123456 02000000000a 86dd  60000000 0018 3a ff
                  00000000000000000000000000000000 ff0200000000000000000001ff123456
                  87 00 e41e 00000000  20010db8000000000000000000123456";
    assert_eq!(probe(A, VIP6.into()), bytes(golden));
}

#[test]
fn advertisement_is_these_bytes() {
    let golden = "333300000001 02000000000a 86dd  60000000 0020 3a ff
                  20010db8000000000000000000123456 ff020000000000000000000000000001
                  88 00 9053 20000000  20010db8000000000000000000123456  02 01 02000000000a";
    assert_eq!(announcement(A, VIP6.into()), [bytes(golden)]);
}

#[test]
fn what_a_frame_claims() {
    assert_eq!(parse(&probe(A, VIP4)).unwrap().claim(), None);
    assert_eq!(parse(&probe(A, VIP6.into())).unwrap().claim(), None);
    for ip in [VIP4, VIP6.into()] {
        for frame in announcement(A, ip) {
            assert_eq!(parse(&frame).unwrap().claim(), Some((ip, A)));
        }
    }
}

#[test]
fn a_solicitation_claims_its_source_and_not_its_target() {
    let source = "2001:db8::99".parse().unwrap();
    let message = Neighbour { kind: NeighbourKind::Solicitation, source, target: VIP6, mac: Some(A) };
    assert_eq!(parse(&neighbour(A, solicited_node(VIP6), message)).unwrap().claim(), Some((source.into(), A)));
}

#[test]
fn an_advertisement_without_option_claims_for_the_ethernet_source() {
    let kind = NeighbourKind::Advertisement { solicited: true, overrides: false };
    let message = Neighbour { kind, source: VIP6, target: VIP6, mac: None };
    assert_eq!(parse(&neighbour(A, ALL_NODES, message)).unwrap().claim(), Some((VIP6.into(), A)));
}

#[test]
fn what_a_host_would_ignore_is_nothing() {
    let good = announcement(A, VIP6.into()).remove(0);
    assert!(parse(&good).is_some());
    for (what, at, value) in [
        ("hop limit", 21, 64),
        ("next header", 20, 17),
        ("version", 14, 0x40),
        ("payload length", 19, 0xff),
        ("checksum", 56, good[56] ^ 1),
        ("target", 70, good[70] ^ 1),
        ("code", 55, 1),
        ("option length", 79, 0),
        ("ethertype", 12, 0x08),
    ] {
        let mut bad = good.clone();
        bad[at] = value;
        assert_eq!(parse(&bad), None, "{what}");
    }
    let arp = probe(A, VIP4);
    for (what, at, value) in [("hardware", 15, 6), ("protocol", 16, 9), ("lengths", 18, 8), ("operation", 21, 3)] {
        let mut bad = arp.clone();
        bad[at] = value;
        assert_eq!(parse(&bad), None, "{what}");
    }
}

#[test]
fn a_zero_length_option_ends_parsing_even_under_a_right_checksum() {
    let mut frame = announcement(A, VIP6.into()).remove(0);
    frame[79] = 0;
    frame[56..58].fill(0);
    let sum = icmpv6_checksum(VIP6, ALL_NODES, &frame[54..]);
    frame[56..58].copy_from_slice(&sum.to_be_bytes());
    assert_eq!(parse(&frame), None);
}

#[test]
fn solicited_node_group_is_that_of_rfc_4291() {
    // The RFC's own example.
    assert_eq!(
        solicited_node("4037::01:800:200E:8C6C".parse().unwrap()),
        "ff02::1:ff0e:8c6c".parse::<Ipv6Addr>().unwrap()
    );
}

fn any_mac() -> impl Strategy<Value = Mac> {
    any::<[u8; 6]>().prop_map(Mac)
}

fn any_arp() -> impl Strategy<Value = Arp> {
    (any::<bool>(), any_mac(), any::<Ipv4Addr>(), any_mac(), any::<Ipv4Addr>()).prop_map(
        |(ask, sender_mac, sender_ip, target_mac, target_ip)| {
            let operation = if ask { ArpOperation::Request } else { ArpOperation::Reply };
            Arp { operation, sender_mac, sender_ip, target_mac, target_ip }
        },
    )
}

fn any_neighbour() -> impl Strategy<Value = Neighbour> {
    let kind = prop_oneof![
        Just(NeighbourKind::Solicitation),
        (any::<bool>(), any::<bool>())
            .prop_map(|(solicited, overrides)| NeighbourKind::Advertisement { solicited, overrides }),
    ];
    let target = any::<Ipv6Addr>().prop_filter("unicast", |ip| !ip.is_multicast());
    (kind, any::<Ipv6Addr>(), target, proptest::option::of(any_mac()))
        .prop_map(|(kind, source, target, mac)| Neighbour { kind, source, target, mac })
}

proptest! {
    #[test]
    fn arp_round_trips_also_with_padding(packet in any_arp(), to in any_mac(), padding in 0..20usize) {
        let mut frame = arp(to, packet);
        frame.resize(frame.len() + padding, 0);
        prop_assert_eq!(parse(&frame), Some(Frame { source: packet.sender_mac, body: Body::Arp(packet) }));
    }

    #[test]
    fn nd_round_trips_also_with_padding(message in any_neighbour(), from in any_mac(), padding in 0..20usize) {
        let mut frame = neighbour(from, solicited_node(message.target), message);
        frame.resize(frame.len() + padding, 0xff);
        prop_assert_eq!(parse(&frame), Some(Frame { source: from, body: Body::Neighbour(message) }));
    }

    #[test]
    fn any_bytes_are_parsed_or_refused_without_a_panic(frame in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&frame);
    }

    #[test]
    fn any_change_and_any_cut_is_survived(
        message in any_neighbour(), at in 12..86usize, value in any::<u8>(), keep in 0..90usize,
    ) {
        let mut frame = neighbour(A, solicited_node(message.target), message);
        let len = frame.len();
        frame[at.min(len - 1)] = value;
        frame.truncate(keep);
        // A cut one is never understood: its length field says that something is missing.
        prop_assert!(keep >= len || parse(&frame).is_none());
    }
}
