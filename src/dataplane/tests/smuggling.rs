//! Messages that are made to be read differently by two parsers: what the client is told, and what a backend sees of
//! them – nothing, or one message that has only one meaning.

use super::{harness::*, recorder::*};
use crate::dataplane::http::engine::{MAX_FIELDS, MAX_HEAD, MAX_START_LINE};
use std::{io::Write, net::Shutdown};

/// What came of some bytes.
struct Outcome {
    /// Statuses of the responses, in order.
    answers: Vec<u16>,
    /// What the backend got whole, in order.
    requests: Vec<(String, Vec<u8>)>,
    /// What the backend got of a request that did not come whole.
    rest: Vec<u8>,
}

/// Sends `input` in pieces of `size` bytes, then a FIN, and reads all that comes back.
fn send(input: &[u8], size: usize) -> Outcome {
    let recorder = Recorder::start();
    let lab = Setup::http(&[recorder.server.address]).run_on_one_worker();
    let mut client = lab.connect();
    for piece in input.chunks(size) {
        // It may have been refused already.
        if client.stream.write_all(piece).is_err() {
            break;
        }
    }
    let _ = client.stream.shutdown(Shutdown::Write);
    let mut answers = Vec::new();
    while let Ok(message) = client.try_message(false) {
        answers.push(message.status());
    }
    drop((client, lab));
    let heard = recorder.heard();
    assert!(heard.iter().filter(|h| !h.rest.is_empty()).count() <= 1);
    let rest = heard.iter().flat_map(|h| h.rest.clone()).collect();
    let requests = heard.into_iter().flat_map(|h| h.requests).collect();
    Outcome { answers, requests, rest }
}

fn both_ways(input: &[u8], check: impl Fn(&Outcome, &str)) {
    let shown = String::from_utf8_lossy(&input[..input.len().min(160)]).into_owned();
    check(&send(input, input.len()), &shown);
    if input.len() < 1000 {
        check(&send(input, 1), &format!("byte by byte: {shown}"));
    }
}

/// The client is told this status and nothing else, and no backend hears of it.
fn assert_refused(input: &[u8], status: u16) {
    both_ways(input, |outcome, shown| {
        assert_eq!(outcome.answers, [status], "{shown:?}");
        assert!(outcome.requests.is_empty() && outcome.rest.is_empty(), "{:?} of {shown:?}", outcome.requests);
    });
}

/// Two requests: this head with this after it, where `next` must not become a request of its own.
fn post(fields: &str, body: &str) -> Vec<u8> {
    format!("POST /outer HTTP/1.1\r\nHost: t\r\n{fields}\r\n\r\n{body}").into_bytes()
}

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: t\r\n\r\n";
const NO_CHUNKS: &str = "0\r\n\r\n";

#[test]
fn a_body_with_two_ends_is_refused() {
    let both = format!("{NO_CHUNKS}{SMUGGLED}");
    for fields in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 40\r\nTransfer-Encoding: chunked",
        "Content-Length: 0\r\nTransfer-Encoding: chunked",
        "Content-Length: 5\r\nContent-Length: 40",
        "Content-Length: 40\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5, 40",
        "Content-Length: 5, 5",
        "Content-Length: 5\r\nX: y\r\ncontent-length: 40",
        "Content-Length: +5",
        "Content-Length: -5",
        "Content-Length: 0x5",
        "Content-Length: 5 5",
        "Content-Length: 5;",
        "Content-Length: 5.0",
        "Content-Length: \u{661}",
        "Content-Length:",
        "Content-Length: 18446744073709551621",
        "Content-Length: 99999999999999999999999999",
    ] {
        assert_refused(&post(fields, &both), 400);
    }
}

