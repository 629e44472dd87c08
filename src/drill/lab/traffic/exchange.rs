use crate::drill::lab::{server::NAME_HEADER, targets::Ask};
use std::io;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// The most that an answer may have: simulated servers and the balancer's own pages stay far below.
const LARGEST: usize = 64 * 1024;

/// A good answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    /// Who gave it; empty for a redirect.
    pub(super) server: String,
    /// The other side will close the connection and said so.
    pub(super) last: bool,
}

/// Why there is no good answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// The connection did not carry it.
    #[error("{}", .0.kind())]
    Connection(#[from] io::Error),
    /// A status that is no good answer.
    #[error("HTTP status {0}")]
    Status(u16),
    /// Something that is no HTTP.
    #[error("an answer that is no HTTP: {0}")]
    Malformed(httparse::Error),
    /// More than [`LARGEST`].
    #[error("an answer without an end")]
    TooLong,
}

impl AskError {
    /// Whether the connection itself is fine.
    pub(super) fn is_answer(&self) -> bool {
        matches!(self, Self::Status(_))
    }

    /// Whether the connection was there and is not any more.
    pub(super) fn is_cut(&self) -> bool {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
        let cut = |kind| matches!(kind, BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof);
        matches!(self, Self::Connection(error) if cut(error.kind()))
    }
}

/// Asks once and reads the answer to its end. `number` makes lines distinct; `stays` asks the other side to keep the
/// connection.
pub(super) async fn ask(stream: &mut TcpStream, ask: &Ask, number: u64, stays: bool) -> Result<Answer, AskError> {
    match ask {
        Ask::Line => ask_line(stream, number).await,
        Ask::Http { host, path, fields, redirects } => {
            let connection = if stays { "keep-alive" } else { "close" };
            let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: {connection}\r\n{fields}\r\n");
            stream.write_all(request.as_bytes()).await?;
            judge(read_response(stream).await?, *redirects)
        }
    }
}

/// A response's head, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Response {
    status: u16,
    server: Option<String>,
    last: bool,
}

fn judge(response: Response, redirects: bool) -> Result<Answer, AskError> {
    match response.server {
        Some(server) if response.status < 500 => Ok(Answer { server, last: response.last }),
        None if redirects && (300..400).contains(&response.status) => {
            Ok(Answer { server: String::new(), last: response.last })
        }
        _ => Err(AskError::Status(response.status)),
    }
}

async fn ask_line(stream: &mut TcpStream, number: u64) -> Result<Answer, AskError> {
    let token = format!("drill-{number}");
    stream.write_all(format!("{token}\n").as_bytes()).await?;
    let mut seen = Vec::new();
    loop {
        if let Some(server) = find_echo(&seen, &token) {
            return Ok(Answer { server, last: false });
        }
        read_more(stream, &mut seen).await?;
    }
}

/// The server's name, if `seen` holds the whole line that echoes `token` (a greeting may come before it).
fn find_echo(seen: &[u8], token: &str) -> Option<String> {
    let text = String::from_utf8_lossy(seen);
    let end = format!(": {token}\n");
    let line = text.split_inclusive('\n').find_map(|line| line.strip_suffix(end.as_str()))?;
    Some(line.to_owned())
}

async fn read_response(stream: &mut TcpStream) -> Result<Response, AskError> {
    let mut seen = Vec::new();
    let (response, head, length) = loop {
        if let Some(parsed) = parse_head(&seen)? {
            break parsed;
        }
        read_more(stream, &mut seen).await?;
    };
    while length.is_none_or(|length| seen.len() < head + length) {
        match read_more(stream, &mut seen).await {
            Ok(()) => {}
            // Without a length the body lasts to the end of the connection (RFC 9112 §6.3).
            Err(AskError::Connection(error)) if length.is_none() && error.kind() == io::ErrorKind::UnexpectedEof => {
                return Ok(Response { last: true, ..response });
            }
            Err(error) => return Err(error),
        }
    }
    Ok(response)
}

/// The head, its size, and the length of the body if it is known; `None` while the head is not complete.
fn parse_head(seen: &[u8]) -> Result<Option<(Response, usize, Option<usize>)>, AskError> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = response.parse(seen).map_err(AskError::Malformed)? else { return Ok(None) };
    let field = |name: &str| {
        let found = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        found.map(|header| String::from_utf8_lossy(header.value).into_owned())
    };
    let length = field("content-length").and_then(|text| text.parse().ok());
    let last = field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
    let status = response.code.unwrap_or(0);
    Ok(Some((Response { status, server: field(NAME_HEADER), last }, head, length)))
}

async fn read_more(stream: &mut TcpStream, seen: &mut Vec<u8>) -> Result<(), AskError> {
    if seen.len() > LARGEST {
        return Err(AskError::TooLong);
    }
    match stream.read_buf(seen).await? {
        0 => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<(Response, usize, Option<usize>)> {
        parse_head(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_head_tells_who_answered_and_where_the_body_ends() {
        let text = "HTTP/1.1 200 OK\r\nX-Lab-Server: web/a\r\nContent-Length: 7\r\n\r\nweb/a /";
        let (response, head, length) = parse(text).unwrap();
        assert_eq!((response.status, response.server.as_deref(), response.last), (200, Some("web/a"), false));
        assert_eq!((head + length.unwrap(), length), (text.len(), Some(7)));
        assert!(parse(&text[..head - 1]).is_none(), "half a head is no head");
        assert!(parse_head(b"SSH-2.0-OpenSSH\r\n").is_err());
    }

    #[test]
    fn only_a_server_or_an_expected_redirect_is_good() {
        let response =
            |status, server: Option<&str>| Response { status, server: server.map(str::to_owned), last: false };
        assert!(judge(response(200, Some("web/a")), false).is_ok());
        assert!(judge(response(401, Some("web/a")), false).is_ok(), "a check may want to see a 401");
        assert!(judge(response(200, None), false).is_err(), "somebody else answered");
        assert!(judge(response(503, None), true).is_err());
        assert!(judge(response(302, None), true).is_ok());
        assert!(judge(response(302, None), false).is_err());
    }

    #[test]
    fn an_echo_is_found_behind_a_greeting_and_only_when_whole() {
        assert_eq!(find_echo(b"220 smtp/a\r\nsmtp/a: drill-7\n", "drill-7").as_deref(), Some("smtp/a"));
        assert_eq!(find_echo(b"smtp/a: drill-7", "drill-7"), None);
        assert_eq!(find_echo(b"smtp/a: drill-77\n", "drill-7"), None);
    }
}
