//! The engine against tables of good and bad messages, and against every way of cutting them.

mod cuts;
mod differential;
mod requests;
mod responses;

use super::*;
use std::net::SocketAddr;

const LOCAL: &str = "198.51.100.10:80";

fn forwarding() -> Forwarding<'static> {
    let local: SocketAddr = LOCAL.parse().unwrap();
    Forwarding::new("192.0.2.9".parse().unwrap(), local, "http")
}

/// What comes out for a backend, byte for byte, and how it ended.
#[derive(Debug, Default, PartialEq, Eq)]
struct ToBackend {
    /// One per request, as it goes out.
    messages: Vec<Vec<u8>>,
    /// Of these so many are complete.
    complete: usize,
    refused: Option<Refusal>,
}

/// Feeds the pieces as a shell would: bytes that were not taken come again.
fn to_backend<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> ToBackend {
    let mut requests = Requests::default();
    let mut seen = ToBackend::default();
    let mut writer = BodyWriter::Plain;
    let mut held = Vec::new();
    for piece in pieces {
        held.extend_from_slice(piece);
        loop {
            let (taken, event) = match requests.next(&held) {
                Ok(next) => next,
                Err(refusal) => {
                    assert_eq!(requests.next(&held).unwrap_err(), refusal, "a refusal is final");
                    seen.refused = Some(refusal);
                    return seen;
                }
            };
            let more = matches!(event, RequestEvent::More);
            match event {
                RequestEvent::Head(request) => {
                    let mut out = Vec::new();
                    request.write_forward(&forwarding(), &mut out);
                    writer = if request.framing == Framing::Chunked { BodyWriter::Chunked } else { BodyWriter::Plain };
                    seen.messages.push(out);
                }
                // Re-chunked data depends on the cuts by design; what it says does not.
                RequestEvent::Data(data) => seen.messages.last_mut().unwrap().extend_from_slice(data),
                RequestEvent::End => {
                    if writer == BodyWriter::Chunked {
                        seen.messages.last_mut().unwrap().extend_from_slice(b"<end>");
                    }
                    seen.complete += 1;
                }
                RequestEvent::More => {}
            }
            held.drain(..taken);
            if more {
                break;
            }
        }
    }
    seen
}

/// What comes out for a client, and how it ended.
#[derive(Debug, Default, PartialEq, Eq)]
struct ToClient {
    bytes: Vec<u8>,
    /// The client's connection goes on after it.
    keep_alive: bool,
    /// The backend's connection does.
    reusable: bool,
    complete: bool,
    /// After a 101.
    switched: bool,
    /// What is left over is not part of it.
    rest: Vec<u8>,
    bad: Option<BadResponse>,
    may_end: bool,
}

fn to_client<'a>(asked: Asked, reply: &Reply<'_>, pieces: impl IntoIterator<Item = &'a [u8]>) -> ToClient {
    let mut responses = Responses::new(asked);
    let mut seen = ToClient::default();
    for piece in pieces {
        seen.rest.extend_from_slice(piece);
        loop {
            if seen.complete {
                break;
            }
            let held = std::mem::take(&mut seen.rest);
            let (taken, event) = match responses.next(&held) {
                Ok(next) => next,
                Err(bad) => {
                    seen.bad = Some(bad);
                    return seen;
                }
            };
            let more = matches!(event, ResponseEvent::More);
            match event {
                ResponseEvent::Interim(head) => head.write_interim(reply.keep, &mut seen.bytes),
                ResponseEvent::Switch(head) => {
                    seen.switched = true;
                    head.write_switch(reply, &mut seen.bytes);
                }
                ResponseEvent::Head(head) => {
                    seen.reusable = head.persistent;
                    (_, seen.keep_alive) = head.write_forward(reply, &mut seen.bytes);
                }
                ResponseEvent::Data(data) => seen.bytes.extend_from_slice(data),
                ResponseEvent::End => seen.complete = true,
                ResponseEvent::More => {}
            }
            seen.rest = held[taken..].to_vec();
            if more {
                break;
            }
        }
    }
    seen.may_end = responses.may_end();
    seen
}

fn reply(version: Version) -> Reply<'static> {
    Reply { version, keep_alive: true, keep: Keep::Nothing, rules: None }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}
