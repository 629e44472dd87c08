//! The few nftables messages that muting takes, as bytes (linux/netfilter/nf_tables.h).

use std::{collections::BTreeSet, io, net::IpAddr};

const NFPROTO_NETDEV: u8 = 5;
const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const NEW_TABLE: u16 = SUBSYSTEM << 8;
const DELETE_TABLE: u16 = SUBSYSTEM << 8 | 2;
const NEW_CHAIN: u16 = SUBSYSTEM << 8 | 3;
const NEW_RULE: u16 = SUBSYSTEM << 8 | 6;

const REQUEST: u16 = 0x1;
const ACK: u16 = 0x4;
const CREATE: u16 = 0x400;
const APPEND: u16 = 0x800;
const NESTED: u16 = 0x8000;
const NLMSG_ERROR: u16 = 2;

const TABLE_FLAG_OWNER: u32 = 2;
const ACCEPT: u32 = 1;
const DROP: u32 = 0;
/// Before everything else on the device.
const PRIORITY: i32 = -450;

const VERDICT_REGISTER: u32 = 0;
const REGISTER: u32 = 1;
const META_PROTOCOL: u32 = 1;
const NETWORK_HEADER: u32 = 1;

const ETH_ARP: [u8; 2] = [0x08, 0x06];
const ETH_IPV6: [u8; 2] = [0x86, 0xdd];
const ARP_SENDER: u32 = 14;
const ARP_TARGET: u32 = 24;
const IPV6_NEXT_HEADER: u32 = 6;
const ICMPV6: u8 = 58;
const ICMPV6_TYPE: u32 = 40;
const ND_TARGET: u32 = 48;
const NEIGHBOUR_SOLICITATION: u8 = 135;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;

/// Which way a frame goes; the value is the netdev family's hook number.
#[derive(Clone, Copy)]
enum Hook {
    Ingress = 0,
    Egress = 1,
}

impl Hook {
    fn name(self) -> &'static str {
        match self {
            Self::Ingress => "in",
            Self::Egress => "out",
        }
    }
}

/// A transaction: all of it takes effect, or nothing.
pub(super) struct Batch(Vec<u8>);

impl Batch {
    pub(super) fn new() -> Self {
        let mut batch = Self(Vec::new());
        batch.message(BATCH_BEGIN, REQUEST, 0, SUBSYSTEM, |_| {});
        batch
    }

    pub(super) fn delete_table(&mut self, table: &str) {
        self.message(DELETE_TABLE, REQUEST | ACK, NFPROTO_NETDEV, 0, |out| string(out, 1, table));
    }

    pub(super) fn new_table(&mut self, table: &str) {
        self.message(NEW_TABLE, REQUEST | ACK | CREATE, NFPROTO_NETDEV, 0, |out| {
            string(out, 1, table);
            number(out, 2, TABLE_FLAG_OWNER);
        });
    }

    /// Drops what asks `device` for one of `ips`, and what would answer from there.
    pub(super) fn silence(&mut self, table: &str, device: &str, ips: &BTreeSet<IpAddr>) {
        for hook in [Hook::Ingress, Hook::Egress] {
            let chain = format!("{}-{device}", hook.name());
            self.new_chain(table, &chain, device, hook);
            for ip in ips {
                self.drop_rule(table, &chain, &matches(hook, *ip));
            }
        }
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.message(BATCH_END, REQUEST, 0, SUBSYSTEM, |_| {});
        self.0
    }

    fn new_chain(&mut self, table: &str, chain: &str, device: &str, hook: Hook) {
        self.message(NEW_CHAIN, REQUEST | ACK | CREATE, NFPROTO_NETDEV, 0, |out| {
            string(out, 1, table);
            string(out, 3, chain);
            nest(out, 4, |out| {
                number(out, 1, hook as u32);
                number(out, 2, PRIORITY as u32);
                string(out, 3, device);
            });
            number(out, 5, ACCEPT);
            string(out, 7, "filter");
        });
    }

    fn drop_rule(&mut self, table: &str, chain: &str, matches: &[Match]) {
        self.message(NEW_RULE, REQUEST | ACK | CREATE | APPEND, NFPROTO_NETDEV, 0, |out| {
            string(out, 1, table);
            string(out, 2, chain);
            nest(out, 4, |out| {
                matches.iter().for_each(|it| it.write(out));
                expression(out, "immediate", |out| {
                    number(out, 1, VERDICT_REGISTER);
                    nest(out, 2, |out| nest(out, 2, |out| number(out, 1, DROP)));
                });
            });
        });
    }

