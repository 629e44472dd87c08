//! One response head: judged, and written anew for the client.

use super::{
    BadResponse, BodyWriter, Framing, HeaderRules, Keep, Version, cookie,
    fields::{Fields, Line, Name},
    head::{Coding, Connection, number, write_field, write_length, write_number, write_via},
    lines::Head,
};

/// About what is added to a head on its way.
const OWN_FIELDS: usize = 128;

/// What must be known of a request to read its response.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Asked {
    /// It was a HEAD: there is no body, whatever the fields say.
    pub head_only: bool,
    /// It offered an upgrade.
    pub upgrade: bool,
}

/// A response that may be forwarded. It borrows the bytes it was read from.
#[derive(Debug)]
pub struct Response<'a> {
    /// 100–999.
    pub status: u16,
    /// Of its body as it arrives.
    pub framing: Framing,
    /// The backend would take another request on this connection.
    pub persistent: bool,
    version: Version,
    reason: &'a [u8],
    length: Option<u64>,
    fields: Fields<'a>,
    connection: Connection<'a>,
    /// Of the whole head.
    size: usize,
    /// So much of the head stands there as it is forwarded: nothing, or the status line.
    plain: usize,
}

/// How the client is answered.
#[derive(Debug, Clone, Copy)]
pub struct Reply<'a> {
    /// Of its request.
    pub version: Version,
    /// Its connection is to be used again. Kept only if the client can tell where the body ends.
    pub keep_alive: bool,
    /// What keeps it at its backend.
    pub keep: Keep<'a>,
    /// What is done to the fields.
    pub rules: Option<&'a HeaderRules>,
}

impl<'a> Response<'a> {
    pub(super) fn new(head: Head<'a>, asked: Asked) -> Result<Self, BadResponse> {
        let Some((version, status, reason)) = status_line(head.start) else {
            return Err(BadResponse("the status line is malformed"));
        };
        if status < 100 {
            return Err(BadResponse("the status code is below 100"));
        }
        if status == 101 && !asked.upgrade {
            return Err(BadResponse("the protocol was changed without being asked"));
        }
        let fields = head.fields;
        let connection = Connection::of(&fields);
        let length = length(&fields)?;
        let coded = coded(version, &fields)?;
        let framing = match (coded, length) {
            _ if asked.head_only || matches!(status, 100..=199 | 204 | 304) => Framing::None,
            (true, _) => Framing::Chunked,
            (false, Some(length)) => Framing::Length(length),
            (false, None) => Framing::UntilClose,
        };
        // RFC 9112 section 6.3: with both, the coding counts, and the connection is not to be trusted any more.
        let ambiguous = coded && length.is_some();
        // A server that speaks of a body where there is none may send it all the same (CGI scripts do, to HEAD). When it
        // comes a moment later than the head, nobody can tell it from the answer to the next request.
        let suspect = framing == Framing::None && status >= 200 && (coded || length.is_some_and(|l| l > 0));
        let length = length.filter(|_| !coded && status >= 200 && status != 204);
        let persistent = connection.persistent(version) && framing != Framing::UntilClose && !ambiguous && !suspect;
        let is_plain = version == Version::Http11 && reason.is_some();
        let (plain, size) = (if is_plain { head.start.len() + 2 } else { 0 }, head.length);
        let reason = reason.unwrap_or_default();
        Ok(Self { status, framing, persistent, version, reason, length, fields, connection, size, plain })
    }

    /// An interim response: another one follows.
    pub fn is_interim(&self) -> bool {
        matches!(self.status, 100 | 102..=199)
    }

    /// The head of an interim response as the client gets it.
    pub fn write_interim(&self, keep: Keep<'_>, out: &mut Vec<u8>) {
        self.write_start(keep, None, out);
        out.extend_from_slice(b"\r\n");
    }

    /// The head of a 101: from here on the connection belongs to the new protocol.
    pub fn write_switch(&self, reply: &Reply<'_>, out: &mut Vec<u8>) {
        self.write_start(reply.keep, reply.rules, out);
        out.extend_from_slice(b"Connection: upgrade\r\n");
        for protocol in self.fields.values(Name::Upgrade) {
            write_field(out, "Upgrade", protocol);
        }
        out.extend_from_slice(b"\r\n");
    }

    /// The head of a final response as the client gets it. Returns how the body is to be written, and whether the
    /// client's connection can be used again after it.
    pub fn write_forward(&self, reply: &Reply<'_>, out: &mut Vec<u8>) -> (BodyWriter, bool) {
        let (writer, delimited) = match (self.framing, reply.version) {
            (Framing::None | Framing::Length(_), _) => (BodyWriter::Plain, true),
            (Framing::Chunked | Framing::UntilClose, Version::Http11) => (BodyWriter::Chunked, true),
            (Framing::Chunked | Framing::UntilClose, Version::Http10) => (BodyWriter::Plain, false),
        };
        let keep_alive = reply.keep_alive && delimited;
        self.write_start(reply.keep, reply.rules, out);
        if let Some(length) = self.length {
            write_length(out, length);
        } else if writer == BodyWriter::Chunked {
            out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
        }
        if let Keep::Insert { cookie, backend, attributes } = reply.keep {
            for part in ["Set-Cookie: ", cookie, "=", backend, attributes, "\r\n"] {
                out.extend_from_slice(part.as_bytes());
            }
        }
        match (keep_alive, reply.version) {
            (false, _) => out.extend_from_slice(b"Connection: close\r\n"),
            (true, Version::Http10) => out.extend_from_slice(b"Connection: keep-alive\r\n"),
            (true, Version::Http11) => {}
        }
        out.extend_from_slice(b"\r\n");
        (writer, keep_alive)
    }

