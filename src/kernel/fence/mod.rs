//! The fence: this host uses an address only while its agent keeps proving that it may.
//!
//! The kernel answers ARP and ND for every address that it has, whether the agent that put it there is well, hangs or is
//! dead. So the addresses of all Vips are fenced on every device, in and out, and what passes the fence is leased for
//! some hundred milliseconds at a time. If the agent stops renewing, for whatever reason, the kernel itself ends it: a
//! lease is checked at every packet, without a timer, and was never seen to last longer than granted (measured).
//!
//! Two nftables tables do it:
//!
//! - **`lbagent_fence`** survives the agent. It drops the ARP, ND and IP packets of fenced addresses unless a bit of
//!   their mark says that they are permitted, and takes the bit from those that it lets through. It believes no bit that
//!   a packet brought along. Everything about other addresses passes with its mark untouched.
//! - **`lbagent_permit`** belongs to the agent's netlink socket (`NFT_TABLE_F_OWNER`): nobody else can change it, and
//!   the kernel destroys it with the socket, however the process ends. It comes first, sets the bit for addresses with a
//!   lease, and drops the others too: so an administrator's `nft flush ruleset`, which takes the fence, opens nothing
//!   while the agent lives.
//!
//! An address without lease is silent. An *Active* one may speak ARP and ND and exchange data; a *Draining* one may
//! exchange data only: nobody is told about it or hears ARP or ND from it, also no question of which it is the sender.
//! (A client's entry for it, and this host's for the client, stay fresh by the traffic itself.) Fenced or not, this host
//! may ask who has the address, hear the answer, and talk to whoever that is; and what it says to itself, by `lo`, never
//! meets the fence.
//!
//! # Compare-and-set
//!
//! A renewal deletes the lease and adds it again, in one transaction. If the lease has expired there is nothing to
//! delete, and the whole transaction is refused: **a lease that has expired cannot be renewed**, only granted anew. The
//! grant is guarded in the same way by a *ticket*, an element that expires within some milliseconds: made before the last
//! look at the wire, deleted by the grant. So an agent that was stopped between looking and acting cannot act on what it
//! saw.
//!
//! # Kernels
//!
//! Linux ≥ 5.16 has everything. 5.12–5.15 lack the egress hook: there what leaves is stopped in the output hooks of the
//! arp and inet families instead, which raw frames (such as announcements) do not pass – they are **not** stopped. A
//! paused virtual machine is beyond every kernel's lease: its time stops too.

mod concerns;
mod events;
mod layout;
mod lease;
mod state;
mod support;

use self::{
    concerns::Role,
    layout::{Layout, Mode},
    lease::Element,
    state::State,
};
use super::{
    KernelError,
    nft::{Batch, BatchError, Socket},
};
use std::{collections::BTreeSet, net::IpAddr};

pub use events::Events;
pub use lease::{GrantError, Lease, Permission, RenewError};

/// The fence of this network namespace. Dropping it ends all leases and leaves the fence in place.
///
/// It is tied to the namespace in which it was opened; [`Fence::install`] must be called from a thread in that one.
/// Nothing waits: each call takes as long as the kernel works on it (tens of microseconds, a few milliseconds for
/// hundreds of addresses).
#[derive(Debug)]
pub struct Fence {
    socket: Socket,
    mode: Mode,
    /// What the permit table is like: nobody else can have changed it. `None`: it is not there yet.
    permit: Option<Layout>,
    /// What the fence was made like, and what the kernel then showed; `None` if that is not known.
    fence: Option<(Layout, State)>,
    /// The elements of leases that may not have expired yet.
    live: BTreeSet<Element>,
}

/// Removes a fence that no agent owns any more. Says whether there was one. As with [`Fence::remove`], every address is
/// open from here on.
pub fn remove_persistent() -> Result<bool, KernelError> {
    let socket = support::socket()?;
    let removing = |cause| KernelError::new("remove the fence", cause);
    if state::is_owned(&socket).map_err(removing)? {
        let cause = std::io::Error::from_raw_os_error(libc::EBUSY);
        return Err(removing(cause).advise("a running lbagent owns it: stop that first"));
    }
    state::remove(&socket).map_err(removing)
}

/// How often a device may vanish while chains are made on it.
const INSTALL_ATTEMPTS: usize = 5;

impl Fence {
    /// Makes sure that the kernel can do all of it, and changes nothing. The error says what is missing, and what to do.
    pub fn open() -> Result<Self, KernelError> {
        let socket = support::socket()?;
        let mode = support::mode(&socket)?;
        Ok(Self::new(socket, mode))
    }

