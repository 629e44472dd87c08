//! What is asked of the engine with arbitrary bytes. Each function takes an input and panics if the engine breaks a
//! promise; what it returns stands for the way that the input took, so that a runner can tell new ways from old ones.
//!
//! They are plain functions so that three may call them: `cargo fuzz` (`fuzz_targets/`, with a nightly compiler), the
//! replay of `corpus/` in `cargo test`, and the mutating runner there.

use lbagent::dataplane::{
    http::engine::{
        Asked, BadResponse, BodyReader, BodyWriter, Earlier, Forwarding, Framing, Hop, Keep, MAX_FIELDS, MAX_HEAD,
        Part, Refusal, Reply, Request, RequestEvent, Requests, ResponseEvent, Responses, Told, Version,
    },
    proxy_protocol,
};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Stands for the events and the outcome of an input, without its content.
pub(crate) type Way = u64;

/// A client's bytes: however they are cut the same comes out, and what goes to a backend is read in one way only.
pub(crate) fn requests(input: &[u8]) -> Way {
    let whole = read_requests([input].into_iter());
    assert_eq!(whole, read_requests(cuts(input)), "the cuts make a difference");
    whole.messages.iter().for_each(forwarded_request_has_one_meaning);
    way(&(whole.messages.iter().map(|m| m.framing as u64).collect::<Vec<_>>(), whole.complete, whole.refused))
}

/// A backend's bytes, in answer to each kind of request.
pub(crate) fn responses(input: &[u8]) -> Way {
    let mut ways = Vec::new();
    for (head_only, upgrade) in [(false, false), (true, false), (false, true)] {
        let asked = Asked { head_only, upgrade };
        for version in [Version::Http11, Version::Http10] {
            let whole = read_response(asked, version, [input].into_iter());
            assert_eq!(whole, read_response(asked, version, cuts(input)), "the cuts make a difference");
            assert!(!(whole.complete && whole.bad.is_some()), "a bad response is never complete");
            whole.heads.iter().for_each(|head| forwarded_head_is_sound(head));
            ways.push((whole.heads.len(), whole.complete, whole.may_end, whole.bad));
        }
    }
    way(&ways)
}

/// The chunked coding, beside a reader that is too simple to be wrong; and there and back again.
pub(crate) fn body(input: &[u8]) -> Way {
    let whole = read_body([input].into_iter());
    assert_eq!(whole, read_body(cuts(input)), "the cuts make a difference");
    let expected = simple_chunks(input);
    assert_eq!(whole.as_ref().ok(), expected.as_ref(), "complete, content and length");
    let mut wire = Vec::new();
    cuts(input).for_each(|piece| BodyWriter::Chunked.write(piece, &mut wire));
    BodyWriter::Chunked.end(&mut wire);
    let length = wire.len();
    assert_eq!(read_body([&wire[..]].into_iter()), Ok((input.to_vec(), length)));
    way(&(whole.as_ref().map(|_| ()), whole.as_ref().err()))
}

/// What a proxy in front says before the client's first byte: what is said does not change with what follows, and is said
/// as soon as it can be.
pub(crate) fn proxy_header(input: &[u8]) -> Way {
    let whole = proxy_protocol::parse(input);
    let pieces = (0..=input.len()).map(|length| proxy_protocol::parse(&input[..length]));
    let first = pieces.enumerate().find(|(_, said)| *said != Ok(None));
    match (first, &whole) {
        (None, whole) => assert_eq!(*whole, Ok(None)),
        (Some((length, said)), whole) => {
            assert_eq!(said, *whole, "what follows makes a difference");
            if let Ok(Some(header)) = said {
                assert_eq!(header.length, length, "it takes what is not its own");
            }
        }
    }
    let ends = whole.map(|header| header.map(|header| header.ends.map(|(from, to)| (from.is_ipv4(), to.is_ipv4()))));
    way(&ends.map_err(|bad| bad.to_string()))
}

