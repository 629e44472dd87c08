//! Adding addresses, and keeping alive those that the kernel is to remove by itself.

use super::{
    ADDRESS_PROTOCOL, Netlink,
    address::{Candidate, KernelAddress},
    device_name, find,
    record::Entry,
};
use crate::{kernel::KernelError, model::VipAddress};
use futures::future::join_all;
use std::{io, net::IpAddr, time::Duration};
use tokio::time::{sleep, timeout};

/// Requests that are under way at once: the answers to more than some hundred do not fit into the socket's buffer.
const AT_ONCE: usize = 32;
/// How long an IPv6 address that is there may take to come into use: 20 ms were measured on an idle machine, 84 ms on one
/// with four busy programs for each core. A device that is down never brings it into use.
const IN_USE_WITHIN: Duration = Duration::from_millis(250);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(1);

/// What [`Netlink::add_addresses`] found or did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addition {
    /// It was not there, and the kernel has added it. (Somebody else may have removed it since.)
    Added,
    /// It was there already, marked as ours.
    Present,
    /// It is there, but somebody else added it: left alone. It is not ours to remove later.
    Foreign,
}

/// What [`Netlink::refresh_addresses`] found or did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refresh {
    /// It lasts for the new lifetime.
    Refreshed,
    /// It is not there, or has expired: left so.
    Absent,
    /// It is there, but somebody else added it: left alone.
    Foreign,
}

impl Netlink {
    /// [`Netlink::add_addresses`] of one, for ever.
    pub async fn add_address(&self, link: u32, address: VipAddress) -> Result<Addition, KernelError> {
        let mut results = self.add_addresses(&[(link, address)], None).await;
        results.pop().unwrap_or_else(|| Err(adding(link, address, io::Error::other("nothing came of it"))))
    }

    /// Adds each address to the device with that index, marked as ours, unless it is there. What is there is never
    /// altered. A change of an IPv6 address's prefix length needs the removal first: the kernel holds an IPv6 address
    /// once per device. The results are in the order of `wanted`.
    ///
    /// With a `lifetime` the kernel removes the address when it ends, rounded up to whole seconds, and up to a quarter
    /// late (measured), unless it is refreshed.
    ///
    /// What was added is in use: its packets reach this host. With IPv6 that is later than the kernel's answer, because a
    /// work queue makes the route to the address and joins the group that it is asked for in (also without duplicate
    /// address detection); until then what clients send is dropped without a word. So this waits for it, but not for long.
    pub async fn add_addresses(
        &self,
        wanted: &[(u32, VipAddress)],
        lifetime: Option<Duration>,
    ) -> Vec<Result<Addition, KernelError>> {
        let before = match self.addresses().await {
            Ok(before) => before,
            Err(error) => return all_failed(wanted, &error),
        };
        let present = |&(link, address): &(u32, VipAddress)| find(&before, link, address);
        let missing: Vec<_> = wanted.iter().copied().filter(|it| present(it).is_none()).collect();
        // Before the addresses, or a crash between the two would leave one that nobody ever removes.
        let recorded = self.note_before(&missing, &before);
        let mut added = Vec::new();
        for some in missing.chunks(AT_ONCE) {
            let message = |&(link, address)| Candidate { link, address, mark: self.mark, lifetime }.message(&before);
            added.extend(join_all(some.iter().map(message).map(|it| self.requests.add_address(it))).await);
        }
        let now = match missing.is_empty() {
            true => Ok(Vec::new()),
            false => self.addresses().await,
        };
        let now = match now {
            Ok(now) => now,
            Err(error) => return all_failed(wanted, &error),
        };
        let came: Vec<_> = missing.iter().zip(&added).filter(|(_, result)| result.is_ok()).map(|(it, _)| *it).collect();
        self.until_in_use(&came).await;
        let recorded = recorded.and_then(|()| self.note_after(&came, &now));
        let mut added = added.into_iter();
        let mut results = Vec::new();
        for &(link, address) in wanted {
            results.push(match find(&before, link, address) {
                Some(existing) if self.is_ours(existing) => Ok(Addition::Present),
                Some(_) => Ok(Addition::Foreign),
                None => match added.next() {
                    Some(Err(cause)) => self.refused(link, address, &now, adding(link, address, cause)),
                    _ => self.verify(link, address, &now, &recorded).await.map_err(|it| adding(link, address, it)),
                },
            });
        }
        results
    }

    /// Waits until the kernel delivers what comes for these addresses.
    async fn until_in_use(&self, added: &[(u32, VipAddress)]) {
        let in_use = async {
            for (link, address) in added.iter().filter(|(_, address)| address.ip.is_ipv6()) {
                while !self.requests.is_local(*link, address.ip).await {
                    sleep(LOOK).await;
                }
            }
        };
        if timeout(IN_USE_WITHIN, in_use).await.is_err() {
            tracing::warn!("an address was added, but the kernel does not use it yet");
        }
    }

