use super::*;
use proptest::prelude::*;
use std::path::Path;

fn keys(text: &str) -> Keyring {
    Keyring::parse(Path::new("test"), text).unwrap()
}

fn ring() -> Keyring {
    keys("k1 000102030405060708090a0b0c0d0e0f")
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn claim(last: u8) -> Claim {
    Claim {
        ip: IpAddr::from([198, 51, 100, last]),
        role: Role::Active,
        epoch: 12,
        digest: Digest(0xd1_6e57),
        holding: true,
        asks: false,
        claiming: false,
        eligible: true,
        takes_part: true,
        settled: true,
        verified: true,
        lost: false,
        sees_silence: false,
        has_references: true,
        offer: None,
        reason: String::new(),
    }
}

fn packet() -> Packet {
    Packet {
        sender: name("lb1"),
        destination: name("lb2"),
        path: 1,
        session: 0x1111_2222_3333_4444,
        seq: 7,
        round: 9,
        slice: 0,
        slices: 1,
        interval: Duration::from_millis(25),
        dead_after: Duration::from_millis(100),
        echo: Some(Echo { session: 5, seq: 6, hold: Duration::from_micros(250), hears_you: true }),
        version: "0.1.0".into(),
        macs: vec![Mac([2, 0, 0, 0, 0, 1])],
        fenced: true,
        fronts: vec![IpAddr::from([198, 51, 100, 1])],
        claims: vec![claim(10)],
    }
}

/// Signs `body` as a datagram of version `major.minor`.
fn signed(major: u8, minor: u8, body: &[u8]) -> Vec<u8> {
    let ring = ring();
    let mut bytes = [MAGIC.as_slice(), &[major, minor, 0, 0], &ring.signing_tag()].concat();
    let code = ring.sign(&[&bytes, body]);
    bytes.extend(code);
    bytes.extend(body);
    bytes
}

fn body_of(packet: &Packet) -> Vec<u8> {
    encode(packet, &ring())[HEADER_LEN..].to_vec()
}

/// What goes over the wire today must still be understood tomorrow: this text changes only together with `MINOR`.
#[test]
fn golden_bytes() {
    let hex: String = encode(&packet(), &ring()).iter().map(|byte| format!("{byte:02x}")).collect();
    let golden = include_str!("golden.hex").replace(char::is_whitespace, "");
    assert_eq!(hex, golden);
}

/// A peer of the release before this one: what it does not say has the meaning that it had then.
#[test]
fn version_n_minus_one_is_understood() {
    let hex = include_str!("golden_1_0.hex").replace(char::is_whitespace, "");
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    let bytes: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
    let older = Claim { has_references: false, ..claim(10) };
    let packet = Packet { fenced: false, fronts: Vec::new(), claims: vec![older], ..packet() };
    assert_eq!(decode(&bytes, &ring()), Ok(packet));
}

#[test]
fn version_n_plus_one_with_fields_of_its_own_is_understood() {
    let mut body = vec![0xff, 0xfe, 0, 3, 1, 2, 3];
    body.extend(body_of(&packet()));
    body.extend([0x7f, 0, 0, 0]);
    assert_eq!(decode(&signed(MAJOR, MINOR + 1, &body), &ring()), Ok(packet()));
}

#[test]
fn a_field_that_has_grown_at_its_end_is_understood() {
    let mut body = Vec::new();
    let original = body_of(&packet());
    let mut rest = original.as_slice();
    while let [kind_high, kind_low, len_high, len_low, tail @ ..] = rest {
        let len = usize::from(u16::from_be_bytes([*len_high, *len_low]));
        let grown = matches!(u16::from_be_bytes([*kind_high, *kind_low]), 3 | 4 | 7);
        body.extend([*kind_high, *kind_low]);
        body.extend(((len + 2 * usize::from(grown)) as u16).to_be_bytes());
        body.extend(&tail[..len]);
        body.extend(if grown { [9, 9].as_slice() } else { &[] });
        rest = &tail[len..];
    }
    assert_eq!(decode(&signed(MAJOR, MINOR + 1, &body), &ring()), Ok(packet()));
}

#[test]
fn another_major_version_is_refused_before_anything_else() {
    let bytes = signed(MAJOR + 1, 0, &body_of(&packet()));
    assert_eq!(decode(&bytes, &ring()), Err(DecodeError::WrongVersion));
}

#[test]
fn keys_rotate_and_strangers_are_refused() {
    let bytes = encode(&packet(), &ring());
    let rotated = keys("k2 ffffffffffffffffffffffffffffffff\nk1 000102030405060708090a0b0c0d0e0f");
    assert_eq!(decode(&bytes, &rotated), Ok(packet()));
    let same_id = keys("k1 ffffffffffffffffffffffffffffffff");
    assert_eq!(decode(&bytes, &same_id), Err(DecodeError::WrongKey));
    let same_secret = keys("k9 000102030405060708090a0b0c0d0e0f");
    assert_eq!(decode(&bytes, &same_secret), Err(DecodeError::WrongKey));
}

#[test]
fn every_bit_that_flips_and_every_cut_is_noticed() {
    let bytes = encode(&packet(), &ring());
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(decode(&flipped, &ring()).is_err(), "bit {bit}");
    }
    for len in 0..bytes.len() {
        let expected = if len < HEADER_LEN { DecodeError::Truncated } else { DecodeError::WrongKey };
        assert_eq!(decode(&bytes[..len], &ring()), Err(expected), "cut at {len}");
    }
}

