//! When is the best moment to take a VIP away? Right after its last exchange has ended: each client has its answer, and
//! the next request is as far away as it will ever be.
//!
//! Each worker counts its own exchanges and tells a waiter, if there is one, when it has none left; only the waiter adds
//! the workers up. So the request path writes nothing that another worker writes.

use super::traffic::Sharded;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::sync::Notify;

/// The exchanges of one VIP that are under way.
#[derive(Debug)]
pub(super) struct InFlight {
    workers: Sharded<Shard>,
    waiters: AtomicU64,
    edge: Notify,
}

#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard(AtomicU64);

impl InFlight {
    pub(super) fn new(workers: usize) -> Self {
        Self { workers: Sharded::new(workers), waiters: AtomicU64::new(0), edge: Notify::new() }
    }

    /// Waits until the number of exchanges falls to zero, or `limit` has passed.
    pub(super) async fn quiet(&self, limit: Duration) {
        let _waiter = Waiter::new(self);
        let edge = async {
            // The next edge is listened for before this one is looked at, so that none is missed between.
            let mut next = self.edge.notified();
            loop {
                std::mem::replace(&mut next, self.edge.notified()).await;
                if self.count() == 0 {
                    return;
                }
            }
        };
        // A timeout is the other good outcome.
        let _ = tokio::time::timeout(limit, edge).await;
    }

    /// Exchanges of all workers.
    pub(super) fn count(&self) -> u64 {
        self.workers.sum(|shard| shard.0.load(SeqCst))
    }

    fn begin(&self, worker: usize) {
        self.workers.shard(worker).0.fetch_add(1, SeqCst);
    }

    fn end(&self, worker: usize) {
        let last = self.workers.shard(worker).0.fetch_sub(1, SeqCst) == 1;
        if last && self.waiters.load(SeqCst) > 0 {
            self.edge.notify_waiters();
        }
    }
}

struct Waiter<'a>(&'a InFlight);

impl<'a> Waiter<'a> {
    fn new(of: &'a InFlight) -> Self {
        of.waiters.fetch_add(1, SeqCst);
        Self(of)
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.waiters.fetch_sub(1, SeqCst);
    }
}

/// One connection's share: it is in an exchange or it is not. Dropping it ends the exchange.
#[derive(Debug)]
pub(super) struct Exchanging {
    of: Arc<InFlight>,
    worker: usize,
    busy: bool,
}

impl Exchanging {
    /// Begins in an exchange: a new connection is one until it has been used or has grown old.
    pub(super) fn begun(of: Arc<InFlight>, worker: usize) -> Self {
        of.begin(worker);
        Self { of, worker, busy: true }
    }

    /// Not in an exchange.
    pub(super) fn none(of: Arc<InFlight>, worker: usize) -> Self {
        Self { of, worker, busy: false }
    }

    /// Of this VIP from now on; listeners change hands.
    pub(super) fn begin(&mut self, of: &Arc<InFlight>) {
        if !Arc::ptr_eq(&self.of, of) {
            self.end();
            self.of = of.clone();
        }
        if !std::mem::replace(&mut self.busy, true) {
            self.of.begin(self.worker);
        }
    }

    pub(super) fn end(&mut self) {
        if std::mem::take(&mut self.busy) {
            self.of.end(self.worker);
        }
    }
}

impl Drop for Exchanging {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    const LONG: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn it_resolves_at_the_edge_and_not_before() {
        let vip = Arc::new(InFlight::new(2));
        let mut first = Exchanging::begun(vip.clone(), 0);
        let mut second = Exchanging::begun(vip.clone(), 1);
        let mut quiet = std::pin::pin!(vip.quiet(LONG));
        assert!(quiet.as_mut().now_or_never().is_none());
        first.end();
        assert!(quiet.as_mut().now_or_never().is_none(), "the other worker is still busy");
        second.end();
        tokio::time::timeout(LONG / 2, quiet).await.expect("both are idle");
    }

    #[tokio::test]
    async fn an_idle_vip_waits_for_its_next_edge() {
        let vip = Arc::new(InFlight::new(1));
        let mut quiet = std::pin::pin!(vip.quiet(LONG));
        assert!(quiet.as_mut().now_or_never().is_none());
        drop(Exchanging::begun(vip.clone(), 0));
        tokio::time::timeout(LONG / 2, quiet).await.expect("an exchange has come and gone");
    }

    #[tokio::test]
    async fn it_gives_up_at_its_limit() {
        let vip = Arc::new(InFlight::new(1));
        let _busy = Exchanging::begun(vip.clone(), 0);
        let (start, limit) = (tokio::time::Instant::now(), Duration::from_millis(30));
        vip.quiet(limit).await;
        assert!(start.elapsed() >= limit);
        assert_eq!(vip.count(), 1);
    }

    #[test]
    fn a_connection_counts_once_and_moves_with_its_listener() {
        let (old, new) = (Arc::new(InFlight::new(1)), Arc::new(InFlight::new(1)));
        let mut exchanging = Exchanging::begun(old.clone(), 0);
        exchanging.begin(&old);
        assert_eq!((old.count(), new.count()), (1, 0));
        exchanging.begin(&new);
        assert_eq!((old.count(), new.count()), (0, 1));
        drop(exchanging);
        assert_eq!(new.count(), 0);
    }
}
