//! A backend that keeps every byte, and a reader of its own that takes nothing for granted: it shares no code with the
//! engine, and it is as strict as a message that two parsers must read the same has to be.

use super::harness::*;
use std::{
    io::{Read, Write},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

/// What one connection brought.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// Whole requests: the request line's target, and the body without its framing.
    pub(super) requests: Vec<(String, Vec<u8>)>,
    /// The beginning of one that never came whole.
    pub(super) rest: Vec<u8>,
}

/// A backend that answers each whole request with its target, and tells in the end what it heard.
pub(super) struct Recorder {
    pub(super) server: Server,
    ended: Arc<AtomicUsize>,
    heard: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Recorder {
    pub(super) fn start() -> Self {
        let (heard, ended) = (Arc::<Mutex<Vec<Vec<u8>>>>::default(), Arc::new(AtomicUsize::new(0)));
        let (record, count) = (heard.clone(), ended.clone());
        let server = Server::raw(move |_, mut wire| {
            record.lock().unwrap().push(listen(&mut wire));
            count.fetch_add(1, SeqCst);
        });
        Self { server, ended, heard }
    }

    /// All connections, once they have ended. Panics if one brought what two parsers could read differently.
    pub(super) fn heard(&self) -> Vec<Heard> {
        eventually("the backend's connections end", || self.ended.load(SeqCst) == self.server.connections());
        self.heard.lock().unwrap().iter().map(|bytes| read(bytes)).collect()
    }
}

fn listen(wire: &mut Wire) -> Vec<u8> {
    let (mut bytes, mut answered, mut piece) = (Vec::new(), 0, [0; 4096]);
    while let Ok(n @ 1..) = wire.stream.read(&mut piece) {
        bytes.extend_from_slice(&piece[..n]);
        while let Some((_, body, length)) = request(&bytes[answered..]) {
            answered += length;
            let response = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            let _ = wire.stream.write_all(&[response.as_bytes(), &body].concat());
        }
    }
    bytes
}

fn read(mut bytes: &[u8]) -> Heard {
    let mut heard = Heard::default();
    while let Some((target, body, length)) = request(bytes) {
        heard.requests.push((target, body));
        bytes = &bytes[length..];
    }
    heard.rest = bytes.to_vec();
    heard
}

/// The first request: its target, its body, and how long it is in all. `None`: it is not whole.
fn request(bytes: &[u8]) -> Option<(String, Vec<u8>, usize)> {
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).expect("a head of text");
    let mut lines = head.split("\r\n");
    let start: Vec<&str> = lines.next().unwrap().split(' ').collect();
    assert!(start.len() == 3 && start[2] == "HTTP/1.1", "a request line in three parts: {head:?}");
    assert!(start[1].starts_with('/') || start[1] == "*", "in origin-form: {head:?}");
    let fields: Vec<(&str, &str)> = lines.map(|line| field(line, head)).collect();
    let all = |name: &str| -> Vec<&str> {
        fields.iter().filter(|(n, _)| n.replace('_', "-").eq_ignore_ascii_case(name)).map(|(_, v)| *v).collect()
    };
    assert_eq!(all("host").len(), 1, "one Host: {head:?}");
    let (lengths, codings) = (all("content-length"), all("transfer-encoding"));
    let rest = &bytes[end + 4..];
    let (body, length) = match (&lengths[..], &codings[..]) {
        ([], []) => (Vec::new(), 0),
        ([length], []) => {
            assert!(!length.is_empty() && length.bytes().all(|b| b.is_ascii_digit()), "a length: {head:?}");
            let length = length.parse().unwrap();
            (rest.get(..length)?.to_vec(), length)
        }
        ([], ["chunked"]) => chunks(rest)?,
        _ => panic!("one way to tell where the body ends: {head:?}"),
    };
    Some((start[1].to_owned(), body, end + 4 + length))
}

fn field<'a>(line: &'a str, head: &str) -> (&'a str, &'a str) {
    assert!(!line.contains(['\r', '\n', '\0']), "no bare CR, LF or NUL: {head:?}");
    let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("a name and a value: {head:?}"));
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    assert!(!name.is_empty() && name.bytes().all(token), "a token for a name: {head:?}");
    assert!(value == value.trim(), "no white space around a value: {head:?}");
    (name, value)
}

/// Sizes in plain hexadecimal, no extensions, no trailers.
fn chunks(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let line = bytes[at..].windows(2).position(|w| w == b"\r\n")?;
        let size = std::str::from_utf8(&bytes[at..at + line]).unwrap();
        assert!(!size.is_empty() && size.bytes().all(|b| b.is_ascii_hexdigit()), "a chunk size: {size:?}");
        let size = usize::from_str_radix(size, 16).unwrap();
        at += line + 2;
        let chunk = bytes.get(at..at + size + 2)?;
        assert!(chunk.ends_with(b"\r\n"), "a chunk ends where it said: {chunk:?}");
        body.extend_from_slice(&chunk[..size]);
        at += size + 2;
        if size == 0 {
            return Some((body, at));
        }
    }
}