/// Pieces of one to some bytes; always the same ones for the same input.
fn cuts(input: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut state = way(&input) | 1;
    // One input in four byte by byte.
    let most = if state.is_multiple_of(4) { 1 } else { 1 + (state >> 8) % 40 };
    let mut rest = input;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let (piece, after) = rest.split_at(rest.len().min(1 + (state % most) as usize));
        rest = after;
        Some(piece)
    })
}

fn way(of: &impl Hash) -> Way {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

#[derive(Debug, Default, PartialEq)]
struct Read {
    messages: Vec<Forwarded>,
    complete: usize,
    refused: Option<(u16, &'static str)>,
}

#[derive(Debug, PartialEq)]
struct Forwarded {
    method: String,
    target: String,
    host: Option<String>,
    framing: Kind,
    head: Vec<u8>,
    body: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Bodiless,
    Length,
    Chunked,
}

impl Kind {
    fn of(framing: Framing) -> Self {
        match framing {
            Framing::None => Self::Bodiless,
            Framing::Length(_) => Self::Length,
            Framing::Chunked => Self::Chunked,
            Framing::UntilClose => panic!("no request ends with its connection"),
        }
    }
}

fn forwarding() -> Forwarding<'static> {
    Forwarding::new([192, 0, 2, 9].into(), ([198, 51, 100, 10], 80).into(), "http")
}

fn read_requests<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Read {
    let (mut requests, mut read, mut held) = (Requests::default(), Read::default(), Vec::new());
    for piece in pieces {
        held.extend_from_slice(piece);
        let mut at = 0;
        loop {
            let (taken, event) = match requests.next(&held[at..]) {
                Ok(next) => next,
                Err(Refusal { status, reason }) => {
                    assert!((400..600).contains(&status));
                    read.refused = Some((status, reason));
                    return read;
                }
            };
            assert!(taken <= held.len() - at, "took what was not there");
            at += taken;
            match event {
                RequestEvent::Head(request) => {
                    let mut head = Vec::new();
                    request.write_forward(&forwarding(), &mut head);
                    ways_are_told_as_wanted(&request);
                    read.messages.push(Forwarded {
                        method: request.method.to_owned(),
                        target: request.target.to_string(),
                        host: request.host.map(str::to_owned),
                        framing: Kind::of(request.framing),
                        head,
                        body: Vec::new(),
                    });
                }
                RequestEvent::Data(data) => {
                    assert!(!data.is_empty());
                    read.messages.last_mut().expect("a head came first").body.extend_from_slice(data);
                }
                RequestEvent::End => read.complete += 1,
                RequestEvent::More => break,
            }
        }
        held.drain(..at);
    }
    read
}

/// This engine reads it as what was meant, and so does whoever splits lines and looks for names.
fn forwarded_request_has_one_meaning(message: &Forwarded) {
    forwarded_head_is_sound(&message.head);
    let names = names(&message.head);
    // A few fields are added, so that what was just within the limits need not be within them again.
    if names.len() > MAX_FIELDS || message.head.len() > MAX_HEAD {
        return;
    }
    let mut requests = Requests::default();
    let Ok((taken, RequestEvent::Head(again))) = requests.next(&message.head) else {
        panic!("not a request: {:?}", String::from_utf8_lossy(&message.head));
    };
    assert_eq!(taken, message.head.len());
    assert_eq!((again.method, &*again.target), (&*message.method, &*message.target));
    assert_eq!((again.version, Kind::of(again.framing)), (Version::Http11, message.framing));
    assert!(message.host.as_deref().is_none_or(|host| again.host == Some(host)));
    let count = |name: &str| names.iter().filter(|n| n.replace('_', "-") == name).count();
    let (length, chunked) = (message.framing == Kind::Length, message.framing == Kind::Chunked);
    assert_eq!((count("host"), count("content-length")), (1, usize::from(length)), "{names:?}");
    assert_eq!((count("transfer-encoding"), count("x-forwarded-for")), (usize::from(chunked), 1), "{names:?}");
    for hop_by_hop in ["keep-alive", "proxy-connection", "te", "trailer"] {
        assert!(!names.iter().any(|n| n == hop_by_hop), "{names:?}");
    }
}

/// However the way of a request is told, the last word in it is this proxy's, and of those whose word does not count
/// nothing is left.
fn ways_are_told_as_wanted(request: &Request<'_>) {
    let peer = forwarding().peer;
    let before: Vec<_> = request.x_forwarded_for().collect();
    for earlier in [Earlier::Extended, Earlier::Dropped, Earlier::Kept] {
        for (x_forwarded, rfc7239) in [(true, false), (false, true), (true, true), (false, false)] {
            let told = Told { x_forwarded, rfc7239, earlier };
            let mut head = Vec::new();
            request.write_forward(&Forwarding { told, ..forwarding() }, &mut head);
            forwarded_head_is_sound(&head);
            let names = names(&head);
            let count = |name: &str| names.iter().filter(|n| n.replace('_', "-") == name).count();
            if names.len() > MAX_FIELDS || head.len() > MAX_HEAD {
                continue;
            }
            let mut requests = Requests::default();
            let Ok((_, RequestEvent::Head(again))) = requests.next(&head) else {
                panic!("not a request: {:?}", String::from_utf8_lossy(&head));
            };
            if x_forwarded {
                let after: Vec<_> = again.x_forwarded_for().collect();
                assert_eq!(after[0], Some(peer));
                assert_eq!(after[1..], if earlier == Earlier::Dropped { &[] } else { &before[..] }[..]);
            }
            if earlier == Earlier::Dropped {
                assert_eq!(count("x-forwarded-for"), usize::from(x_forwarded), "{names:?}");
                assert_eq!(count("forwarded"), usize::from(rfc7239), "{names:?}");
            }
            if rfc7239 && earlier == Earlier::Dropped {
                let hop = Hop { from: Some(peer), proto: Some(b"http") };
                assert_eq!(again.forwarded(), [hop], "{:?}", String::from_utf8_lossy(&head));
            }
        }
    }
}

/// Lines that end in one way, names that are tokens, at the end an empty line and nothing else.
fn forwarded_head_is_sound(head: &[u8]) {
    let shown = String::from_utf8_lossy(head);
    assert!(head.ends_with(b"\r\n\r\n"), "{shown:?}");
    assert_eq!(head.windows(4).filter(|w| w == b"\r\n\r\n").count(), 1, "{shown:?}");
    let lines = head[..head.len() - 4].split(|b| *b == b'\n').enumerate();
    for (number, line) in lines {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        assert!(!line.contains(&b'\r') && !line.contains(&0), "{shown:?}");
        let colon = line.iter().position(|b| *b == b':');
        let token = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
        assert!(number == 0 || colon.is_some_and(|at| at > 0 && line[..at].iter().all(token)), "{shown:?}");
    }
}

fn names(head: &[u8]) -> Vec<String> {
    let lines = head.split(|b| *b == b'\n').skip(1);
    let name = |line: &[u8]| line.iter().position(|b| *b == b':').map(|at| line[..at].to_ascii_lowercase());
    lines.filter_map(name).map(|name| String::from_utf8(name).expect("a token")).collect()
}

#[derive(Debug, Default, PartialEq)]
struct Answered {
    heads: Vec<Vec<u8>>,
    body: Vec<u8>,
    complete: bool,
    switched: bool,
    may_end: bool,
    keep_alive: bool,
    reusable: bool,
    /// How much came before the end of the response.
    taken: usize,
    bad: Option<&'static str>,
}

fn read_response<'a>(asked: Asked, version: Version, pieces: impl Iterator<Item = &'a [u8]>) -> Answered {
    let (mut responses, mut read, mut held) = (Responses::new(asked), Answered::default(), Vec::new());
    let reply = Reply { version, keep_alive: true, keep: Keep::Nothing, rules: None };
    for piece in pieces {
        held.extend_from_slice(piece);
        let mut at = 0;
        while !read.complete {
            let (taken, event) = match responses.next(&held[at..]) {
                Ok(next) => next,
                Err(BadResponse(reason)) => {
                    read.bad = Some(reason);
                    // How far it looked before it knew depends on what it was given to look at.
                    read.taken = 0;
                    return read;
                }
            };
            assert!(taken <= held.len() - at, "took what was not there");
            at += taken;
            read.taken += taken;
            let mut head = Vec::new();
            match event {
                ResponseEvent::Interim(interim) => {
                    interim.write_interim(Keep::Nothing, &mut head);
                    read.heads.push(head);
                }
                ResponseEvent::Switch(switch) => {
                    assert!(asked.upgrade, "nobody asked for it");
                    switch.write_switch(&reply, &mut head);
                    read.heads.push(head);
                    read.switched = true;
                }
                ResponseEvent::Head(response) => {
                    let (writer, keep_alive) = response.write_forward(&reply, &mut head);
                    assert!(version == Version::Http11 || writer == BodyWriter::Plain, "chunks to HTTP/1.0");
                    read.heads.push(head);
                    read.keep_alive = keep_alive;
                    read.reusable = response.persistent;
                }
                ResponseEvent::Data(data) => {
                    assert!(!data.is_empty() && !asked.head_only, "a body where there is none");
                    read.body.extend_from_slice(data);
                }
                ResponseEvent::End => read.complete = true,
                ResponseEvent::More => break,
            }
        }
        held.drain(..at);
    }
    read.may_end = responses.may_end();
    assert!(!(read.may_end && read.reusable && !read.complete), "what ends with its connection leaves none");
    read
}

