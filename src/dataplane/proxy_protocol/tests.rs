use super::*;
use proptest::prelude::*;

/// A header of version 2.
fn v2(command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    [&SIGNATURE[..], &[command, family], &length, payload].concat()
}

fn whole(input: &[u8]) -> Header {
    parse(input).unwrap().expect("a whole header")
}

fn ends(source: &str, destination: &str) -> Option<(SocketAddr, SocketAddr)> {
    Some((source.parse().unwrap(), destination.parse().unwrap()))
}

#[test]
fn lines_of_version_1_are_read() {
    for (text, wanted) in [
        ("PROXY TCP4 203.0.113.7 198.51.100.10 51234 443\r\n", ends("203.0.113.7:51234", "198.51.100.10:443")),
        ("PROXY TCP4 255.255.255.255 0.0.0.0 65535 0\r\n", ends("255.255.255.255:65535", "0.0.0.0:0")),
        ("PROXY TCP6 2001:db8::7 2001:db8::10 1 65535\r\n", ends("[2001:db8::7]:1", "[2001:db8::10]:65535")),
        ("PROXY UNKNOWN\r\n", None),
        ("PROXY UNKNOWN ffff:f...f ffff:f...f 65535 65535\r\n", None),
    ] {
        assert_eq!(whole(text.as_bytes()), Header { ends: wanted, length: text.len() }, "{text}");
        let with_more = format!("{text}GET / HTTP/1.1\r\n");
        assert_eq!(whole(with_more.as_bytes()).length, text.len(), "what follows is the client's");
    }
}

#[test]
fn lines_that_are_not_of_version_1_are_refused() {
    for text in [
        "PROXY TCP4 203.0.113.7 198.51.100.10 51234\r\n",
        "PROXY TCP4 203.0.113.7 198.51.100.10 51234 443 1\r\n",
        "PROXY TCP4  203.0.113.7 198.51.100.10 51234 443\r\n",
        "PROXY TCP4 203.0.113.7 198.51.100.10 51234 443 \r\n",
        "PROXY TCP4 203.0.113.7 198.51.100.10 +1 443\r\n",
        "PROXY TCP4 203.0.113.7 198.51.100.10 01 443\r\n",
        "PROXY TCP4 203.0.113.7 198.51.100.10 1 65536\r\n",
        "PROXY TCP4 2001:db8::7 2001:db8::10 1 2\r\n",
        "PROXY TCP6 203.0.113.7 198.51.100.10 1 2\r\n",
        "PROXY TCP4 203.0.113.7.8 198.51.100.10 1 2\r\n",
        "PROXY TCP4 203.0.113.7 198.51.100.10 1 2\n",
        "PROXY tcp4 203.0.113.7 198.51.100.10 1 2\r\n",
        "PROXY UDP4 203.0.113.7 198.51.100.10 1 2\r\n",
        "PROXY \r\n",
        "PROXY\tTCP4",
        "proxy ",
        "GET / HTTP/1.1\r\n",
        "\u{16}\u{3}\u{1}",
    ] {
        assert!(parse(text.as_bytes()).is_err(), "{text:?}");
    }
    let long = format!("PROXY UNKNOWN {}", "x".repeat(LONGEST_LINE - 14));
    assert_eq!(parse(long.as_bytes()), Err(BadHeader("the line is too long")));
    assert_eq!(parse(&long.as_bytes()[..LONGEST_LINE - 1]), Ok(None));
}

#[test]
fn headers_of_version_2_are_read() {
    let v4 = [203, 0, 113, 7, 198, 51, 100, 10, 0xc8, 0x22, 0x01, 0xbb];
    let tlvs = [&v4[..], &[0x20, 0, 3, 1, 2, 3]].concat();
    let mut v6 = Vec::new();
    v6.extend("2001:db8::7".parse::<Ipv6Addr>().unwrap().octets());
    v6.extend("2001:db8::10".parse::<Ipv6Addr>().unwrap().octets());
    v6.extend([0, 1, 0xff, 0xff]);
    for (header, wanted) in [
        (v2(0x21, 0x11, &v4), ends("203.0.113.7:51234", "198.51.100.10:443")),
        (v2(0x21, 0x11, &tlvs), ends("203.0.113.7:51234", "198.51.100.10:443")),
        (v2(0x21, 0x21, &v6), ends("[2001:db8::7]:1", "[2001:db8::10]:65535")),
        (v2(0x20, 0x00, &[]), None),
        (v2(0x20, 0x11, &v4), None),
        (v2(0x20, 0xff, b"whatever"), None),
        (v2(0x21, 0x00, b"tlvs"), None),
        (v2(0x21, 0x31, &[0; 216]), None),
        (v2(0x21, 0x12, &v4), None),
    ] {
        assert_eq!(whole(&header), Header { ends: wanted, length: header.len() }, "{header:x?}");
    }
}