    fn message(&mut self, kind: u16, flags: u16, family: u8, resource: u16, body: impl FnOnce(&mut Vec<u8>)) {
        let start = self.0.len();
        self.0.extend([0; 4]);
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(flags.to_ne_bytes());
        self.0.extend([0; 8]); // sequence and port: the kernel only echoes them
        self.0.extend([family, 0]);
        self.0.extend(resource.to_be_bytes());
        body(&mut self.0);
        let length = (self.0.len() - start) as u32;
        self.0[start..start + 4].copy_from_slice(&length.to_ne_bytes());
    }
}

/// The error that the answers in `bytes` carry, if one does.
pub(super) fn check(mut bytes: &[u8]) -> io::Result<()> {
    let word = |bytes: &[u8], at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    while let (Some(length), Some(kind)) = (word(bytes, 0), bytes.get(4..6)) {
        let code = word(bytes, 16).unwrap_or(0) as i32;
        if kind == NLMSG_ERROR.to_ne_bytes() && code != 0 {
            return Err(io::Error::from_raw_os_error(-code));
        }
        let next = (length as usize).next_multiple_of(4).max(16);
        bytes = bytes.get(next..).unwrap_or_default();
    }
    Ok(())
}

/// A comparison of a packet's field with a value.
enum Match {
    Protocol([u8; 2]),
    Field(u32, Vec<u8>),
}

/// What tells a question for `ip` (coming in), or an answer from it (going out), from everything else.
fn matches(hook: Hook, ip: IpAddr) -> Vec<Match> {
    match (ip, hook) {
        (IpAddr::V4(ip), Hook::Ingress) => arp(ARP_TARGET, ip.octets()),
        (IpAddr::V4(ip), Hook::Egress) => arp(ARP_SENDER, ip.octets()),
        (IpAddr::V6(ip), Hook::Ingress) => nd(NEIGHBOUR_SOLICITATION, ip.octets()),
        (IpAddr::V6(ip), Hook::Egress) => nd(NEIGHBOUR_ADVERTISEMENT, ip.octets()),
    }
}

fn arp(offset: u32, ip: [u8; 4]) -> Vec<Match> {
    vec![Match::Protocol(ETH_ARP), Match::Field(offset, ip.to_vec())]
}

/// ND messages have no extension headers (RFC 4861, 6.1: hop limit 255, straight after the IPv6 header in practice).
fn nd(kind: u8, ip: [u8; 16]) -> Vec<Match> {
    vec![
        Match::Protocol(ETH_IPV6),
        Match::Field(IPV6_NEXT_HEADER, vec![ICMPV6]),
        Match::Field(ICMPV6_TYPE, vec![kind]),
        Match::Field(ND_TARGET, ip.to_vec()),
    ]
}

impl Match {
    fn write(&self, out: &mut Vec<u8>) {
        let value: &[u8] = match self {
            Self::Protocol(value) => {
                expression(out, "meta", |out| {
                    number(out, 1, REGISTER);
                    number(out, 2, META_PROTOCOL);
                });
                value
            }
            Self::Field(offset, value) => {
                expression(out, "payload", |out| {
                    number(out, 1, REGISTER);
                    number(out, 2, NETWORK_HEADER);
                    number(out, 3, *offset);
                    number(out, 4, value.len() as u32);
                });
                value
            }
        };
        expression(out, "cmp", |out| {
            number(out, 1, REGISTER);
            number(out, 2, 0);
            nest(out, 3, |out| attribute(out, 1, value));
        });
    }
}

fn expression(out: &mut Vec<u8>, name: &str, data: impl FnOnce(&mut Vec<u8>)) {
    nest(out, 1, |out| {
        string(out, 1, name);
        nest(out, 2, data);
    });
}

fn nest(out: &mut Vec<u8>, kind: u16, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend([0; 4]);
    body(out);
    let length = (out.len() - start) as u16;
    out[start..start + 2].copy_from_slice(&length.to_ne_bytes());
    out[start + 2..start + 4].copy_from_slice(&(kind | NESTED).to_ne_bytes());
}

fn string(out: &mut Vec<u8>, kind: u16, text: &str) {
    attribute(out, kind, &[text.as_bytes(), &[0]].concat());
}

fn number(out: &mut Vec<u8>, kind: u16, value: u32) {
    attribute(out, kind, &value.to_be_bytes());
}

fn attribute(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    out.extend((4 + value.len() as u16).to_ne_bytes());
    out.extend(kind.to_ne_bytes());
    out.extend(value);
    out.resize(out.len().next_multiple_of(4), 0);
}
