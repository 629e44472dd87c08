//! One request head: judged, and written anew for a backend.

use super::{
    Framing, MAX_FIELDS, Refusal, Version, bad_request, cookie,
    fields::{Fields, Name},
    head::{Coding, Connection, Lines, list, number, write_field, write_ip, write_length, write_via},
};
use std::{
    borrow::Cow,
    io::Write,
    mem::MaybeUninit,
    net::{IpAddr, Ipv6Addr, SocketAddr},
};

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
    fields: Fields<'a>,
    connection: Connection<'a>,
}

/// What a forwarded request says of its way here.
#[derive(Debug, Clone, Copy)]
pub struct Forwarding<'a> {
    /// Who sent it.
    pub client: IpAddr,
    /// Where it came in; stands in for the host that an HTTP/1.0 request may lack.
    pub local: SocketAddr,
    /// `http`, or `https` where TLS ends here.
    pub scheme: &'static str,
    /// A cookie that carries the name of a backend, which no backend gets to see.
    pub app_cookie: Option<&'a str>,
}

impl<'a> Request<'a> {
    /// From a whole head, its empty line included.
    pub(super) fn parse(head: &'a [u8]) -> Result<Self, Refusal> {
        let mut lines: Lines<'a> = [const { MaybeUninit::uninit() }; MAX_FIELDS];
        let mut parsed = httparse::Request::new(&mut []);
        let end = parsed.parse_with_uninit_headers(head, &mut lines).map_err(refusal)?;
        let (Some(method), Some(target), false) = (parsed.method, parsed.path, end.is_partial()) else {
            return Err(bad_request("the head is malformed"));
        };
        let version = Version::from_minor(parsed.version);
        let fields = Fields::new(head, parsed.headers);
        let (authority, target) = split_target(method, target)?;
        let host = host(version, authority, &fields)?;
        let framing = framing(version, &fields)?;
        let connection = Connection::of(&fields);
        expectation(version, &fields)?;
        let upgrade = version == Version::Http11
            && connection.upgrade
            && matches!(framing, Framing::None | Framing::Length(0))
            && offers_upgrade(&fields);
        let persistent = connection.persistent(version);
        Ok(Self { method, target, version, host, framing, persistent, upgrade, fields, connection })
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
        matches!(self.framing, Framing::None | Framing::Length(0))
    }

