//! Passive ejection: what clients meet at a backend is known sooner than what the next checks meet.
//!
//! ```text
//!            good ──► 0 failures
//!   in ────── bad ──► one more ──── as many as the rule says in a row, and no more than half of the pool would be out ──┐
//!    ▲                                                                                                               ▼
//!    └──────────────────────────── the time that the rule says has passed ───────────────────────────────────────── out
//! ```
//!
//! Failures are connections that cannot be established and responses that never come, come too late, make no sense or
//! break off. What this machine lacks (descriptors, ports) says nothing about a backend. One that is out gets nothing
//! new from any worker; whether it may come back at all is the checks' to say, for one that they have taken out is not
//! in rotation whatever is known here.

use super::shared::Moment;
use crate::model::Ejection;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use tokio::time::Instant;

/// What clients of all workers have met at one backend.
#[derive(Debug)]
pub(super) struct Standing {
    /// Failures in a row.
    failures: AtomicU32,
    out_until: Moment,
}

impl Standing {
    pub(super) fn new(now: Instant) -> Self {
        Self { failures: AtomicU32::new(0), out_until: Moment::new(now) }
    }

    /// Something went well there.
    pub(super) fn good(&self) {
        // Mostly so: what is only read stays in every worker's cache.
        if self.failures.load(Relaxed) != 0 {
            self.failures.store(0, Relaxed);
        }
    }

    /// Something failed there. True: as `rule` has it, that was too much.
    pub(super) fn bad(&self, rule: &Ejection, now: Instant) -> bool {
        // What was under way when it was ejected says nothing new.
        !self.is_out(now) && self.failures.fetch_add(1, Relaxed) + 1 >= rule.errors.into()
    }

    /// Takes it out.
    pub(super) fn eject(&self, rule: &Ejection, now: Instant) {
        self.out_until.set(now + rule.period);
        self.failures.store(0, Relaxed);
    }

    pub(super) fn is_out(&self, now: Instant) -> bool {
        self.out_until().is_some_and(|until| now < until)
    }

    /// Until when it is out, or was the last time.
    pub(super) fn out_until(&self) -> Option<Instant> {
        self.out_until.get()
    }
}

/// Whether one more may be ejected of so many in rotation, of which so many are out: never more than half, and so never
/// the last one.
pub(super) fn may_eject(out: usize, in_rotation: usize) -> bool {
    (out + 1) * 2 <= in_rotation
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const RULE: Ejection = Ejection { errors: 3, period: Duration::from_secs(10), on_5xx: false };

    #[test]
    fn only_failures_in_a_row_count() {
        let now = Instant::now();
        let standing = Standing::new(now);
        assert!(!standing.bad(&RULE, now) && !standing.bad(&RULE, now));
        standing.good();
        assert!(!standing.bad(&RULE, now) && !standing.bad(&RULE, now));
        assert!(standing.bad(&RULE, now));
        assert!(standing.bad(&RULE, now), "and again, if nobody could be spared at first");
    }

    #[test]
    fn it_is_out_for_its_time_and_then_begins_anew() {
        let now = Instant::now();
        let standing = Standing::new(now);
        assert!(!standing.is_out(now));
        standing.eject(&RULE, now);
        let end = now + RULE.period;
        assert!(standing.is_out(now) && standing.is_out(end - Duration::from_millis(1)) && !standing.is_out(end));
        assert!(!standing.bad(&Ejection { errors: 1, ..RULE }, now), "late failures do not count");
        assert!(!standing.bad(&RULE, end) && !standing.bad(&RULE, end) && standing.bad(&RULE, end));
    }

    #[test]
    fn at_most_half_are_out_and_never_the_last() {
        let most = |in_rotation| (0..in_rotation).filter(|out| may_eject(*out, in_rotation)).count();
        assert_eq!([0, 1, 2, 3, 4, 5, 10].map(most), [0, 0, 1, 1, 2, 2, 5]);
    }
}
