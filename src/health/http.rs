//! The check `"http"`: `GET path` must be answered with an expected status.
//!
//! Only the status line decides, and at most [`MOST`] bytes are read for it: a backend that sends garbage, or sends
//! for ever, is a failed check and nothing more. Interim responses (1xx, RFC 9110 section 15.2) are skipped. The words
//! of the result never quote the backend: they end up on terminals and pages.

use super::{Answer, Server, failed};
use crate::model::StatusRange;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The most bytes of an answer that are looked at.
const MOST: usize = 4096;

/// Asks `server` for `path`. The caller bounds the time.
pub async fn ask(server: &Server, path: &str, host: Option<&str>, expect: &[StatusRange]) -> Answer {
    match exchange(server, &request(server.address, path, host)).await {
        Ok(Some(status)) => judge(status, expect),
        Ok(None) => Answer::Bad("the answer is not HTTP/1".to_owned()),
        Err(error) => failed(&error),
    }
}

/// The status of the first final response in `answer`, the beginning of what a server sent.
pub fn status(answer: &[u8]) -> Parsed {
    let mut rest = answer;
    loop {
        let end = rest.iter().position(|byte| *byte == b'\n');
        let line = &rest[..end.unwrap_or(rest.len())];
        let Some(code) = status_code(line) else {
            return if end.is_none() && could_begin_status_line(line) { Parsed::Incomplete } else { Parsed::NotHttp };
        };
        match (code, end, head_end(rest)) {
            (_, None, _) => return Parsed::Incomplete,
            (100 | 102..=199, _, Some(end)) => rest = &rest[end..],
            (100 | 102..=199, _, None) => return Parsed::Incomplete,
            _ => return Parsed::Status(code),
        }
    }
}

/// What [`status`] made of the beginning of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed {
    /// More is needed.
    Incomplete,
    /// A final status, 100–599.
    Status(u16),
    /// Whatever follows, this is no HTTP/1 response.
    NotHttp,
}

async fn exchange(server: &Server, request: &str) -> std::io::Result<Option<u16>> {
    let mut stream = server.connect().await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::with_capacity(MOST);
    let mut limited = stream.take(MOST as u64);
    loop {
        let read = limited.read_buf(&mut answer).await?;
        match status(&answer) {
            Parsed::Status(status) => return Ok(Some(status)),
            Parsed::Incomplete if read > 0 => {}
            Parsed::Incomplete | Parsed::NotHttp => return Ok(None),
        }
    }
}

fn request(address: SocketAddr, path: &str, host: Option<&str>) -> String {
    let host = match (host, address.port()) {
        (Some(host), _) => host.to_owned(),
        (None, 80) if address.is_ipv6() => format!("[{}]", address.ip()),
        (None, 80) => address.ip().to_string(),
        (None, _) => address.to_string(),
    };
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: lbagent/{version}\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    )
}

fn judge(status: u16, expect: &[StatusRange]) -> Answer {
    if expect.iter().any(|range| (range.first..=range.last).contains(&status)) {
        let reason = hyper::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
        return Answer::Good(reason.map_or_else(|| status.to_string(), |reason| format!("{status} {reason}")));
    }
    let expected: Vec<String> = expect.iter().map(range_words).collect();
    Answer::Bad(format!("{status} where {} was expected", expected.join(", ")))
}

fn range_words(range: &StatusRange) -> String {
    if range.first == range.last { range.first.to_string() } else { format!("{}-{}", range.first, range.last) }
}

/// RFC 9112 section 4: `HTTP/1.x SP 3DIGIT`, and then a space or the end of the line.
fn status_code(line: &[u8]) -> Option<u16> {
    let rest = line.strip_prefix(b"HTTP/1.")?;
    let [minor, b' ', code @ ..] = rest else { return None };
    let (digits, after) = code.split_at_checked(3)?;
    let complete = matches!(after.first(), None | Some(b' ' | b'\r'));
    if !minor.is_ascii_digit() || !digits.iter().all(u8::is_ascii_digit) || !complete {
        return None;
    }
    let code = digits.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    (100..600).contains(&code).then_some(code)
}

fn could_begin_status_line(start: &[u8]) -> bool {
    const SHAPE: &[u8] = b"HTTP/1.0 000";
    start.len() < SHAPE.len()
        && start.iter().zip(SHAPE).all(|(byte, shape)| match shape {
            b'0' => byte.is_ascii_digit(),
            _ => byte == shape,
        })
}

