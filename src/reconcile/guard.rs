//! What keeps addresses from being where they should not: the fence, muteness, lifetimes; and who undoes what this loop
//! does.

use super::{Reconciler, now};
use crate::{
    election::driver::LeaseIo,
    kernel::{Meddler, fence},
    model::{Desired, ObservedNetwork, Problem},
    plan::{addresses::AddressPlan, drift::Drift, fence::plan, lifetimes},
};
use std::{
    collections::BTreeSet,
    net::IpAddr,
    time::{Duration, Instant},
};

impl Reconciler {
    /// The fence around every address that this node could answer for; repaired if somebody else has changed it.
    pub(super) fn fence(&mut self, desired: &Desired, network: &ObservedNetwork) -> Option<Problem> {
        let plan = plan(&self.me, desired, network);
        let by = self.inputs.fence.as_ref().and_then(fence::Events::meddler);
        let done = self.hands.leases.install(&plan.devices, &plan.ips).and_then(|()| self.hands.leases.repair(by));
        match done {
            Ok(false) => None,
            Ok(true) => {
                let by = self.hands.leases.view().last_meddler;
                tracing::warn!(by, "somebody else has changed the fence; it is there again");
                self.drift.record(now(), Drift::Fence, by);
                None
            }
            Err(error) => Some(Problem::error("FenceFailed", error.to_string())),
        }
    }

    /// Notes which addresses are gone that the last pass left in place.
    pub(super) fn look_for_drift(&mut self, at: Instant, plan: &AddressPlan, network: &ObservedNetwork) {
        for what in self.left.missing(&plan.wanted, network) {
            let port = self.inputs.kernel.last_port().filter(|port| *port != self.hands.netlink.port());
            let by = port.map(|port| Meddler::behind(port).to_string());
            tracing::warn!(by, "{what} was removed by somebody else; it is put back");
            self.view.stats.repaired(what.as_str());
            self.drift.record(at, what, by);
        }
    }

    /// How long an address stays if nobody refreshes it.
    pub(super) fn lifetime(&self) -> Duration {
        if self.hands.leases.fenced() { lifetimes::FENCED } else { lifetimes::UNFENCED }
    }

    /// Makes exactly `ips` mute; whether that could be done.
    pub(super) fn silence(&mut self, ips: BTreeSet<IpAddr>) -> bool {
        if ips.is_empty() && self.mute.is_empty() {
            return true;
        }
        match self.hands.leases.mute(&ips) {
            Ok(()) => {
                self.mute = ips;
                true
            }
            Err(error) => {
                tracing::warn!("{error}; the address is removed a moment before it is taken");
                self.mute.clear();
                ips.is_empty()
            }
        }
    }
}

/// Wakes when somebody else has changed the fence.
pub(super) async fn fence_changed(events: Option<&fence::Events>) {
    match events {
        Some(events) => events.changed().await,
        None => std::future::pending().await,
    }
}
