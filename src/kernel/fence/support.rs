//! What the kernel must have for a fence, found out by trying.

use super::{
    KernelError,
    concerns::Role,
    layout::{Layout, Mode},
};
use crate::kernel::nft::{Batch, BatchError, Family, Hook, Refused, Socket, Table};
use std::{collections::BTreeMap, io};

const TRIAL: Table = Table { family: Family::Netdev, name: "lbagent_trial" };
/// Nobody makes this one.
const NEVER: Table = Table { family: Family::Netdev, name: "lbagent_never" };

pub(super) fn socket() -> Result<Socket, KernelError> {
    let advice = "this kernel has no netlink interface to its packet filter (CONFIG_NETFILTER_NETLINK)";
    Socket::open().map_err(|cause| {
        let unsupported = cause.raw_os_error() == Some(libc::EPROTONOSUPPORT);
        let error = KernelError::new("open a connection to nftables", cause);
        if unsupported { error.advise(advice) } else { error }
    })
}

/// The best mode that this kernel has.
pub(super) fn mode(socket: &Socket) -> Result<Mode, KernelError> {
    match try_out(socket, Mode::Egress) {
        Err(Missing { what: What::Egress, .. }) => check(socket, Mode::Output).map(|()| Mode::Output),
        result => result.map(|()| Mode::Egress).map_err(Missing::into_error),
    }
}

/// Whether this kernel can do all that `mode` takes.
pub(super) fn check(socket: &Socket, mode: Mode) -> Result<(), KernelError> {
    try_out(socket, mode).map_err(Missing::into_error)
}

#[derive(Debug, Clone, Copy)]
enum What {
    Nftables,
    Netdev,
    Owner,
    Ingress,
    Egress,
    Rules,
}

struct Missing {
    what: What,
    cause: io::Error,
}

impl Missing {
    fn into_error(self) -> KernelError {
        let errno = self.cause.raw_os_error();
        let advice = match self.what {
            // KernelError knows what to say of the capability.
            What::Nftables if errno == Some(libc::EPERM) => None,
            What::Nftables => Some("this kernel has no nftables: load or build nf_tables (CONFIG_NF_TABLES)"),
            What::Netdev => Some("nftables lacks the netdev family in this kernel (CONFIG_NF_TABLES_NETDEV)"),
            What::Owner if errno == Some(libc::EPERM) => {
                Some("another process owns the table lbagent_permit: stop the other lbagent of this network namespace")
            }
            What::Owner => Some("tables that end with their owner need Linux 5.12 or later"),
            What::Ingress => Some("the ingress hook is missing in this kernel (CONFIG_NETFILTER_INGRESS)"),
            What::Egress => Some("the egress hook needs Linux 5.16 or later (CONFIG_NETFILTER_EGRESS)"),
            What::Rules => {
                Some("nftables in this kernel lacks one of: meta, payload, bitwise, lookup, sets with timeouts")
            }
        };
        let error = KernelError::new("fence addresses with nftables", self.cause);
        match advice {
            Some(advice) => error.advise(advice),
            None => error,
        }
    }
}

/// Makes everything in a transaction that is bound to be refused: its last message deletes what is not there. Of
/// interest is what else is refused.
fn try_out(socket: &Socket, mode: Mode) -> Result<(), Missing> {
    let mut batch = Batch::new();
    let mut steps = vec![(0, What::Nftables)];
    batch.new_table(TRIAL, false);
    steps.push((batch.messages(), What::Netdev));
    for part in mode.parts() {
        batch.new_table(part.table(Role::Permit), true);
        steps.push((batch.messages(), What::Owner));
    }
    let hooks = [(0, What::Ingress), (1, What::Egress)];
    for (number, what) in hooks.into_iter().take(if mode == Mode::Egress { 2 } else { 1 }) {
        let hook = Hook { number, priority: 0, device: Some("lo") };
        batch.new_base_chain(TRIAL, &format!("trial-{number}"), hook);
        steps.push((batch.messages(), what));
    }
    let lo = Layout { devices: BTreeMap::from([("lo".to_owned(), 1)]), ..Layout::default() };
    for role in [Role::Permit, Role::Fence] {
        mode.rebuild(&mut batch, role, &lo);
    }
    batch.delete_table(NEVER);
    let bound_to_fail = batch.messages();
    let refused = match socket.commit(batch) {
        Ok(()) => return Err(Missing { what: What::Rules, cause: io::Error::other("the trial took effect") }),
        Err(BatchError::Io(cause)) => return Err(Missing { what: What::Nftables, cause }),
        Err(BatchError::Refused(refused)) => refused,
    };
    let unexpected = |it: &&Refused| it.message != bound_to_fail;
    let Some(first) = refused.iter().find(unexpected) else { return Ok(()) };
    let what = steps.iter().find(|(message, _)| *message == first.message).map_or(What::Rules, |(_, what)| *what);
    Err(Missing { what, cause: io::Error::from_raw_os_error(first.errno) })
}
