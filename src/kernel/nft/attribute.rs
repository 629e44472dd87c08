//! Netlink attributes, there and back: length and kind in the machine's byte order, a value, padding to four bytes.

const NESTED: u16 = 0x8000;
/// `NLA_TYPE_MASK`: without the bits for nesting and byte order.
const KIND_MASK: u16 = 0x3fff;

pub(super) fn nest(out: &mut Vec<u8>, kind: u16, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend([0; 4]);
    body(out);
    let length = (out.len() - start) as u16;
    out[start..start + 2].copy_from_slice(&length.to_ne_bytes());
    out[start + 2..start + 4].copy_from_slice(&(kind | NESTED).to_ne_bytes());
}

pub(in crate::kernel) fn string(out: &mut Vec<u8>, kind: u16, text: &str) {
    attribute(out, kind, &[text.as_bytes(), &[0]].concat());
}

/// nftables has its numbers in network byte order.
pub(super) fn number(out: &mut Vec<u8>, kind: u16, value: u32) {
    attribute(out, kind, &value.to_be_bytes());
}

pub(super) fn long(out: &mut Vec<u8>, kind: u16, value: u64) {
    attribute(out, kind, &value.to_be_bytes());
}

pub(super) fn attribute(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    out.extend((4 + value.len() as u16).to_ne_bytes());
    out.extend(kind.to_ne_bytes());
    out.extend(value);
    out.resize(out.len().next_multiple_of(4), 0);
}

/// The attributes in `bytes`, each with its kind and value; ends where they make no sense any more.
#[derive(Debug, Clone, Copy)]
pub(in crate::kernel) struct Attributes<'a>(pub(in crate::kernel) &'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let half = |at: usize| Some(u16::from_ne_bytes(self.0.get(at..at + 2)?.try_into().ok()?));
        let (length, kind) = (usize::from(half(0)?), half(2)?);
        let value = self.0.get(4..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind & KIND_MASK, value))
    }
}

impl<'a> Attributes<'a> {
    /// The value of the first attribute of this kind.
    pub(in crate::kernel) fn get(self, wanted: u16) -> Option<&'a [u8]> {
        let mut all = self;
        all.find(|(kind, _)| *kind == wanted).map(|(_, value)| value)
    }

    /// A zero-terminated string.
    pub(in crate::kernel) fn text(self, wanted: u16) -> Option<&'a str> {
        let bytes = self.get(wanted)?;
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        std::str::from_utf8(&bytes[..end]).ok()
    }

    /// A number of four bytes in network byte order.
    pub(in crate::kernel) fn number(self, wanted: u16) -> Option<u32> {
        self.get(wanted)?.try_into().ok().map(u32::from_be_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nests_strings_and_numbers_round_trip() {
        let mut bytes = Vec::new();
        string(&mut bytes, 1, "table");
        nest(&mut bytes, 4, |out| {
            number(out, 2, 0xdead_beef);
            long(out, 3, 7);
        });
        let all = Attributes(&bytes);
        assert_eq!(all.text(1), Some("table"));
        let inner = Attributes(all.get(4).unwrap());
        assert_eq!(inner.number(2), Some(0xdead_beef));
        assert_eq!(inner.get(3), Some(&7u64.to_be_bytes()[..]));
        assert_eq!((all.get(9), inner.number(3)), (None, None));
    }

    proptest! {
        #[test]
        fn any_list_round_trips(list: Vec<(u8, Vec<u8>)>) {
            let mut bytes = Vec::new();
            list.iter().for_each(|(kind, value)| attribute(&mut bytes, u16::from(*kind), value));
            let read: Vec<_> = Attributes(&bytes).map(|(kind, value)| (kind as u8, value.to_vec())).collect();
            prop_assert_eq!(read, list);
        }

        #[test]
        fn any_bytes_are_survived_and_end(bytes: Vec<u8>) {
            prop_assert!(Attributes(&bytes).count() <= bytes.len() / 4 + 1);
        }
    }
}
