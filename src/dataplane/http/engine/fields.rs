//! The field lines of one head: which of those that an intermediary must understand are there, and the copying of those
//! that pass.
//!
//! Heads are small and most fields mean nothing here, so the lines are looked at once: a set of names tells what need not
//! be looked for, and neighbouring lines that pass as they are spelled are copied in one piece.

use super::head::{Field, write_field};
use std::ops::Range;

/// A field that an intermediary must understand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    Connection,
    ContentLength,
    Cookie,
    Expect,
    Host,
    KeepAlive,
    MaxForwards,
    ProxyConnection,
    Te,
    Trailer,
    TransferEncoding,
    Upgrade,
    XForwardedFor,
    XForwardedHost,
    XForwardedProto,
}

impl Name {
    /// Which one this is, in any case.
    pub(super) fn of(text: &str) -> Option<Self> {
        Self::by(text, str::eq_ignore_ascii_case)
    }

    /// The same for those who cannot tell `_` from `-`, as CGI-like programs.
    pub(super) fn resembled_by(text: &str) -> Option<Self> {
        let same = |a: u8, b: u8| a.eq_ignore_ascii_case(&if b == b'_' { b'-' } else { b });
        Self::by(text, |name, text| name.bytes().zip(text.bytes()).all(|(a, b)| same(a, b)))
    }

    /// Ends at this hop, whatever `Connection` says (RFC 9110 section 7.6.1). Trailers are not passed on, so neither is
    /// their announcement.
    pub(super) fn is_hop_by_hop(self) -> bool {
        use Name::*;
        matches!(self, Connection | KeepAlive | ProxyConnection | Te | Trailer | TransferEncoding | Upgrade)
    }

    fn by(text: &str, is: impl Fn(&str, &str) -> bool) -> Option<Self> {
        // No two of one length begin alike.
        let (name, this) = match (text.len(), text.as_bytes().first()? | 0x20) {
            (2, b't') => ("te", Self::Te),
            (4, b'h') => ("host", Self::Host),
            (6, b'c') => ("cookie", Self::Cookie),
            (6, b'e') => ("expect", Self::Expect),
            (7, b't') => ("trailer", Self::Trailer),
            (7, b'u') => ("upgrade", Self::Upgrade),
            (10, b'c') => ("connection", Self::Connection),
            (10, b'k') => ("keep-alive", Self::KeepAlive),
            (12, b'm') => ("max-forwards", Self::MaxForwards),
            (14, b'c') => ("content-length", Self::ContentLength),
            (15, b'x') => ("x-forwarded-for", Self::XForwardedFor),
            (16, b'p') => ("proxy-connection", Self::ProxyConnection),
            (16, b'x') => ("x-forwarded-host", Self::XForwardedHost),
            (17, b't') => ("transfer-encoding", Self::TransferEncoding),
            (17, b'x') => ("x-forwarded-proto", Self::XForwardedProto),
            _ => return None,
        };
        is(name, text).then_some(this)
    }
}

/// The field lines of one head.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    head: &'a [u8],
    lines: Vec<Line<'a>>,
    /// One bit for each [`Name`].
    present: u32,
}

#[derive(Debug)]
struct Line<'a> {
    name: &'a str,
    known: Option<Name>,
    /// Without the white space around it.
    value: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Those that were found in `head`.
    pub(super) fn new(head: &'a [u8], lines: &[Field<'a>]) -> Self {
        let line = |it: &Field<'a>| Line { name: it.name, known: Name::of(it.name), value: it.value.trim_ascii() };
        let lines: Vec<Line<'a>> = lines.iter().map(line).collect();
        let present = lines.iter().filter_map(|line| line.known).fold(0, |set, name| set | bit(name));
        Self { head, lines, present }
    }

    /// Whether there is a line of this name.
    pub(super) fn has(&self, name: Name) -> bool {
        self.present & bit(name) != 0
    }

    /// Values of all lines of this name, in order.
    pub(super) fn values(&self, name: Name) -> impl Iterator<Item = &'a [u8]> {
        let lines = if self.has(name) { &self.lines[..] } else { &[] };
        lines.iter().filter(move |line| line.known == Some(name)).map(|line| line.value)
    }

    /// Values of all lines of a name that means nothing to an intermediary, in order.
    pub(super) fn named<'b>(&'b self, name: &'b str) -> impl Iterator<Item = &'a [u8]> + 'b {
        let lines = self.lines.iter().filter(move |line| line.name.eq_ignore_ascii_case(name));
        lines.map(|line| line.value)
    }

    /// Value of the first line of any name.
    pub(super) fn first(&self, name: &str) -> Option<&'a [u8]> {
        Some(self.lines.iter().find(|line| line.name.eq_ignore_ascii_case(name))?.value)
    }

    /// Adds every line that passes by its name, without the white space around its value.
    pub(super) fn copy(&self, passes: impl Fn(&str, Option<Name>) -> bool, out: &mut Vec<u8>) {
        let mut piece = 0..0;
        for line in self.lines.iter().filter(|line| passes(line.name, line.known)) {
            match self.as_spelled(line) {
                Some(next) if next.start == piece.end => piece.end = next.end,
                spelled => {
                    out.extend_from_slice(&self.head[piece]);
                    if spelled.is_none() {
                        write_field(out, line.name, line.value);
                    }
                    piece = spelled.unwrap_or(0..0);
                }
            }
        }
        out.extend_from_slice(&self.head[piece]);
    }

    /// Where a line stands that is spelled as it would be written here: one space, and none behind the value.
    fn as_spelled(&self, line: &Line<'_>) -> Option<Range<usize>> {
        let place = |part: &[u8]| part.as_ptr().addr().checked_sub(self.head.as_ptr().addr());
        let (start, value) = (place(line.name.as_bytes())?, place(line.value)?);
        let (colon, end) = (start.checked_add(line.name.len())?, value.checked_add(line.value.len())?);
        let is_plain = self.head.get(colon..value) == Some(b": ") && self.head.get(end..end + 2) == Some(b"\r\n");
        is_plain.then_some(start..end + 2)
    }
}

