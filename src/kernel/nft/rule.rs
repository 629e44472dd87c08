//! Rules: what they look at in a packet, and what they do with it.

use super::attribute::{attribute, nest, number, string};

/// `NFT_REG_VERDICT` and `NFT_REG_1`.
const VERDICT_REGISTER: u32 = 0;
const REGISTER: u32 = 1;

const META_PROTOCOL: u32 = 1;
const META_MARK: u32 = 3;
const META_OUTPUT_DEVICE: u32 = 5;
const NETWORK_HEADER: u32 = 1;

const EQUAL: u32 = 0;
const LOOKUP_INVERTED: u32 = 1;

const DROP: u32 = 0;
const ACCEPT: u32 = 1;
const JUMP: u32 = -3i32 as u32;
const RETURN: u32 = -5i32 as u32;

/// Applies its action to packets for which all of its matches are true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::kernel) struct Rule {
    pub(in crate::kernel) matches: Vec<Match>,
    pub(in crate::kernel) action: Action,
}

/// Bytes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::kernel) struct Field {
    /// From the start of the network header (of the ARP message, if it is one).
    pub(in crate::kernel) offset: u32,
    /// At most 16.
    pub(in crate::kernel) length: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::kernel) enum Match {
    /// The Ethernet type.
    Protocol([u8; 2]),
    /// The byte there is this one.
    Byte(u32, u8),
    /// The bytes there are an element of the set of this name.
    In(Field, &'static str),
    /// They are not.
    NotIn(Field, &'static str),
    /// None of these bits of the packet's mark is set.
    Unmarked(u32),
    /// It is leaving through the device with this index.
    OutputDevice(u32),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::kernel) enum Action {
    Drop,
    /// No further rule of this base chain is asked; those of later priorities are.
    Accept,
    /// On with what follows the jump that led here.
    Return,
    /// On with the chain of this name, then with the next rule.
    Jump(&'static str),
    /// Sets these bits of the mark and no others; on with the next rule.
    Mark(u32),
    /// Clears these bits of the mark and no others; on with the next rule.
    Unmark(u32),
}

impl Rule {
    /// As the value of `NFTA_RULE_EXPRESSIONS`.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        self.matches.iter().for_each(|it| it.write(out));
        self.action.write(out);
    }
}

impl Match {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Protocol(value) => {
                load_meta(out, META_PROTOCOL);
                compare(out, value);
            }
            Self::Byte(offset, value) => {
                load(out, Field { offset: *offset, length: 1 });
                compare(out, &[*value]);
            }
            Self::In(field, set) => {
                load(out, *field);
                look_up(out, set, 0);
            }
            Self::NotIn(field, set) => {
                load(out, *field);
                look_up(out, set, LOOKUP_INVERTED);
            }
            Self::Unmarked(bits) => {
                load_meta(out, META_MARK);
                mask(out, *bits, 0);
                compare(out, &0u32.to_ne_bytes());
            }
            Self::OutputDevice(index) => {
                load_meta(out, META_OUTPUT_DEVICE);
                compare(out, &index.to_ne_bytes());
            }
        }
    }
}

impl Action {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Drop => verdict(out, DROP, None),
            Self::Accept => verdict(out, ACCEPT, None),
            Self::Return => verdict(out, RETURN, None),
            Self::Jump(chain) => verdict(out, JUMP, Some(chain)),
            Self::Mark(bits) => set_mark(out, !bits, *bits),
            Self::Unmark(bits) => set_mark(out, !bits, 0),
        }
    }
}

fn load_meta(out: &mut Vec<u8>, key: u32) {
    expression(out, "meta", |out| {
        number(out, 1, REGISTER);
        number(out, 2, key);
    });
}

fn load(out: &mut Vec<u8>, field: Field) {
    expression(out, "payload", |out| {
        number(out, 1, REGISTER);
        number(out, 2, NETWORK_HEADER);
        number(out, 3, field.offset);
        number(out, 4, field.length);
    });
}

fn compare(out: &mut Vec<u8>, value: &[u8]) {
    expression(out, "cmp", |out| {
        number(out, 1, REGISTER);
        number(out, 2, EQUAL);
        nest(out, 3, |out| attribute(out, 1, value));
    });
}

fn look_up(out: &mut Vec<u8>, set: &str, flags: u32) {
    expression(out, "lookup", |out| {
        string(out, 1, set);
        number(out, 2, REGISTER);
        number(out, 5, flags);
    });
}

/// `register = register & and ^ xor`, on the mark, which is in the machine's byte order.
fn mask(out: &mut Vec<u8>, and: u32, xor: u32) {
    expression(out, "bitwise", |out| {
        number(out, 1, REGISTER);
        number(out, 2, REGISTER);
        number(out, 3, size_of::<u32>() as u32);
        nest(out, 4, |out| attribute(out, 1, &and.to_ne_bytes()));
        nest(out, 5, |out| attribute(out, 1, &xor.to_ne_bytes()));
    });
}

fn set_mark(out: &mut Vec<u8>, and: u32, xor: u32) {
    load_meta(out, META_MARK);
    mask(out, and, xor);
    expression(out, "meta", |out| {
        number(out, 2, META_MARK);
        number(out, 3, REGISTER);
    });
}

fn verdict(out: &mut Vec<u8>, code: u32, chain: Option<&str>) {
    expression(out, "immediate", |out| {
        number(out, 1, VERDICT_REGISTER);
        nest(out, 2, |out| {
            nest(out, 2, |out| {
                number(out, 1, code);
                if let Some(chain) = chain {
                    string(out, 2, chain);
                }
            });
        });
    });
}

fn expression(out: &mut Vec<u8>, name: &str, data: impl FnOnce(&mut Vec<u8>)) {
    nest(out, 1, |out| {
        string(out, 1, name);
        nest(out, 2, data);
    });
}
