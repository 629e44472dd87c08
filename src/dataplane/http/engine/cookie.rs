//! Cookies that tell the proxy where a client belongs. Nothing is remembered here: the client carries it.
//!
//! Either the proxy sets a cookie of its own, or it writes the backend's name before the value of a cookie of the
//! application – `id=b0~value`, as HAProxy does – and takes it out of each request before a backend sees it.

use super::head::write_field;

/// Stands between a backend's name, which cannot contain it, and the application's value.
const MARK: u8 = b'~';

/// What the head of a response does to keep the client at its backend.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Keep<'a> {
    /// Nothing.
    #[default]
    Nothing,
    /// It sets a cookie of the proxy.
    Insert {
        /// Its name.
        cookie: &'a str,
        /// Its value.
        backend: &'a str,
        /// What follows the value: `; Path=/` and so on.
        attributes: &'a str,
    },
    /// A cookie that the application sets gets the backend's name before its value.
    Prefix {
        /// The name of the application's cookie.
        cookie: &'a str,
        /// What its value gets.
        backend: &'a str,
    },
}

/// The members of a `Cookie` field, with the space around them. RFC 6265 knows no `;` within quotes.
pub(super) fn pairs(field: &[u8]) -> impl Iterator<Item = &[u8]> {
    field.split(|byte| *byte == b';')
}

/// The backend that a member names, if it is the application's cookie with a backend's name in it.
pub(super) fn backend_of<'a>(pair: &'a [u8], cookie: &str) -> Option<&'a [u8]> {
    marked(pair, cookie).map(|(_, backend, _)| backend)
}

/// A `Cookie` field as the backend gets it: as it came, without the names of backends.
pub(super) fn write_stripped(out: &mut Vec<u8>, cookie: &str, field: &[u8]) {
    out.extend_from_slice(b"Cookie: ");
    for (at, pair) in pairs(field).enumerate() {
        if at > 0 {
            out.push(b';');
        }
        match marked(pair, cookie) {
            Some((before, _, value)) => {
                out.extend_from_slice(before);
                out.extend_from_slice(value);
            }
            None => out.extend_from_slice(pair),
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// A `Set-Cookie` field as the client gets it. An empty value belongs to no session – so cookies are deleted – and stays
/// empty; a deletion with a value is one with any value.
pub(super) fn write_prefixed(out: &mut Vec<u8>, cookie: &str, backend: &str, field: &[u8]) {
    let Some(start) = value_start(field, cookie) else { return write_field(out, "Set-Cookie", field) };
    let (before, value) = field.split_at(start);
    out.extend_from_slice(b"Set-Cookie: ");
    out.extend_from_slice(before);
    if !matches!(value.first(), None | Some(b';' | b'"' | b' ' | b'\t')) {
        out.extend_from_slice(backend.as_bytes());
        out.push(MARK);
    }
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// What stands before the backend's name, the name, and what is behind the mark. A name that no backend has (any more)
/// counts too: the application must not see it.
fn marked<'a>(pair: &'a [u8], cookie: &str) -> Option<(&'a [u8], &'a [u8], &'a [u8])> {
    let (before, value) = pair.split_at(value_start(pair, cookie)?);
    let mark = memchr::memchr(MARK, value)?;
    let backend = &value[..mark];
    let legal = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    ((1..=63).contains(&mark) && backend.iter().all(legal)).then(|| (before, backend, &value[mark + 1..]))
}

/// Where the value of this cookie begins in `name=value` or `name="value"`: behind the quote, for what is written there
/// must stay within.
fn value_start(pair: &[u8], cookie: &str) -> Option<usize> {
    let named = pair.trim_ascii_start().strip_prefix(cookie.as_bytes())?;
    let value = named.trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
    Some(pair.len() - value.strip_prefix(b"\"").unwrap_or(value).len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stripped(field: &str) -> String {
        let mut out = Vec::new();
        write_stripped(&mut out, "id", field.as_bytes());
        String::from_utf8(out).unwrap().strip_prefix("Cookie: ").unwrap().trim_end_matches("\r\n").to_owned()
    }

    fn prefixed(field: &str) -> String {
        let mut out = Vec::new();
        write_prefixed(&mut out, "id", "b0", field.as_bytes());
        String::from_utf8(out).unwrap().strip_prefix("Set-Cookie: ").unwrap().trim_end_matches("\r\n").to_owned()
    }

    #[test]
    fn names_of_backends_are_taken_out_and_nothing_else() {
        for (came, goes) in [
            ("id=b0~v", "id=v"),
            ("a=1; id=b0~v;b=2 ;  id=gone~w", "a=1; id=v;b=2 ;  id=w"),
            ("id=\"b0~v\"; x", "id=\"v\"; x"),
            ("id=b0~\"v\"", "id=\"v\""),
            ("id=b0~v~w", "id=v~w"),
            ("id=b0~", "id="),
            ("id = b0~v", "id = v"),
            // No name of a backend, or another cookie.
            ("id=~v", "id=~v"),
            ("id=a/b~v", "id=a/b~v"),
            ("id=v; xid=b0~v; idx=b0~v; ID=b0~v", "id=v; xid=b0~v; idx=b0~v; ID=b0~v"),
            ("", ""),
            (";;", ";;"),
        ] {
            assert_eq!(stripped(came), goes, "{came}");
        }
        assert_eq!(backend_of(b" id=b0~v", "id"), Some(&b"b0"[..]));
        assert_eq!(backend_of(b"id=v", "id"), None);
        let long = format!("id={}~v", "b".repeat(64));
        assert_eq!(stripped(&long), long, "no name is as long");
    }

    #[test]
    fn the_name_of_the_backend_goes_before_a_value_if_there_is_one() {
        for (came, goes) in [
            ("id=v; Path=/; HttpOnly", "id=b0~v; Path=/; HttpOnly"),
            ("id=\"v\"; Path=/", "id=\"b0~v\"; Path=/"),
            ("id = v", "id = b0~v"),
            ("id=v; Max-Age=0", "id=b0~v; Max-Age=0"),
            ("id=; Max-Age=0", "id=; Max-Age=0"),
            ("id= ; Max-Age=0", "id= ; Max-Age=0"),
            ("id=\"\"; Max-Age=0", "id=\"\"; Max-Age=0"),
            ("id=", "id="),
            ("other=v; id=w", "other=v; id=w"),
            ("idx=v", "idx=v"),
            ("id", "id"),
        ] {
            assert_eq!(prefixed(came), goes, "{came}");
        }
    }

    proptest! {
        /// What an application sets is what it gets back, wherever the client puts it.
        #[test]
        fn the_application_sees_its_own_value(
            value in "[!#-+\\--:<-\\[\\]-~]{1,20}", quoted: bool, before in "[a-z=~ ]{0,8}", after in "[a-z=~ ]{0,8}",
        ) {
            let own = if quoted { format!("id=\"{value}\"") } else { format!("id={value}") };
            let carried = prefixed(&format!("{own}; Path=/"));
            let carried = carried.strip_suffix("; Path=/").unwrap();
            prop_assert_eq!(backend_of(carried.as_bytes(), "id"), Some(&b"b0"[..]));
            let field = format!("x{before}; {carried}; x{after}");
            prop_assert_eq!(stripped(&field), format!("x{before}; {own}; x{after}"));
        }
    }
}
