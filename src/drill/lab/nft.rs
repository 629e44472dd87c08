//! nftables over netlink: just enough to drop frames in the switch room, and to do to a balancer what
//! `nft flush ruleset` does. Written apart from the agent's own, so that a mistake there is not made here too, and
//! without the `nft` program, which a fresh machine may not have.
//!
//! Source: `linux/netfilter/nf_tables.h`. All numbers in attributes are big-endian.

use super::LabError;
use crate::kernel::netns::NetNs;
use rtnetlink::sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};
use std::io;

/// `NFPROTO_UNSPEC`
const ANY_FAMILY: u8 = 0;
/// `NFPROTO_NETDEV`
pub(super) const NETDEV: u8 = 5;
/// `NFT_MSG_NEWTABLE`
pub(super) const NEW_TABLE: u16 = 0;
/// `NFT_MSG_DELTABLE`
const DELETE_TABLE: u16 = 2;
/// `NFT_MSG_NEWCHAIN`
pub(super) const NEW_CHAIN: u16 = 3;
/// `NFT_MSG_NEWRULE`
pub(super) const NEW_RULE: u16 = 6;

const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const NLMSG_ERROR: u16 = 2;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_CREATE: u16 = 0x400;
const NLM_F_APPEND: u16 = 0x800;
const NLA_F_NESTED: u16 = 0x8000;

/// A socket for requests in one namespace. Tables that it owns end with it.
pub(super) struct Nft(Socket);

impl Nft {
    /// In `namespace`.
    pub(super) fn open(namespace: &NetNs) -> Result<Self, LabError> {
        let open = || {
            let mut socket = Socket::new(NETLINK_NETFILTER)?;
            socket.bind_auto()?;
            socket.connect(&SocketAddr::new(0, 0))?;
            Ok::<_, io::Error>(socket)
        };
        let socket = namespace.run(open).and_then(|opened| opened);
        Ok(Self(socket.map_err(LabError::on("open a netlink socket for netfilter"))?))
    }

    /// All of `messages` (operation, family, attributes) or none.
    pub(super) fn commit(&self, messages: &[(u16, u8, Vec<u8>)]) -> io::Result<()> {
        let mut batch = Vec::new();
        put_message(&mut batch, BATCH_BEGIN, 0, 0, SUBSYSTEM, &[]);
        for (operation, family, attributes) in messages {
            let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_APPEND;
            let flags = if *operation == DELETE_TABLE { NLM_F_ACK } else { flags };
            put_message(&mut batch, SUBSYSTEM << 8 | operation, flags, *family, 0, attributes);
        }
        put_message(&mut batch, BATCH_END, 0, 0, SUBSYSTEM, &[]);
        self.0.send(&batch, 0)?;
        let (mut answered, mut result) = (0, Ok(()));
        while answered < messages.len() {
            let mut buffer = Vec::with_capacity(64 * 1024);
            self.0.recv(&mut buffer, 0)?;
            for errno in errors(&buffer) {
                answered += 1;
                if errno != 0 && result.is_ok() {
                    result = Err(io::Error::from_raw_os_error(errno));
                }
            }
        }
        result
    }
}

/// What `nft flush ruleset` does: every table of the namespace goes, but for those that another socket owns.
pub fn flush_ruleset(namespace: &NetNs) -> Result<(), LabError> {
    let flushed = Nft::open(namespace)?.commit(&[(DELETE_TABLE, ANY_FAMILY, Vec::new())]);
    flushed.map_err(LabError::on("flush the ruleset"))
}

/// An attribute with `body`.
pub(super) fn put(out: &mut Vec<u8>, kind: u16, body: &[u8]) {
    out.extend((4 + body.len() as u16).to_ne_bytes());
    out.extend(kind.to_ne_bytes());
    out.extend(body);
    out.resize(out.len().next_multiple_of(4), 0);
}

/// An attribute with a text.
pub(super) fn put_text(out: &mut Vec<u8>, kind: u16, text: &str) {
    put(out, kind, &[text.as_bytes(), &[0]].concat());
}

/// An attribute with a number.
pub(super) fn put_number(out: &mut Vec<u8>, kind: u16, number: u32) {
    put(out, kind, &number.to_be_bytes());
}

/// An attribute that holds attributes.
pub(super) fn put_nest(out: &mut Vec<u8>, kind: u16, fill: impl FnOnce(&mut Vec<u8>)) {
    let mut body = Vec::new();
    fill(&mut body);
    put(out, kind | NLA_F_NESTED, &body);
}

fn put_message(out: &mut Vec<u8>, kind: u16, flags: u16, family: u8, resource: u16, attributes: &[u8]) {
    out.extend((20 + attributes.len() as u32).to_ne_bytes());
    out.extend(kind.to_ne_bytes());
    out.extend((NLM_F_REQUEST | flags).to_ne_bytes());
    out.extend([0; 8]);
    out.extend([family, 0]);
    out.extend(resource.to_be_bytes());
    out.extend(attributes);
}

/// The error numbers (0: fine) of the acknowledgements in a datagram.
fn errors(mut bytes: &[u8]) -> Vec<i32> {
    let mut found = Vec::new();
    while let (Some(length), Some(kind)) = (bytes.first_chunk::<4>(), bytes.get(4..6)) {
        let length = (u32::from_ne_bytes(*length) as usize).clamp(16, bytes.len());
        if kind == NLMSG_ERROR.to_ne_bytes()
            && let Some(code) = bytes.get(16..).and_then(<[u8]>::first_chunk::<4>)
        {
            found.push(-i32::from_ne_bytes(*code));
        }
        bytes = &bytes[length.next_multiple_of(4).min(bytes.len())..];
    }
    found
}
