//! The request line, and the two parts of a target: the authority, and what is asked for there (RFC 9112 section 3.2).
//!
//! What may stand in them is looked up byte by byte: that is the quickest for texts as short as these.

use super::{Refusal, Version, bad_request, lines::token_length};
use std::{borrow::Cow, net::Ipv6Addr};

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

/// Method, target and version, with one space between them.
pub(super) fn request_line(line: &[u8]) -> Result<(&str, &str, Version), Refusal> {
    let malformed = bad_request("the request line is malformed");
    let (line, version) = line.split_last_chunk::<9>().ok_or(malformed)?;
    let version = match version {
        b" HTTP/1.1" => Version::Http11,
        b" HTTP/1.0" => Version::Http10,
        _ => return Err(bad_request("the request line does not end with HTTP/1.0 or HTTP/1.1")),
    };
    let line = str::from_utf8(line).map_err(|_| NOT_ENCODED)?;
    let (method, target) = line.split_at(token_length(line.as_bytes()));
    let target = target.strip_prefix(' ').filter(|target| !method.is_empty() && !target.is_empty()).ok_or(malformed)?;
    Ok((method, target, version))
}

const NOT_ENCODED: Refusal = bad_request("the target holds a character that must be encoded");

/// Into the authority of an absolute-form target, and the origin-form (RFC 9112 section 3.2).
pub(super) fn split_target<'a>(method: &str, target: &'a str) -> Result<(Option<&'a str>, Cow<'a, str>), Refusal> {
    if method == "CONNECT" {
        return Err(Refusal { status: 501, reason: "CONNECT is not supported" });
    }
    if !target.bytes().all(|byte| MAY_STAND[usize::from(byte)] & IN_TARGET != 0) {
        return Err(NOT_ENCODED);
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

/// `host[:port]`, or nothing. Of the characters of a `reg-name` only those that host names are made of.
pub(super) fn is_authority(text: &str) -> bool {
    let is_name = |text: &str| text.bytes().all(|byte| MAY_STAND[usize::from(byte)] & IN_HOST != 0);
    if is_name(text) {
        return true;
    }
    let (host, port) = split_host(text);
    let host_is_good = match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        Some(literal) => literal.parse::<Ipv6Addr>().is_ok(),
        None => is_name(host),
    };
    let port_is_good = port.is_none_or(|p| p.bytes().all(|b| b.is_ascii_digit()) && p.len() <= 5 && !host.is_empty());
    host_is_good && port_is_good
}

const IN_TARGET: u8 = 1;
const IN_HOST: u8 = 2;

/// In which of these a byte may stand as it is.
const MAY_STAND: [u8; 256] = {
    let mut places = [0; 256];
    let mut byte = b'!';
    while byte <= b'~' {
        let in_host = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'%');
        places[byte as usize] = if byte == b'#' { 0 } else { IN_TARGET } | if in_host { IN_HOST } else { 0 };
        byte += 1;
    }
    places
};
