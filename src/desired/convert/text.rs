//! The texts of state that mean something, each with what a person should be told who got it wrong.

use crate::{
    desired::json::quote,
    model::{DEFAULT_HEARTBEAT_PORT, StatusRange, VipAddress},
};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// What is wrong with a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::desired) struct Complaint {
    pub(in crate::desired) message: String,
    pub(in crate::desired) help: Option<String>,
    /// It is about the key, not the value.
    pub(in crate::desired) of_key: bool,
}

impl Complaint {
    pub(in crate::desired) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None, of_key: false }
    }

    pub(in crate::desired) fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    pub(in crate::desired) fn of_key(self) -> Self {
        Self { of_key: true, ..self }
    }
}

impl From<String> for Complaint {
    fn from(message: String) -> Self {
        Self::new(message)
    }
}

impl From<&str> for Complaint {
    fn from(message: &str) -> Self {
        Self::new(message)
    }
}

/// The address of a host, as every address of state is.
pub(super) fn ip(text: &str) -> Result<IpAddr, Complaint> {
    let address: IpAddr = text.parse().map_err(|_| not_an_ip(text))?;
    check_host(address).map(|()| address)
}

/// `198.51.100.10`, `198.51.100.10/24` or `2001:db8::10/64`.
pub(super) fn vip_address(text: &str) -> Result<VipAddress, Complaint> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let address = VipAddress::host(ip(address)?);
    if let IpAddr::V6(v6) = address.ip
        && v6.is_unicast_link_local()
    {
        return Err(Complaint::new(format!("{v6} is link-local: nothing can listen on it without naming a device")));
    }
    let Some(length) = length else { return Ok(address) };
    let most = address.prefix_len;
    let prefix_len = length.parse().ok().filter(|len| (1..=most).contains(len) && !length.starts_with('+'));
    let Some(prefix_len) = prefix_len else {
        return Err(Complaint::new(format!("prefix length {} is not between 1 and {most}", quote(length))));
    };
    let address = VipAddress { prefix_len, ..address };
    check_within_subnet(address).map(|()| address)
}

/// `192.0.2.102:80` or `[2001:db8::102]:80`.
pub(super) fn endpoint(text: &str) -> Result<SocketAddr, Complaint> {
    if text.parse::<IpAddr>().is_ok() {
        let example = if text.contains(':') { format!("[{text}]:80") } else { format!("{text}:80") };
        return Err(Complaint::new(format!("{text} has no port")).help(format!("write it as {example:?}")));
    }
    let address = text.parse().map_err(|_| not_an_endpoint(text))?;
    check_endpoint(address)
}

/// Where a backend is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Endpoint {
    At(SocketAddr),
    /// A host name in lower case, and a port.
    Named(String, u16),
}

/// An [`endpoint`], or `name.example:80`.
pub(super) fn named_endpoint(text: &str) -> Result<Endpoint, Complaint> {
    let (name, port) = text.rsplit_once(':').unwrap_or((text, ""));
    // A name that ends in a number is an address that was mistyped (WHATWG URL, "ends in a number").
    let is_name = name.rsplit('.').next().is_some_and(|last| last.contains(|c: char| !c.is_ascii_digit()));
    match host(name) {
        Ok(name) if is_name && !name.starts_with('[') => {
            match port.parse() {
                Ok(port) if port > 0 => Ok(Endpoint::Named(name, port)),
                _ if port.is_empty() => Err(Complaint::new(format!("{name} has no port"))
                    .help(format!("write it as {:?}", format!("{name}:80")))),
                _ => Err(Complaint::new(format!("port {} is not between 1 and 65535", quote(port)))),
            }
        }
        _ => endpoint(text).map(Endpoint::At),
    }
}

/// An [`endpoint`], or an address alone with the port of Heartbeat.
pub(super) fn heartbeat_endpoint(text: &str) -> Result<SocketAddr, Complaint> {
    match text.parse::<IpAddr>() {
        Ok(address) => check_endpoint(SocketAddr::new(address, DEFAULT_HEARTBEAT_PORT)),
        Err(_) => endpoint(text),
    }
}

/// A network device or an alias for one: 1–15 bytes, as `IFNAMSIZ` of the kernel wants it.
pub(super) fn device(text: &str) -> Result<String, Complaint> {
    let fits = (1..=15).contains(&text.len()) && text != "." && text != "..";
    let bad = |c: char| c.is_whitespace() || c.is_control() || c == '/' || c == ':';
    if fits && !text.contains(bad) {
        return Ok(text.to_owned());
    }
    let message = format!("{} can be no interface: a name has 1 to 15 bytes, no space, '/' or ':'", quote(text));
    Err(Complaint::new(message))
}