#[test]
fn authentic_nonsense_is_refused() {
    let refused = |body: &[u8]| decode(&signed(MAJOR, MINOR, body), &ring()).unwrap_err();
    assert_eq!(refused(&[]), DecodeError::Malformed);
    assert_eq!(refused(&[0]), DecodeError::Truncated);
    assert_eq!(refused(&[0, 1, 0, 9, b'x']), DecodeError::Truncated);
    assert_eq!(refused(&[0, 1, 0, 1, b'/']), DecodeError::Malformed);
    for broken in [
        Packet { slices: 0, ..packet() },
        Packet { slice: 1, ..packet() },
        Packet { seq: 0, ..packet() },
        Packet { interval: Duration::ZERO, ..packet() },
    ] {
        assert_eq!(refused(&body_of(&broken)), DecodeError::Malformed);
    }
    assert_eq!(decode(&vec![0; MAX_DATAGRAM + 1], &ring()), Err(DecodeError::Oversized));
    assert_eq!(decode(b"GET / HTTP/1.1", &ring()), Err(DecodeError::NotHeartbeat));
    assert_eq!(decode(&[0; 100], &ring()), Err(DecodeError::NotHeartbeat));
}

#[test]
fn the_fullest_datagram_fits_and_control_characters_do_not_arrive() {
    let long = Claim { offer: Some((name(&"a".repeat(63)), u64::MAX)), reason: "é\n".repeat(200), ..claim(1) };
    let full = Packet {
        sender: name(&"s".repeat(63)),
        destination: name(&"d".repeat(63)),
        version: "v".repeat(500),
        macs: vec![Mac([0xff; 6]); 500],
        fronts: vec![IpAddr::from([0xff; 16]); 500],
        claims: vec![long; 50],
        ..packet()
    };
    let bytes = encode(&full, &ring());
    assert!(bytes.len() <= MAX_DATAGRAM, "{}", bytes.len());
    let read = decode(&bytes, &ring()).unwrap();
    assert_eq!((read.macs.len(), read.fronts.len()), (MAX_MACS, MAX_FRONTS));
    assert_eq!(read.claims[0].reason, "é".repeat(40));
}

#[test]
fn many_claims_travel_in_several_slices() {
    assert_eq!(slices(Vec::new()), [Vec::new()]);
    let claims: Vec<Claim> = (0..=255).map(claim).collect();
    let cut = slices(claims.clone());
    assert!(cut.len() > 10);
    let mut arrived = Vec::new();
    for slice in cut {
        let bytes = encode(&Packet { claims: slice, ..packet() }, &ring());
        assert!(bytes.len() <= MAX_DATAGRAM);
        arrived.extend(decode(&bytes, &ring()).unwrap().claims);
    }
    assert_eq!(arrived, claims);
}

prop_compose! {
    fn any_name()(text in "[a-zA-Z0-9]([a-zA-Z0-9._-]{0,61}[a-zA-Z0-9])?") -> Name {
        name(&text)
    }
}

prop_compose! {
    fn any_claim()(
        ip in any::<IpAddr>(), role in prop::sample::select(vec![Role::Initialize, Role::Backup, Role::Active]),
        epoch in any::<u64>(), digest in any::<u64>(), flags in any::<[bool; 10]>(),
        offer in prop::option::of((any_name(), any::<u64>())), reason in "[a-z é]{0,60}",
    ) -> Claim {
        let [holding, asks, claiming, eligible, takes_part, settled, verified, lost, sees_silence, has_references] = flags;
        Claim {
            ip, role, epoch, digest: Digest(digest), holding, asks, claiming, eligible, takes_part, settled, verified,
            lost, sees_silence, has_references, offer, reason,
        }
    }
}

prop_compose! {
    fn any_packet()(
        names in (any_name(), any_name()), path in any::<u8>(), session in any::<u64>(), seq in 1..u64::MAX,
        round in any::<u64>(), slice in 0u16..100, times in (1u64..1 << 40, 0u64..1 << 40, 0u64..1 << 40),
        echo in prop::option::of((any::<u64>(), any::<u64>(), any::<bool>())), version in "[0-9a-z.]{0,32}",
        macs in prop::collection::vec(any::<[u8; 6]>().prop_map(Mac), 0..10), fenced in any::<bool>(),
        fronts in prop::collection::vec(any::<IpAddr>(), 0..MAX_FRONTS),
        claims in prop::collection::vec(any_claim(), 0..3),
    ) -> Packet {
        let (interval, dead_after, hold) = times;
        Packet {
            sender: names.0, destination: names.1, path, session, seq, round, slice, slices: slice + 1,
            interval: Duration::from_micros(interval), dead_after: Duration::from_micros(dead_after),
            echo: echo.map(|(session, seq, hears_you)| Echo {
                session, seq, hold: Duration::from_micros(hold), hears_you,
            }),
            version, macs, fenced, fronts, claims,
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(packet in any_packet()) {
        prop_assume!(slices(packet.claims.clone()).len() == 1);
        prop_assert_eq!(decode(&encode(&packet, &ring()), &ring()), Ok(packet));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..1500)) {
        prop_assert!(decode(&bytes, &ring()).is_err());
    }

    #[test]
    fn arbitrary_authentic_bodies_never_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&signed(MAJOR, MINOR, &body), &ring());
    }

    #[test]
    fn an_authentic_body_altered_anywhere_never_panics(at in 0usize..300, byte in any::<u8>()) {
        let mut body = body_of(&packet());
        let at = at % body.len();
        body[at] = byte;
        let _ = decode(&signed(MAJOR, MINOR, &body), &ring());
    }
}
