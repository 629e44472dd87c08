//! How long a tracked device must have been without carrier before that counts.
//!
//! A port that flaps must not make the Vip flap: a lost carrier counts after [`LOST`], and its return after [`BACK`]. The
//! same holds for pinged targets, whose windows are kept where the pings are ([`crate::health::track`]). The device that
//! carries the Vip itself has no window: without carrier there, nobody is served.
//!
//! What is seen for the first time counts at once, so that an agent that starts beside a dead port does not claim first
//! and yield then.

use super::placement::Placements;
use crate::model::{Desired, Name, ObservedNetwork};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// A carrier that has been lost for less counts as there.
pub const LOST: Duration = Duration::from_secs(2);
/// A carrier that has been back for less counts as lost.
pub const BACK: Duration = Duration::from_millis(500);

/// What is known of the tracked devices, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Windows(BTreeMap<String, Tracked>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tracked {
    /// As last seen.
    running: bool,
    since: Instant,
    /// What it counts as.
    counts: bool,
}

impl Windows {
    /// Takes in what `network` shows of the devices that the Vips in `placements` track.
    pub fn update(
        &mut self,
        now: Instant,
        me: &Name,
        desired: &Desired,
        placements: &Placements,
        network: &ObservedNetwork,
    ) {
        let tracked = placements.vips.values().flat_map(|placement| &placement.vip.track.interfaces);
        let seen = tracked.map(|name| {
            let device = device(me, desired, name);
            (device.to_owned(), network.link_named(device).is_some_and(|link| link.running))
        });
        self.see(now, &seen.collect());
    }

    /// Whether this device, known by the name that it has here, counts as running. `None`: it is not tracked.
    pub fn counts(&self, device: &str) -> Option<bool> {
        self.0.get(device).map(|tracked| tracked.counts)
    }

    /// When something will count that does not yet, if nothing changes until then.
    pub fn next(&self) -> Option<Instant> {
        self.0.values().filter_map(Tracked::turns).min()
    }

    fn see(&mut self, now: Instant, seen: &BTreeMap<String, bool>) {
        self.0.retain(|device, _| seen.contains_key(device));
        for (device, running) in seen {
            let new = Tracked { running: *running, since: now, counts: *running };
            let tracked = self.0.entry(device.clone()).or_insert(new);
            if tracked.running != *running {
                (tracked.running, tracked.since) = (*running, now);
            }
            if tracked.turns().is_some_and(|at| at <= now) {
                tracked.counts = tracked.running;
            }
        }
    }
}

impl Tracked {
    fn turns(&self) -> Option<Instant> {
        let window = if self.running { BACK } else { LOST };
        (self.running != self.counts).then(|| self.since + window)
    }
}

/// What a tracked device or alias is called on this node.
pub(super) fn device<'a>(me: &Name, desired: &'a Desired, tracked: &'a str) -> &'a str {
    desired.peers.get(me).map_or(tracked, |peer| peer.resolve_interface(tracked))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::fixture::{desired, name, network, start};
    use std::sync::Arc;

    /// At which ms the state of eth1 was seen, and what it counts as then.
    fn run(seen: &[(u64, bool)]) -> Vec<bool> {
        let (mut windows, start) = (Windows::default(), start());
        let mut see = |(at, running): &(u64, bool)| {
            windows.see(start + Duration::from_millis(*at), &BTreeMap::from([("eth1".to_owned(), *running)]));
            windows.counts("eth1").unwrap()
        };
        seen.iter().map(&mut see).collect()
    }

    #[test]
    fn a_loss_counts_after_its_window_and_the_return_after_a_shorter_one() {
        assert_eq!(run(&[(0, true), (10, false), (2009, false), (2010, false)]), [true, true, true, false]);
        let back = [(0, false), (10, true), (509, true), (510, true)];
        assert_eq!(run(&back), [false, false, false, true], "what is seen first counts at once");
    }

    #[test]
    fn a_flap_opens_the_window_anew() {
        assert_eq!(run(&[(0, true), (10, false), (1900, true), (1910, false), (3000, false)]), [true; 5]);
        assert_eq!(run(&[(0, false), (10, true), (400, false), (410, true), (900, true)]), [false; 5]);
    }

    #[test]
    fn it_says_when_to_look_again_and_forgets_what_is_no_longer_tracked() {
        let (mut windows, now) = (Windows::default(), start());
        windows.see(now, &BTreeMap::from([("eth1".to_owned(), true)]));
        assert_eq!(windows.next(), None);
        windows.see(now, &BTreeMap::from([("eth1".to_owned(), false)]));
        assert_eq!(windows.next(), Some(now + LOST));
        windows.see(now + LOST, &BTreeMap::from([("eth1".to_owned(), false)]));
        assert_eq!((windows.next(), windows.counts("eth1")), (None, Some(false)));
        windows.see(now, &BTreeMap::new());
        assert_eq!(windows, Windows::default());
    }

    #[test]
    fn devices_go_by_the_name_that_they_have_here_and_a_missing_one_is_lost() {
        let (mut desired, mut windows) = (desired(), Windows::default());
        let peer = Arc::make_mut(desired.peers.get_mut("lb1").unwrap());
        peer.interfaces.insert("back".into(), "eth1".into());
        Arc::make_mut(desired.vips.get_mut("web").unwrap()).track.interfaces = vec!["back".into(), "eth7".into()];
        let placements = Placements::resolve(&name("lb1"), &desired, &network());
        windows.update(start(), &name("lb1"), &desired, &placements, &network());
        assert_eq!(["eth1", "eth7", "back"].map(|it| windows.counts(it)), [Some(true), Some(false), None]);
    }
}
