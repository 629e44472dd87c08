//! The field lines of one head: which of those that an intermediary must understand are there, and the copying of those
//! that pass.
//!
//! Heads are small and most fields mean nothing here, so the lines are looked at once: a set of names tells what need not
//! be looked for, and neighbouring lines that pass as they are spelled are copied in one piece.

use super::head::write_field;
use std::ops::Range;

/// A field that an intermediary must understand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    Connection,
    ContentLength,
    Cookie,
    Expect,
    Forwarded,
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
    /// Which one this is, in any case; and if it is none, which one it is for those who cannot tell `_` from `-`, as CGI-like
    /// programs.
    pub(super) fn of(text: &[u8]) -> (Option<Self>, Option<Self>) {
        let Some((spelling, name)) = Self::only_candidate(text) else { return (None, None) };
        // Most are spelled as here, which is seen at one look.
        if text == spelling || text.eq_ignore_ascii_case(spelling) {
            return (Some(name), None);
        }
        let same = |a: &u8, b: &u8| a.eq_ignore_ascii_case(if *b == b'_' { &b'-' } else { b });
        let is_double = spelling.iter().zip(text).all(|(a, b)| same(a, b));
        (None, is_double.then_some(name))
    }

    /// Ends at this hop, whatever `Connection` says (RFC 9110 section 7.6.1). Trailers are not passed on, so neither is
    /// their announcement.
    pub(super) fn is_hop_by_hop(self) -> bool {
        use Name::*;
        matches!(self, Connection | KeepAlive | ProxyConnection | Te | Trailer | TransferEncoding | Upgrade)
    }

    /// No two of one length begin alike.
    fn only_candidate(text: &[u8]) -> Option<(&'static [u8], Self)> {
        Some(match (text.len(), text.first()? | 0x20) {
            (2, b't') => (b"TE", Self::Te),
            (4, b'h') => (b"Host", Self::Host),
            (6, b'c') => (b"Cookie", Self::Cookie),
            (6, b'e') => (b"Expect", Self::Expect),
            (7, b't') => (b"Trailer", Self::Trailer),
            (7, b'u') => (b"Upgrade", Self::Upgrade),
            (9, b'f') => (b"Forwarded", Self::Forwarded),
            (10, b'c') => (b"Connection", Self::Connection),
            (10, b'k') => (b"Keep-Alive", Self::KeepAlive),
            (12, b'm') => (b"Max-Forwards", Self::MaxForwards),
            (14, b'c') => (b"Content-Length", Self::ContentLength),
            (15, b'x') => (b"X-Forwarded-For", Self::XForwardedFor),
            (16, b'p') => (b"Proxy-Connection", Self::ProxyConnection),
            (16, b'x') => (b"X-Forwarded-Host", Self::XForwardedHost),
            (17, b't') => (b"Transfer-Encoding", Self::TransferEncoding),
            (17, b'x') => (b"X-Forwarded-Proto", Self::XForwardedProto),
            _ => return None,
        })
    }

    /// In a set of names.
    pub(super) fn bit(self) -> u32 {
        1 << self as u32
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

/// One of them.
#[derive(Debug)]
pub(super) struct Line<'a> {
    /// A token.
    pub(super) name: &'a [u8],
    pub(super) known: Option<Name>,
    /// Without the white space around it.
    pub(super) value: &'a [u8],
    /// Where it stands in the head, its end included.
    pub(super) place: Range<usize>,
    /// It is spelled there as it would be written here: one space before the value, and none behind.
    pub(super) is_plain: bool,
    /// The name is not this one, but those who cannot tell `_` from `-` take it for it.
    pub(super) double: Option<Name>,
}

impl<'a> Fields<'a> {
    /// Those that were found in `head`; `present` is the set of their names.
    pub(super) fn new(head: &'a [u8], lines: Vec<Line<'a>>, present: u32) -> Self {
        Self { head, lines, present }
    }

    /// Whether there is a line of this name.
    pub(super) fn has(&self, name: Name) -> bool {
        self.present & name.bit() != 0
    }

