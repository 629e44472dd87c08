//! Who keeps undoing what this node does.
//!
//! A repair needs nothing from here: an address that is wanted and not there is added, whoever took it away. But if
//! another does that again and again (NetworkManager, a DHCP client, a cron job), this node serves with gaps until
//! somebody is told, so repairs are counted. It goes on repairing meanwhile: giving up would be the outage.

use super::announce::Place;
use crate::model::{ObservedNetwork, Problem};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt,
    net::IpAddr,
    time::{Duration, Instant},
};

/// Repairs of one thing within [`WINDOW`] that are worth a warning.
pub const FIGHT: usize = 5;
/// Repairs are remembered for this long.
pub const WINDOW: Duration = Duration::from_secs(60);
/// Repairs of one thing that are remembered at most.
const MOST: usize = 1000;

/// What another has removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Drift {
    /// An address of ours.
    Address(IpAddr),
    /// A table or rule of the fence.
    Fence,
}

impl Drift {
    /// The word that metrics use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Address(_) => "address",
            Self::Fence => "fence",
        }
    }
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(ip) => ip.fmt(f),
            Self::Fence => f.write_str("the fence"),
        }
    }
}

/// The addresses that the last pass left in place: those that are gone the next time were taken by another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Left(BTreeSet<Place>);

impl Left {
    /// Of what is in place after a pass, that which was `wanted`; and what was `added` in it, though it may be gone
    /// again already: a meddler that watches the kernel's events is faster than the look after the pass.
    pub fn after(wanted: &BTreeSet<Place>, added: &BTreeSet<Place>, network: &ObservedNetwork) -> Self {
        let left = |place: &Place| added.contains(place) || network.has(place.0, place.1);
        Self(wanted.iter().copied().filter(left).collect())
    }

    /// Addresses that are still `wanted` and that another has removed. A device that is down or gone has taken its
    /// addresses with it, which is nobody's doing.
    pub fn missing(&self, wanted: &BTreeSet<Place>, network: &ObservedNetwork) -> Vec<Drift> {
        let runs = |link: &u32| network.links.get(link).is_some_and(|link| link.running || link.loopback);
        let gone = self.0.intersection(wanted).filter(|(link, ip)| runs(link) && !network.has(*link, *ip));
        gone.map(|(_, ip)| Drift::Address(*ip)).collect()
    }
}

/// The repairs of the last minute.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DriftLog(BTreeMap<Drift, Repairs>);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Repairs {
    at: VecDeque<Instant>,
    meddler: Option<String>,
}

impl DriftLog {
    /// `what` was removed, and is being put back. `meddler`: who seems to have done it, as `"process 1234
    /// (NetworkManager)"` or `"owner of netlink port 4711, which is gone"`.
    pub fn record(&mut self, now: Instant, what: Drift, meddler: Option<String>) {
        self.forget(now);
        let repairs = self.0.entry(what).or_default();
        repairs.at.push_back(now);
        if repairs.at.len() > MOST {
            repairs.at.pop_front();
        }
        repairs.meddler = meddler.or(repairs.meddler.take());
    }

    /// A warning for each thing that has been repaired [`FIGHT`] times within the last minute.
    pub fn problems(&mut self, now: Instant) -> Vec<Problem> {
        self.forget(now);
        let fights = self.0.iter().filter(|(_, repairs)| repairs.at.len() >= FIGHT);
        fights.map(|(what, repairs)| Problem::warning("Drift", repairs.message(*what))).collect()
    }

    fn forget(&mut self, now: Instant) {
        for repairs in self.0.values_mut() {
            while repairs.at.front().is_some_and(|at| now.saturating_duration_since(*at) >= WINDOW) {
                repairs.at.pop_front();
            }
        }
        self.0.retain(|_, repairs| !repairs.at.is_empty());
    }
}

