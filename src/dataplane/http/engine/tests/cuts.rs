//! However the bytes are cut on their way, the same comes out.

use super::*;
use proptest::prelude::*;

/// Pieces that messages – good, bad and broken – are made of.
fn request_bytes() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => prop::sample::select(vec![
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
            "POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\n1234567",
            "POST /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n0A\r\n0123456789\r\n0\r\nT: 1\r\n\r\n",
            "HEAD http://b/x HTTP/1.1\r\nHost: c\r\nX: \t y \r\n\r\n",
            "\r\n",
        ]).prop_map(|s| s.as_bytes().to_vec()),
        1 => prop::sample::select(vec![
            "GET / HTTP/1.1\n\n", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "\r", "x",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", "\r\r\n", "\0",
        ]).prop_map(|s| s.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..20),
    ];
    prop::collection::vec(piece, 1..6).prop_map(|pieces| pieces.concat())
}

fn response_bytes() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 103 Early\r\nLink: x\r\n\r\n",
        "HTTP/1.1 101 Switch\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1;y\r\n!\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\n\r\nuntil the end",
        "HTTP/1.1 204 No\r\n\r\n",
        "HTTP/1.1 304 Not\r\nContent-Length: 9\r\n\r\n",
        "surplus",
        "\r\n",
        "\n",
    ]);
    prop::collection::vec(piece, 1..5).prop_map(|pieces| pieces.concat().into_bytes())
}

/// `input` in pieces of these lengths, over and over.
fn cut<'a>(mut input: &'a [u8], lengths: &'a [usize]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    for length in lengths.iter().cycle() {
        if input.is_empty() {
            break;
        }
        let (piece, rest) = input.split_at((*length).min(input.len()));
        pieces.push(piece);
        input = rest;
    }
    pieces
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..Default::default() })]

    #[test]
    fn requests_come_out_the_same(input in request_bytes(), lengths in prop::collection::vec(1usize..40, 1..8)) {
        let whole = to_backend([&input[..]]);
        prop_assert_eq!(&whole, &to_backend(cut(&input, &lengths)));
        prop_assert_eq!(&whole, &to_backend(input.chunks(1)));
    }

    #[test]
    fn responses_come_out_the_same(
        input in response_bytes(),
        lengths in prop::collection::vec(1usize..40, 1..8),
        head_only: bool,
        upgrade: bool,
        old: bool,
    ) {
        let asked = Asked { head_only, upgrade };
        let reply = reply(if old { Version::Http10 } else { Version::Http11 });
        let whole = to_client(asked, &reply, [&input[..]]);
        prop_assert_eq!(&whole, &to_client(asked, &reply, cut(&input, &lengths)));
        prop_assert_eq!(&whole, &to_client(asked, &reply, input.chunks(1)));
    }

    /// Whatever is sent, what a backend gets is a request that this engine reads as exactly that request.
    #[test]
    fn what_goes_out_is_read_as_what_was_meant(input in request_bytes()) {
        for message in to_backend([&input[..]]).messages {
            let head_end = message.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
            let again = Request::parse(&message[..head_end]).unwrap();
            prop_assert_eq!(again.version, Version::Http11);
            prop_assert!(again.host.is_some());
            prop_assert!(again.target.starts_with('/') || again.target == "*");
        }
    }

    #[test]
    fn a_chunked_body_survives_the_round_trip(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..8)) {
        let mut wire = Vec::new();
        for part in &parts {
            BodyWriter::Chunked.write(part, &mut wire);
        }
        BodyWriter::Chunked.end(&mut wire);
        wire.extend_from_slice(b"next");
        let mut reader = BodyReader::new(Framing::Chunked);
        let (mut at, mut got) = (0, Vec::new());
        loop {
            let (n, part) = reader.next(&wire[at..]).unwrap();
            at += n;
            match part {
                Part::Data(data) => got.extend_from_slice(data),
                Part::End => break,
                Part::More => prop_assert!(false, "the body is all there"),
            }
        }
        prop_assert_eq!(got, parts.concat());
        prop_assert_eq!(&wire[at..], b"next");
        prop_assert!(reader.is_done() && reader.may_end());
    }
}
