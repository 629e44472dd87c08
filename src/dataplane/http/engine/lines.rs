//! A head taken apart into its lines: where it ends, what its first line is, which fields there are.
//!
//! The grammar is that of RFC 9112 sections 2 to 5, without what a recipient may tolerate: a line ends with CR LF, a name
//! is a token and the colon follows at once, a value holds no control characters but the tab, and no line goes on in the
//! next one. Heads are small and there are two of them in each exchange, so each byte is looked at once: the first control
//! character behind a value is either the end of its line or one too many.

use super::{
    Refusal, bad_request,
    fields::{Fields, Line, Name},
    head::{HeadEnd, MAX_FIELDS, MAX_HEAD, MAX_START_LINE},
};

/// A whole head.
#[derive(Debug)]
pub(super) struct Head<'a> {
    /// The first line, without its end. It holds no control characters but tabs.
    pub(super) start: &'a [u8],
    pub(super) fields: Fields<'a>,
    /// Of all of it, with the empty line.
    pub(super) length: usize,
}

/// Fields for which there is room without growing: few heads have more.
const USUAL_FIELDS: usize = 16;

impl<'a> Head<'a> {
    /// The head that `input` begins with, of which `end` has seen some before. `None`: it has not come whole.
    ///
    /// Mostly it comes whole at once. If it does not, or is bad, its end is looked for first, so that however it was cut the
    /// same is said of it.
    pub(super) fn take(end: &mut HeadEnd, input: &'a [u8]) -> Result<Option<Self>, Refusal> {
        if end.is_new()
            && let Some(head) = Self::split(input)
        {
            return Ok(Some(head));
        }
        let Some(length) = end.find(input)? else { return Ok(None) };
        let lines = &input[..length];
        Self::split(lines).ok_or_else(|| Self::fault(lines)).map(Some)
    }

    /// The head that `input` begins with. `None`: it does not end there, or it is none.
    pub(super) fn split(input: &'a [u8]) -> Option<Self> {
        let first = text_end(input, 0).filter(|first| (1..=MAX_START_LINE - LINE_END.len()).contains(first))?;
        let (mut lines, mut present, mut at) = (Vec::with_capacity(USUAL_FIELDS), 0, first + LINE_END.len());
        loop {
            let rest = &input[at..];
            let name = &rest[..token_length(rest)];
            if name.is_empty() {
                break;
            }
            let colon = at + name.len();
            let end = text_end(input, colon)?;
            let (next, text) = (end + LINE_END.len(), &input[colon..end]);
            let (value, is_plain) = match text {
                // As it would be written here: one space, and none behind the value.
                [b':', b' ', first, .., last] if !is_space(*first) && !is_space(*last) => (&text[2..], true),
                [b':', value @ ..] => (value.trim_ascii(), false),
                _ => return None,
            };
            if lines.len() == MAX_FIELDS {
                return None;
            }
            let (known, double) = Name::of(name);
            present |= known.map_or(0, Name::bit);
            lines.push(Line { name, known, double, value, place: at..next, is_plain });
            at = next;
        }
        let length = at + LINE_END.len();
        let is_over = input[at..].starts_with(LINE_END) && length <= MAX_HEAD;
        is_over.then(|| Self { start: &input[..first], fields: Fields::new(&input[..length], lines, present), length })
    }

    /// Why these lines, the last of them empty, are no head.
    #[cold]
    pub(super) fn fault(lines: &[u8]) -> Refusal {
        let count = lines.split(|byte| *byte == b'\n').count();
        let is_text = |byte: &u8| !byte.is_ascii_control() || matches!(byte, b'\t' | b'\r' | b'\n');
        let carriage_returns = lines.iter().filter(|byte| **byte == b'\r').count();
        if !lines.iter().all(is_text) || carriage_returns + 1 != count {
            return bad_request("the head holds a control character");
        }
        // Neither the first line is one, nor the empty one, nor what is behind that.
        if count > MAX_FIELDS + 3 {
            return Refusal { status: 431, reason: "there are too many header fields" };
        }
        bad_request(match lines {
            [b'\r', ..] => "the first line is empty",
            _ => "the name of a field is malformed",
        })
    }
}

