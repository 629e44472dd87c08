//! What is asked of the kernel: the [`Fence`], but for tests.

use crate::kernel::{
    KernelError,
    fence::{Events, Fence, GrantError, Lease, RenewError},
};
use std::{collections::BTreeSet, fmt::Debug, net::IpAddr, time::Duration};

/// As the methods of [`Fence`], one by one.
pub(super) trait Permit: Debug + Send {
    fn install(&mut self, devices: &BTreeSet<String>, ips: &BTreeSet<IpAddr>) -> Result<(), KernelError>;
    fn events(&self) -> Result<Events, KernelError>;
    fn repair(&mut self) -> Result<bool, KernelError>;
    fn ticket(&mut self, id: u64, ttl: Duration) -> Result<(), KernelError>;
    fn grant(&mut self, ticket: u64, ips: &[IpAddr], ttl: Duration) -> Result<(), GrantError>;
    fn renew(&mut self, leases: &[Lease], ttl: Duration) -> Result<(), RenewError>;
    fn mute(&mut self, ips: &[IpAddr], ttl: Duration) -> Result<(), RenewError>;
    fn revoke(&mut self, ips: &[IpAddr]) -> Result<(), KernelError>;
    fn remove(self: Box<Self>) -> Result<(), KernelError>;
}

impl Permit for Fence {
    fn install(&mut self, devices: &BTreeSet<String>, ips: &BTreeSet<IpAddr>) -> Result<(), KernelError> {
        self.install(devices, ips)
    }

    fn events(&self) -> Result<Events, KernelError> {
        self.events()
    }

    fn repair(&mut self) -> Result<bool, KernelError> {
        self.repair()
    }

    fn ticket(&mut self, id: u64, ttl: Duration) -> Result<(), KernelError> {
        self.ticket(id, ttl)
    }

    fn grant(&mut self, ticket: u64, ips: &[IpAddr], ttl: Duration) -> Result<(), GrantError> {
        self.grant(ticket, ips, ttl)
    }

    fn renew(&mut self, leases: &[Lease], ttl: Duration) -> Result<(), RenewError> {
        self.renew(leases, ttl)
    }

    fn mute(&mut self, ips: &[IpAddr], ttl: Duration) -> Result<(), RenewError> {
        self.mute(ips, ttl)
    }

    fn revoke(&mut self, ips: &[IpAddr]) -> Result<(), KernelError> {
        self.revoke(ips)
    }

    fn remove(self: Box<Self>) -> Result<(), KernelError> {
        (*self).remove()
    }
}
