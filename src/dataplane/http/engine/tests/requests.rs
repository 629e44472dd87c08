use super::*;

/// The only message that comes out, without the fields that every one gets.
fn forwarded(input: &str) -> String {
    let seen = to_backend([input.as_bytes()]);
    assert_eq!((seen.refused, seen.messages.len(), seen.complete), (None, 1, 1), "{input:?}");
    let own = ["X-Forwarded-For: 192.0.2.9\r\n", "X-Forwarded-Proto: http\r\n", "Via: 1.1 lbagent\r\n"];
    own.iter().fold(text(&seen.messages[0]).to_owned(), |message, own| message.replacen(own, "", 1))
}

fn refused(input: &[u8]) -> u16 {
    let seen = to_backend([input]);
    assert!(seen.messages.is_empty(), "a backend saw {:?} of {:?}", seen.messages, String::from_utf8_lossy(input));
    seen.refused.map_or(0, |r| r.status)
}

#[test]
fn good_requests_are_written_anew() {
    for (input, wanted) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Host: a\r\n\r\n"),
        // As it would be written here already.
        (
            "GET /a HTTP/1.1\r\nHost: example\r\nAccept: text/html\r\n\r\n",
            "GET /a HTTP/1.1\r\nHost: example\r\nAccept: text/html\r\nX-Forwarded-Host: example\r\n\r\n",
        ),
        // Names, values and order stay; white space around values, and case of Host, do not matter.
        (
            "GET /x?y=/z HTTP/1.1\r\nAccept:*/*  \r\nhOsT: \ta:81\r\nX-B: 1\r\nx-b: 2\r\nEmpty:\r\n\r\n",
            "GET /x?y=/z HTTP/1.1\r\nHost: a:81\r\nAccept: */*\r\nX-B: 1\r\nx-b: 2\r\nEmpty: \r\n\
             X-Forwarded-Host: a:81\r\n\r\n",
        ),
        // The target's authority overrides the field (RFC 9112 section 3.2.2).
        (
            "GET http://b.example:8080?q HTTP/1.1\r\nHost: evil\r\n\r\n",
            "GET /?q HTTP/1.1\r\nHost: b.example:8080\r\nX-Forwarded-Host: b.example:8080\r\n\r\n",
        ),
        (
            "OPTIONS HTTP://b HTTP/1.1\r\nHost: b\r\n\r\n",
            "OPTIONS * HTTP/1.1\r\nHost: b\r\nX-Forwarded-Host: b\r\n\r\n",
        ),
        ("OPTIONS * HTTP/1.1\r\nHost: b\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: b\r\nX-Forwarded-Host: b\r\n\r\n"),
        // One spelling of a length.
        (
            "POST / HTTP/1.1\r\nHost: a\r\ncontent-length: 0003\r\n\r\nabc",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nX-Forwarded-Host: a\r\n\r\nabc",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: , CHUNKED\r\n\r\n3 ; x=\"y\"\r\nabc\r\n00A;b\r\n0123456789\r\n\
             0\r\nTrailer: x\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nX-Forwarded-Host: a\r\n\r\nabc0123456789<end>",
        ),
        // What belongs to the client's connection ends here, and so does what it nominates.
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: close, X-Mine\r\nConnection: host\r\nX-Mine: 1\r\nX-Other: 2\r\n\
             Keep-Alive: 5\r\nProxy-Connection: x\r\nTE: trailers\r\nTrailer: T\r\nUpgrade: websocket\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX-Other: 2\r\nX-Forwarded-Host: a\r\n\r\n",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Host: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        ),
        // HTTP/2 behind the proxy's back is not offered on.
        (
            "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\nConnection: Upgrade, HTTP2-Settings\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Host: a\r\n\r\n",
        ),
        // Fields that a CGI-like backend cannot tell from the proxy's own.
        (
            "GET / HTTP/1.1\r\nHost: a\r\nX_Forwarded_For: 6.6.6.6\r\nContent_Length: 5\r\nX-Forwarded-Proto: https\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Host: a\r\n\r\n",
        ),
        (
            "OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 3\r\n\r\n",
            "OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 2\r\nX-Forwarded-Host: a\r\n\r\n",
        ),
        (
            "\r\n\r\nGET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: [::1]:80\r\nX-Forwarded-Host: [::1]:80\r\n\r\n",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\nx",
            "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 1\r\nX-Forwarded-Host: a\r\n\r\nx",
        ),
    ] {
        assert_eq!(forwarded(input), wanted);
    }
}

