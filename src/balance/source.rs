//! The client's address decides, by a consistent hash ([`Rendezvous`]).

use super::{Algorithm, Ask, Member, hash, rendezvous::Rendezvous};

pub(super) struct Source(Rendezvous);

impl Source {
    pub(super) fn new(members: &[Member]) -> Self {
        Self(Rendezvous::new(members))
    }
}

impl Algorithm for Source {
    fn pick(&mut self, members: &[Member], ask: &Ask<'_>) -> Option<usize> {
        self.0.choose(members, hash::address(ask.client), ask)
    }

    fn reweigh(&mut self, members: &[Member]) {
        self.0 = Rendezvous::new(members);
    }
}
