//! The account against a kernel that is made up, under a clock that is; and the keeper's thread against both kernels.

mod account;
mod keeping;
mod on_the_kernel;

use super::{permit::Permit, state::Opened, *};
use crate::kernel::fence::{Events, GrantError, Lease, RenewError};
use std::collections::BTreeMap;

/// Far more than anything here takes.
const LONG: Duration = Duration::from_secs(20);
const MS: Duration = Duration::from_millis(1);

/// A kernel with a fence, and a hand on its clock.
#[derive(Debug, Clone, Default)]
struct FakeKernel(Arc<Mutex<Inside>>);

#[derive(Debug, Default)]
struct Inside {
    /// `None`: the true time.
    clock: Option<Instant>,
    fenced: BTreeSet<IpAddr>,
    leases: BTreeMap<IpAddr, (Permission, Instant)>,
    tickets: BTreeMap<u64, Instant>,
    renewals: u64,
    /// Fails whatever is about one of these.
    broken: BTreeSet<IpAddr>,
    install_fails: bool,
    damaged: bool,
    removed: bool,
}

impl FakeKernel {
    fn opened(&self) -> Opened {
        Ok(Box::new(self.clone()))
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap()
    }

    /// What it permits now.
    fn permits(&self, ip: IpAddr) -> Option<Permission> {
        self.inside().runs(ip)
    }
}

impl Inside {
    fn now(&self) -> Instant {
        self.clock.unwrap_or_else(now)
    }

    fn runs(&self, ip: IpAddr) -> Option<Permission> {
        self.leases.get(&ip).filter(|(_, until)| self.now() < *until).map(|(permission, _)| *permission)
    }

    fn sound(&self, ips: &[IpAddr]) -> Result<(), KernelError> {
        let broken = ips.iter().any(|ip| self.broken.contains(ip));
        if broken { Err(error()) } else { Ok(()) }
    }

    fn replace(&mut self, before: &[Lease], after: Permission, ttl: Duration) -> Result<(), RenewError> {
        let ips: Vec<_> = before.iter().map(|lease| lease.ip).collect();
        self.sound(&ips)?;
        let gone = before.iter().filter(|lease| self.runs(lease.ip) != Some(lease.permission));
        let gone: Vec<_> = gone.map(|lease| lease.ip).collect();
        if !gone.is_empty() {
            return Err(RenewError::Expired(gone));
        }
        let until = self.now() + ttl;
        for lease in before {
            let permission = if after == Permission::Draining { after } else { lease.permission };
            self.leases.insert(lease.ip, (permission, until));
        }
        Ok(())
    }
}

impl Permit for FakeKernel {
    fn install(&mut self, _: &BTreeSet<String>, ips: &BTreeSet<IpAddr>) -> Result<(), KernelError> {
        let mut inside = self.inside();
        if inside.install_fails {
            return Err(error());
        }
        inside.fenced.clone_from(ips);
        inside.leases.retain(|ip, _| ips.contains(ip));
        Ok(())
    }

    fn events(&self) -> Result<Events, KernelError> {
        Err(error())
    }

    fn repair(&mut self) -> Result<bool, KernelError> {
        Ok(std::mem::take(&mut self.inside().damaged))
    }

    fn ticket(&mut self, id: u64, ttl: Duration) -> Result<(), KernelError> {
        let mut inside = self.inside();
        let until = inside.now() + ttl;
        inside.tickets.insert(id, until);
        Ok(())
    }

    fn grant(&mut self, ticket: u64, ips: &[IpAddr], ttl: Duration) -> Result<(), GrantError> {
        let mut inside = self.inside();
        inside.sound(ips)?;
        assert!(ips.iter().all(|ip| inside.fenced.contains(ip)), "granted before it was fenced");
        let now = inside.now();
        if inside.tickets.remove(&ticket).is_none_or(|until| until <= now) {
            return Err(GrantError::Expired);
        }
        inside.leases.extend(ips.iter().map(|ip| (*ip, (Permission::Active, now + ttl))));
        Ok(())
    }

    fn renew(&mut self, leases: &[Lease], ttl: Duration) -> Result<(), RenewError> {
        let mut inside = self.inside();
        inside.renewals += 1;
        inside.replace(leases, Permission::Active, ttl)
    }

    fn mute(&mut self, ips: &[IpAddr], ttl: Duration) -> Result<(), RenewError> {
        let active: Vec<_> = ips.iter().map(|ip| Lease { ip: *ip, permission: Permission::Active }).collect();
        self.inside().replace(&active, Permission::Draining, ttl)
    }

    fn revoke(&mut self, ips: &[IpAddr]) -> Result<(), KernelError> {
        self.inside().leases.retain(|ip, _| !ips.contains(ip));
        Ok(())
    }

    fn remove(self: Box<Self>) -> Result<(), KernelError> {
        self.inside().removed = true;
        Ok(())
    }
}

fn error() -> KernelError {
    KernelError::new("do this", io::Error::from_raw_os_error(libc::ENOBUFS))
}

fn ip(last: u8) -> IpAddr {
    [198, 51, 100, last].into()
}

fn ips(lasts: &[u8]) -> BTreeSet<IpAddr> {
    lasts.iter().copied().map(ip).collect()
}

fn devices() -> BTreeSet<String> {
    BTreeSet::from(["eth0".to_owned()])
}

#[track_caller]
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = now();
    while !holds() {
        assert!(now() < begin + LONG, "not in time: {what}");
        std::thread::sleep(5 * MS);
    }
}