    /// Makes each of our addresses last for `lifetime` from now (whole seconds, rounded up), and no others.
    ///
    /// The kernel takes a refresh of what is not there for an addition. So what is there is looked at just before; an
    /// address that expires within those microseconds comes back. Refresh only while the lease of the address is known
    /// to run: it ends long before the lifetime does.
    pub async fn refresh_addresses(
        &self,
        wanted: &[(u32, VipAddress)],
        lifetime: Duration,
    ) -> Vec<Result<Refresh, KernelError>> {
        let before = match self.addresses().await {
            Ok(before) => before,
            Err(error) => return all_failed(wanted, &error),
        };
        let mut results = Vec::new();
        for &(link, address) in wanted {
            results.push(match find(&before, link, address) {
                None => Ok(Refresh::Absent),
                Some(existing) if !self.is_ours(existing) => Ok(Refresh::Foreign),
                Some(existing) => {
                    let attempt =
                        |cause| KernelError::new(format!("refresh {address} on {}", device_name(link)), cause);
                    let message = existing.with_lifetime(lifetime);
                    self.requests.replace_address(message).await.map(|()| Refresh::Refreshed).map_err(attempt)
                }
            });
        }
        results
    }

    /// [`Netlink::refresh_addresses`] of one.
    pub async fn refresh_address(
        &self,
        link: u32,
        address: VipAddress,
        lifetime: Duration,
    ) -> Result<Refresh, KernelError> {
        self.refresh_addresses(&[(link, address)], lifetime).await.pop().unwrap_or(Ok(Refresh::Absent))
    }

    /// Whether the record was written does not matter where marks stick, and only then is it known that they do.
    pub(super) fn note_before(&self, missing: &[(u32, VipAddress)], before: &[KernelAddress]) -> io::Result<()> {
        let mut record = self.record();
        if missing.is_empty() || !record.needed() {
            return Ok(());
        }
        record.retain(&before.iter().map(KernelAddress::entry).collect::<Vec<_>>());
        let entry = |&(link, address): &(u32, VipAddress)| Entry {
            link,
            ip: address.ip,
            prefix_len: address.prefix_len,
            created: None,
        };
        record.insert(missing.iter().map(entry))
    }

    /// Where marks do not stick, notes which addresses have come, each with its stamp.
    pub(super) fn note_after(&self, added: &[(u32, VipAddress)], now: &[KernelAddress]) -> io::Result<()> {
        let there = added.iter().filter_map(|&(link, address)| find(now, link, address));
        let unmarked: Vec<_> = there.filter(|it| it.protocol.is_none()).map(KernelAddress::entry).collect();
        if unmarked.is_empty() {
            return Ok(());
        }
        self.record().insert(unmarked)
    }

    /// `EEXIST` may only mean that somebody else was faster.
    fn refused(
        &self,
        link: u32,
        address: VipAddress,
        now: &[KernelAddress],
        error: KernelError,
    ) -> Result<Addition, KernelError> {
        let Some(errno) = error.errno() else {
            // The connection broke, so it may be there: better a line in the record too many.
            return Err(error);
        };
        self.forget(link, address);
        if errno != libc::EEXIST {
            return Err(explain(error, address));
        }
        match find(now, link, address) {
            Some(existing) if self.is_ours(existing) => Ok(Addition::Present),
            Some(_) => Ok(Addition::Foreign),
            None => Err(error.advise("the device holds it with another prefix length: remove that first")),
        }
    }

    /// Makes sure that an address that was added will be known as ours.
    pub(super) async fn verify(
        &self,
        link: u32,
        address: VipAddress,
        now: &[KernelAddress],
        recorded: &io::Result<()>,
    ) -> io::Result<Addition> {
        let Some(added) = find(now, link, address) else {
            // Somebody else was fast.
            self.forget(link, address);
            return Ok(Addition::Added);
        };
        if added.protocol == Some(ADDRESS_PROTOCOL) {
            self.record().marks_stick(&added.entry());
            return Ok(Addition::Added);
        }
        if let Err(error) = recorded {
            // Nobody would know it for ours after a restart, so it must not stay.
            self.requests.remove_address(added.message.clone()).await?;
            return Err(io::Error::new(error.kind(), error.to_string()));
        }
        Ok(Addition::Added)
    }
}

fn adding(link: u32, address: VipAddress, cause: io::Error) -> KernelError {
    KernelError::new(format!("add {address} to {}", device_name(link)), cause)
}

/// One error for each.
pub(super) fn all_failed<T>(wanted: &[(u32, VipAddress)], error: &KernelError) -> Vec<Result<T, KernelError>> {
    let failed = |&(link, address): &(u32, VipAddress)| {
        let attempt = format!("see to {address} on {}", device_name(link));
        Err(KernelError::new(attempt, io::Error::other(error.to_string())))
    };
    wanted.iter().map(failed).collect()
}

fn explain(error: KernelError, address: VipAddress) -> KernelError {
    match (error.errno(), address.ip) {
        (Some(libc::EACCES), IpAddr::V6(_)) => {
            error.advise("IPv6 is disabled on this device: set its sysctl net.ipv6.conf.DEVICE.disable_ipv6 to 0")
        }
        _ => error,
    }
}
