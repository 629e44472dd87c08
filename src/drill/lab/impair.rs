//! Faults on the way: frames that a switch loses on one port, in one direction or both, all of them or some.
//!
//! Rules of netfilter's `netdev` family on the switch's end of a cable: *ingress* there is what the host sends, *egress*
//! what it would receive. The rules are in a table that belongs to a socket of this process; dropping an [`Impairment`]
//! closes that socket, and the kernel heals the way at once.

use super::{
    LabError,
    nft::{NETDEV, NEW_CHAIN, NEW_RULE, NEW_TABLE, Nft, put, put_nest, put_number, put_text},
};
use crate::{
    kernel::netns::NetNs,
    model::{DEFAULT_HEARTBEAT_PORT, Mac},
};

/// The direction, as the host sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// What it sends is lost.
    Out,
    /// What it should receive is lost.
    In,
    /// Both.
    Both,
}

/// Which frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frames {
    /// Every one.
    All,
    /// UDP to or from the port of heartbeats.
    Heartbeats,
    /// Those that this device has sent.
    From(Mac),
}

/// Frames are lost as long as this lives.
pub struct Impairment {
    _owner: Nft,
}

impl Impairment {
    /// `percent` of `frames` are lost, each by its own throw of the dice, at the switch's port `port`.
    pub(super) fn new(room: &NetNs, port: &str, way: Way, frames: Frames, percent: u32) -> Result<Self, LabError> {
        let nft = Nft::open(room)?;
        let kind = match frames {
            Frames::From(mac) => mac.to_string(),
            frames => format!("{frames:?}"),
        };
        let table = format!("loss-{port}-{way:?}-{kind}-{percent}");
        let mut messages = vec![(NEW_TABLE, NETDEV, owned_table(&table))];
        // NF_NETDEV_INGRESS, NF_NETDEV_EGRESS
        for (hook, wanted) in [(0, way != Way::In), (1, way != Way::Out)] {
            if wanted {
                let chain = format!("hook{hook}");
                messages.push((NEW_CHAIN, NETDEV, base_chain(&table, &chain, port, hook)));
                for selection in selections(frames) {
                    messages.push((NEW_RULE, NETDEV, rule(&table, &chain, &selection, percent)));
                }
            }
        }
        let what = format!("lose {percent} % of {kind} at port {port}");
        nft.commit(&messages).map_err(LabError::on(what))?;
        Ok(Self { _owner: nft })
    }
}

/// `flags owner`: gone with the socket that made it.
fn owned_table(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    put_text(&mut out, 1, name); // NFTA_TABLE_NAME
    put_number(&mut out, 2, 2); // NFTA_TABLE_FLAGS: NFT_TABLE_F_OWNER
    out
}

fn base_chain(table: &str, chain: &str, device: &str, hook: u32) -> Vec<u8> {
    let mut out = Vec::new();
    put_text(&mut out, 1, table); // NFTA_CHAIN_TABLE
    put_text(&mut out, 3, chain); // NFTA_CHAIN_NAME
    put_nest(&mut out, 4, |hook_of| {
        put_number(hook_of, 1, hook); // NFTA_HOOK_HOOKNUM
        put_number(hook_of, 2, 0); // NFTA_HOOK_PRIORITY
        put_text(hook_of, 3, device); // NFTA_HOOK_DEV
    });
    put_text(&mut out, 7, "filter"); // NFTA_CHAIN_TYPE
    out
}

/// The conditions of each rule that `frames` takes: UDP ports are at 0 (source) and 2 (destination).
fn selections(frames: Frames) -> Vec<Vec<Expression>> {
    match frames {
        Frames::All => vec![vec![]],
        Frames::From(mac) => vec![vec![Expression::Source(mac)]],
        Frames::Heartbeats => [0, 2].map(|offset| vec![Expression::Udp, Expression::Port(offset)]).to_vec(),
    }
}

#[derive(Debug, Clone, Copy)]
enum Expression {
    /// `ether saddr MAC`
    Source(Mac),
    /// `meta l4proto udp`
    Udp,
    /// `@th,offset,16 == 694`
    Port(u32),
    /// `numgen random mod 100 < percent`
    Dice(u32),
    /// `drop`
    Drop,
}

