//! Book and fence together: each change is made in the kernel first, then noted. Every `now` is read under the lock,
//! before the kernel is asked.

use super::{
    book::{Book, TTL},
    permit::Permit,
};
use crate::{
    kernel::{
        KernelError, Meddler,
        fence::{Events, GrantError, Lease, Permission, RenewError},
    },
    model::LeaseView,
};
use std::{
    collections::BTreeSet,
    io,
    net::IpAddr,
    time::{Duration, Instant},
};

/// The fence, or why the kernel has none.
pub(super) type Opened = Result<Box<dyn Permit>, String>;

/// For grants that no ticket of the election stands behind: the leases concerned run.
const OWN_TICKET: u64 = u64::MAX;

#[derive(Debug)]
pub(super) struct State {
    fence: Option<Box<dyn Permit>>,
    /// `Ok` once the fence has been installed.
    fenced: Result<(), String>,
    book: Book,
    closed: bool,
    view: LeaseView,
}

impl State {
    pub(super) fn new(fence: Opened) -> Self {
        let (fence, fenced) = match fence {
            Ok(fence) => (Some(fence), Err("not installed yet".to_owned())),
            Err(reason) => (None, Err(reason)),
        };
        Self { fence, fenced, book: Book::default(), closed: false, view: LeaseView::default() }
    }

