//! When to tell the neighbours which Ethernet address a VIP has now.
//!
//! Without being told, clients stay with the old one for 33–45 s (measured). A frame may be lost, so each announcement
//! is made at once and again after 0.2, 1 and 3 s; then a slow refresh goes on for switches and hosts that forget.
//! What is announced is derived from what is held: an address that is no longer wanted drops out of the schedule with
//! all its repeats, so a node that has stood down cannot announce by an old timer.

use super::placement::Placements;
use crate::model::{ElectionView, ObservedNetwork, Role};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::{Duration, Instant},
};

/// After the first announcement, measured from it.
const REPEATS: [Duration; 3] = [Duration::from_millis(200), Duration::from_secs(1), Duration::from_secs(3)];
/// From then on.
const REFRESH: Duration = Duration::from_secs(30);

/// An address on a device.
pub type Place = (u32, IpAddr);

/// What makes an announcement a new one: epoch of the ownership, and the election's count of heals.
pub type Occasion = (u64, u64);

/// The addresses that this node may announce: it owns them, has them, and its lease lets it speak for them (`leased`).
///
/// An agent that was stopped goes on by roles that are over; what is leased is known by the clock.
pub fn announceable(
    placements: &Placements,
    election: &ElectionView,
    network: &ObservedNetwork,
    leased: &BTreeSet<IpAddr>,
) -> BTreeMap<Place, Occasion> {
    let mut places = BTreeMap::new();
    for (name, placement) in &placements.vips {
        let (Some(link), Some(view)) = (&placement.link, election.vips.get(name)) else { continue };
        let owned = placement.vip.addresses.iter().filter(|_| view.role == Role::Active);
        for address in owned.filter(|it| leased.contains(&it.ip) && network.has(link.index, it.ip)) {
            places.insert((link.index, address.ip), (view.epoch, view.announcement));
        }
    }
    places
}

/// The announcements under way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AnnounceSchedule(BTreeMap<Place, Entry>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    occasion: Occasion,
    first: Instant,
    sent: usize,
}

impl AnnounceSchedule {
    /// Brings the schedule in line with what this node owns and holds: new places and new occasions begin at `now`,
    /// places that are not listed are dropped.
    pub fn update(&mut self, now: Instant, owned: &BTreeMap<Place, Occasion>) {
        self.0.retain(|place, entry| owned.get(place) == Some(&entry.occasion));
        for (place, occasion) in owned {
            self.0.entry(*place).or_insert(Entry { occasion: *occasion, first: now, sent: 0 });
        }
    }

    /// The places to announce now; each is counted as announced.
    pub fn take_due(&mut self, now: Instant) -> Vec<Place> {
        let due = self.0.iter_mut().filter(|(_, entry)| entry.next() <= now);
        due.map(|(place, entry)| {
            // Repeats that a busy machine has missed are not made up for.
            while entry.next() <= now {
                entry.sent += 1;
            }
            *place
        })
        .collect()
    }

    /// When [`Self::take_due`] has something to give next.
    pub fn next(&self) -> Option<Instant> {
        self.0.values().map(Entry::next).min()
    }
}

impl Entry {
    fn next(&self) -> Instant {
        let refreshes = self.sent.saturating_sub(REPEATS.len());
        match self.sent {
            0 => self.first,
            n => self.first + REPEATS.get(n - 1).copied().unwrap_or(REPEATS[2] + REFRESH * refreshes as u32),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::ObservedAddress,
        plan::fixture::{desired, ip, name, network, start, view},
    };

    const OCCASION: Occasion = (7, 0);

    fn owned(occasion: Occasion) -> BTreeMap<Place, Occasion> {
        BTreeMap::from([((2, ip("198.51.100.10")), occasion)])
    }

    /// Offsets in ms at which announcements go out within `until`.
    fn run(schedule: &mut AnnounceSchedule, start: Instant, until: u64) -> Vec<u64> {
        let mut sent = Vec::new();
        while let Some(next) = schedule.next().filter(|next| *next <= start + Duration::from_millis(until)) {
            sent.extend(schedule.take_due(next).iter().map(|_| (next - start).as_millis() as u64));
        }
        sent
    }

    #[test]
    fn at_once_then_repeats_then_a_slow_refresh() {
        let (mut schedule, now) = (AnnounceSchedule::default(), start());
        schedule.update(now, &owned(OCCASION));
        assert_eq!(run(&mut schedule, now, 70_000), [0, 200, 1000, 3000, 33_000, 63_000]);
    }

    #[test]
    fn a_level_that_stays_starts_nothing_anew_but_a_heal_does() {
        let (mut schedule, now) = (AnnounceSchedule::default(), start());
        schedule.update(now, &owned(OCCASION));
        run(&mut schedule, now, 5000);
        schedule.update(now + Duration::from_secs(5), &owned(OCCASION));
        assert!(schedule.take_due(now + Duration::from_secs(5)).is_empty());
        schedule.update(now + Duration::from_secs(5), &owned((7, 1)));
        assert_eq!(schedule.take_due(now + Duration::from_secs(5)).len(), 1);
    }

    #[test]
    fn only_what_is_owned_leased_and_there_is_announced() {
        let (mut network, active) = (network(), view(Role::Active));
        let placements = Placements::resolve(&name("lb1"), &desired(), &network);
        let ip = ip("198.51.100.10");
        let there = ObservedAddress { link: 2, ip, prefix_len: 32, ours: true, valid_for: None };
        let (leased, none) = (BTreeSet::from([ip]), BTreeSet::new());
        assert!(announceable(&placements, &active, &network, &leased).is_empty(), "not there");
        network.addresses.push(there);
        assert_eq!(announceable(&placements, &active, &network, &leased), BTreeMap::from([((2, ip), (1, 0))]));
        assert!(announceable(&placements, &active, &network, &none).is_empty(), "the fence would stop it");
        assert!(announceable(&placements, &view(Role::Backup), &network, &leased).is_empty(), "another owns it");
    }

    #[test]
    fn standing_down_cancels_the_repeats() {
        let (mut schedule, now) = (AnnounceSchedule::default(), start());
        schedule.update(now, &owned(OCCASION));
        schedule.take_due(now);
        schedule.update(now, &BTreeMap::new());
        assert_eq!(schedule.next(), None);
    }

    #[test]
    fn a_late_wake_makes_one_announcement_not_a_burst() {
        let (mut schedule, now) = (AnnounceSchedule::default(), start());
        schedule.update(now, &owned(OCCASION));
        assert_eq!(schedule.take_due(now + Duration::from_secs(2)).len(), 1);
        assert_eq!(schedule.next(), Some(now + Duration::from_secs(3)));
    }
}