    /// Value of the first field of this name, in any case.
    pub fn field(&self, name: &str) -> Option<&'a [u8]> {
        self.fields.first(name)
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
        for part in [self.method, " ", &self.target, " HTTP/1.1\r\nHost: "] {
            out.extend_from_slice(part.as_bytes());
        }
        match self.host {
            Some(host) => out.extend_from_slice(host.as_bytes()),
            // Writing to a Vec cannot fail.
            None => drop(write!(out, "{}", forwarding.local)),
        }
        out.extend_from_slice(b"\r\n");
        match forwarding.app_cookie.filter(|_| self.fields.has(Name::Cookie)) {
            None => self.fields.copy(|name, known| self.passes(name, known), out),
            Some(cookie) => {
                self.fields.copy(|name, known| self.passes(name, known) && known != Some(Name::Cookie), out);
                let lines = self.fields.values(Name::Cookie).filter(|_| !self.connection.nominates("cookie"));
                lines.for_each(|line| cookie::write_stripped(out, cookie, line));
            }
        }
        self.write_own_fields(forwarding, out);
        out.extend_from_slice(b"\r\n");
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
        out.extend_from_slice(b"X-Forwarded-For: ");
        if !self.connection.nominates("x-forwarded-for") {
            for earlier in self.fields.values(Name::XForwardedFor).filter(|v| !v.is_empty()) {
                out.extend_from_slice(earlier);
                out.extend_from_slice(b", ");
            }
        }
        write_ip(out, forwarding.client);
        for part in ["\r\nX-Forwarded-Proto: ", forwarding.scheme, "\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
        if let Some(host) = self.host {
            write_field(out, "X-Forwarded-Host", host.as_bytes());
        }
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
    fn passes(&self, name: &str, known: Option<Name>) -> bool {
        let is_own = |name: Name| {
            matches!(name, Name::Host | Name::ContentLength | Name::TransferEncoding)
                || matches!(name, Name::XForwardedFor | Name::XForwardedProto | Name::XForwardedHost)
        };
        let passes = match known {
            Some(name) if name.is_hop_by_hop() || is_own(name) => false,
            Some(Name::Expect) => self.version == Version::Http11,
            Some(Name::MaxForwards) => self.max_forwards().is_none(),
            Some(_) => true,
            None => !(name.contains('_') && Name::resembled_by(name).is_some_and(is_own)),
        };
        passes && !self.connection.nominates(name)
    }

    fn max_forwards(&self) -> Option<u64> {
        let counts = matches!(self.method, "OPTIONS" | "TRACE");
        counts.then(|| self.fields.values(Name::MaxForwards).find_map(number)).flatten()
    }
}

/// Splits `host[:port]`; an IPv6 address keeps its brackets.
pub fn split_host(authority: &str) -> (&str, Option<&str>) {
    let bytes = authority.as_bytes();
    let after_brackets = match bytes.first() {
        Some(b'[') => bytes.iter().rposition(|b| *b == b']').map_or(0, |end| end + 1),
        _ => 0,
    };
    match bytes[after_brackets..].iter().position(|b| *b == b':') {
        Some(colon) => (&authority[..after_brackets + colon], Some(&authority[after_brackets + colon + 1..])),
        None => (authority, None),
    }
}

fn refusal(error: httparse::Error) -> Refusal {
    match error {
        httparse::Error::TooManyHeaders => Refusal { status: 431, reason: "there are too many header fields" },
        httparse::Error::HeaderName => bad_request("the name of a field is malformed"),
        httparse::Error::HeaderValue => bad_request("the value of a field is malformed"),
        httparse::Error::Version => bad_request("the version is neither HTTP/1.0 nor HTTP/1.1"),
        httparse::Error::NewLine | httparse::Error::Status | httparse::Error::Token => {
            bad_request("the request line is malformed")
        }
    }
}

/// Into the authority of an absolute-form target, and the origin-form (RFC 9112 section 3.2).
fn split_target<'a>(method: &str, target: &'a str) -> Result<(Option<&'a str>, Cow<'a, str>), Refusal> {
    if method == "CONNECT" {
        return Err(Refusal { status: 501, reason: "CONNECT is not supported" });
    }
    if !target.bytes().all(|b| matches!(b, b'!'..=b'~') && b != b'#') {
        return Err(bad_request("the target holds a character that must be encoded"));
    }
    if target.starts_with('/') || (target == "*" && method == "OPTIONS") {
        return Ok((None, target.into()));
    }
    let rest = ["http://", "https://"].into_iter().find_map(|scheme| {
        let (start, rest) = target.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    });
    let Some(rest) = rest else { return Err(bad_request("the target is neither a path nor a URI")) };
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    if authority.is_empty() {
        return Err(bad_request("the target has no host"));
    }
    let path = match path {
        "" if method == "OPTIONS" => "*".into(),
        path if path.starts_with('/') => path.into(),
        path => format!("/{path}").into(),
    };
    Ok((Some(authority), path))
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

/// `host[:port]`, or nothing. Of the characters of a `reg-name` only those that host names are made of.
fn is_authority(text: &str) -> bool {
    let (host, port) = split_host(text);
    let host_is_good = match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        Some(literal) => literal.parse::<Ipv6Addr>().is_ok(),
        None => host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~' | b'%')),
    };
    let port_is_good = port.is_none_or(|p| p.bytes().all(|b| b.is_ascii_digit()) && p.len() <= 5 && !host.is_empty());
    host_is_good && port_is_good
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
