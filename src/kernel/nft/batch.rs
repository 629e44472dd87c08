//! Transactions: messages of which all take effect at once, or none.

use super::{
    attribute::{attribute, long, nest, number, string},
    rule::Rule,
};
use std::time::Duration;

/// `NFNL_SUBSYS_NFTABLES`
pub(super) const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;

const NEW_TABLE: u16 = 0;
const DELETE_TABLE: u16 = 2;
const NEW_CHAIN: u16 = 3;
const DELETE_CHAIN: u16 = 5;
const NEW_RULE: u16 = 6;
const DELETE_RULE: u16 = 8;
const NEW_SET: u16 = 9;
const NEW_ELEMENT: u16 = 12;
const DELETE_ELEMENT: u16 = 14;

pub(super) const REQUEST: u16 = 0x1;
const ACK: u16 = 0x4;
const CREATE: u16 = 0x400;
const APPEND: u16 = 0x800;

const TABLE_FLAG_OWNER: u32 = 2;
const SET_FLAG_TIMEOUT: u32 = 0x10;
const POLICY_ACCEPT: u32 = 1;
/// An attribute's length has 16 bits; an element is at most 40 bytes long.
const ELEMENTS_PER_MESSAGE: usize = 1000;

/// What kind of packets a table sees; the values are the kernel's (`NFPROTO_…`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::kernel) enum Family {
    /// IPv4 and IPv6, in the host's own network stack.
    Inet = 1,
    /// ARP, in the host's own network stack.
    Arp = 3,
    /// Everything, at the devices.
    Netdev = 5,
}

/// A table, by its name and family; tables of two families are two tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::kernel) struct Table {
    pub(in crate::kernel) family: Family,
    pub(in crate::kernel) name: &'static str,
}

/// Where a base chain is called from.
#[derive(Debug, Clone, Copy)]
pub(in crate::kernel) struct Hook<'a> {
    /// The number within the table's family.
    pub(in crate::kernel) number: u32,
    /// Lower ones come first.
    pub(in crate::kernel) priority: i32,
    /// In the netdev family, and only there.
    pub(in crate::kernel) device: Option<&'a str>,
}

/// What the elements of a set are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::kernel) enum Key {
    Ipv4,
    Ipv6,
    /// Eight bytes.
    Number,
}

impl Key {
    /// How `nft` shows it (its own numbering; the kernel only keeps it), and how long it is.
    fn kind_and_length(self) -> (u32, u32) {
        match self {
            Self::Ipv4 => (7, 4),
            Self::Ipv6 => (8, 16),
            Self::Number => (4, 8),
        }
    }
}

/// A transaction that is being written. Each message has a number, by which [`super::Refused`] tells of it: 1 for the
/// first.
#[derive(Debug)]
pub(in crate::kernel) struct Batch {
    bytes: Vec<u8>,
    messages: u32,
    last: usize,
}

impl Batch {
    pub(in crate::kernel) fn new() -> Self {
        let mut batch = Self { bytes: Vec::new(), messages: 0, last: 0 };
        batch.frame(BATCH_BEGIN, 0, 0, SUBSYSTEM, |_| {});
        batch
    }

    /// How many messages there are, and so the number of the latest.
    pub(in crate::kernel) fn messages(&self) -> u32 {
        self.messages
    }

    /// Nothing if it is there. `owned`: only this socket may change it, and the kernel removes it with the socket.
    pub(in crate::kernel) fn new_table(&mut self, table: Table, owned: bool) {
        self.message(NEW_TABLE, CREATE, table, |out| {
            if owned {
                number(out, 2, TABLE_FLAG_OWNER);
            }
        });
    }

    /// With all that is in it.
    pub(in crate::kernel) fn delete_table(&mut self, table: Table) {
        self.message(DELETE_TABLE, 0, table, |_| {});
    }

    /// A chain to jump to. Nothing if it is there, even as a base chain.
    pub(in crate::kernel) fn new_chain(&mut self, table: Table, chain: &str) {
        self.message(NEW_CHAIN, CREATE, table, |out| string(out, 3, chain));
    }

    /// A chain that the kernel calls, and that lets through what no rule of it drops. Nothing if it is there with this
    /// very hook.
    pub(in crate::kernel) fn new_base_chain(&mut self, table: Table, chain: &str, hook: Hook<'_>) {
        self.message(NEW_CHAIN, CREATE, table, |out| {
            string(out, 3, chain);
            nest(out, 4, |out| {
                number(out, 1, hook.number);
                number(out, 2, hook.priority as u32);
                if let Some(device) = hook.device {
                    string(out, 3, device);
                }
            });
            number(out, 5, POLICY_ACCEPT);
            string(out, 7, "filter");
        });
    }

