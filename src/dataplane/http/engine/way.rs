//! The way of a request: what those before said of it, and what is told to the backend.
//!
//! Two spellings are known: `X-Forwarded-For`, `-Proto` and `-Host`, and the one field `Forwarded` of RFC 7239. Each
//! proxy adds at the end of the list whom it got the request from, so what stands there can be believed as far as the
//! proxies that wrote it, read from the end.

use super::{
    HeaderRules, Request,
    fields::Name,
    head::{list, write_field, write_ip},
};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// What a forwarded request says of its way here, and what is done to its fields.
#[derive(Debug, Clone, Copy)]
pub struct Forwarding<'a> {
    /// Whose connection it came on.
    pub peer: IpAddr,
    /// Where it came in; stands in for the host that an HTTP/1.0 request may lack.
    pub local: SocketAddr,
    /// `http`, or `https` where TLS ends here.
    pub scheme: &'static str,
    /// A cookie that carries the name of a backend, which no backend gets to see.
    pub app_cookie: Option<&'a str>,
    /// How the way is told.
    pub told: Told,
    /// What is done to the fields.
    pub rules: Option<&'a HeaderRules>,
}

/// How the way of a request is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// In `X-Forwarded-For`, `-Proto` and `-Host`.
    pub x_forwarded: bool,
    /// In `Forwarded`.
    pub rfc7239: bool,
    /// What becomes of what the request says of it.
    pub earlier: Earlier,
}

/// What becomes of what a request says of its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Earlier {
    /// Lists are extended; scheme and host are those that are seen here. Fields that are not told in pass.
    Extended,
    /// It was said by somebody whose word does not count: it goes, in both spellings.
    Dropped,
    /// It was said by a proxy that is trusted: lists are extended, scheme and host kept where they are there.
    Kept,
}

/// What one proxy says in `Forwarded`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hop<'a> {
    /// Whom it got the request from; `None`: that is no address, or not said.
    pub from: Option<IpAddr>,
    /// By which scheme.
    pub proto: Option<&'a [u8]>,
}

impl Default for Told {
    fn default() -> Self {
        Self { x_forwarded: true, rfc7239: false, earlier: Earlier::Extended }
    }
}

impl<'a> Forwarding<'a> {
    /// With everything else as it is by default.
    pub fn new(peer: IpAddr, local: SocketAddr, scheme: &'static str) -> Self {
        Self { peer, local, scheme, app_cookie: None, told: Told::default(), rules: None }
    }

    /// Whether the operator does away with lines of this name.
    pub(super) fn drops(&self, name: &[u8]) -> bool {
        self.rules.is_some_and(|rules| rules.drops(name))
    }
}

impl Told {
    /// Whether a field of the request does not pass as it is.
    pub(super) fn replaces(self, name: Name) -> bool {
        let dropped = self.earlier == Earlier::Dropped;
        match name {
            Name::XForwardedFor => self.x_forwarded || dropped,
            Name::XForwardedProto | Name::XForwardedHost => {
                dropped || self.x_forwarded && self.earlier != Earlier::Kept
            }
            Name::Forwarded => self.rfc7239 || dropped,
            _ => false,
        }
    }

    /// Whether a field that only looks like this one does not pass either.
    pub(super) fn bars_doubles_of(self, name: Name) -> bool {
        let told = self.x_forwarded || self.rfc7239 || self.earlier == Earlier::Dropped;
        told && matches!(name, Name::XForwardedFor | Name::XForwardedProto | Name::XForwardedHost)
    }
}

impl<'a> Request<'a> {
    /// What `X-Forwarded-For` says: whom each proxy got the request from, the last one first. `None` for what is no
    /// address.
    pub fn x_forwarded_for(&self) -> impl Iterator<Item = Option<IpAddr>> {
        let lines = self.earlier(Name::XForwardedFor, "x-forwarded-for");
        lines
            .rev()
            .flat_map(|line| line.rsplit(|b| *b == b','))
            .map(<[u8]>::trim_ascii)
            .filter(|m| !m.is_empty())
            .map(node)
    }