const LINE_END: &[u8] = b"\r\n";

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Where the text that begins at `from` ends: at the end of its line, for it holds no control characters but tabs. `None`:
/// that has not come, or it does hold one.
#[inline(always)]
fn text_end(input: &[u8], from: usize) -> Option<usize> {
    let mut end = first_control(input, from)?;
    while input[end] == b'\t' {
        end = first_control(input, end + 1)?;
    }
    input[end..].starts_with(LINE_END).then_some(end)
}

/// The first control character from `at` on, looked for in eight bytes at a time.
#[inline]
fn first_control(input: &[u8], mut at: usize) -> Option<usize> {
    while let Some((piece, _)) = input[at..].split_first_chunk() {
        let controls = controls(u64::from_le_bytes(*piece));
        if controls != 0 {
            return Some(at + (controls.trailing_zeros() / 8) as usize);
        }
        at += piece.len();
    }
    input[at..].iter().position(u8::is_ascii_control).map(|offset| at + offset)
}

const EACH: u64 = u64::from_le_bytes([1; 8]);
const HIGH: u64 = EACH << 7;

/// The highest bit of each byte that is a control character (below 0x20, or 0x7f), by sums that carry nothing into the next
/// byte.
fn controls(bytes: u64) -> u64 {
    let low_ones = !((bytes | HIGH) - 0x20 * EACH);
    let deletes = (bytes & !HIGH) + EACH;
    (low_ones | deletes) & !bytes & HIGH
}

/// The highest bit of each byte that is neither a letter nor `-`, in the same way.
fn others(bytes: u64) -> u64 {
    let folded = (bytes | (0x20 * EACH)) & !HIGH;
    let from_a = folded + (0x80 - u64::from(b'a')) * EACH;
    let behind_z = folded + (0x7f - u64::from(b'z')) * EACH;
    // The highest bit of a sum is 0 where there was nothing to add to.
    let not_dash = ((bytes & !HIGH) ^ (u64::from(b'-') * EACH)) + !HIGH;
    ((!from_a | behind_z) & not_dash | bytes) & HIGH
}

/// Whether a byte may stand in a token (RFC 9110 section 5.6.2).
const IS_TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = is_token_byte(byte as u8);
        byte += 1;
    }
    table
};

const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        )
}

/// How many bytes at the beginning of this may stand in a token. Names of fields are mostly letters and dashes, which are
/// looked at eight at a time.
pub(super) fn token_length(text: &[u8]) -> usize {
    let mut at = 0;
    loop {
        while let Some((piece, _)) = text[at..].split_first_chunk() {
            let others = others(u64::from_le_bytes(*piece));
            if others != 0 {
                at += (others.trailing_zeros() / 8) as usize;
                break;
            }
            at += piece.len();
        }
        match text.get(at) {
            Some(byte) if IS_TOKEN[usize::from(*byte)] => at += 1,
            _ => return at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_control_character_is_seen_at_every_place_and_nothing_else() {
        for byte in 0..=255u8 {
            for place in 0..20 {
                let mut text = [b'x'; 20];
                text[place] = byte;
                let found = byte.is_ascii_control().then_some(place);
                assert_eq!(first_control(&text, 0), found, "{byte}");
                assert_eq!(first_control(&text, place), found, "{byte}");
            }
        }
    }

    #[test]
    fn a_token_ends_where_a_byte_may_not_stand_in_one() {
        for byte in 0..=255u8 {
            for place in 0..20 {
                let mut text = *b"abcdefghijklmno-XYZA";
                text[place] = byte;
                let length = if is_token_byte(byte) { text.len() } else { place };
                assert_eq!(token_length(&text), length, "{byte}");
            }
        }
    }

    proptest! {
        #[test]
        fn tokens_are_as_long_as_byte_by_byte(text in prop::collection::vec(prop_oneof![any::<u8>(), b'A'..=b'z'], 0..40)) {
            let length = text.iter().position(|byte| !is_token_byte(*byte)).unwrap_or(text.len());
            prop_assert_eq!(token_length(&text), length);
        }

        #[test]
        fn the_first_control_character_is_found(text in prop::collection::vec(any::<u8>(), 0..40), from in 0usize..40) {
            let from = from.min(text.len());
            let found = text[from..].iter().position(u8::is_ascii_control).map(|offset| from + offset);
            prop_assert_eq!(first_control(&text, from), found);
        }
    }
}