#[test]
fn a_transfer_coding_in_disguise_is_refused() {
    let both = format!("{NO_CHUNKS}{SMUGGLED}");
    for (fields, status) in [
        ("Transfer-Encoding: xchunked", 501),
        ("Transfer-Encoding: chunke", 501),
        ("Transfer-Encoding: \"chunked\"", 501),
        ("Transfer-Encoding: 'chunked'", 501),
        ("Transfer-Encoding: chunked;", 501),
        ("Transfer-Encoding: chunked; q=1", 501),
        ("Transfer-Encoding: identity", 501),
        ("Transfer-Encoding: identity, chunked", 501),
        ("Transfer-Encoding: gzip, chunked", 501),
        ("Transfer-Encoding: chunked, identity", 400),
        ("Transfer-Encoding: chunked, chunked", 400),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", 400),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: x", 400),
        ("Transfer-Encoding: x\r\nTransfer-Encoding: chunked", 501),
        ("Transfer-Encoding:", 400),
        ("Transfer-Encoding: ,", 400),
        ("Transfer-Encoding : chunked", 400),
        ("Transfer-Encoding\t: chunked", 400),
        (" Transfer-Encoding: chunked", 400),
        ("X: y\r\n Transfer-Encoding: chunked", 400),
        ("Transfer-Encoding\r\n : chunked", 400),
        ("Transfer-Encoding:\r\n chunked", 400),
        ("Transfer-Encoding:\r\n\tchunked", 400),
        ("X: y\nTransfer-Encoding: chunked", 400),
        ("X: y\rTransfer-Encoding: chunked", 400),
        ("Transfer-Encoding: chunked\r", 400),
        ("Transfer-Encoding: \u{b}chunked", 400),
        ("Transfer-Encoding: chunked\u{c}", 400),
        ("Transfer-Encoding: chunked\0", 400),
        ("Transfer-Encoding: \u{a0}chunked", 501),
        ("Transfer-Encoding\u{2010}: chunked", 400),
    ] {
        assert_refused(&post(fields, &both), status);
        assert_refused(&post(&format!("Content-Length: 5\r\n{fields}"), &both), 400);
    }
    assert_refused(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400);
    assert_refused(b"POST / HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400);
}

#[test]
fn a_line_that_two_parsers_end_in_two_places_is_refused() {
    for head in [
        "GET / HTTP/1.1\nHost: t\n\n",
        "GET / HTTP/1.1\r\nHost: t\n\r\n",
        "GET / HTTP/1.1\nHost: t\r\n\r\n",
        "GET / HTTP/1.1\rHost: t\r\r",
        "GET / HTTP/1.1\r\nHost: t\r\n\n",
        "GET / HTTP/1.1\r\nHost: t\r\nX: a\rY: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: t\r\nX: a\nY: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: t\r\nX: a\0b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: t\0\r\n\r\n",
        "GET /\0 HTTP/1.1\r\nHost: t\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: t\r\nX: a\r\n b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: t\r\nX: a\r\n\tb\r\n\r\n",
        "GET / HTTP/1.1\r\n Host: t\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : t\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: t\r\nX : a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: t\r\nX\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: t\r\n: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: t\r\nX[]: a\r\n\r\n",
        "\nGET / HTTP/1.1\r\nHost: t\r\n\r\n",
        " GET / HTTP/1.1\r\nHost: t\r\n\r\n",
        "GET\t/ HTTP/1.1\r\nHost: t\r\n\r\n",
        "GET /\tHTTP/1.1\r\nHost: t\r\n\r\n",
        "GET / smuggled HTTP/1.1\r\nHost: t\r\n\r\n",
        "GET / HTTP/1.1\u{b}\r\nHost: t\r\n\r\n",
    ] {
        assert_refused(format!("{head}{SMUGGLED}").as_bytes(), 400);
    }
}