    pub(in crate::kernel) fn delete_chain(&mut self, table: Table, chain: &str) {
        self.message(DELETE_CHAIN, 0, table, |out| string(out, 3, chain));
    }

    /// At the end of `chain`.
    pub(in crate::kernel) fn add_rule(&mut self, table: Table, chain: &str, rule: &Rule) {
        self.message(NEW_RULE, CREATE | APPEND, table, |out| {
            string(out, 2, chain);
            nest(out, 4, |out| rule.write(out));
        });
    }

    /// Removes all of its rules, if it has any.
    pub(in crate::kernel) fn flush_chain(&mut self, table: Table, chain: &str) {
        self.message(DELETE_RULE, 0, table, |out| string(out, 2, chain));
    }

    /// `expiring`: its elements may have timeouts.
    pub(in crate::kernel) fn new_set(&mut self, table: Table, set: &str, key: Key, expiring: bool) {
        // Only has to be unlike that of any other set of the same batch.
        let id = self.messages + 1;
        self.message(NEW_SET, CREATE, table, |out| {
            string(out, 2, set);
            number(out, 3, if expiring { SET_FLAG_TIMEOUT } else { 0 });
            let (kind, length) = key.kind_and_length();
            number(out, 4, kind);
            number(out, 5, length);
            number(out, 10, id);
        });
    }

    /// Those that are there are no error, and **may keep the timeout that they have** (before Linux 6.12 always, since
    /// then if it is as long as the new one). To extend one, delete it first in the same batch. The timeout is rounded
    /// down to milliseconds, and up to one.
    pub(in crate::kernel) fn add_elements<'a>(
        &mut self,
        table: Table,
        set: &str,
        keys: impl IntoIterator<Item = &'a [u8]>,
        timeout: Option<Duration>,
    ) {
        let keys: Vec<&[u8]> = keys.into_iter().collect();
        let timeout = timeout.map(|timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX).max(1));
        for keys in keys.chunks(ELEMENTS_PER_MESSAGE) {
            self.message(NEW_ELEMENT, CREATE, table, |out| {
                string(out, 2, set);
                nest(out, 3, |out| keys.iter().for_each(|key| element(out, key, timeout)));
            });
        }
    }

    /// Refused with `ENOENT` if it is not there, or has expired. Gives the number of this message.
    pub(in crate::kernel) fn delete_element(&mut self, table: Table, set: &str, key: &[u8]) -> u32 {
        self.message(DELETE_ELEMENT, 0, table, |out| {
            string(out, 2, set);
            nest(out, 3, |out| element(out, key, None));
        })
    }

    /// The bytes to send. The last message asks for an answer, so that silence is no success.
    pub(super) fn finish(mut self) -> Vec<u8> {
        let flags = &mut self.bytes[self.last + 6..self.last + 8];
        let with_ack = u16::from_ne_bytes([flags[0], flags[1]]) | ACK;
        flags.copy_from_slice(&with_ack.to_ne_bytes());
        self.frame(BATCH_END, 0, 0, SUBSYSTEM, |_| {});
        self.bytes
    }

    fn message(&mut self, kind: u16, flags: u16, table: Table, body: impl FnOnce(&mut Vec<u8>)) -> u32 {
        self.messages += 1;
        self.last = self.bytes.len();
        self.frame(SUBSYSTEM << 8 | kind, flags, table.family as u8, 0, |out| {
            string(out, 1, table.name);
            body(out);
        });
        self.messages
    }

    fn frame(&mut self, kind: u16, flags: u16, family: u8, resource: u16, body: impl FnOnce(&mut Vec<u8>)) {
        write_message(&mut self.bytes, kind, flags | REQUEST, self.messages, family, resource, body);
    }
}

/// A netlink header, nftables' own, and the attributes.
pub(super) fn write_message(
    out: &mut Vec<u8>,
    kind: u16,
    flags: u16,
    sequence: u32,
    family: u8,
    resource: u16,
    body: impl FnOnce(&mut Vec<u8>),
) {
    let start = out.len();
    out.extend([0; 4]);
    out.extend(kind.to_ne_bytes());
    out.extend(flags.to_ne_bytes());
    out.extend(sequence.to_ne_bytes());
    out.extend([0; 4]); // the port: the kernel fills it in
    out.extend([family, 0]);
    out.extend(resource.to_be_bytes());
    body(out);
    let length = (out.len() - start) as u32;
    out[start..start + 4].copy_from_slice(&length.to_ne_bytes());
}

fn element(out: &mut Vec<u8>, key: &[u8], timeout: Option<u64>) {
    nest(out, 1, |out| {
        nest(out, 1, |out| attribute(out, 1, key));
        if let Some(milliseconds) = timeout {
            long(out, 4, milliseconds);
        }
    });
}