/// The length of the head at the start of `answer`, its empty line included.
fn head_end(answer: &[u8]) -> Option<usize> {
    let mut line_start = 0;
    for (index, _) in answer.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
        if matches!(&answer[line_start..index], b"" | b"\r") {
            return Some(index + 1);
        }
        line_start = index + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tokio::net::TcpListener;

    const OK: StatusRange = StatusRange { first: 200, last: 399 };

    /// Serves one connection: reads the request's head, sends `answer`, closes. Gives back the request.
    async fn serve_once(listener: TcpListener, answer: Vec<u8>) -> String {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0);
        }
        let _ = stream.write_all(&answer).await;
        String::from_utf8(request).unwrap()
    }

    async fn ask_server(answer: &[u8], host: Option<&str>) -> (Answer, String, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(serve_once(listener, answer.to_vec()));
        let answer = ask(&Server::at(address), "/check.txt", host, &[OK]).await;
        (answer, server.await.unwrap(), address)
    }

    #[tokio::test]
    async fn the_request_is_one_that_any_server_takes() {
        let (answer, request, address) = ask_server(b"HTTP/1.1 200 Fine\r\n\r\n", None).await;
        assert_eq!(answer, Answer::Good("200 OK".into()));
        let version = env!("CARGO_PKG_VERSION");
        let expected = format!(
            "GET /check.txt HTTP/1.1\r\nHost: {address}\r\nUser-Agent: lbagent/{version}\r\nAccept: */*\r\nConnection: close\r\n\r\n"
        );
        assert_eq!(request, expected);
    }

    #[tokio::test]
    async fn an_unexpected_status_says_what_was_expected() {
        let (answer, request, _) = ask_server(b"HTTP/1.0 404 Not Found\r\n\r\n", Some("www.example.com")).await;
        assert_eq!(answer, Answer::Bad("404 where 200-399 was expected".into()));
        assert!(request.contains("\r\nHost: www.example.com\r\n"), "{request}");
    }

    #[tokio::test]
    async fn garbage_silence_and_endless_lines_fail_the_check_only() {
        for bad in [&b"SSH-2.0-OpenSSH_9.9\r\n"[..], b"", b"HTTP/1.1", &[b'x'; 100_000], &[0xff; 10]] {
            let (answer, _, _) = ask_server(bad, None).await;
            let is_bad = matches!(&answer, Answer::Bad(words) if words == "the answer is not HTTP/1" || words == "connection reset");
            assert!(is_bad, "{answer:?}");
        }
    }

    #[test]
    fn default_ports_and_ipv6_hosts_are_written_as_browsers_do() {
        let host = |address: &str| {
            let request = request(address.parse().unwrap(), "/", None);
            request.lines().nth(1).unwrap().to_owned()
        };
        assert_eq!(host("192.0.2.1:80"), "Host: 192.0.2.1");
        assert_eq!(host("192.0.2.1:8080"), "Host: 192.0.2.1:8080");
        assert_eq!(host("[2001:db8::1]:80"), "Host: [2001:db8::1]");
        assert_eq!(host("[2001:db8::1]:81"), "Host: [2001:db8::1]:81");
    }

    #[test]
    fn status_lines_as_they_are_met_in_the_wild() {
        assert_eq!(status(b"HTTP/1.1 200 OK\r\n"), Parsed::Status(200));
        assert_eq!(status(b"HTTP/1.0 204\r\n"), Parsed::Status(204));
        assert_eq!(status(b"HTTP/1.1 503\n"), Parsed::Status(503));
        assert_eq!(status(b"HTTP/1.1 200 \xff\xfe\r\n"), Parsed::Status(200));
        assert_eq!(status(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n"), Parsed::Status(200));
        assert_eq!(status(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n"), Parsed::Incomplete);
        assert_eq!(status(b"HTTP/1.1 101 Switching Protocols\r\n"), Parsed::Status(101));
        for bad in [&b"HTTP/2 200\r\n"[..], b"HTTP/1.1 2000\r\n", b"HTTP/1.1 20\r\n", b"HTTP/1.1  200 OK\r\n", b"\r\n"]
        {
            assert_eq!(status(bad), Parsed::NotHttp, "{}", String::from_utf8_lossy(bad));
        }
        assert_eq!(status(b"HTTP/1.1 700 No\r\n"), Parsed::NotHttp);
        assert_eq!(status(b"HTTP/1.1 099 No\r\n"), Parsed::NotHttp);
    }

    #[test]
    fn expectations_read_as_they_are_written() {
        let expect = [StatusRange { first: 200, last: 200 }, StatusRange { first: 301, last: 302 }];
        assert_eq!(judge(302, &expect), Answer::Good("302 Found".into()));
        assert_eq!(judge(299, &expect), Answer::Bad("299 where 200, 301-302 was expected".into()));
        assert_eq!(judge(299, &[OK]), Answer::Good("299".into()));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = status(&bytes);
        }

        #[test]
        fn bytes_that_look_like_http_never_panic(text in "(HTTP/1\\.[0-9x] ?[0-9]{0,4} ?[a-z]{0,3}(\r\n|\n|\r)?){0,5}") {
            let _ = status(text.as_bytes());
        }

        /// However an answer is cut, its beginning is never taken for something else.
        #[test]
        fn a_prefix_is_incomplete_or_agrees(code in 200u16..600, cut in 0usize..60) {
            let whole = format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 {code} Whatever\r\nA: b\r\n\r\n");
            let got = status(&whole.as_bytes()[..cut.min(whole.len())]);
            prop_assert!(matches!(got, Parsed::Incomplete) || got == Parsed::Status(code), "{:?}", got);
        }
    }
}