    /// Values of all lines of this name, in order.
    pub(super) fn values(&self, name: Name) -> impl DoubleEndedIterator<Item = &'a [u8]> + use<'a, '_> {
        let lines = if self.has(name) { &self.lines[..] } else { &[] };
        lines.iter().filter(move |line| line.known == Some(name)).map(|line| line.value)
    }

    /// Values of all lines of a name that means nothing to an intermediary, in order.
    pub(super) fn named<'b>(&'b self, name: &'b str) -> impl Iterator<Item = &'a [u8]> + 'b {
        let lines = self.lines.iter().filter(move |line| line.name.eq_ignore_ascii_case(name.as_bytes()));
        lines.map(|line| line.value)
    }

    /// Value of the first line of any name.
    pub(super) fn first(&self, name: &str) -> Option<&'a [u8]> {
        Some(self.lines.iter().find(|line| line.name.eq_ignore_ascii_case(name.as_bytes()))?.value)
    }

    /// All of them, in order.
    pub(super) fn lines(&self) -> &[Line<'a>] {
        &self.lines
    }

    /// Adds the head up to `start`, which is 0 or the end of a line, and then every line behind that which passes, without
    /// the white space around its value.
    pub(super) fn copy(&self, start: usize, passes: impl Fn(&Line<'a>) -> bool, out: &mut Vec<u8>) {
        let mut piece = 0..start;
        for line in self.lines.iter().filter(|line| passes(line)) {
            if line.is_plain && line.place.start == piece.end {
                piece.end = line.place.end;
                continue;
            }
            out.extend_from_slice(&self.head[piece]);
            if line.is_plain {
                piece = line.place.clone();
            } else {
                write_field(out, line.name, line.value);
                piece = 0..0;
            }
        }
        out.extend_from_slice(&self.head[piece]);
    }
}

#[cfg(test)]
mod tests {
    use super::{super::lines::Head, *};
    use proptest::prelude::*;

    const NAMES: [(&str, Name); 16] = [
        ("Connection", Name::Connection),
        ("Content-Length", Name::ContentLength),
        ("Cookie", Name::Cookie),
        ("Expect", Name::Expect),
        ("Forwarded", Name::Forwarded),
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

    #[test]
    fn a_name_is_known_in_any_case_and_its_double_is_told_from_it() {
        for (text, name) in NAMES {
            for text in [text.to_owned(), text.to_lowercase(), text.to_uppercase()] {
                assert_eq!(Name::of(text.as_bytes()), (Some(name), None), "{text}");
                if text.contains('-') {
                    let double = text.replace('-', "_");
                    assert_eq!(Name::of(double.as_bytes()), (None, Some(name)), "{double}");
                }
            }
        }
        for text in ["", "x", "hosts", "hos", "Content_Lengthx", "content-lengtg", "Tea"] {
            assert_eq!(Name::of(text.as_bytes()), (None, None), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_copied_in_pieces_is_what_is_written_line_by_line(
            lines in prop::collection::vec(
                ("[A-Za-z-]{1,12}", "[ \t]{0,2}", "([!-~]([ -~]{0,8}[!-~])?)?", "[ \t]{0,2}", any::<bool>()), 0..12,
            ),
        ) {
            let mut head = String::from("GET / HTTP/1.1\r\n");
            for (at, (name, before, value, after, _)) in lines.iter().enumerate() {
                head += &format!("{name}{at}:{before}{value}{after}\r\n");
            }
            head += "\r\n";
            let passes = |line: &Line<'_>| {
                let digits = line.name.iter().skip_while(|byte| !byte.is_ascii_digit()).map(|byte| usize::from(byte - b'0'));
                lines[digits.fold(0, |number, digit| 10 * number + digit)].4
            };
            let fields = Head::split(head.as_bytes()).unwrap().fields;
            let (mut copied, mut written) = (Vec::new(), Vec::new());
            fields.copy(0, passes, &mut copied);
            for line in fields.lines.iter().filter(|line| passes(line)) {
                write_field(&mut written, line.name, line.value);
            }
            prop_assert_eq!(String::from_utf8(copied).unwrap(), String::from_utf8(written).unwrap());
        }
    }
}