    pub(super) fn fenced(&self) -> Result<(), String> {
        self.fenced.clone()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    pub(super) fn any(&self) -> bool {
        !self.book.is_empty()
    }

    /// Addresses with a lease of this kind.
    pub(super) fn with(&self, permission: Permission) -> BTreeSet<IpAddr> {
        self.book.with(permission).collect()
    }

    pub(super) fn view(&self) -> LeaseView {
        let running = self.book.leases().map(|lease| (lease.ip, lease.permission == Permission::Active));
        LeaseView {
            fenced: self.fenced(),
            running: running.collect(),
            lost: self.book.lost_ever(),
            ..self.view.clone()
        }
    }

    /// The keeper's priority.
    pub(super) fn ranked(&mut self, realtime: io::Result<()>) {
        self.view.realtime = realtime.map_err(|error| error.to_string());
    }

    pub(super) fn install(
        &mut self,
        now: Instant,
        devices: &BTreeSet<String>,
        ips: &BTreeSet<IpAddr>,
    ) -> Result<(), KernelError> {
        let Some(fence) = &mut self.fence else { return Ok(()) };
        if let Err(error) = fence.install(devices, ips) {
            // What was installed before is still in force; where nothing was, the leases go without.
            if self.fenced.is_err() {
                self.fenced = Err(error.to_string());
            }
            return Err(error);
        }
        let open: Vec<_> = self.book.leases().map(|lease| lease.ip).filter(|ip| !ips.contains(ip)).collect();
        self.book.revoke(&open);
        let first = std::mem::replace(&mut self.fenced, Ok(())).is_err();
        if first {
            // Granted while there was no fence.
            self.expire(now);
            let running: Vec<_> = self.book.leases().map(|lease| lease.ip).collect();
            return self.regrant(now, &running);
        }
        Ok(())
    }

    pub(super) fn events(&self) -> Result<Option<Events>, KernelError> {
        self.fence.as_ref().map(|fence| fence.events()).transpose()
    }

    pub(super) fn repair(&mut self, meddler: Option<Meddler>) -> Result<bool, KernelError> {
        let Some(fence) = self.kernel() else { return Ok(false) };
        let repaired = fence.repair()?;
        if repaired {
            self.view.repairs += 1;
            self.view.last_meddler = meddler.map(|it| it.to_string()).or(self.view.last_meddler.take());
        }
        Ok(repaired)
    }

    pub(super) fn ticket(&mut self, now: Instant, id: u64, ttl: Duration) -> Result<(), String> {
        self.must_be_open()?;
        if let Some(fence) = self.kernel() {
            fence.ticket(id, ttl).map_err(|error| self.refused(&error))?;
        }
        self.book.ticket(now, id, ttl);
        Ok(())
    }

    /// `Ok(false)`: the ticket has expired.
    pub(super) fn grant(&mut self, now: Instant, ticket: u64, ips: &[IpAddr]) -> Result<bool, String> {
        self.must_be_open()?;
        self.expire(now);
        if !self.book.use_ticket(now, ticket) {
            return Ok(false);
        }
        match self.kernel().map_or(Ok(()), |fence| fence.grant(ticket, ips, TTL)) {
            Ok(()) => self.book.granted(now, ips),
            Err(GrantError::Expired) => return Ok(false),
            Err(GrantError::Kernel(error)) => return Err(self.refused(&error)),
        }
        Ok(true)
    }

    pub(super) fn revoke(&mut self, ips: &[IpAddr]) {
        self.book.revoke(ips);
        self.end(ips);
    }

    pub(super) fn take_lost(&mut self) -> Vec<IpAddr> {
        self.book.take_lost()
    }

    /// Notes what has ended by `now`. The kernel may let it run for a moment longer; that ends, too.
    pub(super) fn expire(&mut self, now: Instant) {
        let over = self.book.expire(now);
        if !over.is_empty() {
            self.end(&over);
        }
    }

    /// One round of the keeper, which began so much later than it should. `works`: the agent does.
    pub(super) fn renew(&mut self, now: Instant, late: Duration, works: bool) {
        self.view.worst_lateness = self.view.worst_lateness.max(late);
        self.expire(now);
        let leases: Vec<_> = self.book.leases().collect();
        if !works || leases.is_empty() {
            return;
        }
        self.view.renewals += 1;
        if self.renew_all(now, leases.clone()).is_err() {
            self.view.failed_renewals += 1;
            // One that the kernel will not renew must not take the others with it.
            for lease in leases {
                let _ = self.renew_all(now, vec![lease]);
            }
        }
    }

    /// Renews those of `leases` that have not expired, and loses those that have.
    fn renew_all(&mut self, now: Instant, leases: Vec<Lease>) -> Result<(), String> {
        self.change(now, leases, |fence, leases| fence.renew(leases, TTL)).map_err(|error| self.refused(&error))
    }

    pub(super) fn mute(&mut self, now: Instant, ips: &BTreeSet<IpAddr>) -> Result<(), KernelError> {
        self.expire(now);
        let quiet = self.book.with(Permission::Active).filter(|ip| ips.contains(ip));
        let quiet: Vec<_> = quiet.map(|ip| Lease { ip, permission: Permission::Draining }).collect();
        let loud: Vec<_> = self.book.with(Permission::Draining).filter(|ip| !ips.contains(ip)).collect();
        if !quiet.is_empty() {
            self.change(now, quiet, |fence, leases| {
                let ips: Vec<_> = leases.iter().map(|lease| lease.ip).collect();
                fence.mute(&ips, TTL)
            })?;
        }
        self.regrant(now, &loud)
    }

    /// Everything ends; the fence is handed out to be removed or dropped.
    pub(super) fn close(&mut self) -> Option<Box<dyn Permit>> {
        self.closed = true;
        self.fenced = Err("the agent is ending".to_owned());
        self.book = Book::default();
        self.fence.take()
    }

    /// Changes `leases` in the kernel until none of those that are left has expired, and loses the others.
    fn change(
        &mut self,
        now: Instant,
        mut leases: Vec<Lease>,
        mut ask: impl FnMut(&mut dyn Permit, &[Lease]) -> Result<(), RenewError>,
    ) -> Result<(), KernelError> {
        while !leases.is_empty() {
            match self.kernel().map_or(Ok(()), |fence| ask(fence, &leases)) {
                Ok(()) => {
                    self.book.renewed(now, &leases);
                    break;
                }
                Err(RenewError::Kernel(error)) => return Err(error),
                Err(RenewError::Expired(gone)) => {
                    let before = leases.len();
                    leases.retain(|lease| !gone.contains(&lease.ip));
                    // Should the kernel not say which: none of them counts any more.
                    let gone = if leases.len() < before { gone } else { leases.drain(..).map(|it| it.ip).collect() };
                    self.end(&gone);
                    self.book.lose(gone);
                }
            }
        }
        Ok(())
    }

    /// Makes leases that run Active ones of full length.
    fn regrant(&mut self, now: Instant, ips: &[IpAddr]) -> Result<(), KernelError> {
        if ips.is_empty() {
            return Ok(());
        }
        if let Some(fence) = self.kernel() {
            fence.ticket(OWN_TICKET, TTL)?;
            match fence.grant(OWN_TICKET, ips, TTL) {
                Ok(()) => {}
                Err(GrantError::Kernel(error)) => return Err(error),
                // This thread was stopped for that long: then the leases are over, too, and the next look tells.
                Err(GrantError::Expired) => return Ok(()),
            }
        }
        self.book.granted(now, ips);
        Ok(())
    }

    /// In the kernel. What is not ended here ends by itself.
    fn end(&mut self, ips: &[IpAddr]) {
        if let Some(Err(error)) = self.kernel().map(|fence| fence.revoke(ips)) {
            self.refused(&error);
        }
    }

    fn kernel(&mut self) -> Option<&mut (dyn Permit + 'static)> {
        self.fence.as_deref_mut().filter(|_| self.fenced.is_ok())
    }

    fn must_be_open(&self) -> Result<(), String> {
        if self.closed { Err("the agent is ending".to_owned()) } else { Ok(()) }
    }

    fn refused(&mut self, error: &KernelError) -> String {
        let text = error.to_string();
        self.view.last_error = Some(text.clone());
        text
    }
}