fn bit(name: Name) -> u32 {
    1 << name as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NAMES: [(&str, Name); 15] = [
        ("Connection", Name::Connection),
        ("Content-Length", Name::ContentLength),
        ("Cookie", Name::Cookie),
        ("Expect", Name::Expect),
        ("Host", Name::Host),
        ("Keep-Alive", Name::KeepAlive),
        ("Max-Forwards", Name::MaxForwards),
        ("Proxy-Connection", Name::ProxyConnection),
        ("TE", Name::Te),
        ("Trailer", Name::Trailer),
        ("Transfer-Encoding", Name::TransferEncoding),
        ("Upgrade", Name::Upgrade),
        ("X-Forwarded-For", Name::XForwardedFor),
        ("X-Forwarded-Host", Name::XForwardedHost),
        ("X-Forwarded-Proto", Name::XForwardedProto),
    ];

    fn parsed(head: &[u8]) -> Vec<Field<'_>> {
        let mut lines = [httparse::EMPTY_HEADER; 32];
        let (_, lines) = httparse::parse_headers(head, &mut lines).unwrap().unwrap();
        lines.to_vec()
    }

    #[test]
    fn a_name_is_known_in_any_case_and_its_double_only_to_those_who_ask() {
        for (text, name) in NAMES {
            for text in [text.to_owned(), text.to_lowercase(), text.to_uppercase()] {
                assert_eq!(Name::of(&text), Some(name), "{text}");
                assert_eq!(Name::resembled_by(&text), Some(name), "{text}");
                let double = text.replace('-', "_");
                assert_eq!(Name::of(&double).is_some(), !text.contains('-'), "{double}");
                assert_eq!(Name::resembled_by(&double), Some(name), "{double}");
            }
        }
        for text in ["", "x", "hosts", "hos", "Content_Lengthx", "content-lengtg", "Tea"] {
            assert_eq!((Name::of(text), Name::resembled_by(text)), (None, None), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_copied_in_pieces_is_what_is_written_line_by_line(
            lines in prop::collection::vec(
                ("[A-Za-z-]{1,12}", "[ \t]{0,2}", "([!-~]([ -~]{0,8}[!-~])?)?", "[ \t]{0,2}", any::<bool>()), 0..12,
            ),
        ) {
            let mut head = String::new();
            for (at, (name, before, value, after, _)) in lines.iter().enumerate() {
                head += &format!("{name}{at}:{before}{value}{after}\r\n");
            }
            head += "\r\n";
            let passes = |name: &str, _: Option<Name>| {
                let digits = name.trim_start_matches(|c: char| !c.is_ascii_digit());
                lines[digits.parse::<usize>().unwrap()].4
            };
            let fields = Fields::new(head.as_bytes(), &parsed(head.as_bytes()));
            let (mut copied, mut written) = (Vec::new(), Vec::new());
            fields.copy(passes, &mut copied);
            for line in fields.lines.iter().filter(|line| passes(line.name, None)) {
                write_field(&mut written, line.name, line.value);
            }
            prop_assert_eq!(String::from_utf8(copied).unwrap(), String::from_utf8(written).unwrap());
        }
    }
}
