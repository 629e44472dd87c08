//! One request head: judged, and written anew for a backend.

use super::{
    Forwarding, Framing, Refusal, Version, bad_request, cookie,
    fields::{Fields, Line, Name},
    head::{Coding, Connection, list, number, write_field, write_length, write_via},
    lines::Head,
    target::{is_authority, request_line, split_target},
};
use std::{borrow::Cow, io::Write};

/// A request that may be forwarded. It borrows the bytes it was read from.
#[derive(Debug)]
pub struct Request<'a> {
    /// As sent: methods are case-sensitive.
    pub method: &'a str,
    /// In origin-form (`/path?query`), or `*`.
    pub target: Cow<'a, str>,
    /// Of the client's message; what is forwarded is always HTTP/1.1.
    pub version: Version,
    /// Authority of the target URI, with the port if it has one; only an HTTP/1.0 request may lack it.
    pub host: Option<&'a str>,
    /// Of the body: `None`, `Length` or `Chunked`.
    pub framing: Framing,
    /// The client would like to use its connection again.
    pub persistent: bool,
    /// The client asks for another protocol, and that is passed on.
    pub upgrade: bool,
    pub(super) fields: Fields<'a>,
    pub(super) connection: Connection<'a>,
    /// So much of the head stands there as it is forwarded: nothing, or the request line and the Host field behind it.
    plain: usize,
}

impl<'a> Request<'a> {
    /// From a whole head, its empty line included.
    #[cfg(test)]
    pub(super) fn parse(head: &'a [u8]) -> Result<Self, Refusal> {
        Self::new(Head::split(head).ok_or_else(|| Head::fault(head))?)
    }

    pub(super) fn new(head: Head<'a>) -> Result<Self, Refusal> {
        let (method, sent, version) = request_line(head.start)?;
        let fields = head.fields;
        let (authority, target) = split_target(method, sent)?;
        let host = host(version, authority, &fields)?;
        let framing = framing(version, &fields)?;
        let connection = Connection::of(&fields);
        expectation(version, &fields)?;
        let upgrade =
            version == Version::Http11 && connection.upgrade && framing.is_bodiless() && offers_upgrade(&fields);
        let persistent = connection.persistent(version);
        let is_plain = version == Version::Http11 && authority.is_none();
        let is_plain = |line: &&Line<'_>| is_plain && line.known == Some(Name::Host) && line.is_plain;
        let plain = fields.lines().first().filter(is_plain).map_or(0, |line| line.place.end);
        Ok(Self { method, target, version, host, framing, persistent, upgrade, fields, connection, plain })
    }

    /// Of the target, without its query, before any decoding.
    pub fn path(&self) -> &str {
        &self.target[..memchr::memchr(b'?', self.target.as_bytes()).unwrap_or(self.target.len())]
    }

    /// Doing it twice is meant to be like doing it once (RFC 9110 section 9.2.2).
    pub fn is_idempotent(&self) -> bool {
        matches!(self.method, "GET" | "HEAD" | "OPTIONS" | "PUT" | "DELETE" | "TRACE")
    }

    /// There is no body, or an empty one of known length.
    pub fn is_bodiless(&self) -> bool {
        self.framing.is_bodiless()
    }