#[test]
fn other_versions_and_other_protocols_are_refused() {
    for (input, status) in [
        (&b"GET /\r\n\r\n"[..], 400),
        (b"GET / HTTP/0.9\r\nHost: t\r\n\r\n", 400),
        (b"GET / HTTP/1.2\r\nHost: t\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\nHost: t\r\n\r\n", 400),
        (b"GET / HTTP/1.10\r\nHost: t\r\n\r\n", 400),
        (b"GET / HTTP/11\r\nHost: t\r\n\r\n", 400),
        (b"GET / http/1.1\r\nHost: t\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET / HTTP/1.1\r\nHost: t\r\n\r\n", 400),
        (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\x7f\x00\x00\x01\x7f\x00\x00\x01\x00\x01\x00\x02", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"SSH-2.0-OpenSSH_9.9\r\n\r\n", 400),
        (b"CONNECT t:443 HTTP/1.1\r\nHost: t:443\r\n\r\n", 501),
    ] {
        assert_refused(input, status);
    }
    both_ways(b"GET /\r\n", |outcome, shown| {
        assert!(outcome.answers.is_empty() && outcome.requests.is_empty(), "half a head is nothing: {shown:?}");
    });
}

#[test]
fn a_request_for_two_hosts_is_refused_or_made_one() {
    for fields in ["", "Host: t\r\nHost: t\r\n", "Host: t\r\nHost: u\r\n", "Host: t\r\nhost: u\r\n", "Host: t u\r\n"] {
        assert_refused(format!("GET / HTTP/1.1\r\n{fields}\r\n").as_bytes(), 400);
        assert_refused(format!("GET http://t/ HTTP/1.1\r\n{fields}\r\n").as_bytes(), 400);
    }
    for host in ["t/u", "t@u", "t,u", "t:80:80", "t:x", "[::g]", "t\\u", "t\u{7f}", "t?u", "t#u", "\"t\""] {
        assert_refused(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes(), 400);
    }
    for target in ["http://u@t/", "http://", "http:///x", "//", "ftp://t/", "http:/t/", "t", "*", "/a#b", "/\u{e9}"] {
        let expected = if target == "//" { 200 } else { 400 };
        both_ways(format!("GET {target} HTTP/1.1\r\nHost: t\r\n\r\n").as_bytes(), |outcome, shown| {
            assert_eq!(outcome.answers, [expected], "{shown:?}");
        });
    }
}

/// The target's authority is the one that counts, and the only one that goes on.
#[test]
fn an_absolute_target_overrides_the_host() {
    let server = Server::named("a");
    let lab = Setup::http(&[server.address]).run();
    let mut client = lab.connect();
    client.ask("GET http://inner.example/x?y HTTP/1.1\r\nHost: outer.example\r\n\r\n");
    let head = &server.seen()[0].head;
    assert!(head.starts_with("GET /x?y HTTP/1.1\r\nHost: inner.example\r\n") && !head.contains("outer"), "{head}");
}

#[test]
fn too_much_of_a_head_is_refused() {
    let long = |n: usize| "x".repeat(n);
    let many = |n: usize| "X: y\r\n".repeat(n);
    for (head, status) in [
        (format!("GET /{} HTTP/1.1\r\nHost: t\r\n\r\n", long(MAX_START_LINE)), 414),
        (format!("{} / HTTP/1.1\r\nHost: t\r\n\r\n", long(MAX_START_LINE)), 414),
        (format!("GET /{}", long(MAX_START_LINE)), 414),
        (format!("GET / HTTP/1.1\r\nHost: t\r\nX: {}\r\n\r\n", long(MAX_HEAD)), 431),
        (format!("GET / HTTP/1.1\r\nHost: t\r\n{}: y\r\n\r\n", long(MAX_HEAD)), 431),
        (format!("GET / HTTP/1.1\r\nHost: t\r\nX: {}", long(MAX_HEAD)), 431),
        (format!("GET / HTTP/1.1\r\nHost: t\r\n{}\r\n", many(MAX_FIELDS)), 431),
        (format!("GET / HTTP/1.1\r\nHost: t\r\n{}", many(MAX_HEAD)), 431),
    ] {
        assert_refused(head.as_bytes(), status);
    }
    let most = format!("GET /most HTTP/1.1\r\nHost: t\r\n{}\r\n", many(MAX_FIELDS - 1));
    both_ways(most.as_bytes(), |outcome, _| assert_eq!(outcome.answers, [200]));
}

#[test]
fn what_is_in_a_body_is_no_request() {
    let n = SMUGGLED.len();
    for input in [
        post(&format!("Content-Length: {n}"), SMUGGLED),
        post(&format!("Content-Length: 000{n}"), SMUGGLED),
        post("Transfer-Encoding: chunked", &format!("{n:x}\r\n{SMUGGLED}\r\n0\r\n\r\n")),
        post("Transfer-Encoding:\tChunKed ", &format!("{n:X}\r\n{SMUGGLED}\r\n0\r\n\r\n")),
        post("Transfer-Encoding: chunked", &format!("0000{n:x};a=\"b\";c\r\n{SMUGGLED}\r\n0;x\r\n\r\n")),
        post(
            "Transfer-Encoding: chunked",
            &format!("{n:x}\r\n{SMUGGLED}\r\n0\r\nContent-Length: 9\r\nHost: u\r\n\r\n"),
        ),
        format!("GET /outer HTTP/1.1\r\nHost: t\r\nContent-Length: {n}\r\n\r\n{SMUGGLED}").into_bytes(),
        format!("GET /outer HTTP/1.0\r\nContent-Length: {n}\r\n\r\n{SMUGGLED}").into_bytes(),
        format!("DELETE http://t/outer HTTP/1.1\r\nHost: t\r\nContent-Length: {n}\r\n\r\n{SMUGGLED}").into_bytes(),
    ] {
        both_ways(&input, |outcome, shown| {
            assert_eq!(outcome.requests, [("/outer".to_owned(), SMUGGLED.as_bytes().to_vec())], "{shown:?}");
            assert!(outcome.answers == [200] && outcome.rest.is_empty(), "{:?} {shown:?}", outcome.answers);
        });
    }
}

#[test]
fn fields_that_only_look_like_framing_or_are_meant_for_this_hop_change_nothing() {
    for fields in [
        "Content_Length: 5",
        "Transfer_Encoding: chunked",
        "X-Content-Length: 5",
        "Connection: Content-Length",
        "Connection: Transfer-Encoding, Host",
        "Connection: close, X-Forwarded-For",
        "Proxy-Connection: keep-alive",
        "TE: chunked",
        "Trailer: Content-Length",
        "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nConnection: Upgrade, HTTP2-Settings",
    ] {
        both_ways(&post(fields, ""), |outcome, shown| {
            assert_eq!(outcome.requests, [("/outer".to_owned(), Vec::new())], "{shown:?}");
            assert_eq!(outcome.answers, [200], "{shown:?}");
        });
    }
    // A length that Connection names still tells where the body ends.
    both_ways(&post("Content-Length: 5\r\nConnection: Content-Length", "12345"), |outcome, shown| {
        assert_eq!(outcome.requests, [("/outer".to_owned(), b"12345".to_vec())], "{shown:?}");
    });
}

#[test]
fn a_body_with_broken_framing_is_never_whole_for_the_backend() {
    let huge = format!("{}3\r\nabc\r\n0\r\n\r\n", "0".repeat(16));
    for chunks in [
        "2\r\nabc\r\n0\r\n\r\n",
        "4\r\nabc\r\n0\r\n\r\n",
        "3\nabc\n0\n\n",
        "3\r\nabc\n0\r\n\r\n",
        "3\rabc\r0\r\r",
        "0x3\r\nabc\r\n0\r\n\r\n",
        "+3\r\nabc\r\n0\r\n\r\n",
        "-1\r\nabc\r\n0\r\n\r\n",
        " 3\r\nabc\r\n0\r\n\r\n",
        "3 \r\nabc\r\n0\r\n\r\n",
        "3\t\r\nabc\r\n0\r\n\r\n",
        "3;\nabc\r\n0\r\n\r\n",
        "3;a\rb\r\nabc\r\n0\r\n\r\n",
        "3;a\0b\r\nabc\r\n0\r\n\r\n",
        "g\r\nabc\r\n0\r\n\r\n",
        "\r\nabc\r\n0\r\n\r\n",
        ";\r\nabc\r\n0\r\n\r\n",
        "10000000000000003\r\nabc\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nabc\r\n0\r\n\r\n",
        &huge,
        "3\r\nabc\r\n0\r\nX: a\nb\r\n\r\n",
        "3\r\nabc\r\n0\r\n\n",
        "3\r\nabc\r\n0\n\r\n",
    ] {
        let input = post("Transfer-Encoding: chunked", &format!("{chunks}{SMUGGLED}"));
        both_ways(&input, |outcome, shown| {
            // A refusal may meet a backend that has the head and some of the body already; it never gets the end.
            assert_eq!(outcome.answers, [400], "{shown:?}");
            assert!(outcome.requests.is_empty(), "{:?} of {shown:?}", outcome.requests);
        });
    }
    for unfinished in
        ["3\r\nab", "3\r\nabc\r\n", "3\r\nabc\r\n0\r\n", "3\r\nabc\r\n0\r\nX: y\r\n", "ffffffffffffffff\r\nabc"]
    {
        both_ways(&post("Transfer-Encoding: chunked", unfinished), |outcome, shown| {
            assert!(outcome.answers.is_empty() && outcome.requests.is_empty(), "{shown:?}");
        });
    }
    both_ways(&post("Content-Length: 40", SMUGGLED), |outcome, shown| {
        assert!(outcome.answers.is_empty() && outcome.requests.is_empty(), "{shown:?}");
    });
    both_ways(&post("Content-Length: 18446744073709551615", SMUGGLED), |outcome, shown| {
        assert!(outcome.answers.is_empty() && outcome.requests.is_empty(), "{shown:?}");
    });
}

/// What came before a refusal has been served; what comes after it is nothing.
#[test]
fn nothing_after_a_refusal_is_read() {
    let first = "GET /first HTTP/1.1\r\nHost: t\r\n\r\n";
    for bad in ["GET / HTTP/1.1\r\n\r\n", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1, 1\r\n\r\nx", "\0"] {
        both_ways(format!("{first}{bad}{SMUGGLED}").as_bytes(), |outcome, shown| {
            assert_eq!(outcome.answers, [200, 400], "{shown:?}");
            assert_eq!(outcome.requests, [("/first".to_owned(), Vec::new())], "{shown:?}");
        });
    }
}
