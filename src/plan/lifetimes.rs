//! When the addresses that this node keeps must be refreshed.
//!
//! Every address is given to the kernel for a limited time, so that it goes even if agent and fence are gone: the
//! outermost of the barriers against a second owner. How long that is depends on what else holds: with the fence the
//! address itself may outlive the agent by [`FENCED`]; without it, it is all there is, and [`UNFENCED`].
//!
//! The kernel counts whole seconds, and tells what is left of one second as one second to the end. So this node goes by
//! its own clock, and by what the kernel tells where that says less: another may have shortened it, or the address is
//! from a predecessor.

use super::{
    addresses::{AddressPlan, AddressStep},
    announce::Place,
};
use crate::model::ObservedAddress;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Where the kernel enforces leases of 300 ms or so.
pub const FENCED: Duration = Duration::from_secs(20);
/// Where the lifetime of the address is all that ends an ownership: the shortest that the kernel knows.
pub const UNFENCED: Duration = Duration::from_secs(1);

/// Refreshes in a lifetime.
const REFRESHES: u32 = 4;
/// An address with less of its lifetime than this, in percent, is refreshed whatever this node remembers.
const LOW: u32 = 60;

/// When each address that this node keeps was last added or refreshed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lifetimes(BTreeMap<Place, Instant>);

impl Lifetimes {
    /// Whether `observed`, which is ours and stays, must be given its `lifetime` anew: when a quarter of it has passed,
    /// when this node does not remember having given it, or when the kernel says that little of it is left, or that it
    /// is for ever.
    pub fn is_due(&self, now: Instant, lifetime: Duration, observed: &ObservedAddress) -> bool {
        let given = self.0.get(&(observed.link, observed.ip));
        let late = given.is_none_or(|given| now.saturating_duration_since(*given) >= lifetime / REFRESHES);
        late || observed.valid_for.is_none_or(|left| left * 100 < lifetime * LOW)
    }

    /// `plan` is being carried out at `now`. What fails counts all the same: it is tried again after a quarter of the
    /// lifetime, or with the next pass if it is not there at all.
    pub fn record(&mut self, now: Instant, plan: &AddressPlan) {
        self.0.retain(|place, _| plan.keeps(place));
        for step in &plan.steps {
            if let AddressStep::Add { link, address, .. } | AddressStep::Refresh { link, address, .. } = step {
                self.0.insert((*link, address.ip), now);
            }
        }
    }

    /// When the next address must be refreshed.
    pub fn next(&self, lifetime: Option<Duration>) -> Option<Instant> {
        Some(*self.0.values().min()? + lifetime? / REFRESHES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::VipAddress,
        plan::fixture::{ip, start},
    };
    use std::collections::BTreeSet;

    const PLACE: (u32, &str) = (2, "198.51.100.10");

    fn observed(valid_for: Option<u64>) -> ObservedAddress {
        let valid_for = valid_for.map(Duration::from_secs);
        ObservedAddress { link: PLACE.0, ip: ip(PLACE.1), prefix_len: 32, ours: true, valid_for }
    }

    fn refreshed(lifetime: Duration) -> AddressPlan {
        let address = VipAddress::host(ip(PLACE.1));
        AddressPlan {
            steps: vec![AddressStep::Refresh { link: PLACE.0, address, lifetime }],
            wanted: BTreeSet::from([(PLACE.0, ip(PLACE.1))]),
            ..AddressPlan::default()
        }
    }

    #[test]
    fn a_quarter_of_the_lifetime_is_enough_by_the_own_clock() {
        let (mut lifetimes, now) = (Lifetimes::default(), start());
        lifetimes.record(now, &refreshed(UNFENCED));
        let ms = Duration::from_millis;
        assert!(!lifetimes.is_due(now + ms(249), UNFENCED, &observed(Some(1))));
        assert!(lifetimes.is_due(now + ms(250), UNFENCED, &observed(Some(1))));
        assert_eq!(lifetimes.next(Some(UNFENCED)), Some(now + ms(250)));
        assert_eq!(lifetimes.next(None), None);
    }

    #[test]
    fn what_the_kernel_tells_counts_where_it_is_less() {
        let (mut lifetimes, now) = (Lifetimes::default(), start());
        lifetimes.record(now, &refreshed(FENCED));
        assert!(!lifetimes.is_due(now, FENCED, &observed(Some(12))));
        assert!(lifetimes.is_due(now, FENCED, &observed(Some(11))));
        assert!(lifetimes.is_due(now, FENCED, &observed(None)), "for ever is too long");
    }

    #[test]
    fn the_address_of_a_predecessor_is_refreshed_at_once() {
        assert!(Lifetimes::default().is_due(start(), UNFENCED, &observed(Some(1))));
    }

    #[test]
    fn what_is_no_longer_kept_is_forgotten() {
        let (mut lifetimes, now) = (Lifetimes::default(), start());
        lifetimes.record(now, &refreshed(UNFENCED));
        lifetimes.record(now, &AddressPlan::default());
        assert_eq!(lifetimes, Lifetimes::default());
    }
}
