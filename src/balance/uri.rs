//! What is asked for decides, by a consistent hash ([`Rendezvous`]): each page is kept in the caches of one backend.

use super::{Algorithm, Ask, Member, hash, rendezvous::Rendezvous};

pub(super) struct Uri(Rendezvous);

impl Uri {
    pub(super) fn new(members: &[Member]) -> Self {
        Self(Rendezvous::new(members))
    }
}

impl Algorithm for Uri {
    /// By the client's address where nothing was asked for that could be understood.
    fn pick(&mut self, members: &[Member], ask: &Ask<'_>) -> Option<usize> {
        let key = ask.key.unwrap_or_else(|| hash::address(ask.client));
        self.0.choose(members, key, ask)
    }

    fn reweigh(&mut self, members: &[Member]) {
        self.0 = Rendezvous::new(members);
    }
}
