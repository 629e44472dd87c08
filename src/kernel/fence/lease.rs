//! Leases: what the permit table permits, and for how long.

use super::{
    Fence,
    concerns::{Right, Role},
    layout::{self, Mode, TICKETS},
};
use crate::kernel::{
    KernelError,
    nft::{Batch, BatchError, Family, Refused, Table},
};
use std::{collections::BTreeSet, io, net::IpAddr, time::Duration};

/// What the kernel lets an address do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Permission {
    /// Everything.
    Active,
    /// Exchange data, but neither be asked for nor speak in ARP and ND.
    Draining,
}

/// An address with what it is permitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// A fenced one.
    pub ip: IpAddr,
    /// Until the lease ends.
    pub permission: Permission,
}

/// Why a lease was not granted. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    /// The ticket has expired, or was used.
    #[error("the ticket for it expired before it was used")]
    Expired,
    /// The kernel would not.
    #[error(transparent)]
    Kernel(#[from] KernelError),
}

/// Why leases were not renewed.
#[derive(Debug, thiserror::Error)]
pub enum RenewError {
    /// These have expired, or were not of this kind; no other has been renewed either.
    #[error("the lease of {} has expired", list(.0))]
    Expired(Vec<IpAddr>),
    /// The kernel would not. Whether any was renewed is not known.
    #[error(transparent)]
    Kernel(#[from] KernelError),
}

/// A lease is one of these for each right and each table that asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Element {
    table: Table,
    set: &'static str,
    ip: IpAddr,
}

/// The deletions of a transaction, by message.
type Deletions = Vec<(u32, Element)>;

impl Fence {
    /// Makes a ticket that serves one [`Fence::grant`] within `ttl`. An `id` may be used again once its ticket was used
    /// or has expired.
    pub fn ticket(&mut self, id: u64, ttl: Duration) -> Result<(), KernelError> {
        let mut batch = Batch::new();
        batch.add_elements(tickets(), TICKETS, [&id.to_ne_bytes()[..]], Some(ttl));
        self.socket.commit(batch).map_err(|error| KernelError::new("make a ticket", error.into_io()))
    }

    /// Uses up `ticket` and makes all `ips` Active for `ttl`, or does nothing. A lease that runs is replaced.
    pub fn grant(&mut self, ticket: u64, ips: &[IpAddr], ttl: Duration) -> Result<(), GrantError> {
        self.must_be_fenced(ips)?;
        let wanted = elements(self.mode, ips, Permission::Active);
        loop {
            let mut batch = Batch::new();
            let ticket = batch.delete_element(tickets(), TICKETS, &ticket.to_ne_bytes());
            let running: BTreeSet<_> = wanted.intersection(&self.live).copied().collect();
            let deletions = delete(&mut batch, &running);
            add(&mut batch, &wanted, ttl);
            match self.commit(batch, &wanted) {
                Ok(()) => return Ok(()),
                Err(BatchError::Refused(refused)) if refused.iter().any(|it| is_absent(it) && it.message == ticket) => {
                    return Err(GrantError::Expired);
                }
                Err(error) => self.forget(&deletions, error).map_err(|error| refused("grant", ips, error))?,
            };
        }
    }

    /// Makes all of `leases` last `ttl` from now, unless one of them has expired: then nothing is done.
    pub fn renew(&mut self, leases: &[Lease], ttl: Duration) -> Result<(), RenewError> {
        let elements: BTreeSet<_> =
            leases.iter().flat_map(|lease| elements(self.mode, &[lease.ip], lease.permission)).collect();
        self.replace(&elements, &elements, ttl, "renew")
    }

    /// Makes Active leases Draining, for `ttl` from now, unless one of them has expired: then nothing is done.
    pub fn mute(&mut self, ips: &[IpAddr], ttl: Duration) -> Result<(), RenewError> {
        let active = elements(self.mode, ips, Permission::Active);
        let draining = elements(self.mode, ips, Permission::Draining);
        self.replace(&active, &draining, ttl, "mute")
    }

    /// Ends the leases of `ips` at once. Those that have none are none the worse.
    pub fn revoke(&mut self, ips: &[IpAddr]) -> Result<(), KernelError> {
        self.drop_leases(ips).map_err(|error| refused("revoke", ips, error))
    }

    pub(super) fn drop_leases(&mut self, ips: &[IpAddr]) -> Result<(), BatchError> {
        loop {
            let running: BTreeSet<_> = self.live.iter().filter(|it| ips.contains(&it.ip)).copied().collect();
            if running.is_empty() {
                return Ok(());
            }
            let mut batch = Batch::new();
            let deletions = delete(&mut batch, &running);
            match self.commit(batch, &BTreeSet::new()) {
                Ok(()) => self.live.retain(|it| !running.contains(it)),
                Err(error) => self.forget(&deletions, error)?,
            }
        }
    }