/// A host name or address literal as a request's `Host` field holds it, without port; in lower case.
pub(super) fn host(text: &str) -> Result<String, Complaint> {
    let lower = text.to_ascii_lowercase();
    if let Some(inner) = lower.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return match inner.parse::<std::net::Ipv6Addr>() {
            Ok(_) => Ok(lower),
            Err(_) => Err(Complaint::new(format!("{} is no IPv6 address in brackets", quote(text)))),
        };
    }
    if lower.contains('*') {
        let message = format!("{} is a pattern: a route compares whole host names", quote(text));
        return Err(Complaint::new(message).help("write one route per host"));
    }
    if let Some((name, port)) = lower.split_once(':') {
        let error = Complaint::new(format!("{} names a port: hosts are compared without", quote(text)));
        let plain = port.bytes().all(|b| b.is_ascii_digit()) && !name.is_empty();
        return Err(if plain { error.help(format!("write {name:?}")) } else { error });
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if lower.len() > 253 || !lower.split('.').all(label) {
        let error = Complaint::new(format!("{} is no host name", quote(text)));
        let international = !lower.is_ascii();
        return Err(if international { error.help("write it as clients send it: \"xn--…\"") } else { error });
    }
    Ok(lower)
}

/// A [`host`], with a port or without.
pub(super) fn host_and_port(text: &str) -> Result<String, Complaint> {
    let Some((name, port)) = text.rsplit_once(':').filter(|_| !text.ends_with(']')) else { return host(text) };
    let name = host(name)?;
    match port.parse::<u16>().ok().filter(|number| *number > 0 && !port.starts_with('+')) {
        Some(port) => Ok(format!("{name}:{port}")),
        None => Err(Complaint::new(format!("port {} is not between 1 and 65535", quote(port)))),
    }
}

/// The path of a request target, before decoding.
pub(super) fn path(text: &str) -> Result<String, Complaint> {
    if let Some(mark) = text.chars().find(|c| matches!(c, '?' | '#')) {
        return Err(Complaint::new(format!("a path is compared without what follows {mark:?}: {}", quote(text))));
    }
    target(text)
}

/// What a check asks for: a path, with a query or without.
pub(super) fn target(text: &str) -> Result<String, Complaint> {
    if !text.starts_with('/') {
        let help = format!("write {}", quote(&format!("/{text}")));
        return Err(Complaint::new(format!("path {} does not begin with '/'", quote(text))).help(help));
    }
    match text.chars().find(|c| !c.is_ascii_graphic()) {
        None => Ok(text.to_owned()),
        Some(bad) => {
            let encoded: String = bad.to_string().bytes().map(|b| format!("%{b:02X}")).collect();
            let message = format!("path {} holds {bad:?}, which no request target does", quote(text));
            Err(Complaint::new(message).help(format!("write it as {encoded:?}")))
        }
    }
}

/// An RFC 9110 token, which RFC 6265 wants a cookie's name to be.
pub(super) fn token(text: &str) -> Result<String, Complaint> {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if !text.is_empty() && text.bytes().all(legal) {
        return Ok(text.to_owned());
    }
    Err(Complaint::new(format!("{} can be no cookie's name: letters, digits, '-', '_' and '.' can", quote(text))))
}

/// The name of a field of requests (RFC 9110 section 5.1).
pub(super) fn field_name(text: &str) -> Result<String, Complaint> {
    let what = |_| Complaint::new(format!("{} can be no field's name: letters, digits, '-' and '_' can", quote(text)));
    token(text).map_err(what)
}

/// Where a file or a socket is, whatever directory the agent was started in.
pub(super) fn absolute(text: &str) -> Result<String, Complaint> {
    if text.starts_with('/') && text.len() > 1 && !text.ends_with('/') && !text.contains('\0') {
        return Ok(text.to_owned());
    }
    Err(Complaint::new(format!("{} is no absolute path of a file", quote(text))))
}