#[test]
fn the_way_here_is_told() {
    let seen =
        to_backend([&b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 10.0.0.1\r\nx-forwarded-for: 10.0.0.2\r\n\
        Via: 1.0 other\r\n\r\n"[..]]);
    let message = text(&seen.messages[0]);
    assert!(message.contains("\r\nX-Forwarded-For: 10.0.0.1, 10.0.0.2, 192.0.2.9\r\n"), "{message}");
    assert!(message.contains("\r\nVia: 1.0 other\r\n") && message.contains("\r\nVia: 1.1 lbagent\r\n"), "{message}");
    assert_eq!(message.matches("X-Forwarded-Proto: http\r\n").count(), 1);
}

#[test]
fn http_1_0_is_forwarded_as_1_1() {
    let seen = to_backend([&b"GET /old HTTP/1.0\r\nExpect: 100-continue\r\n\r\n"[..]]);
    assert_eq!(
        text(&seen.messages[0]),
        "GET /old HTTP/1.1\r\nHost: 198.51.100.10:80\r\nX-Forwarded-For: 192.0.2.9\r\nX-Forwarded-Proto: http\r\n\
         Via: 1.0 lbagent\r\n\r\n"
    );
}

#[test]
fn whether_the_client_goes_on_is_understood() {
    for (head, persistent) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", true),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, CLOSE\r\n\r\n", false),
        ("GET / HTTP/1.0\r\n\r\n", false),
        ("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true),
        ("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", false),
    ] {
        let request = Request::parse(head.as_bytes()).unwrap();
        assert_eq!(request.persistent, persistent, "{head}");
    }
}

/// The table of what a backend must never see. Every entry is refused with its status before a byte goes out.
#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    let with = |fields: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n");
    for (input, status) in [
        // Lines.
        ("GET / HTTP/1.1\nHost: a\n\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: a\n\r\n".to_owned(), 400),
        (with("A: b\rc"), 400),
        (with("A: b\0c"), 400),
        (with("A: b\r\n folded"), 400),
        (with("A: b\r\n\tfolded"), 400),
        (with(" A: b"), 400),
        (with("A : b"), 400),
        (with("A\t: b"), 400),
        (with(": b"), 400),
        (with("A"), 400),
        (with("A\u{e9}: b"), 400),
        (with("A: b\u{7f}"), 400),
        // The request line.
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.2\r\nHost: a\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.01\r\nHost: a\r\n\r\n".to_owned(), 400),
        ("GET / http/1.1\r\nHost: a\r\n\r\n".to_owned(), 400),
        ("GET /\r\n\r\n".to_owned(), 400),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n".to_owned(), 400),
        ("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 400),
        ("GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 400),
        ("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 400),
        ("GET a HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 400),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 400),
        ("GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 400),
        ("GET http://u:p@a/ HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 400),
        ("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 400),
        ("G(T / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 400),
        ("\u{16}\u{3}\u{1}".to_owned(), 400),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n".to_owned(), 501),
        // The host.
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: a:x\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: [::g]\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: ::1\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: :80\r\n\r\n".to_owned(), 400),
        // Where the body ends.
        (with("Content-Length: 1\r\nContent-Length: 2"), 400),
        (with("Content-Length: 1\r\nContent-Length: 1"), 400),
        (with("Content-Length: 1, 1"), 400),
        (with("Content-Length: +1"), 400),
        (with("Content-Length: -1"), 400),
        (with("Content-Length: 0x1"), 400),
        (with("Content-Length: 1 1"), 400),
        (with("Content-Length:"), 400),
        (with("Content-Length: 18446744073709551616"), 400),
        (with("Content-Length: 1\r\nTransfer-Encoding: chunked"), 400),
        (with("Transfer-Encoding: chunked\r\ncontent-length: 0"), 400),
        (with("Transfer-Encoding: chunked, chunked"), 400),
        (with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"), 400),
        (with("Transfer-Encoding: chunked, identity"), 400),
        (with("Transfer-Encoding: chunked, gzip"), 400),
        (with("Transfer-Encoding: gzip, chunked"), 501),
        (with("Transfer-Encoding:"), 400),
        (with("Transfer-Encoding: gzip"), 501),
        (with("Transfer-Encoding: xchunked"), 501),
        (with("Transfer-Encoding: \"chunked\""), 501),
        (with("Transfer-Encoding: chunked;q=1"), 501),
        (with("Transfer-Encoding: \u{b}chunked"), 400),
        ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(), 400),
        (with("Expect: the-unexpected"), 417),
        // Limits.
        (format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(MAX_START_LINE)), 414),
        (format!("GET /{}", "x".repeat(MAX_START_LINE)), 414),
        (with(&format!("A: {}", "x".repeat(MAX_HEAD))), 431),
        (format!("GET / HTTP/1.1\r\nA: {}", "x".repeat(MAX_HEAD)), 431),
        (with(&vec!["A: b"; MAX_FIELDS].join("\r\n")), 431),
    ] {
        assert_eq!(refused(input.as_bytes()), status, "{:?}", &input[..input.len().min(120)]);
    }
}

#[test]
fn limits_leave_room_for_what_fits() {
    let fields = vec!["A: b"; MAX_FIELDS - 1].join("\r\n");
    assert_eq!(refused_or_none(&format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n")), None);
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(MAX_START_LINE - 17));
    assert_eq!(refused_or_none(&long), None);
}

fn refused_or_none(input: &str) -> Option<Refusal> {
    to_backend([input.as_bytes()]).refused
}

#[test]
fn a_broken_body_never_looks_complete() {
    for chunks in [
        "5\r\nabc\r\n0\r\n\r\n",
        "2\r\nabc\r\n0\r\n\r\n",
        "3\nabc\r\n0\r\n\r\n",
        "3\r\nabc\n0\r\n\r\n",
        "3\r\nabc\r\n0\n\n",
        "3 \r\nabc\r\n0\r\n\r\n",
        " 3\r\nabc\r\n0\r\n\r\n",
        "0x3\r\nabc\r\n0\r\n\r\n",
        "+3\r\nabc\r\n0\r\n\r\n",
        "-3\r\nabc\r\n0\r\n\r\n",
        "\r\nabc\r\n0\r\n\r\n",
        ";x\r\nabc\r\n0\r\n\r\n",
        "3;a\nb\r\nabc\r\n0\r\n\r\n",
        "3;a\0b\r\nabc\r\n0\r\n\r\n",
        "3\r\r\nabc\r\n0\r\n\r\n",
        "10000000000000003\r\nabc\r\n0\r\n\r\n",
        "FFFFFFFFFFFFFFFFF\r\nabc\r\n0\r\n\r\n",
        "3\r\nabc\r\n0\r\nT: a\nb\r\n\r\n",
        "3\r\nabc\r\n0\r\nT: a\rb\r\n\r\n",
        "3\r\nabc\r\n0\r\nT: \0\r\n\r\n",
    ] {
        let input = format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
        let seen = to_backend([input.as_bytes()]);
        assert_eq!((seen.refused.map(|r| r.status), seen.complete), (Some(400), 0), "{chunks:?}");
    }
}

#[test]
fn endless_extensions_and_trailers_are_refused() {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for body in
        ["1;aaaaaaaaaaaaaaaa\r\nx\r\n".repeat(4000), format!("0\r\n{}", "T: aaaaaaaaaaaaaaaaaaa\r\n".repeat(4000))]
    {
        let seen = to_backend([format!("{head}{body}0\r\n\r\n").as_bytes()]);
        assert_eq!((seen.refused.map(|r| r.status), seen.complete), (Some(400), 0));
    }
}

#[test]
fn pipelined_requests_come_one_after_the_other() {
    let seen = to_backend([
        &b"POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nGET \r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n\
        POST /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\nGET / HTTP/9\r\n\r\n"[..],
    ]);
    let lines: Vec<_> = seen.messages.iter().map(|m| text(m).split(' ').nth(1).unwrap()).collect();
    assert_eq!((lines, seen.complete), (vec!["/1", "/2", "/3"], 3));
    assert!(seen.messages[0].ends_with(b"\r\n\r\nGET "), "the body is not a request");
    assert_eq!(seen.refused.map(|r| r.status), Some(400));
}

#[test]
fn cookies_are_found_among_others() {
    let head = b"GET / HTTP/1.1\r\nHost: a\r\nCookie: XLB=no; LB=webA; LB=webB\r\nCookie: Z=1\r\n\r\n";
    let request = Request::parse(head).unwrap();
    assert_eq!(request.cookie("LB"), Some(&b"webA"[..]));
    assert_eq!(request.cookie("Z"), Some(&b"1"[..]));
    assert_eq!(request.cookie("L"), None);
}

#[test]
fn a_host_is_split_from_its_port() {
    assert_eq!(split_host("a.example:80"), ("a.example", Some("80")));
    assert_eq!(split_host("a.example"), ("a.example", None));
    assert_eq!(split_host("[::1]:80"), ("[::1]", Some("80")));
    assert_eq!(split_host("[::1]"), ("[::1]", None));
}