    /// Value of the first field of this name, in any case.
    pub fn field(&self, name: &str) -> Option<&'a [u8]> {
        self.fields.first(name)
    }

    /// Values of all fields of this name, in any case, in order.
    pub fn all<'b>(&'b self, name: &'b str) -> impl Iterator<Item = &'a [u8]> + 'b {
        self.fields.named(name)
    }

    /// Value of the first cookie of this name.
    pub fn cookie(&self, name: &str) -> Option<&'a [u8]> {
        let pairs = self.fields.values(Name::Cookie).flat_map(|v| v.split(|b| *b == b';')).map(<[u8]>::trim_ascii);
        pairs.filter_map(|p| p.strip_prefix(name.as_bytes())?.strip_prefix(b"=")).next()
    }

    /// The backends that cookies of this name carry, in order.
    pub fn kept_at<'b>(&'b self, name: &'b str) -> impl Iterator<Item = &'a [u8]> + 'b {
        let pairs = self.fields.values(Name::Cookie).flat_map(cookie::pairs);
        pairs.filter_map(move |pair| cookie::backend_of(pair, name))
    }

    /// `Max-Forwards` forbids to pass this OPTIONS or TRACE on (RFC 9110 section 7.6.2).
    pub fn ends_here(&self) -> bool {
        self.max_forwards() == Some(0)
    }

    /// The head as a backend gets it: one spelling of the target, the host and the length of the body, without what
    /// belongs to the client's connection, with what tells where the request came from.
    pub fn write_forward(&self, forwarding: &Forwarding<'_>, out: &mut Vec<u8>) {
        if self.plain == 0 {
            self.write_start(forwarding, out);
        }
        match forwarding.app_cookie.filter(|_| self.fields.has(Name::Cookie)) {
            None => self.fields.copy(self.plain, |line| self.passes(line, forwarding), out),
            Some(cookie) => self.copy_stripped(cookie, forwarding, out),
        }
        self.write_own_fields(forwarding, out);
        if let Some(rules) = forwarding.rules {
            out.extend_from_slice(rules.lines());
        }
        out.extend_from_slice(b"\r\n");
    }

    /// The request line and the Host field.
    fn write_start(&self, forwarding: &Forwarding<'_>, out: &mut Vec<u8>) {
        for part in [self.method, " ", &self.target, " HTTP/1.1\r\nHost: "] {
            out.extend_from_slice(part.as_bytes());
        }
        match self.host {
            Some(host) => out.extend_from_slice(host.as_bytes()),
            // Writing to a Vec cannot fail.
            None => drop(write!(out, "{}", forwarding.local)),
        }
        out.extend_from_slice(b"\r\n");
    }

    /// The fields that pass, with the names of backends taken out of this cookie.
    fn copy_stripped(&self, cookie: &str, forwarding: &Forwarding<'_>, out: &mut Vec<u8>) {
        let is_cookie = |line: &Line<'_>| line.known == Some(Name::Cookie);
        self.fields.copy(self.plain, |line| !is_cookie(line) && self.passes(line, forwarding), out);
        let pass = self.may_pass(b"cookie", forwarding);
        let lines = self.fields.values(Name::Cookie).filter(|_| pass);
        lines.for_each(|line| cookie::write_stripped(out, cookie, line));
    }

    fn write_own_fields(&self, forwarding: &Forwarding<'_>, out: &mut Vec<u8>) {
        match self.framing {
            Framing::Length(length) => write_length(out, length),
            Framing::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
            Framing::None | Framing::UntilClose => {}
        }
        if let Some(hops) = self.max_forwards() {
            drop(write!(out, "Max-Forwards: {}\r\n", hops.saturating_sub(1)));
        }
        self.write_way(forwarding, out);
        write_via(out, self.version);
        if self.upgrade {
            out.extend_from_slice(b"Connection: upgrade\r\n");
            for protocol in self.fields.values(Name::Upgrade) {
                write_field(out, "Upgrade", protocol);
            }
        }
    }

    /// Whether a field is forwarded as it is. Those that are written anew are not, and neither are their doubles with
    /// `_` for `-`, which CGI-like backends cannot tell from them.
    fn passes(&self, line: &Line<'_>, forwarding: &Forwarding<'_>) -> bool {
        let is_own = |name: Name| matches!(name, Name::Host | Name::ContentLength | Name::TransferEncoding);
        let told = forwarding.told;
        let passes = match line.known {
            Some(name) if name.is_hop_by_hop() || is_own(name) || told.replaces(name) => false,
            Some(Name::Expect) => self.version == Version::Http11,
            Some(Name::MaxForwards) => self.max_forwards().is_none(),
            Some(_) => true,
            None => {
                let is_double = |name: Name| is_own(name) || told.bars_doubles_of(name);
                !line.double.is_some_and(is_double)
            }
        };
        passes && self.may_pass(line.name, forwarding)
    }

    /// Whether neither the client nor the operator has said that fields of this name are not forwarded.
    fn may_pass(&self, name: &[u8], forwarding: &Forwarding<'_>) -> bool {
        !self.connection.nominates(name) && !forwarding.drops(name)
    }

    fn max_forwards(&self) -> Option<u64> {
        let counts = matches!(self.method, "OPTIONS" | "TRACE");
        counts.then(|| self.fields.values(Name::MaxForwards).find_map(number)).flatten()
    }
}

/// The one host of the request (RFC 9112 section 3.2): the target's authority overrides the field.
fn host<'a>(version: Version, authority: Option<&'a str>, fields: &Fields<'a>) -> Result<Option<&'a str>, Refusal> {
    let mut lines = fields.values(Name::Host);
    let field = lines.next().map(|value| std::str::from_utf8(value).unwrap_or("\u{fffd}"));
    if lines.next().is_some() {
        return Err(bad_request("there is more than one Host field"));
    }
    if version == Version::Http11 && field.is_none() {
        return Err(bad_request("there is no Host field"));
    }
    if [field, authority].into_iter().flatten().any(|a| !is_authority(a)) {
        return Err(bad_request("the host is malformed"));
    }
    Ok(authority.or(field))
}

/// RFC 9112 section 6.3, and where it lets a recipient choose between repair and refusal: refusal.
fn framing(version: Version, fields: &Fields<'_>) -> Result<Framing, Refusal> {
    let mut lengths = fields.values(Name::ContentLength);
    let length = lengths.next();
    if lengths.next().is_some() {
        return Err(bad_request("there is more than one Content-Length"));
    }
    match (Coding::of(fields), length) {
        (Coding::Absent, None) => Ok(Framing::None),
        (Coding::Absent, Some(value)) => {
            number(value).map(Framing::Length).ok_or(bad_request("Content-Length is not a number"))
        }
        _ if version == Version::Http10 => Err(bad_request("HTTP/1.0 knows no Transfer-Encoding")),
        (_, Some(_)) => Err(bad_request("there are both Content-Length and Transfer-Encoding")),
        (Coding::Chunked, None) => Ok(Framing::Chunked),
        (Coding::Unknown, None) => Err(Refusal { status: 501, reason: "the transfer coding is not known" }),
        (Coding::Faulty, None) => Err(bad_request("the transfer coding does not tell where the body ends")),
    }
}

/// `100-continue` is the only one there is (RFC 9110 section 10.1.1); HTTP/1.0 has none.
fn expectation(version: Version, fields: &Fields<'_>) -> Result<(), Refusal> {
    let mut expected = fields.values(Name::Expect).flat_map(list);
    if version == Version::Http11 && expected.any(|e| !e.eq_ignore_ascii_case(b"100-continue")) {
        return Err(Refusal { status: 417, reason: "the expectation is not known" });
    }
    Ok(())
}

/// There is a protocol to change to. Not to `h2c`: what is sent in HTTP/2 behind this proxy's back would pass by
/// everything that it decides.
fn offers_upgrade(fields: &Fields<'_>) -> bool {
    let mut offered = fields.values(Name::Upgrade).flat_map(list).peekable();
    offered.peek().is_some() && !offered.any(|p| p.eq_ignore_ascii_case(b"h2c"))
}