    fn replace(
        &mut self,
        before: &BTreeSet<Element>,
        after: &BTreeSet<Element>,
        ttl: Duration,
        what: &str,
    ) -> Result<(), RenewError> {
        if before.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::new();
        let deletions = delete(&mut batch, before);
        add(&mut batch, after, ttl);
        let Err(error) = self.commit(batch, after) else {
            self.live.retain(|it| after.contains(it) || !before.contains(it));
            return Ok(());
        };
        let absent = absent(&deletions, &error);
        let ips: BTreeSet<_> = before.iter().map(|it| it.ip).collect();
        let ips: Vec<_> = ips.into_iter().collect();
        self.forget(&deletions, error).map_err(|error| refused(what, &ips, error))?;
        let expired: BTreeSet<_> = absent.into_iter().map(|it| it.ip).collect();
        Err(RenewError::Expired(expired.into_iter().collect()))
    }

    /// Whatever comes of it, what was added may run.
    fn commit(&mut self, batch: Batch, added: &BTreeSet<Element>) -> Result<(), BatchError> {
        let result = self.socket.commit(batch);
        if !matches!(result, Err(BatchError::Refused(_))) {
            self.live.extend(added);
        }
        result
    }

    /// Notes what turned out to have expired. An error that has another reason stays one.
    fn forget(&mut self, deletions: &Deletions, error: BatchError) -> Result<(), BatchError> {
        let absent = absent(deletions, &error);
        if absent.is_empty() {
            return Err(error);
        }
        self.live.retain(|it| !absent.contains(it));
        Ok(())
    }

    fn must_be_fenced(&self, ips: &[IpAddr]) -> Result<(), KernelError> {
        let fenced = self.permit.as_ref().map(|layout| &layout.ips);
        let Some(open) = ips.iter().find(|ip| !fenced.is_some_and(|fenced| fenced.contains(ip))) else { return Ok(()) };
        let cause = io::Error::new(io::ErrorKind::InvalidInput, "it is not fenced");
        Err(KernelError::new(format!("grant a lease of {open}"), cause))
    }
}

/// All the elements that make up leases of `ips`.
fn elements(mode: Mode, ips: &[IpAddr], permission: Permission) -> BTreeSet<Element> {
    let rights: &[Right] = match permission {
        Permission::Active => &[Right::Speak, Right::Data],
        Permission::Draining => &[Right::Data],
    };
    let mut elements = BTreeSet::new();
    for (part, right) in mode.parts().iter().flat_map(|part| rights.iter().map(move |right| (part, *right))) {
        for ip in ips.iter().filter(|ip| part.asks(right, ip.is_ipv6())) {
            elements.insert(Element { table: part.table(Role::Permit), set: right.set(ip.is_ipv6()), ip: *ip });
        }
    }
    elements
}

fn tickets() -> Table {
    Table { family: Family::Netdev, name: Role::Permit.name() }
}

fn delete(batch: &mut Batch, elements: &BTreeSet<Element>) -> Deletions {
    elements.iter().map(|it| (batch.delete_element(it.table, it.set, &layout::key(&it.ip)), *it)).collect()
}

fn add(batch: &mut Batch, elements: &BTreeSet<Element>, ttl: Duration) {
    let sets: BTreeSet<_> = elements.iter().map(|it| (it.table, it.set)).collect();
    for (table, set) in sets {
        let keys: Vec<_> =
            elements.iter().filter(|it| (it.table, it.set) == (table, set)).map(|it| layout::key(&it.ip)).collect();
        batch.add_elements(table, set, keys.iter().map(Vec::as_slice), Some(ttl));
    }
}

fn is_absent(refused: &Refused) -> bool {
    refused.errno == libc::ENOENT
}

/// Those of the deletions that were refused because there is nothing to delete; none if anything else was refused too.
fn absent(deletions: &Deletions, error: &BatchError) -> Vec<Element> {
    let BatchError::Refused(refused) = error else { return Vec::new() };
    let of =
        |it: &Refused| deletions.iter().find(|(message, _)| is_absent(it) && *message == it.message).map(|it| it.1);
    refused.iter().map(of).collect::<Option<_>>().unwrap_or_default()
}

fn refused(what: &str, ips: &[IpAddr], error: BatchError) -> KernelError {
    KernelError::new(format!("{what} the lease of {}", list(ips)), error.into_io())
}

fn list(ips: &[IpAddr]) -> String {
    let shown: Vec<_> = ips.iter().take(3).map(IpAddr::to_string).collect();
    match ips.len().saturating_sub(shown.len()) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
