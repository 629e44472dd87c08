//! Which addresses to add to this node's devices and which to take away.
//!
//! The plan is a set difference between the addresses that this node's roles call for and the addresses that carry
//! lbagent's mark. An address without the mark is somebody else's: it is never removed or altered, whatever it is
//! called, and if it is one of ours by number that is said as a problem.
//!
//! A handover takes three passes: the addresses wait for a quiet moment, then they are *mute* (this node still serves who
//! knows the way, and answers no question for them), and when the new owner is heard they are removed. So the new
//! owner is the only one to answer, and no client's SYN falls into a gap. Where muting cannot be had they are removed
//! instead of muted.
//!
//! An address is added for a time only, and refreshed long before that has passed: the kernel drops it when nobody does
//! any more. See [`super::lifetimes`].
//!
//! Adding comes before removing, because adding is what clients wait for; the one exception is an address whose prefix
//! length was edited, which IPv6 does not let stand twice on one device.

use super::{announce::Place, lifetimes::Lifetimes, placement::Placements};
use crate::model::{
    Desired, ElectionView, Held, Kind, Name, ObjectRef, ObservedAddress, ObservedNetwork, Problem, Role, VipAddress,
    VipView,
};
use std::{
    collections::BTreeSet,
    net::IpAddr,
    time::{Duration, Instant},
};

/// One change of the machine's addresses, or the wait for the right moment for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddressStep {
    /// Put the address on the device.
    Add {
        /// For whom.
        vip: Name,
        /// `ifindex`.
        link: u32,
        /// With prefix length.
        address: VipAddress,
        /// For how long; `None`: for ever.
        lifetime: Option<Duration>,
    },
    /// Let the address, which is there and marked as ours, stay for as long as if it were added now.
    Refresh {
        /// `ifindex`.
        link: u32,
        /// With prefix length.
        address: VipAddress,
        /// For how long.
        lifetime: Duration,
    },
    /// Take the address, which is marked as ours, off the device.
    Remove {
        /// `ifindex`.
        link: u32,
        /// With prefix length.
        address: VipAddress,
    },
    /// Another node is about to take this Vip: let its addresses go at a moment when nobody is being answered.
    AwaitQuiet {
        /// Whose addresses.
        vip: Name,
    },
}

/// What [`plan`] found to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressPlan {
    /// In the order in which they are to be tried; each is tried whatever became of those before it.
    pub steps: Vec<AddressStep>,
    /// Exactly these are to be mute, from before the first step on; no others after the last.
    pub mute: BTreeSet<IpAddr>,
    /// All that this node's roles call for, there or not.
    pub wanted: BTreeSet<Place>,
    /// What is being handed over, and is still there.
    pub leaving: BTreeSet<Place>,
    /// Foreign addresses in the way.
    pub problems: Vec<Problem>,
}

/// Everything that [`plan`] looks at.
#[derive(Debug, Clone, Copy)]
pub struct AddressInputs<'a> {
    /// This node.
    pub me: &'a Name,
    /// What is wanted.
    pub desired: &'a Desired,
    /// Where it goes.
    pub placements: &'a Placements,
    /// Whose it is.
    pub election: &'a ElectionView,
    /// What is there.
    pub network: &'a ObservedNetwork,
    /// Vips for which the quiet moment has come, or has been waited for long enough.
    pub quiet: &'a BTreeSet<Name>,
    /// Whether addresses can be made mute here.
    pub can_mute: bool,
    /// For how long addresses are added; `None`: for ever, and then nothing is refreshed.
    pub lifetime: Option<Duration>,
    /// When that was last done to which.
    pub lifetimes: &'a Lifetimes,
    /// The time of `network`.
    pub now: Instant,
}

/// Compares roles with addresses.
pub fn plan(inputs: AddressInputs<'_>) -> AddressPlan {
    let mut plan = AddressPlan::default();
    // Nothing is known (no state was ever read): that is not the same as "nothing is wanted".
    if inputs.desired.peers.is_empty() && inputs.desired.vips.is_empty() {
        return plan;
    }
    let wanted = wanted(inputs, &mut plan.problems);
    for (vip, link, address) in &wanted {
        plan.add(inputs.network, inputs.lifetime, vip, *link, *address);
    }
    plan.wanted = wanted.iter().map(|(_, link, address)| (*link, address.ip)).collect();
    let ours = inputs.network.addresses.iter().filter(|observed| observed.ours);
    for observed in ours.filter(|observed| !wanted.iter().any(|(_, link, ip)| is(observed, *link, *ip))) {
        plan.remove(inputs, observed);
    }
    plan.steps.dedup();
    plan.refresh(inputs);
    plan
}

/// The addresses of Vips that this host has, whoever put them there: what heartbeats may say it holds.
pub fn held(desired: &Desired, network: &ObservedNetwork) -> Held {
    let vips: BTreeSet<IpAddr> =
        desired.vips.values().flat_map(|vip| &vip.addresses).map(|address| address.ip).collect();
    network.addresses.iter().map(|observed| observed.ip).filter(|ip| vips.contains(ip)).collect()
}

impl AddressPlan {
    /// Whether the address is to be there after the plan, as wanted or because its handover is not done yet.
    pub fn keeps(&self, place: &Place) -> bool {
        self.wanted.contains(place) || self.leaving.contains(place)
    }

