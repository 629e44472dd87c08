//! What all workers know of one backend. It goes by the backend's name and lives for as long as that is configured,
//! whatever else of it is edited.

use super::{eject::Standing, warm};
use crate::dataplane::traffic::{BackendShard, Sharded};
use std::{
    sync::atomic::{
        AtomicU32, AtomicU64,
        Ordering::{Relaxed, SeqCst},
    },
    time::Duration,
};
use tokio::time::Instant;

/// One backend of one pool, over all workers.
pub(in crate::dataplane) struct BackendShared {
    pub(in crate::dataplane) counters: Sharded<BackendShard>,
    /// Of its `maxConnections`. Counted only while that is configured, or every request would write what all workers
    /// write.
    taken: Taken,
    pub(super) standing: Standing,
    /// When it came into rotation, unless it was there from the beginning.
    came_up: Moment,
}

impl BackendShared {
    pub(in crate::dataplane) fn new(workers: usize, now: Instant) -> Self {
        Self {
            counters: Sharded::new(workers),
            taken: Taken::default(),
            standing: Standing::new(now),
            came_up: Moment::new(now),
        }
    }

    /// It comes into rotation now.
    pub(in crate::dataplane) fn comes_up(&self, now: Instant) {
        self.came_up.set(now);
    }

    /// In percent of its weight, 1–100: less than all while it has not been in rotation for as long as `slow_start`.
    pub(super) fn share(&self, slow_start: Duration, now: Instant) -> u32 {
        let since = self.came_up.get().max(self.standing.out_until());
        since.map_or(100, |since| warm::share(now.saturating_duration_since(since), slow_start))
    }

    pub(super) fn taken(&self) -> u32 {
        self.taken.0.load(Relaxed)
    }

    pub(super) fn has_place(&self, limit: Option<u16>) -> bool {
        limit.is_none_or(|limit| self.taken() < limit.into())
    }

    /// Takes a place, if one of `limit` is free.
    pub(super) fn take_place(&self, limit: Option<u16>) -> bool {
        let one_more = |taken| limit.is_none_or(|limit| taken < u32::from(limit)).then_some(taken + 1);
        self.taken.0.fetch_update(SeqCst, SeqCst, one_more).is_ok()
    }

    pub(super) fn give_place_back(&self) {
        self.taken.0.fetch_sub(1, SeqCst);
    }
}

/// On a cache line of its own: all workers write it, and read its neighbours.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Taken(AtomicU32);

/// A moment that one thread sets and others read, or none.
#[derive(Debug)]
pub(super) struct Moment {
    base: Instant,
    /// Microseconds since `base`, and one.
    after: AtomicU64,
}

impl Moment {
    /// None yet. No moment before `base` can be set.
    pub(super) fn new(base: Instant) -> Self {
        Self { base, after: AtomicU64::new(0) }
    }

    pub(super) fn get(&self) -> Option<Instant> {
        let after = self.after.load(Relaxed).checked_sub(1)?;
        Some(self.base + Duration::from_micros(after))
    }

    pub(super) fn set(&self, moment: Instant) {
        let after = moment.saturating_duration_since(self.base).as_micros();
        self.after.store(u64::try_from(after).unwrap_or(u64::MAX - 1) + 1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_places_are_taken_than_there_are() {
        let backend = BackendShared::new(1, Instant::now());
        assert!(backend.take_place(Some(2)) && backend.has_place(Some(2)) && backend.take_place(Some(2)));
        assert!(!backend.take_place(Some(2)) && !backend.has_place(Some(2)));
        assert!(backend.has_place(Some(3)) && backend.has_place(None), "the limit is the configuration's of now");
        backend.give_place_back();
        assert!(backend.take_place(Some(2)));
        assert_eq!(backend.taken(), 2);
    }

    #[test]
    fn a_moment_is_none_until_it_is_set() {
        let now = Instant::now();
        let moment = Moment::new(now);
        assert_eq!(moment.get(), None);
        for then in [now, now + Duration::from_millis(1500), now + Duration::from_secs(86_400)] {
            moment.set(then);
            assert_eq!(moment.get(), Some(then));
        }
    }

    #[test]
    fn a_share_grows_from_the_moment_of_coming_up() {
        let (now, slow_start) = (Instant::now(), Duration::from_secs(10));
        let backend = BackendShared::new(1, now);
        assert_eq!(backend.share(slow_start, now), 100, "it was there from the beginning");
        backend.comes_up(now + slow_start);
        let shares = [10, 15, 19, 20, 30].map(|s| backend.share(slow_start, now + Duration::from_secs(s)));
        assert_eq!(shares, [5, 50, 90, 100, 100]);
    }
}
