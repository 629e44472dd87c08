//! The value of a field of the request decides, by a consistent hash ([`Rendezvous`]). Requests without it take turns.

use super::{Algorithm, Ask, Member, rendezvous::Rendezvous, roundrobin::RoundRobin};

pub(super) struct Header {
    with: Rendezvous,
    without: RoundRobin,
}

impl Header {
    pub(super) fn new(members: &[Member], seed: u64) -> Self {
        Self { with: Rendezvous::new(members), without: RoundRobin::new(members, seed) }
    }
}

impl Algorithm for Header {
    fn pick(&mut self, members: &[Member], ask: &Ask<'_>) -> Option<usize> {
        match ask.key {
            Some(key) => self.with.choose(members, key, ask),
            None => self.without.pick(members, ask),
        }
    }

    fn reweigh(&mut self, members: &[Member]) {
        self.with = Rendezvous::new(members);
        self.without.reweigh(members);
    }
}
