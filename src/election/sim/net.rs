//! The wires between the hosts: heartbeat paths and the front segment on which the VIPs live, each cut, lossy and slow
//! per direction.

use super::prng::Rng;
use std::{collections::BTreeSet, time::Duration};

pub(super) struct Net {
    /// Heartbeats from one host to another on one path that do not get through.
    pub(super) cut: BTreeSet<(usize, usize, usize)>,
    /// ARP and ND frames from one host to another that do not get through.
    pub(super) front_cut: BTreeSet<(usize, usize)>,
    pub(super) loss_percent: u64,
    pub(super) duplicate_percent: u64,
    pub(super) longest_delay: Duration,
}

impl Net {
    /// Delays of each copy of a heartbeat that arrives.
    pub(super) fn heartbeat(&self, rng: &mut Rng, from: usize, to: usize, path: usize) -> Vec<Duration> {
        if self.cut.contains(&(from, to, path)) || rng.chance(self.loss_percent) {
            return Vec::new();
        }
        let copies = 1 + usize::from(rng.chance(self.duplicate_percent));
        (0..copies).map(|_| rng.between(Duration::from_micros(50), self.longest_delay)).collect()
    }

    /// Delay of a frame on the front segment, if it arrives.
    pub(super) fn frame(&self, rng: &mut Rng, from: usize, to: usize) -> Option<Duration> {
        let lost = self.front_cut.contains(&(from, to)) || rng.chance(self.loss_percent / 4);
        (!lost).then(|| rng.between(Duration::from_micros(20), Duration::from_millis(1)))
    }

    pub(super) fn cut_heartbeats(&mut self, from: usize, to: usize, paths: usize) {
        self.cut.extend((0..paths).map(|path| (from, to, path)));
    }

    pub(super) fn heal(&mut self) {
        self.cut.clear();
        self.front_cut.clear();
    }
}