    /// Whether the end of a body of unknown length is the end of the client's connection, so that only a reset tells a
    /// truncated one from a complete one.
    pub fn ends_with_connection(&self, client: Version) -> bool {
        client == Version::Http10 && matches!(self.framing, Framing::Chunked | Framing::UntilClose)
    }

    /// Status line, fields that pass, `Via`.
    fn write_start(&self, keep: Keep<'_>, rules: Option<&HeaderRules>, out: &mut Vec<u8>) {
        out.reserve(self.size + OWN_FIELDS);
        if self.plain == 0 {
            out.extend_from_slice(b"HTTP/1.1 ");
            write_number(out, self.status.into());
            out.push(b' ');
            out.extend_from_slice(self.reason);
            out.extend_from_slice(b"\r\n");
        }
        match keep {
            Keep::Prefix { cookie, backend } => self.copy_prefixed(cookie, backend, rules, out),
            Keep::Nothing | Keep::Insert { .. } => {
                self.fields.copy(self.plain, |line| self.passes(line.name, line.known, rules), out);
            }
        }
        if let Some(rules) = rules {
            out.extend_from_slice(rules.lines());
        }
        write_via(out, self.version);
    }

    /// The fields that pass, with the name of the backend in what the application sets as this cookie.
    fn copy_prefixed(&self, cookie: &str, backend: &str, rules: Option<&HeaderRules>, out: &mut Vec<u8>) {
        const NAME: &str = "Set-Cookie";
        let is_other = |line: &Line<'_>| !line.name.eq_ignore_ascii_case(NAME.as_bytes());
        self.fields.copy(self.plain, |line| self.passes(line.name, line.known, rules) && is_other(line), out);
        let pass = self.passes(NAME.as_bytes(), None, rules);
        let lines = self.fields.named(NAME).filter(|_| pass);
        lines.for_each(|line| cookie::write_prefixed(out, cookie, backend, line));
    }

    /// Whether a field is passed on as it is.
    fn passes(&self, name: &[u8], known: Option<Name>, rules: Option<&HeaderRules>) -> bool {
        let is_own = |name: Name| name.is_hop_by_hop() || name == Name::ContentLength;
        let drops = |rules: &HeaderRules| rules.drops(name);
        !known.is_some_and(is_own) && !self.connection.nominates(name) && !rules.is_some_and(drops)
    }
}

/// Version, status, and the reason if there is one. One that is not in ASCII is left out: nobody reads it, and nobody knows
/// how it was encoded.
pub(super) fn status_line(line: &[u8]) -> Option<(Version, u16, Option<&[u8]>)> {
    let (version, line) = line.split_first_chunk::<9>()?;
    let version = match version {
        b"HTTP/1.1 " => Version::Http11,
        b"HTTP/1.0 " => Version::Http10,
        _ => return None,
    };
    let ([a, b, c], reason) = line.split_first_chunk::<3>()?;
    if ![a, b, c].into_iter().all(u8::is_ascii_digit) {
        return None;
    }
    let status = [a, b, c].into_iter().fold(0, |status, digit| 10 * status + u16::from(digit - b'0'));
    let reason = match reason {
        [] => None,
        [b' ', reason @ ..] => reason.is_ascii().then_some(reason),
        _ => return None,
    };
    Some((version, status, reason))
}

/// Of the body, from any number of `Content-Length` that agree (RFC 9110 section 8.6).
fn length(fields: &Fields<'_>) -> Result<Option<u64>, BadResponse> {
    let mut agreed = None;
    for value in fields.values(Name::ContentLength).flat_map(|v| v.split(|b| *b == b',')) {
        let length = number(value.trim_ascii()).ok_or(BadResponse("Content-Length is not a number"))?;
        if agreed.is_some_and(|a| a != length) {
            return Err(BadResponse("there are two different Content-Length"));
        }
        agreed = Some(length);
    }
    Ok(agreed)
}

fn coded(version: Version, fields: &Fields<'_>) -> Result<bool, BadResponse> {
    match Coding::of(fields) {
        Coding::Absent => Ok(false),
        Coding::Chunked if version == Version::Http11 => Ok(true),
        Coding::Chunked => Err(BadResponse("HTTP/1.0 knows no Transfer-Encoding")),
        Coding::Unknown | Coding::Faulty => Err(BadResponse("the transfer coding is not known")),
    }
}
