//! The PROXY protocol's header, read: what a proxy in front of this one says about a connection before the client's
//! first byte (HAProxy, `doc/proxy-protocol.txt`). Version 1 is a line of text, version 2 is binary.
//!
//! Bytes in, a header out, however they were cut on their way. What cannot become a header any more is refused at the
//! first byte that shows it, for who is made to send headers and does not may be anybody.

use crate::model::ProxyProtocol;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What a header of version 2 begins with.
const SIGNATURE: &[u8; 12] = &ProxyProtocol::SIGNATURE;
/// Version 2, and that the connection is for who is named.
pub(super) const PROXY: u8 = 0x21;
/// Of version 2.
pub(super) const STREAM_OVER_IPV4: u8 = 0x11;
/// Of version 2.
pub(super) const STREAM_OVER_IPV6: u8 = 0x21;
/// What a header of version 1 begins with.
const WORD: &[u8; 6] = b"PROXY ";
/// The longest line of version 1, its end included.
const LONGEST_LINE: usize = 107;
/// Signature, version and command, family, length.
const FIXED: usize = 16;
/// A header of version 2 with all its TLVs; the protocol would allow 64 KiB.
pub const LONGEST: usize = 4096;

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Who has connected, and where to. `None`: nobody that could be named (`UNKNOWN`, `LOCAL`, a unix socket); the
    /// connection is the proxy's own.
    pub ends: Option<(SocketAddr, SocketAddr)>,
    /// Bytes of the header.
    pub length: usize,
}

/// What makes a header unusable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadHeader(&'static str);

/// Reads the header that `input` begins with. `None`: it has not come whole. `input` holds all that came before.
pub fn parse(input: &[u8]) -> Result<Option<Header>, BadHeader> {
    let begins = |with: &[u8]| with.starts_with(&input[..input.len().min(with.len())]);
    match (begins(WORD), begins(SIGNATURE)) {
        (true, _) if input.len() >= WORD.len() => line(input),
        (_, true) if input.len() >= SIGNATURE.len() => binary(input),
        (false, false) => Err(BadHeader("it is no PROXY header")),
        _ => Ok(None),
    }
}

fn line(input: &[u8]) -> Result<Option<Header>, BadHeader> {
    let seen = &input[..input.len().min(LONGEST_LINE)];
    let Some(lf) = memchr::memchr(b'\n', seen) else {
        return if seen.len() < LONGEST_LINE { Ok(None) } else { Err(BadHeader("the line is too long")) };
    };
    let text = seen[WORD.len()..lf].strip_suffix(b"\r").ok_or(BadHeader("the line ends without CR"))?;
    let text = std::str::from_utf8(text).map_err(|_| BadHeader("the line is not ASCII"))?;
    let length = lf + 1;
    let (family, addresses) = text.split_once(' ').unwrap_or((text, ""));
    let ends = match family {
        // Whatever follows is to be ignored.
        "UNKNOWN" => None,
        "TCP4" => Some(addresses_of::<Ipv4Addr>(addresses)?),
        "TCP6" => Some(addresses_of::<Ipv6Addr>(addresses)?),
        _ => return Err(BadHeader("the protocol is not known")),
    };
    Ok(Some(Header { ends, length }))
}

/// `SOURCE DESTINATION PORT PORT`, with single spaces.
fn addresses_of<T: std::str::FromStr + Into<IpAddr>>(text: &str) -> Result<(SocketAddr, SocketAddr), BadHeader> {
    let bad = BadHeader("the addresses are malformed");
    let mut words = text.split(' ');
    let mut next = || words.next().ok_or(bad);
    let address = |text: &str| text.parse::<T>().map(Into::<IpAddr>::into).map_err(|_| bad);
    let (source, destination) = (address(next()?)?, address(next()?)?);
    let (from, to) = (port(next()?)?, port(next()?)?);
    if words.next().is_some() {
        return Err(bad);
    }
    Ok((SocketAddr::new(source, from), SocketAddr::new(destination, to)))
}

/// Decimal, without a sign or leading zeros.
fn port(text: &str) -> Result<u16, BadHeader> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| is_plain).ok_or(BadHeader("a port is malformed"))
}

fn binary(input: &[u8]) -> Result<Option<Header>, BadHeader> {
    const LOCAL: u8 = 0x20;
    let command = match input.get(SIGNATURE.len()) {
        None => return Ok(None),
        Some(&command @ (LOCAL | PROXY)) => command,
        Some(_) => return Err(BadHeader("the version or the command is not known")),
    };
    let Some(&[_, family, high, low]) = input[SIGNATURE.len()..].first_chunk::<4>() else { return Ok(None) };
    let length = FIXED + usize::from(u16::from_be_bytes([high, low]));
    if length > LONGEST {
        return Err(BadHeader("it is too long"));
    }
    let Some(addresses) = input.get(FIXED..length) else { return Ok(None) };
    let ends = if command == LOCAL { None } else { named(family, addresses)? };
    Ok(Some(Header { ends, length }))
}

/// Of a stream over IPv4 or IPv6. What follows the addresses are TLVs, which say nothing that is needed here.
fn named(family: u8, addresses: &[u8]) -> Result<Option<(SocketAddr, SocketAddr)>, BadHeader> {
    let short = BadHeader("there is no room for the addresses");
    let port = |high: u8, low: u8| u16::from_be_bytes([high, low]);
    match family {
        STREAM_OVER_IPV4 => {
            let [a, b, c, d, e, f, g, h, rest @ ..] = addresses.first_chunk::<12>().ok_or(short)?;
            let (source, destination) = (Ipv4Addr::new(*a, *b, *c, *d), Ipv4Addr::new(*e, *f, *g, *h));
            Ok(Some(((source, port(rest[0], rest[1])).into(), (destination, port(rest[2], rest[3])).into())))
        }
        STREAM_OVER_IPV6 => {
            let (source, rest) = addresses.split_first_chunk::<16>().ok_or(short)?;
            let (destination, rest) = rest.split_first_chunk::<16>().ok_or(short)?;
            let [a, b, c, d] = rest.first_chunk::<4>().ok_or(short)?;
            let of = |octets: &[u8; 16], port| SocketAddr::new(Ipv6Addr::from(*octets).into(), port);
            Ok(Some((of(source, port(*a, *b)), of(destination, port(*c, *d)))))
        }
        // Unspecified, datagrams and unix sockets are nobody that a listener of this program could name.
        0x00 | 0x01 | 0x02 | 0x10 | 0x12 | 0x20 | 0x22 | 0x30 | 0x31 | 0x32 => Ok(None),
        _ => Err(BadHeader("the address family is not known")),
    }
}

#[cfg(test)]
mod tests;
