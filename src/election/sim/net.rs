//! The wires between the hosts: heartbeat paths, and the front segment on which the VIPs live with a gateway and a
//! client, each cut, lossy and slow per direction.

use super::prng::Rng;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// The gateway's place on the front segment; hosts have their index.
pub(super) const GATEWAY: usize = 8;
/// The client's.
pub(super) const CLIENT: usize = 9;

#[derive(Default)]
pub(super) struct Net {
    /// Heartbeats from one host to another on one path that do not get through.
    pub(super) cut: BTreeSet<(usize, usize, usize)>,
    /// Frames from one station of the front segment to another that do not get through, heartbeats on it included.
    pub(super) front_cut: BTreeSet<(usize, usize)>,
    /// Of heartbeats, on paths that `path_loss` does not name.
    pub(super) loss_percent: u64,
    pub(super) path_loss: BTreeMap<usize, u64>,
    /// Of frames on the front segment.
    pub(super) front_loss: u64,
    pub(super) duplicate_percent: u64,
    pub(super) longest_delay: Duration,
    /// Configured heartbeat paths; those after them are on the front segment.
    pub(super) paths: usize,
}

impl Net {
    /// Delays of each copy of a heartbeat that arrives.
    pub(super) fn heartbeat(&self, rng: &mut Rng, from: usize, to: usize, path: usize) -> Vec<Duration> {
        if !self.carries(from, to, path) || rng.chance(self.loss(path)) {
            return Vec::new();
        }
        let copies = 1 + usize::from(rng.chance(self.duplicate_percent));
        (0..copies).map(|_| rng.between(Duration::from_micros(50), self.longest_delay)).collect()
    }

    /// Whether a frame that is sent from one station of the front segment arrives at another.
    pub(super) fn frame(&self, rng: &mut Rng, from: usize, to: usize) -> bool {
        self.front(from, to) && !rng.chance(self.front_loss)
    }

    /// The front segment is whole in this direction.
    pub(super) fn front(&self, from: usize, to: usize) -> bool {
        !self.front_cut.contains(&(from, to))
    }

    /// The path is whole in this direction.
    pub(super) fn carries(&self, from: usize, to: usize, path: usize) -> bool {
        !self.cut.contains(&(from, to, path)) && (path < self.paths || self.front(from, to))
    }

    /// A heartbeat can make the round trip.
    pub(super) fn round_trip(&self, a: usize, b: usize) -> bool {
        (0..=self.paths).any(|path| self.carries(a, b, path) && self.carries(b, a, path))
    }

    fn loss(&self, path: usize) -> u64 {
        self.path_loss.get(&path).copied().unwrap_or(self.loss_percent)
    }

    /// Cuts heartbeats in one direction on every path, also on the front segment.
    pub(super) fn cut_heartbeats(&mut self, from: usize, to: usize) {
        self.cut.extend((0..=self.paths).map(|path| (from, to, path)));
    }

    /// Cuts the configured paths both ways; the front segment is another wire.
    pub(super) fn cut_back(&mut self, a: usize, b: usize) {
        self.cut.extend((0..self.paths).flat_map(|path| [(a, b, path), (b, a, path)]));
    }

    /// Cuts the frames between two hosts, both ways; what else they reach stays.
    pub(super) fn cut_front(&mut self, a: usize, b: usize) {
        self.front_cut.extend([(a, b), (b, a)]);
    }

    /// `host` hears nothing on the front segment.
    pub(super) fn deafen(&mut self, host: usize) {
        self.front_cut.extend((0..=CLIENT).map(|from| (from, host)));
    }

    /// Nothing on the front segment hears `host`.
    pub(super) fn silence(&mut self, host: usize) {
        self.front_cut.extend((0..=CLIENT).map(|to| (host, to)));
    }

    pub(super) fn heal(&mut self) {
        self.cut.clear();
        self.front_cut.clear();
    }
}
