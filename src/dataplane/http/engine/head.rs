//! What heads of requests and responses have in common: where they end, their limits, and the fields that belong to
//! one connection only.

use super::{
    Refusal, bad_request,
    fields::{Fields, Name},
};
use std::{
    io::Write,
    net::{IpAddr, Ipv4Addr},
};

/// Start line and fields, in bytes; more is 431.
pub const MAX_HEAD: usize = 32 * 1024;
/// Field lines; more is 431.
pub const MAX_FIELDS: usize = 100;
/// The first line, in bytes; more is 414.
pub const MAX_START_LINE: usize = 16 * 1024;

/// The version of a received message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
}

/// Finds the end of a head in a growing buffer and looks at each byte once.
///
/// Strict where RFC 9112 section 2.2 lets a recipient choose: a line ends with CR LF. A lone LF is refused as soon as
/// it is seen (a lone CR is refused when the head is taken apart).
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct HeadEnd {
    scanned: usize,
    line_start: usize,
}

impl HeadEnd {
    /// Nothing of the head has been seen yet.
    pub(super) fn is_new(&self) -> bool {
        self.scanned == 0
    }

    /// `input` begins with the head, and holds all that an earlier call saw. `None`: it has not ended yet.
    pub(super) fn find(&mut self, input: &[u8]) -> Result<Option<usize>, Refusal> {
        while let Some(offset) = memchr::memchr(b'\n', &input[self.scanned..]) {
            let lf = self.scanned + offset;
            self.within_limits(lf + 1)?;
            if lf == 0 || input[lf - 1] != b'\r' {
                return Err(bad_request("a line of the head ends without CR"));
            }
            let empty = lf - 1 == self.line_start;
            self.scanned = lf + 1;
            self.line_start = lf + 1;
            if empty {
                return Ok(Some(lf + 1));
            }
        }
        self.scanned = input.len();
        self.within_limits(input.len())?;
        Ok(None)
    }

    fn within_limits(&self, seen: usize) -> Result<(), Refusal> {
        if self.line_start == 0 && seen > MAX_START_LINE {
            return Err(Refusal { status: 414, reason: "the first line is too long" });
        }
        if seen > MAX_HEAD {
            return Err(Refusal { status: 431, reason: "the header fields are too long" });
        }
        Ok(())
    }
}

/// What the `Connection` fields of a message say (RFC 9110 section 7.6.1).
#[derive(Debug, Default)]
pub(super) struct Connection<'a> {
    pub(super) close: bool,
    pub(super) keep_alive: bool,
    pub(super) upgrade: bool,
    /// Names of fields that are meant for this connection only.
    nominated: Vec<&'a [u8]>,
}

impl<'a> Connection<'a> {
    pub(super) fn of(fields: &Fields<'a>) -> Self {
        let mut this = Self::default();
        if !fields.has(Name::Connection) {
            return this;
        }
        for option in fields.values(Name::Connection).flat_map(list) {
            match option {
                o if o.eq_ignore_ascii_case(b"close") => this.close = true,
                o if o.eq_ignore_ascii_case(b"keep-alive") => this.keep_alive = true,
                o if o.eq_ignore_ascii_case(b"upgrade") => this.upgrade = true,
                other => this.nominated.push(other),
            }
        }
        this
    }

    /// Whether a field of this name is one that the sender has declared to end at this hop.
    pub(super) fn nominates(&self, name: &[u8]) -> bool {
        self.nominated.iter().any(|n| name.eq_ignore_ascii_case(n))
    }

    /// Whether the sender would use the connection again.
    pub(super) fn persistent(&self, version: Version) -> bool {
        match version {
            Version::Http11 => !self.close,
            Version::Http10 => self.keep_alive && !self.close,
        }
    }
}

/// Members of a comma-separated list; empty ones do not count (RFC 9110 section 5.6.1.2).
pub(super) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|b| *b == b',').map(<[u8]>::trim_ascii).filter(|m| !m.is_empty())
}

/// Digits and nothing else, within 64 bits.
pub(super) fn number(value: &[u8]) -> Option<u64> {
    let add = |sum: u64, digit: &u8| {
        digit.is_ascii_digit().then(|| sum.checked_mul(10)?.checked_add(u64::from(digit - b'0'))).flatten()
    };
    if value.is_empty() { None } else { value.iter().try_fold(0, add) }
}

/// Whether `Transfer-Encoding` is there, and is `chunked` and nothing else.
pub(super) enum Coding {
    Absent,
    Chunked,
    /// One that this program does not know.
    Unknown,
    /// Chunked twice or not last, or an empty list: the end of the body cannot be told.
    Faulty,
}

impl Coding {
    pub(super) fn of(fields: &Fields<'_>) -> Self {
        if !fields.has(Name::TransferEncoding) {
            return Self::Absent;
        }
        let codings: Vec<&[u8]> = fields.values(Name::TransferEncoding).flat_map(list).collect();
        let is_chunked = |coding: &&[u8]| coding.eq_ignore_ascii_case(b"chunked");
        let chunked_last = codings.last().is_some_and(is_chunked);
        match (codings.len(), codings.iter().filter(|c| is_chunked(c)).count()) {
            (0, _) | (_, 2..) => Self::Faulty,
            (1, 1) => Self::Chunked,
            (_, 1) if !chunked_last => Self::Faulty,
            _ => Self::Unknown,
        }
    }
}

/// `name: value` and the end of the line.
#[inline]
pub(super) fn write_field(out: &mut Vec<u8>, name: impl AsRef<[u8]>, value: &[u8]) {
    out.extend_from_slice(name.as_ref());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// `number` in decimal.
pub(super) fn write_number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return out.extend_from_slice(&digits[first..]);
        }
    }
}

/// The `Content-Length` field.
pub(super) fn write_length(out: &mut Vec<u8>, length: u64) {
    out.extend_from_slice(b"Content-Length: ");
    write_number(out, length);
    out.extend_from_slice(b"\r\n");
}

/// `ip` as text, IPv4 in IPv6 as IPv4.
pub(super) fn write_ip(out: &mut Vec<u8>, ip: IpAddr) {
    match ip.to_canonical() {
        IpAddr::V4(ip) => write_ipv4(out, ip),
        // Writing to a Vec cannot fail.
        IpAddr::V6(ip) => drop(write!(out, "{ip}")),
    }
}

/// Every request has one: put together digit by digit, and added in one piece.
fn write_ipv4(out: &mut Vec<u8>, ip: Ipv4Addr) {
    let (mut text, mut length) = ([b'.'; 16], 0);
    for octet in ip.octets() {
        if octet >= 100 {
            text[length] = b'0' + octet / 100;
            length += 1;
        }
        if octet >= 10 {
            text[length] = b'0' + octet / 10 % 10;
            length += 1;
        }
        text[length] = b'0' + octet % 10;
        // Of the dot too.
        length += 2;
    }
    out.extend_from_slice(&text[..length - 1]);
}

/// The name under which this program appears in `Via`.
pub(super) fn write_via(out: &mut Vec<u8>, received: Version) {
    out.extend_from_slice(match received {
        Version::Http10 => b"Via: 1.0 lbagent\r\n",
        Version::Http11 => b"Via: 1.1 lbagent\r\n",
    });
}