#[test]
fn what_is_not_of_version_2_is_refused_as_soon_as_it_shows() {
    for header in [
        v2(0x11, 0x11, &[0; 12]),
        v2(0x22, 0x11, &[0; 12]),
        v2(0x21, 0x13, &[0; 12]),
        v2(0x21, 0x41, &[0; 12]),
        v2(0x21, 0x11, &[0; 11]),
        v2(0x21, 0x21, &[0; 35]),
        v2(0x21, 0x11, &vec![0; LONGEST - FIXED + 1]),
    ] {
        assert!(parse(&header).is_err(), "{header:x?}");
    }
    assert!(parse(&v2(0x11, 0, &[])[..13]).is_err(), "at the version");
    assert!(parse(&v2(0x21, 0x11, &vec![0; LONGEST])[..FIXED]).is_err(), "at the length");
    assert_eq!(whole(&v2(0x21, 0x11, &vec![7; LONGEST - FIXED])).length, LONGEST);
    let mut almost = SIGNATURE.to_vec();
    almost[11] = b'\r';
    assert!(parse(&almost).is_err() && parse(&almost[..11]) == Ok(None), "at the byte that differs");
}

fn sockets() -> impl Strategy<Value = (SocketAddr, SocketAddr)> {
    let v4 = (any::<[u8; 4]>(), any::<u16>(), any::<[u8; 4]>(), any::<u16>())
        .prop_map(|(a, p, b, q)| (SocketAddr::from((a, p)), SocketAddr::from((b, q))));
    let v6 = (any::<[u8; 16]>(), any::<u16>(), any::<[u8; 16]>(), any::<u16>())
        .prop_map(|(a, p, b, q)| (SocketAddr::from((a, p)), SocketAddr::from((b, q))));
    prop_oneof![v4, v6]
}

fn written(version: u8, (source, destination): (SocketAddr, SocketAddr), tlvs: &[u8]) -> Vec<u8> {
    let octets = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let (p, q) = (source.port(), destination.port());
    if version == 1 {
        let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
        return format!("PROXY {family} {} {} {p} {q}\r\n", source.ip(), destination.ip()).into_bytes();
    }
    let family = if source.is_ipv4() { 0x11 } else { 0x21 };
    let ports = [p.to_be_bytes(), q.to_be_bytes()].concat();
    v2(0x21, family, &[&octets(source.ip())[..], &octets(destination.ip()), &ports, tlvs].concat())
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        version in 1u8..=2, ends in sockets(), tlvs in prop::collection::vec(any::<u8>(), 0..300),
        more in prop::collection::vec(any::<u8>(), 0..50),
    ) {
        let header = written(version, ends, &tlvs);
        let wanted = Header { ends: Some(ends), length: header.len() };
        prop_assert_eq!(parse(&[&header[..], &more].concat()), Ok(Some(wanted)));
    }

    #[test]
    fn nothing_is_decided_before_the_last_byte(
        version in 1u8..=2, ends in sockets(), tlvs in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let header = written(version, ends, &tlvs);
        for cut in 0..header.len() {
            prop_assert_eq!(parse(&header[..cut]), Ok(None), "{} of {}", cut, header.len());
        }
    }

    #[test]
    fn any_bytes_are_borne_and_a_verdict_does_not_change_with_what_follows(
        start in prop::sample::select(vec![&b""[..], WORD, SIGNATURE, b"PROXY TCP4 ", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"]),
        rest in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let input = [start, &rest].concat();
        let mut verdict = None;
        for cut in 0..=input.len() {
            let now = parse(&input[..cut]);
            if let Some(before) = verdict {
                prop_assert_eq!(now, before, "{} bytes", cut);
            } else if now != Ok(None) {
                verdict = Some(now);
            }
        }
    }
}