    /// What `Forwarded` says, in the same order.
    pub fn forwarded(&self) -> Vec<Hop<'a>> {
        let mut way: Vec<_> = self.earlier(Name::Forwarded, "forwarded").flat_map(elements).collect();
        way.reverse();
        way
    }

    /// The scheme that a proxy before this one saw, in `X-Forwarded-Proto`; the last word if there are several.
    pub fn x_forwarded_proto(&self) -> Option<&'a [u8]> {
        self.earlier(Name::XForwardedProto, "x-forwarded-proto").flat_map(list).last()
    }

    pub(super) fn write_way(&self, forwarding: &Forwarding<'_>, out: &mut Vec<u8>) {
        if forwarding.told.x_forwarded {
            self.write_x_forwarded(forwarding, out);
        }
        if forwarding.told.rfc7239 && !forwarding.drops(b"forwarded") {
            self.write_forwarded(forwarding, out);
        }
    }

    fn write_x_forwarded(&self, forwarding: &Forwarding<'_>, out: &mut Vec<u8>) {
        let earlier = forwarding.told.earlier;
        if !forwarding.drops(b"x-forwarded-for") {
            out.extend_from_slice(b"X-Forwarded-For: ");
            if earlier != Earlier::Dropped {
                self.write_earlier(Name::XForwardedFor, "x-forwarded-for", out);
            }
            write_ip(out, forwarding.peer);
            out.extend_from_slice(b"\r\n");
        }
        let is_kept = |name, text: &str| {
            earlier == Earlier::Kept && self.fields.has(name) && !self.connection.nominates(text.as_bytes())
        };
        if !is_kept(Name::XForwardedProto, "x-forwarded-proto") && !forwarding.drops(b"x-forwarded-proto") {
            write_field(out, "X-Forwarded-Proto", forwarding.scheme.as_bytes());
        }
        if let Some(host) = self.host
            && !is_kept(Name::XForwardedHost, "x-forwarded-host")
            && !forwarding.drops(b"x-forwarded-host")
        {
            write_field(out, "X-Forwarded-Host", host.as_bytes());
        }
    }

    fn write_forwarded(&self, forwarding: &Forwarding<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(b"Forwarded: ");
        if forwarding.told.earlier != Earlier::Dropped {
            self.write_earlier(Name::Forwarded, "forwarded", out);
        }
        out.extend_from_slice(b"for=");
        match forwarding.peer.to_canonical() {
            peer @ IpAddr::V4(_) => write_ip(out, peer),
            // The brackets and colons of an IPv6 address stand in no token.
            peer @ IpAddr::V6(_) => {
                out.extend_from_slice(b"\"[");
                write_ip(out, peer);
                out.extend_from_slice(b"]\"");
            }
        }
        if let Some(host) = self.host.filter(|host| !host.is_empty()) {
            // Of the characters that a host may hold these need quotes, and none needs a backslash.
            let quote: &[u8] = if host.contains(['[', ':']) { b"\"" } else { b"" };
            for part in [b";host=", quote, host.as_bytes(), quote] {
                out.extend_from_slice(part);
            }
        }
        for part in [";proto=", forwarding.scheme, "\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
    }

    fn write_earlier(&self, name: Name, text: &str, out: &mut Vec<u8>) {
        for earlier in self.earlier(name, text).filter(|value| !value.is_empty()) {
            out.extend_from_slice(earlier);
            out.extend_from_slice(b", ");
        }
    }

    /// The lines of a field, unless `Connection` says that it was not meant for anybody further on.
    fn earlier(&self, name: Name, text: &str) -> impl DoubleEndedIterator<Item = &'a [u8]> + use<'a, '_> {
        let is_meant = self.fields.has(name) && !self.connection.nominates(text.as_bytes());
        self.fields.values(name).filter(move |_| is_meant)
    }
}

/// An address with a port or without, in brackets or without; `None` for `unknown`, names and nonsense.
fn node(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some(ip);
    }
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => text.split_at(text.find(':')?),
    };
    let ip: IpAddr = if text.starts_with('[') { host.parse::<Ipv6Addr>().ok()?.into() } else { host.parse().ok()? };
    // A port may be a number, or a name that hides it (RFC 7239 section 6.2).
    (port.is_empty() || port.len() > 1 && port.starts_with(':')).then_some(ip)
}

/// The elements of a `Forwarded` field, in order. What follows a quote that is not closed is nobody's word.
fn elements(field: &[u8]) -> Vec<Hop<'_>> {
    let (mut hops, mut quoted, mut escaped, mut start) = (Vec::new(), false, false, 0);
    let element = |part: &'_ [u8]| !part.trim_ascii().is_empty();
    for (at, byte) in field.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => {
                hops.extend(Some(&field[start..at]).filter(|part| element(part)).map(hop));
                start = at + 1;
            }
            _ => {}
        }
    }
    let last = Some(&field[start..]).filter(|part| element(part));
    hops.extend(last.map(|part| if quoted { Hop::default() } else { hop(part) }));
    hops
}

/// Values that hold `;` or `\` are no addresses and no schemes.
fn hop(element: &[u8]) -> Hop<'_> {
    let mut hop = Hop::default();
    for pair in element.split(|byte| *byte == b';').map(<[u8]>::trim_ascii) {
        let Some(equals) = memchr::memchr(b'=', pair) else { continue };
        let (name, value) = (&pair[..equals], &pair[equals + 1..]);
        let value = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
        match name {
            name if name.eq_ignore_ascii_case(b"for") => hop.from = node(value),
            name if name.eq_ignore_ascii_case(b"proto") => hop.proto = Some(value),
            _ => {}
        }
    }
    hop
}

#[cfg(test)]
mod tests;