fn rule(table: &str, chain: &str, selection: &[Expression], percent: u32) -> Vec<u8> {
    let mut out = Vec::new();
    put_text(&mut out, 1, table); // NFTA_RULE_TABLE
    put_text(&mut out, 2, chain); // NFTA_RULE_CHAIN
    put_nest(&mut out, 4, |list| {
        let dice = (percent < 100).then_some(Expression::Dice(percent));
        let conditions = selection.iter().copied().chain(dice);
        conditions.chain([Expression::Drop]).for_each(|expression| expression.put(list));
    });
    out
}

impl Expression {
    fn put(self, list: &mut Vec<u8>) {
        match self {
            Self::Udp => {
                element(list, "meta", |data| {
                    put_number(data, 1, 1); // NFTA_META_DREG
                    put_number(data, 2, 16); // NFTA_META_KEY: NFT_META_L4PROTO
                });
                compare(list, 0, &[17]);
            }
            Self::Source(mac) => {
                load(list, 0, 6, 6); // NFT_PAYLOAD_LL_HEADER
                compare(list, 0, &mac.0);
            }
            Self::Port(offset) => {
                load(list, 2, offset, 2); // NFT_PAYLOAD_TRANSPORT_HEADER
                compare(list, 0, &DEFAULT_HEARTBEAT_PORT.to_be_bytes());
            }
            Self::Dice(percent) => {
                element(list, "numgen", |data| {
                    put_number(data, 1, 1); // NFTA_NG_DREG
                    put_number(data, 2, 100); // NFTA_NG_MODULUS
                    put_number(data, 3, 1); // NFTA_NG_TYPE: NFT_NG_RANDOM
                });
                element(list, "byteorder", |data| {
                    put_number(data, 1, 1); // NFTA_BYTEORDER_SREG
                    put_number(data, 2, 1); // NFTA_BYTEORDER_DREG
                    put_number(data, 3, 1); // NFTA_BYTEORDER_OP: NFT_BYTEORDER_HTON
                    put_number(data, 4, 4); // NFTA_BYTEORDER_LEN
                    put_number(data, 5, 4); // NFTA_BYTEORDER_SIZE
                });
                compare(list, 2, &percent.to_be_bytes());
            }
            Self::Drop => element(list, "immediate", |data| {
                put_number(data, 1, 0); // NFTA_IMMEDIATE_DREG: NFT_REG_VERDICT
                // NFTA_IMMEDIATE_DATA, NFTA_DATA_VERDICT, NFTA_VERDICT_CODE: NF_DROP
                put_nest(data, 2, |value| put_nest(value, 2, |verdict| put_number(verdict, 1, 0)));
            }),
        }
    }
}

fn load(list: &mut Vec<u8>, base: u32, offset: u32, length: u32) {
    element(list, "payload", |data| {
        put_number(data, 1, 1); // NFTA_PAYLOAD_DREG
        put_number(data, 2, base); // NFTA_PAYLOAD_BASE
        put_number(data, 3, offset); // NFTA_PAYLOAD_OFFSET
        put_number(data, 4, length); // NFTA_PAYLOAD_LEN
    });
}

/// `operation`: 0 equal, 2 less (`enum nft_cmp_ops`).
fn compare(list: &mut Vec<u8>, operation: u32, with: &[u8]) {
    element(list, "cmp", |data| {
        put_number(data, 1, 1); // NFTA_CMP_SREG
        put_number(data, 2, operation); // NFTA_CMP_OP
        put_nest(data, 3, |value| put(value, 1, with)); // NFTA_CMP_DATA, NFTA_DATA_VALUE
    });
}

fn element(list: &mut Vec<u8>, name: &str, fill: impl FnOnce(&mut Vec<u8>)) {
    put_nest(list, 1, |expression| {
        put_text(expression, 1, name); // NFTA_EXPR_NAME
        put_nest(expression, 2, fill); // NFTA_EXPR_DATA
    });
}
