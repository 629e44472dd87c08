//! What is leased and until when, by this process's own clock. Pure.
//!
//! It errs on the safe side: a lease counts from before it was asked for, and ends a moment before the kernel may end
//! it. So an agent that was stopped learns from the clock alone that it owns nothing any more.

use crate::kernel::fence::{Lease, Permission};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::{Duration, Instant},
};

/// How long a lease lasts.
pub const TTL: Duration = Duration::from_millis(300);
/// The kernel counts in jiffies and may end a lease up to one early: 10 ms at the lowest rate (`HZ=100`).
const EARLY: Duration = Duration::from_millis(11);

#[derive(Debug, Default)]
pub(super) struct Book {
    leases: BTreeMap<IpAddr, Entry>,
    /// Ended without having been given up, and nobody has been told yet.
    lost: BTreeSet<IpAddr>,
    /// And when they expire.
    tickets: BTreeMap<u64, Instant>,
    lost_ever: u64,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    until: Instant,
    permission: Permission,
}

impl Book {
    /// `asked`: before the kernel was.
    pub(super) fn ticket(&mut self, asked: Instant, id: u64, ttl: Duration) {
        self.tickets.retain(|_, until| asked < *until);
        self.tickets.insert(id, asked + ttl);
    }

    /// Uses up a ticket; says whether it was still good.
    pub(super) fn use_ticket(&mut self, now: Instant, id: u64) -> bool {
        self.tickets.remove(&id).is_some_and(|until| now < until)
    }

    /// Leases of `ips` start, or start again. `asked`: before the kernel was.
    pub(super) fn granted(&mut self, asked: Instant, ips: &[IpAddr]) {
        for ip in ips {
            // A loss that nobody has been told of is not undone by this; but it must not end the new lease.
            self.lost.remove(ip);
            self.leases.insert(*ip, Entry { until: end(asked), permission: Permission::Active });
        }
    }

    /// What was renewed is valid from `asked`, with the permission that it was renewed with.
    pub(super) fn renewed(&mut self, asked: Instant, leases: &[Lease]) {
        for lease in leases {
            if let Some(entry) = self.leases.get_mut(&lease.ip) {
                *entry = Entry { until: end(asked), permission: lease.permission };
            }
        }
    }

    /// These have ended although nobody gave them up.
    pub(super) fn lose(&mut self, ips: impl IntoIterator<Item = IpAddr>) {
        for ip in ips {
            if self.leases.remove(&ip).is_some() {
                self.lost_ever += 1;
                self.lost.insert(ip);
            }
        }
    }

    /// Notes what has ended by `now`, and says what that is.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<IpAddr> {
        let over = self.leases.iter().filter(|(_, entry)| entry.until <= now);
        let over: Vec<_> = over.map(|(ip, _)| *ip).collect();
        self.lose(over.iter().copied());
        over
    }

    /// Given up; says which of them there were.
    pub(super) fn revoke(&mut self, ips: &[IpAddr]) {
        for ip in ips {
            self.leases.remove(ip);
            self.lost.remove(ip);
        }
    }

    /// What has been lost since the last call.
    pub(super) fn take_lost(&mut self) -> Vec<IpAddr> {
        std::mem::take(&mut self.lost).into_iter().collect()
    }

    pub(super) fn lost_ever(&self) -> u64 {
        self.lost_ever
    }

    pub(super) fn leases(&self) -> impl Iterator<Item = Lease> {
        self.leases.iter().map(|(ip, entry)| Lease { ip: *ip, permission: entry.permission })
    }

    /// Addresses with a lease of this kind.
    pub(super) fn with(&self, permission: Permission) -> impl Iterator<Item = IpAddr> {
        self.leases().filter(move |lease| lease.permission == permission).map(|lease| lease.ip)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.leases.is_empty()
    }
}

fn end(asked: Instant) -> Instant {
    asked + TTL - EARLY
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: Duration = Duration::from_millis(1);

    fn ip(last: u8) -> IpAddr {
        [198, 51, 100, last].into()
    }

    #[expect(clippy::disallowed_methods, reason = "any instant will do to count from")]
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn a_lease_ends_a_moment_before_the_kernels() {
        let (mut book, t) = (Book::default(), start());
        book.granted(t, &[ip(1)]);
        assert!(book.expire(t + 288 * MS).is_empty());
        assert_eq!(book.expire(t + 289 * MS), [ip(1)]);
        assert_eq!((book.take_lost(), book.take_lost()), (vec![ip(1)], vec![]));
        assert_eq!(book.lost_ever(), 1);
    }

    #[test]
    fn a_renewal_counts_from_before_it_was_asked_for() {
        let (mut book, t) = (Book::default(), start());
        book.granted(t, &[ip(1), ip(2)]);
        book.renewed(t + 75 * MS, &[Lease { ip: ip(2), permission: Permission::Draining }]);
        assert_eq!(book.expire(t + 300 * MS), [ip(1)]);
        assert_eq!(book.with(Permission::Draining).collect::<Vec<_>>(), [ip(2)]);
        assert_eq!(book.expire(t + 364 * MS), [ip(2)]);
    }

    #[test]
    fn what_has_ended_cannot_be_renewed() {
        let (mut book, t) = (Book::default(), start());
        book.granted(t, &[ip(1)]);
        book.expire(t + TTL);
        book.renewed(t + TTL, &[Lease { ip: ip(1), permission: Permission::Active }]);
        assert!(book.is_empty());
    }

    #[test]
    fn what_was_given_up_is_not_lost() {
        let (mut book, t) = (Book::default(), start());
        book.granted(t, &[ip(1)]);
        book.revoke(&[ip(1)]);
        assert!(book.expire(t + TTL).is_empty() && book.take_lost().is_empty());
        book.granted(t, &[ip(1)]);
        book.expire(t + TTL);
        book.revoke(&[ip(1)]);
        assert!(book.take_lost().is_empty(), "nor is it news any more");
    }

    #[test]
    fn a_ticket_serves_once_and_in_time() {
        let (mut book, t) = (Book::default(), start());
        book.ticket(t, 1, 25 * MS);
        book.ticket(t, 2, 25 * MS);
        assert!(book.use_ticket(t + 24 * MS, 1) && !book.use_ticket(t + 24 * MS, 1));
        assert!(!book.use_ticket(t + 25 * MS, 2) && !book.use_ticket(t, 3));
        book.ticket(t, 4, 25 * MS);
        book.ticket(t + TTL, 5, 25 * MS);
        assert_eq!(book.tickets.len(), 1, "those that nobody used are forgotten");
    }

    proptest! {
        /// Whatever happens, a lease never runs longer after the last successful grant or renewal than it was given for.
        #[test]
        fn no_lease_outlives_its_last_renewal(steps in prop::collection::vec((0..4u8, 0..400u32), 1..40)) {
            let (mut book, mut now) = (Book::default(), start());
            let mut last = None;
            for (step, pause) in steps {
                now += pause * MS;
                book.expire(now);
                match step {
                    0 => { book.granted(now, &[ip(1)]); last = Some(now); }
                    1 => {
                        let leases: Vec<_> = book.leases().collect();
                        book.renewed(now, &leases);
                        if !leases.is_empty() { last = Some(now); }
                    }
                    2 => book.revoke(&[ip(1)]),
                    _ => {}
                }
                if !book.is_empty() {
                    prop_assert!(last.is_some_and(|at| now < at + TTL));
                }
            }
        }
    }
}