    /// As on a kernel before 5.16, which has no egress hook.
    pub fn open_without_egress() -> Result<Self, KernelError> {
        let socket = support::socket()?;
        support::check(&socket, Mode::Output)?;
        Ok(Self::new(socket, Mode::Output))
    }

    fn new(socket: Socket, mode: Mode) -> Self {
        Self { socket, mode, permit: None, fence: None, live: BTreeSet::new() }
    }

    /// Whether raw frames (announcements) of fenced addresses are stopped too.
    pub fn stops_raw_frames(&self) -> bool {
        self.mode == Mode::Egress
    }

    /// The netlink port by which [`Events`] tells this fence's own changes from those of others.
    pub fn port(&self) -> u32 {
        self.socket.port()
    }

    /// Wakes when somebody else changes the tables; in the network namespace of the calling thread, on the current tokio
    /// runtime. To be asked for again if the fence was opened again.
    pub fn events(&self) -> Result<Events, KernelError> {
        Events::subscribe(self.port())
    }

    /// Fences exactly `ips`, on exactly those of `devices` that there are; what a killed predecessor left is taken over.
    /// Calling it again does nothing. Leases go on, except those of addresses that are no longer fenced, which are open
    /// from here on. At no moment is an address open that is fenced before and after and has no lease: each of the two
    /// tables alone keeps it closed, and they are changed one after the other.
    pub fn install(&mut self, devices: &BTreeSet<String>, ips: &BTreeSet<IpAddr>) -> Result<(), KernelError> {
        let mut last = None;
        for _ in 0..INSTALL_ATTEMPTS {
            let layout = Layout::of(devices, ips);
            match self.lay(&layout) {
                Ok(()) => return Ok(()),
                // A device went away meanwhile, and took the whole transaction with it.
                Err(error) if Layout::of(devices, ips) != layout => last = Some(error),
                Err(error) => return Err(installing(error)),
            }
        }
        Err(installing(last.unwrap_or_else(|| std::io::Error::other("the devices never stopped changing").into())))
    }

    /// Looks whether the fence is there as it was made, and makes it again if it is not. Says whether it had to.
    pub fn repair(&mut self) -> Result<bool, KernelError> {
        let Some(layout) = self.permit.clone() else { return Ok(false) };
        let looking = |cause| KernelError::new("look at the fence", cause);
        if let Some((_, state)) = &mut self.fence
            && state.holds(&self.socket, self.mode).map_err(looking)?
        {
            return Ok(false);
        }
        self.fence = None;
        self.program_fence(&layout).map_err(installing)?;
        Ok(true)
    }

    /// Removes the fence: every address is open from here on, so those that others may have must be gone from here.
    pub fn remove(self) -> Result<(), KernelError> {
        let removing = |cause| KernelError::new("remove the fence", cause);
        state::remove(&self.socket).map(drop).map_err(removing)
    }

    fn lay(&mut self, layout: &Layout) -> Result<(), BatchError> {
        self.program_permit(layout)?;
        self.program_fence(layout)
    }

    /// Changed, not made anew: leases stay untouched.
    fn program_permit(&mut self, layout: &Layout) -> Result<(), BatchError> {
        let mut batch = Batch::new();
        match &self.permit {
            Some(present) if present == layout => return Ok(()),
            Some(present) => {
                let unfenced: Vec<_> = present.ips.difference(&layout.ips).copied().collect();
                self.drop_leases(&unfenced)?;
                let present = self.permit.as_ref().unwrap_or(layout);
                self.mode.change(&mut batch, Role::Permit, present, layout);
            }
            None => self.mode.rebuild(&mut batch, Role::Permit, layout),
        }
        self.socket.commit(batch)?;
        self.permit = Some(layout.clone());
        Ok(())
    }

    /// Made anew: who knows what a predecessor or somebody else has made of it.
    fn program_fence(&mut self, layout: &Layout) -> Result<(), BatchError> {
        if self.fence.as_ref().is_some_and(|(present, _)| present == layout) {
            return Ok(());
        }
        self.fence = None;
        let mut batch = Batch::new();
        self.mode.rebuild(&mut batch, Role::Fence, layout);
        self.fence = state::commit_and_remember(&self.socket, batch, self.mode)?.map(|state| (layout.clone(), state));
        Ok(())
    }
}

fn installing(error: BatchError) -> KernelError {
    KernelError::new("install the fence", error.into_io())
}

#[cfg(test)]
mod tests;
