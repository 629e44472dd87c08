//! The bench's own client: a counted number of requests, a long transfer, many idle connections.

use super::common::Failure;
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

const PATIENCE: Duration = Duration::from_secs(60);
const FIELDS: &str = "Host: www.example.com\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n";

/// A kept connection. It owns no buffer: thousands are open at a time.
pub(crate) struct Client(TcpStream);

impl Client {
    pub(crate) fn connect(to: SocketAddr) -> Result<Self, Failure> {
        let stream = TcpStream::connect_timeout(&to, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self(stream))
    }

    /// One request, and the whole of its response.
    pub(crate) fn get(&mut self, path: &str) -> Result<(), Failure> {
        self.ask(path)?;
        self.answer()
    }

    /// Only the request.
    pub(crate) fn ask(&mut self, path: &str) -> Result<(), Failure> {
        Ok(self.0.write_all(format!("GET {path} HTTP/1.1\r\n{FIELDS}").as_bytes())?)
    }

    /// Only the response, all of it.
    pub(crate) fn answer(&mut self) -> Result<(), Failure> {
        let mut buffer = [0; 16 * 1024];
        let (mut filled, mut total, mut whole) = (0, 0, None);
        while whole.is_none_or(|whole| total < whole) {
            let taken = self.0.read(&mut buffer[filled..])?;
            if taken == 0 {
                return Err("the response is cut short".into());
            }
            total += taken;
            if whole.is_none() {
                whole = length(&buffer[..total])?;
                // What follows the head is only counted.
                filled = if whole.is_none() { total } else { 0 };
            }
        }
        Ok(())
    }
}

/// One request on a connection of its own.
pub(crate) fn get(to: SocketAddr, path: &str) -> Result<(), Failure> {
    Client::connect(to)?.get(path)
}

/// Transfers so many MiB on a connection of its own, whose end is that of the transfer.
pub(crate) fn stream(to: SocketAddr, mebibytes: usize) -> Result<(), Failure> {
    let mut client = Client::connect(to)?;
    client.ask(&format!("/stream/{mebibytes}"))?;
    let (mut buffer, mut total) = (vec![0; 256 * 1024], 0);
    loop {
        match client.0.read(&mut buffer)? {
            0 if total >= mebibytes << 20 => return Ok(()),
            0 => return Err(format!("{total} bytes of {mebibytes} MiB").into()),
            taken => total += taken,
        }
    }
}

/// Of head and body, once the head is whole.
fn length(response: &[u8]) -> Result<Option<usize>, Failure> {
    let Some(end) = response.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&response[..end])?;
    if !head.starts_with("HTTP/1.1 200 ") {
        return Err(format!("not a good answer: {head}").into());
    }
    let field = head.lines().filter_map(|line| line.split_once(':'));
    let body = field.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let body: usize = body.ok_or("no Content-Length")?.1.trim().parse()?;
    Ok(Some(end + 4 + body))
}