    fn add(
        &mut self,
        network: &ObservedNetwork,
        lifetime: Option<Duration>,
        vip: &Name,
        link: u32,
        address: VipAddress,
    ) {
        let here = |observed: &&ObservedAddress| observed.link == link && observed.ip == address.ip;
        let add = AddressStep::Add { vip: vip.clone(), link, address, lifetime };
        match network.addresses.iter().find(here) {
            Some(observed) if is(observed, link, address) || !observed.ours => {}
            Some(observed) => {
                self.steps.push(AddressStep::Remove { link, address: as_added(observed) });
                self.steps.push(add);
            }
            None => self.steps.push(add),
        }
    }

    fn remove(&mut self, inputs: AddressInputs<'_>, observed: &ObservedAddress) {
        let remove = AddressStep::Remove { link: observed.link, address: as_added(observed) };
        if self.steps.contains(&remove) {
            return;
        }
        let Some(vip) = owner_of(inputs, observed.ip) else {
            self.steps.push(remove); // of a deleted Vip, or of one that no longer lists this node
            return;
        };
        match inputs.election.vips.get(vip) {
            // The election has not come to a decision: leave things as they were found.
            None => {}
            Some(view) if view.role == Role::Initialize => {}
            Some(view) if is_handing_over(inputs, view) && !inputs.quiet.contains(vip) => {
                self.steps.push(AddressStep::AwaitQuiet { vip: vip.clone() });
                self.leaving.insert((observed.link, observed.ip));
            }
            Some(view) if is_handing_over(inputs, view) && inputs.can_mute => {
                self.mute.insert(observed.ip);
                self.leaving.insert((observed.link, observed.ip));
            }
            Some(_) => self.steps.push(remove),
        }
    }

    /// What this node means to keep, or has not let go yet. After everything else: nobody waits for it. An address that
    /// is merely left as it was found runs out.
    fn refresh(&mut self, inputs: AddressInputs<'_>) {
        let Some(lifetime) = inputs.lifetime else { return };
        let due = |it: &&ObservedAddress| it.ours && inputs.lifetimes.is_due(inputs.now, lifetime, it);
        for observed in inputs.network.addresses.iter().filter(due) {
            let (link, address) = (observed.link, as_added(observed));
            let goes = self.steps.contains(&AddressStep::Remove { link, address });
            if self.keeps(&(link, address.ip)) && !goes {
                self.steps.push(AddressStep::Refresh { link, address, lifetime });
            }
        }
    }
}

/// Another node is about to take the addresses, and has not said yet that it has them.
fn is_handing_over(inputs: AddressInputs<'_>, view: &VipView) -> bool {
    let taken = view.owner_holds && view.owner.as_ref().is_some_and(|owner| owner != inputs.me);
    view.role == Role::Backup && view.graceful && !taken && inputs.election.peers.values().any(|peer| peer.heard)
}

/// What this node's roles call for: every address of every Vip for which it is Active and has a device.
fn wanted(inputs: AddressInputs<'_>, problems: &mut Vec<Problem>) -> Vec<(Name, u32, VipAddress)> {
    let mut wanted = Vec::new();
    for (name, placement) in &inputs.placements.vips {
        let view = inputs.election.vips.get(name).filter(|view| view.role == Role::Active);
        let active = view.is_some();
        for address in &placement.vip.addresses {
            if let Some(foreign) = inputs.network.addresses.iter().find(|o| o.ip == address.ip && !o.ours) {
                problems.push(foreign_address(name, foreign, active, inputs.network));
            }
            if view.is_some_and(|view| view.unleased.contains(&address.ip)) {
                continue; // added to the Vip, and it is not known yet that nobody else has it
            }
            if let (true, Some(link)) = (active, &placement.link) {
                wanted.push((name.clone(), link.index, *address));
            }
        }
    }
    wanted
}

fn foreign_address(vip: &Name, foreign: &ObservedAddress, active: bool, network: &ObservedNetwork) -> Problem {
    let device = network.links.get(&foreign.link).map_or("?", |link| link.name.as_str());
    let (ip, prefix_len) = (foreign.ip, foreign.prefix_len);
    let message = format!(
        "{ip}/{prefix_len} is on {device}, but was not put there by lbagent, which therefore leaves it alone; remove it \
         from the system's network configuration (`ip address del {ip}/{prefix_len} dev {device}`)"
    );
    let about = ObjectRef { kind: Kind::Vip, name: vip.clone() };
    if active {
        Problem::warning("ForeignAddress", message).about(about)
    } else {
        Problem::error("ForeignAddress", format!("{message}: two nodes answer for it")).about(about)
    }
}

/// The Vip of this node that has the address, if one still does.
fn owner_of<'a>(inputs: AddressInputs<'a>, ip: IpAddr) -> Option<&'a Name> {
    let has = |vip: &crate::model::Vip| vip.nodes.contains(inputs.me) && vip.addresses.iter().any(|a| a.ip == ip);
    let known = inputs.desired.peers.contains_key(inputs.me);
    inputs.desired.vips.iter().find(|(_, vip)| known && has(vip)).map(|(name, _)| name)
}

fn is(observed: &ObservedAddress, link: u32, address: VipAddress) -> bool {
    observed.link == link && observed.ip == address.ip && observed.prefix_len == address.prefix_len
}

fn as_added(observed: &ObservedAddress) -> VipAddress {
    VipAddress { ip: observed.ip, prefix_len: observed.prefix_len }
}

#[cfg(test)]
#[path = "addresses_tests.rs"]
mod tests;
