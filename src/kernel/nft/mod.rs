//! nftables over netlink, as far as it is needed here: tables that belong to a socket, chains on devices, sets with
//! timeouts, and rules of a few expressions (linux/netfilter/nf_tables.h).
//!
//! No `nft` program takes part: it cannot hold a table that ends with its owner, and starting it takes longer than a
//! lease may wait. A change is a [`Batch`], which takes effect as a whole or not at all, and the kernel says of each
//! message in it why it was refused. That is what makes a compare-and-set of it: "delete this element, then add it" is
//! refused as a whole once the element has expired.

mod attribute;
mod batch;
mod message;
mod rule;
mod socket;

pub(super) use attribute::{Attributes, string};
pub(super) use batch::{Batch, Family, Hook, Key, Table};
pub(super) use message::{Message, messages};
pub(super) use rule::{Action, Field, Match, Rule};
pub(super) use socket::{BatchError, Refused, Socket};

/// The kinds of questions and of news (`NFT_MSG_…`), without the subsystem.
pub(super) mod kind {
    pub(in crate::kernel) const GET_TABLE: u16 = 1;
    pub(in crate::kernel) const GET_CHAIN: u16 = 4;
    pub(in crate::kernel) const GET_RULE: u16 = 7;
    pub(in crate::kernel) const GET_SET: u16 = 10;
    pub(in crate::kernel) const GET_ELEMENT: u16 = 13;
    pub(in crate::kernel) const NEW_GENERATION: u16 = 15;
    pub(in crate::kernel) const GET_GENERATION: u16 = 16;
}

#[cfg(test)]
mod tests;
