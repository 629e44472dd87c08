//! The bench's own client: a counted number of requests, a long transfer, many idle connections.

use super::Failure;
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

const PATIENCE: Duration = Duration::from_secs(60);
const HEAD: &str = "Host: www.example.com\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n";

/// A kept connection.
pub(crate) struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(to: SocketAddr) -> Result<Self, Failure> {
        let stream = TcpStream::connect(to)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream, buffer: vec![0; 256 * 1024] })
    }

    /// One request, and the whole of its response.
    pub(crate) fn get(&mut self, path: &str) -> Result<(), Failure> {
        self.stream.write_all(format!("GET {path} HTTP/1.1\r\n{HEAD}").as_bytes())?;
        let (mut filled, mut whole) = (0, None);
        while whole.is_none_or(|whole| filled < whole) {
            let taken = self.stream.read(&mut self.buffer[filled..])?;
            if taken == 0 {
                return Err("the response is cut short".into());
            }
            filled += taken;
            whole = whole.or(length(&self.buffer[..filled])?);
        }
        Ok(())
    }
}

/// One request on a connection of its own.
pub(crate) fn get(to: SocketAddr, path: &str) -> Result<(), Failure> {
    Client::connect(to)?.get(path)
}

/// Transfers so many MiB on a connection of its own.
pub(crate) fn stream(to: SocketAddr, mebibytes: usize) -> Result<(), Failure> {
    let mut client = Client::connect(to)?;
    client.stream.write_all(format!("GET /stream/{mebibytes} HTTP/1.1\r\n{HEAD}").as_bytes())?;
    let mut total = 0;
    loop {
        match client.stream.read(&mut client.buffer)? {
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
