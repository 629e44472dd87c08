use super::*;

const GET: Asked = Asked { head_only: false, upgrade: false };
const HEAD: Asked = Asked { head_only: true, upgrade: false };
const UPGRADE: Asked = Asked { head_only: false, upgrade: true };

fn answer(asked: Asked, version: Version, input: &str) -> ToClient {
    to_client(asked, &reply(version), [input.as_bytes()])
}

#[test]
fn responses_are_framed_for_the_client() {
    use Version::{Http10, Http11};
    let ok = "HTTP/1.1 200 OK\r\n";
    for (asked, version, input, wanted, keep_alive, reusable) in [
        (
            GET,
            Http11,
            "Content-Length: 2, 2\r\nA: b\r\n\r\nhi",
            "A: b\r\nVia: 1.1 lbagent\r\nContent-Length: 2\r\n\r\nhi",
            true,
            true,
        ),
        (
            GET,
            Http10,
            "Content-Length: 2\r\n\r\nhi",
            "Via: 1.1 lbagent\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nhi",
            true,
            true,
        ),
        (
            GET,
            Http11,
            "Transfer-Encoding: chunked\r\nTrailer: T\r\n\r\n2;x\r\nhi\r\n0\r\nT: 1\r\n\r\n",
            "Via: 1.1 lbagent\r\nTransfer-Encoding: chunked\r\n\r\nhi",
            true,
            true,
        ),
        // No chunks to HTTP/1.0: the end of the connection is the end of the body.
        (
            GET,
            Http10,
            "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
            "Via: 1.1 lbagent\r\nConnection: close\r\n\r\nhi",
            false,
            true,
        ),
        // RFC 9112 section 6.3: the coding counts, the length goes, the connection too.
        (
            GET,
            Http11,
            "Content-Length: 50\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
            "Via: 1.1 lbagent\r\nTransfer-Encoding: chunked\r\n\r\nhi",
            true,
            false,
        ),
        (
            GET,
            Http11,
            "Connection: close, X\r\nX: 1\r\nKeep-Alive: 5\r\nProxy-Connection: y\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n",
            "Via: 1.1 lbagent\r\nContent-Length: 0\r\n\r\n",
            true,
            false,
        ),
        // A HEAD has the fields and no body, whatever they say; but who knows whether the backend knows.
        (HEAD, Http11, "Content-Length: 99\r\n\r\n", "Via: 1.1 lbagent\r\nContent-Length: 99\r\n\r\n", true, false),
        (HEAD, Http11, "Transfer-Encoding: chunked\r\n\r\n", "Via: 1.1 lbagent\r\n\r\n", true, false),
        (HEAD, Http11, "\r\n", "Via: 1.1 lbagent\r\n\r\n", true, true),
    ] {
        let seen = answer(asked, version, &format!("{ok}{input}"));
        assert_eq!(text(&seen.bytes), format!("{ok}{wanted}"), "{input:?} to {version:?}");
        assert!(seen.complete && seen.rest.is_empty(), "{input:?}");
        assert_eq!((seen.keep_alive, seen.reusable), (keep_alive, reusable), "{input:?} to {version:?}");
    }
}

#[test]
fn statuses_without_a_body_have_none() {
    for (start, wanted) in [
        ("204 No Content", "HTTP/1.1 204 No Content\r\nVia: 1.1 lbagent\r\n\r\n"),
        ("304 Not Modified", "HTTP/1.1 304 Not Modified\r\nVia: 1.1 lbagent\r\nContent-Length: 7\r\n\r\n"),
    ] {
        let seen = answer(GET, Version::Http11, &format!("HTTP/1.1 {start}\r\nContent-Length: 7\r\n\r\nsurplus"));
        assert_eq!(text(&seen.bytes), wanted);
        assert!(seen.complete);
        assert_eq!(seen.rest, b"surplus", "bytes after the response are not part of it");
    }
}

#[test]
fn a_body_until_close_is_complete_only_at_the_close() {
    for (version, framing) in
        [(Version::Http11, "Transfer-Encoding: chunked\r\n"), (Version::Http10, "Connection: close\r\n")]
    {
        let seen = answer(GET, version, "HTTP/1.0 200 Fine\r\n\r\nall of it");
        assert_eq!(text(&seen.bytes), format!("HTTP/1.1 200 Fine\r\nVia: 1.0 lbagent\r\n{framing}\r\nall of it"));
        assert!(!seen.complete && seen.may_end && !seen.reusable);
    }
}

#[test]
fn a_truncated_body_may_not_end() {
    for input in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcd",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
    ] {
        let seen = answer(GET, Version::Http11, input);
        assert!(!seen.complete && !seen.may_end && seen.bad.is_none(), "{input:?}");
    }
}

#[test]
fn interim_responses_come_before_the_final_one() {
    let seen = answer(
        GET,
        Version::Http11,
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 3\r\n\r\n\
         HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
    );
    assert_eq!(
        text(&seen.bytes),
        "HTTP/1.1 100 Continue\r\nVia: 1.1 lbagent\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\nVia: 1.1 lbagent\r\n\r\n\
         HTTP/1.1 200 OK\r\nVia: 1.1 lbagent\r\nContent-Length: 1\r\n\r\nx"
    );
    assert!(seen.complete);
}

#[test]
fn an_upgrade_that_was_asked_for_ends_http() {
    let input = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nA: b\r\n\r\n\x01\x02";
    let seen = answer(UPGRADE, Version::Http11, input);
    assert_eq!(
        text(&seen.bytes),
        "HTTP/1.1 101 Switching Protocols\r\nA: b\r\nVia: 1.1 lbagent\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
    );
    assert!(seen.switched && !seen.complete);
    assert_eq!(seen.rest, b"\x01\x02", "the new protocol's first bytes");
    assert!(answer(GET, Version::Http11, input).bad.is_some(), "unasked");
}

#[test]
fn a_cookie_is_added() {
    let reply = Reply {
        keep: Keep::Insert { cookie: "LB", backend: "webA", attributes: "; Path=/; HttpOnly; SameSite=Lax" },
        keep_alive: false,
        version: Version::Http11,
    };
    let seen = to_client(GET, &reply, [&b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n"[..]]);
    let text = text(&seen.bytes);
    assert!(text.contains("\r\nSet-Cookie: a=b\r\n"), "{text}");
    assert!(text.contains("\r\nSet-Cookie: LB=webA; Path=/; HttpOnly; SameSite=Lax\r\n"), "{text}");
    assert!(text.contains("\r\nConnection: close\r\n") && !seen.keep_alive, "{text}");
}

#[test]
fn what_makes_no_sense_is_a_bad_response() {
    for input in [
        "ICY 200 OK\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1 99 Low\r\n\r\n",
        "HTTP/1.1 099 Low\r\n\r\n",
        "HTTP/1.1 2000 High\r\n\r\n",
        "HTTP/1.1 200 OK\n\n",
        "\r\nHTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    ] {
        let seen = answer(GET, Version::Http11, input);
        assert!(seen.bad.is_some() && !seen.complete, "{input:?} gave {:?}", text(&seen.bytes));
    }
    let endless = format!("HTTP/1.1 200 OK\r\nA: {}", "x".repeat(MAX_HEAD));
    assert!(answer(GET, Version::Http11, &endless).bad.is_some());
}