/// Bytes, of which a text cannot hold all: besides what JSON knows, `\\r`, `\\n`, `\\t`, `\\0`, `\\xHH` and `\\\\`.
pub(super) fn bytes(text: &str) -> Result<Vec<u8>, Complaint> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let (byte, length) = match after {
            _ if *first != b'\\' => (*first, 0),
            [b'r', ..] => (b'\r', 1),
            [b'n', ..] => (b'\n', 1),
            [b't', ..] => (b'\t', 1),
            [b'0', ..] => (0, 1),
            [b'\\', ..] => (b'\\', 1),
            [b'x', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                let digit = |b: &u8| (*b as char).to_digit(16).unwrap_or_default() as u8;
                (digit(high) << 4 | digit(low), 3)
            }
            _ => {
                let error = Complaint::new(format!("{} has an escape that means nothing", quote(text)));
                return Err(error.help("write \\\\r, \\\\n, \\\\t, \\\\0, \\\\xHH, or \\\\\\\\ for a backslash"));
            }
        };
        bytes.push(byte);
        rest = &after[length..];
    }
    Ok(bytes)
}

/// `200-399` or `200,204,300-399`.
pub(super) fn status_ranges(text: &str) -> Result<Vec<StatusRange>, Complaint> {
    text.split(',').map(|part| status_range(part.trim())).collect()
}

fn status_range(text: &str) -> Result<StatusRange, Complaint> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let code = |text: &str| match text.trim().parse::<u16>() {
        Ok(code @ 100..=599) if !text.contains('+') => Ok(code),
        _ => Err(Complaint::new(format!("{} is no status code: they lie between 100 and 599", quote(text)))),
    };
    let (first, last) = (code(first)?, code(last)?);
    if first > last {
        let error = Complaint::new(format!("the range {} runs backwards", quote(text)));
        return Err(error.help(format!("write \"{last}-{first}\"")));
    }
    Ok(StatusRange { first, last })
}

fn not_an_ip(text: &str) -> Complaint {
    let error = Complaint::new(format!("{} is no IP address", quote(text)));
    match text.parse::<SocketAddr>() {
        Ok(address) => error.help(format!("leave the port out: {:?}", address.ip().to_string())),
        Err(_) if text.contains('/') => {
            error.help(format!("leave the prefix length out: {}", quote(before(text, '/'))))
        }
        Err(_) => error,
    }
}

fn not_an_endpoint(text: &str) -> Complaint {
    let error = Complaint::new(format!("{} is no IP address with a port", quote(text)));
    let (name, port) = text.rsplit_once(':').unwrap_or((text, ""));
    if name.parse::<IpAddr>().is_ok() && port.parse::<u16>().is_err() {
        return Complaint::new(format!("port {} is not between 1 and 65535", quote(port)));
    }
    if text.contains('%') {
        return error.help("link-local addresses with a device are not supported");
    }
    let named = name.chars().any(|c| c.is_ascii_alphabetic()) && host(name).is_ok();
    if named { error.help("host names are not looked up: write the address") } else { error }
}

fn before(text: &str, end: char) -> &str {
    text.split(end).next().unwrap_or(text)
}

fn check_endpoint(address: SocketAddr) -> Result<SocketAddr, Complaint> {
    check_host(address.ip())?;
    if address.port() == 0 {
        return Err(Complaint::new("port \"0\" is not between 1 and 65535"));
    }
    match address {
        SocketAddr::V6(v6) if v6.scope_id() != 0 => Err(Complaint::new("link-local addresses are not supported")),
        _ => Ok(address),
    }
}

/// Whether `address` can be that of a host.
fn check_host(address: IpAddr) -> Result<(), Complaint> {
    let what = match address {
        ip if ip.is_unspecified() => "is the unspecified address",
        ip if ip.is_multicast() => "is a multicast address",
        IpAddr::V4(ip) if ip.is_broadcast() => "is the broadcast address",
        IpAddr::V6(ip) if let Some(v4) = ip.to_ipv4_mapped() => {
            let error = Complaint::new(format!("{ip} is an IPv4 address written as IPv6"));
            return Err(error.help(format!("write it as {:?}", v4.to_string())));
        }
        _ => return Ok(()),
    };
    Err(Complaint::new(format!("{address} {what}, not a host's")))
}

/// Neither the first nor the last address of an IPv4 subnet is a host's (RFC 1812, except for /31: RFC 3021).
fn check_within_subnet(address: VipAddress) -> Result<(), Complaint> {
    let VipAddress { ip: IpAddr::V4(ip), prefix_len: len @ 1..=30 } = address else { return Ok(()) };
    let host_bits = u32::MAX >> len;
    let what = match ip.to_bits() & host_bits {
        0 => "network",
        bits if bits == host_bits => "broadcast",
        _ => return Ok(()),
    };
    let network = Ipv4Addr::from_bits(ip.to_bits() & !host_bits);
    Err(Complaint::new(format!("{ip} is the {what} address of {network}/{len}, not a host's")))
}

#[cfg(test)]
mod tests;