/// Content and length of a whole body; otherwise what is wrong, or `"more"`.
fn read_body<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Result<(Vec<u8>, usize), &'static str> {
    let (mut reader, mut content, mut length) = (BodyReader::new(Framing::Chunked), Vec::new(), 0);
    for mut piece in pieces {
        loop {
            let (taken, part) = reader.next(piece)?;
            length += taken;
            piece = &piece[taken..];
            match part {
                Part::Data(data) => content.extend_from_slice(data),
                Part::End => return Ok((content, length)),
                Part::More => break,
            }
        }
        assert!(piece.is_empty(), "more was asked for while there was some");
    }
    assert!(!reader.may_end() && !reader.is_done());
    Err("more")
}

/// RFC 9112 section 7.1 over a whole input, with the engine's choices: no white space before a line's end, sizes of at
/// most sixteen digits, no more than 32 KiB of extensions and trailers.
fn simple_chunks(input: &[u8]) -> Option<(Vec<u8>, usize)> {
    let text = |line: &[u8]| line.iter().all(|b| *b == b'\t' || (*b >= b' ' && *b != 0x7f));
    let line = |at: usize| -> Option<&[u8]> {
        let end = input[at..].iter().position(|b| *b == b'\r')?;
        (input.get(at + end + 1) == Some(&b'\n')).then_some(&input[at..at + end])
    };
    let (mut content, mut at, mut overhead) = (Vec::new(), 0, 0);
    loop {
        let size = line(at)?;
        let digits = size.iter().take_while(|b| b.is_ascii_hexdigit()).count();
        let extension = &size[digits..];
        let begins_well = extension.is_empty() || extension.trim_ascii_start().starts_with(b";");
        if !(1..=16).contains(&digits) || !begins_well || !text(extension) {
            return None;
        }
        // The first character behind the digits ends them; what follows it is overhead, up to the CR.
        overhead += extension.len();
        at += size.len() + 2;
        let value = u64::from_str_radix(std::str::from_utf8(&size[..digits]).ok()?, 16).ok()?;
        if value == 0 {
            break;
        }
        let end = usize::try_from(value).ok()?.checked_add(at)?;
        content.extend_from_slice(input.get(at..end)?);
        if input.get(end..end + 2)? != b"\r\n" {
            return None;
        }
        at = end + 2;
    }
    loop {
        let trailer = line(at)?;
        at += trailer.len() + 2;
        overhead += trailer.len() + 1;
        if !text(trailer) || overhead > 32 * 1024 {
            return None;
        }
        if trailer.is_empty() {
            return Some((content, at));
        }
    }
}