impl Repairs {
    fn message(&self, what: Drift) -> String {
        let times = self.at.len();
        let advice = match (&self.meddler, what) {
            (Some(meddler), Drift::Address(_)) => {
                format!("it is removed by the {meddler}: stop it, or take the address out of its configuration")
            }
            (Some(meddler), Drift::Fence) => {
                format!(
                    "it is removed by the {meddler}: stop it, or let it spare the tables whose names begin with lbagent"
                )
            }
            (None, Drift::Address(_)) => "who removes it is not known: look for a program that manages addresses here \
                 (NetworkManager, systemd-networkd, a DHCP client, keepalived)"
                .to_owned(),
            (None, Drift::Fence) => "who removes it is not known: look for a program that loads firewall rules here \
                 (`nft flush ruleset` takes other programs' tables too)"
                .to_owned(),
        };
        format!("{what} was removed {times} times in the last minute and put back each time; {advice}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{ObservedAddress, Severity},
        plan::fixture::{ip, network, start},
    };

    const VIP: &str = "198.51.100.10";

    fn address() -> Drift {
        Drift::Address(ip(VIP))
    }

    fn log(now: Instant, times: u32, meddler: Option<&str>) -> DriftLog {
        let mut log = DriftLog::default();
        for second in 0..times {
            log.record(now + Duration::from_secs(second.into()), address(), meddler.map(str::to_owned));
        }
        log
    }

    #[test]
    fn a_fight_is_told_with_who_does_it_until_it_has_been_over_for_a_minute() {
        let now = start();
        assert!(log(now, 4, Some("netlink port 4711")).problems(now).is_empty());
        let mut log = log(now, 6, Some("process 1234 (NetworkManager)"));
        let problem = log.problems(now + Duration::from_secs(6)).remove(0);
        assert_eq!(
            (problem.severity, problem.message.as_str()),
            (
                Severity::Warning,
                "198.51.100.10 was removed 6 times in the last minute and put back each time; it is removed by the \
                 process 1234 (NetworkManager): stop it, or take the address out of its configuration"
            )
        );
        assert_eq!(log.problems(now + Duration::from_secs(60)).len(), 1, "the first is forgotten, five are left");
        assert!(log.problems(now + Duration::from_secs(61)).is_empty());
        assert!(log.problems(now + Duration::from_secs(65)).is_empty());
        assert_eq!(log, DriftLog::default());
    }

    #[test]
    fn who_did_it_once_is_not_forgotten_for_a_time_when_nobody_knows() {
        let now = start();
        let mut log = log(now, 5, Some("netlink port 4711"));
        log.record(now, address(), None);
        assert!(log.problems(now)[0].message.contains("netlink port 4711"));
        let message = self::log(now, 5, None).problems(now).remove(0).message;
        assert!(message.contains("NetworkManager, systemd-networkd"), "{message}");
    }

    #[test]
    fn things_are_counted_apart() {
        let (now, mut log) = (start(), DriftLog::default());
        for _ in 0..4 {
            log.record(now, address(), None);
            log.record(now, Drift::Fence, None);
        }
        assert!(log.problems(now).is_empty());
        log.record(now, Drift::Fence, None);
        let problems = log.problems(now);
        assert!(problems[0].message.starts_with("the fence was removed 5 times"), "{}", problems[0].message);
        assert_eq!((problems.len(), Drift::Fence.as_str(), address().as_str()), (1, "fence", "address"));
    }

    #[test]
    fn a_storm_takes_no_more_memory_than_a_fight() {
        let (now, mut log) = (start(), DriftLog::default());
        (0..MOST * 3).for_each(|_| log.record(now, address(), None));
        assert_eq!(log.0[&address()].at.len(), MOST);
    }

    fn present() -> (BTreeSet<Place>, ObservedNetwork) {
        let mut network = network();
        let (link, ip) = (2, ip(VIP));
        network.addresses.push(ObservedAddress { link, ip, prefix_len: 32, ours: true, valid_for: None });
        (BTreeSet::from([(link, ip)]), network)
    }

    #[test]
    fn what_was_left_in_place_and_is_gone_was_taken() {
        let (wanted, mut net) = present();
        let none = BTreeSet::new();
        let left = Left::after(&wanted, &none, &net);
        assert!(left.missing(&wanted, &net).is_empty());
        net.addresses.pop();
        assert_eq!(left.missing(&wanted, &net), [address()]);
        assert!(left.missing(&none, &net).is_empty(), "nobody wants it");
        assert!(Left::after(&wanted, &none, &net).missing(&wanted, &net).is_empty(), "it never came");
        assert_eq!(Left::after(&wanted, &wanted, &net).missing(&wanted, &net), [address()], "it came and went");
        assert_eq!(Left::after(&none, &wanted, &net), Left::default());
    }

    #[test]
    fn a_device_takes_its_addresses_with_it() {
        let (wanted, mut net) = present();
        let left = Left::after(&wanted, &BTreeSet::new(), &net);
        net.addresses.pop();
        net.links.get_mut(&2).unwrap().running = false;
        assert!(left.missing(&wanted, &net).is_empty());
        net.links.remove(&2);
        assert!(left.missing(&wanted, &net).is_empty());
    }
}
