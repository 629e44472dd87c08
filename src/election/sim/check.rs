//! What must hold whatever happens.

use super::world::World;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Time after which two hosts that hear each other must have settled any conflict.
const SLACK: Duration = Duration::from_millis(150);

#[derive(Default)]
pub(super) struct Checker {
    /// Since when two hosts hear each other, both ways.
    mutual: BTreeMap<(usize, usize), Instant>,
    /// Since when two hosts that hear each other both have an address.
    overlap: BTreeMap<(usize, usize), Instant>,
    /// How long such an overlap may last; none where the network loses nothing.
    pub(super) tolerance: Duration,
    /// The first violation, in words.
    pub(super) violation: Option<String>,
}

impl Checker {
    /// No two hosts whose agents have been hearing each other for longer than a dead time both have an address.
    pub(super) fn look(&mut self, world: &World) {
        for a in 0..world.hosts.len() {
            for b in a + 1..world.hosts.len() {
                self.look_at(world, a, b);
            }
        }
    }

    fn look_at(&mut self, world: &World, a: usize, b: usize) {
        let hears = |from: usize, to: usize| {
            let (from, to) = (&world.hosts[from], &world.hosts[to]);
            from.alive() && from.agent.as_ref().is_some_and(|agent| agent.machine.hears(&to.name))
        };
        if !hears(a, b) || !hears(b, a) {
            self.mutual.remove(&(a, b));
            self.overlap.remove(&(a, b));
            return;
        }
        let mutual = *self.mutual.entry((a, b)).or_insert(world.now);
        let both = world.hosts[a].addresses.intersection(&world.hosts[b].addresses).next();
        let (Some(ip), true) = (both, world.now > mutual + world.dead_time() + SLACK) else {
            self.overlap.remove(&(a, b));
            return;
        };
        let since = *self.overlap.entry((a, b)).or_insert(world.now);
        if world.now >= since + self.tolerance && self.violation.is_none() {
            let (a, b) = (&world.hosts[a].name, &world.hosts[b].name);
            self.violation = Some(format!("{a} and {b} hear each other and both have {ip} at {:?}", world.at()));
        }
    }
}

impl World {
    /// Nothing forbidden has happened so far.
    pub(super) fn safe(&self) -> Result<(), String> {
        self.check.violation.clone().map_or(Ok(()), Err)
    }

    /// Exactly one host owns every address, and nothing changes for `time`.
    pub(super) fn settled_for(&mut self, time: Duration) -> Result<usize, String> {
        let end = self.now + time;
        let owner = self.owner()?;
        let moves = self.moves.len();
        while self.now < end {
            self.run_for(Duration::from_millis(50));
            let now = self.owner()?;
            if now != owner || self.moves.len() != moves {
                return Err(format!("the addresses moved at {:?} although all was quiet", self.at()));
            }
        }
        self.safe()?;
        Ok(owner)
    }

    /// The one host that is Active and has all addresses, no other having any.
    pub(super) fn owner(&self) -> Result<usize, String> {
        let active = self.active();
        let [owner] = active[..] else {
            return Err(format!("{} owners at {:?}", active.len(), self.at()));
        };
        let candidates = &self.hosts[owner].candidates;
        for ip in candidates.iter().flat_map(|candidate| &candidate.addresses) {
            let mut holders = self.holders(*ip);
            // The kernel of a killed agent keeps its addresses: without a fence nobody can help that.
            holders.retain(|host| self.hosts[*host].agent.is_some());
            if holders != [owner] {
                return Err(format!("{ip} is on hosts {holders:?} at {:?}, not on {owner} alone", self.at()));
            }
        }
        Ok(owner)
    }
}
