//! What the kernel says, cut into messages.

use super::attribute::Attributes;

const HEADER: usize = 16;
/// nftables' own header: family, version, and the low half of the ruleset's generation.
const FAMILY_HEADER: usize = 4;

/// One netlink message.
#[derive(Debug, Clone)]
pub(in crate::kernel) struct Message {
    /// `NLMSG_…`, or subsystem and `NFT_MSG_…`.
    pub(in crate::kernel) kind: u16,
    /// `NLM_F_…`
    pub(in crate::kernel) flags: u16,
    /// Of the request that this answers.
    pub(in crate::kernel) sequence: u32,
    /// Whose request made this, or this change; 0 for the kernel's own.
    pub(in crate::kernel) port: u32,
    body: Vec<u8>,
}

impl Message {
    /// `NFPROTO_…` of the object that it tells of.
    pub(in crate::kernel) fn family(&self) -> u8 {
        self.body.first().copied().unwrap_or(0)
    }

    /// Of the object that it tells of.
    pub(in crate::kernel) fn attributes(&self) -> Attributes<'_> {
        Attributes(self.body.get(FAMILY_HEADER..).unwrap_or_default())
    }

    /// Of an answer of kind `NLMSG_ERROR`: `errno(3)`, 0 for success.
    pub(super) fn errno(&self) -> i32 {
        word(&self.body, 0).map_or(libc::EBADMSG, |code| (code as i32).saturating_neg())
    }
}

/// The whole messages of a datagram.
pub(in crate::kernel) fn messages(datagram: &[u8]) -> impl Iterator<Item = Message> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        let length = word(rest, 0)? as usize;
        let body = rest.get(HEADER..length)?.to_vec();
        let half = |at: usize| u16::from_ne_bytes([rest[at], rest[at + 1]]);
        let (kind, flags) = (half(4), half(6));
        let (sequence, port) = (word(rest, 8)?, word(rest, 12)?);
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Message { kind, flags, sequence, port, body })
    })
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::nft::batch::write_message;
    use proptest::prelude::*;

    #[test]
    fn cuts_a_datagram_into_messages() {
        let mut datagram = Vec::new();
        write_message(&mut datagram, 7, 1, 42, 5, 0, |out| out.extend([5, 0, 1, 0, 9, 0, 0, 0]));
        write_message(&mut datagram, 8, 0, 43, 3, 0, |_| {});
        let read: Vec<_> = messages(&datagram).collect();
        assert_eq!(
            read.iter().map(|it| (it.kind, it.sequence, it.family())).collect::<Vec<_>>(),
            [(7, 42, 5), (8, 43, 3)]
        );
        assert_eq!(read[0].attributes().get(1), Some(&[9][..]));
        assert_eq!(read[1].attributes().get(1), None);
    }

    #[test]
    fn an_error_is_told_from_a_success() {
        let answer = |code: i32| {
            let mut datagram = Vec::new();
            datagram.extend(20u32.to_ne_bytes());
            datagram.extend([2, 0, 0, 0]);
            datagram.extend([0; 8]);
            datagram.extend(code.to_ne_bytes());
            messages(&datagram).next().unwrap().errno()
        };
        assert_eq!(answer(0), 0);
        assert_eq!(answer(-libc::ENOENT), libc::ENOENT);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            for message in messages(&bytes) {
                let _ = (message.errno(), message.family(), message.attributes().count());
            }
        }
    }
}
