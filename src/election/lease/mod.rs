//! Leases: the permission to use addresses, which ends by itself.
//!
//! An owner that hangs cannot be told to let go. So what it owns is leased to it for [`TTL`] at a time, and whoever
//! waits that long after its last sign of life may be sure that it owns nothing. The kernel enforces it where it can
//! ([`Fence`]); here is the *keeper*, which renews all leases at a quarter of their time – from a thread of its own,
//! before all others where that is permitted, and **only while every part of the agent proves that it works**
//! ([`Progress`]): an address that an agent with a hung data plane keeps answering for is worse than one that moves.
//!
//! ```text
//! reconcile loop ──┐ beats      ┌── ticket, grant, revoke ── the election's driver
//! driver ──────────┼─▶ keeper ──┤                               ▲
//! data plane ──────┘            └── install, mute, repair ── the reconcile loop
//!                                lost, stalled ────────────────┘
//! ```
//!
//! The [book](book) keeps account of what is leased until when, by this process's own clock, and always ends a lease
//! before the kernel does. So an agent that was stopped finds out at its first look at the clock, before it says
//! anything: the kernel refuses to renew what has expired, and so does the book. Where the kernel enforces nothing the
//! same account is kept: then it is all there is, and a resumed agent stands down all the same.
//!
//! One lock guards book and fence. It is held for as long as the kernel works on one transaction, and never while
//! anything is waited for.

mod book;
mod keeper;
mod permit;
mod progress;
mod state;
#[cfg(test)]
mod tests;

use super::driver::LeaseIo;
use crate::{
    kernel::{
        KernelError, Meddler,
        fence::{Events, Fence, Permission},
    },
    model::LeaseView,
};
pub use book::TTL;
pub use progress::{Beat, Progress, STALLED_AFTER};
use state::State;
use std::{
    collections::BTreeSet,
    io,
    net::IpAddr,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// The leases of this node. Clones are the same leases; when the last is dropped, all leases end.
#[derive(Debug, Clone)]
pub struct Leases(Arc<Handle>);

#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
    keeper: watch::Receiver<()>,
}

/// What the keeper's thread shares with everybody.
#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// The keeper has something to do, or to end.
    wake: Condvar,
    /// Beside the state, for those that look at each turn.
    fenced: AtomicBool,
    progress: Progress,
}

impl Leases {
    /// Starts the keeper's thread, for the network namespace of the calling thread. Where the kernel cannot fence, the
    /// leases are kept all the same, and [`Leases::view`] says why it cannot. The error is that of starting a thread.
    pub fn start(progress: Progress) -> io::Result<Self> {
        let fence = Fence::open().map(|fence| Box::new(fence) as _).map_err(|error| error.to_string());
        Self::start_with(fence, progress)
    }

    fn start_with(fence: state::Opened, progress: Progress) -> io::Result<Self> {
        let state = Mutex::new(State::new(fence));
        let shared = Arc::new(Shared { state, wake: Condvar::new(), fenced: AtomicBool::new(false), progress });
        let keeper = keeper::start(shared.clone())?;
        Ok(Self(Arc::new(Handle { shared, keeper })))
    }

    /// Closes when the keeper's thread has ended, which only a panic or the end of these leases makes it do.
    pub fn keeper(&self) -> watch::Receiver<()> {
        self.0.keeper.clone()
    }

    /// Fences exactly `ips`, on exactly those of `devices` that there are. To be called whenever either may have
    /// changed, from a thread in the namespace of [`Leases::start`], and before an address is added; costs nothing if
    /// nothing has changed. Leases of other addresses end. Does nothing where the kernel cannot fence.
    pub fn install(&self, devices: &BTreeSet<String>, ips: &BTreeSet<IpAddr>) -> Result<(), KernelError> {
        let mut state = self.lock();
        let result = state.install(now(), devices, ips);
        self.0.shared.fenced.store(state.fenced().is_ok(), Relaxed);
        result
    }

    /// Makes exactly `ips`, as far as they are leased, exchange data only, and all other leased ones speak.
    pub fn mute(&self, ips: &BTreeSet<IpAddr>) -> Result<(), KernelError> {
        self.lock().mute(now(), ips)
    }

    /// Wakes when somebody else changes the fence: then it wants [`Leases::repair`]. `None` where the kernel cannot
    /// fence. In the network namespace of the calling thread, on the current tokio runtime.
    pub fn events(&self) -> Result<Option<Events>, KernelError> {
        self.lock().events()
    }

    /// Ends the leases of `ips` at once: of addresses that are gone from this host. Those without are none the worse.
    pub fn revoke(&self, ips: &[IpAddr]) {
        self.lock().revoke(ips);
    }

    /// Makes the fence again if somebody else has changed it, and says whether that was so. `meddler`: who, if known.
    pub fn repair(&self, meddler: Option<Meddler>) -> Result<bool, KernelError> {
        self.lock().repair(meddler)
    }

    /// The addresses that this node may speak for now.
    pub fn active(&self) -> BTreeSet<IpAddr> {
        let mut state = self.lock();
        state.expire(now());
        state.with(Permission::Active)
    }

    /// How the leases fare.
    pub fn view(&self) -> LeaseView {
        let now = now();
        let stalled = self.0.shared.progress.stalled(now);
        let mut state = self.lock();
        state.expire(now);
        LeaseView { stalled, ..state.view() }
    }

    /// Ends all leases, and removes the fence: every address is open from here on, so those that others may have must be
    /// gone from here. Nothing is granted any more.
    pub fn close(self) -> Result<(), KernelError> {
        let fence = self.lock().close();
        self.0.shared.fenced.store(false, Relaxed);
        self.0.shared.wake.notify_all();
        fence.map_or(Ok(()), |fence| fence.remove())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.shared.lock()
    }
}

impl LeaseIo for Leases {
    fn fenced(&self) -> bool {
        self.0.shared.fenced.load(Relaxed)
    }

    fn ticket(&self, id: u64, ttl: Duration) -> Result<(), String> {
        self.lock().ticket(now(), id, ttl)
    }

    fn grant(&self, ticket: u64, ips: &[IpAddr]) -> Result<bool, String> {
        let mut state = self.lock();
        let granted = state.grant(now(), ticket, ips);
        drop(state);
        // It sleeps while there is nothing to renew.
        self.0.shared.wake.notify_one();
        granted
    }

    fn revoke(&self, ips: &[IpAddr]) {
        Leases::revoke(self, ips);
    }

    fn lost(&self, now: Instant) -> Vec<IpAddr> {
        let mut state = self.lock();
        state.expire(now);
        state.take_lost()
    }

    fn unfit(&self, now: Instant) -> Vec<String> {
        self.0.shared.progress.stalled(now)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // After a panic of the keeper the leases are not renewed any more, which is all that it takes.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // Closing the fence's socket ends what the kernel has leased.
        drop(self.shared.lock().close());
        self.shared.wake.notify_all();
    }
}

#[expect(clippy::disallowed_methods, reason = "leases are counted from the moment in which the kernel is asked")]
fn now() -> Instant {
    Instant::now()
}
