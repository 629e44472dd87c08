//! What went through: counters and gauges, for status and metrics.
//!
//! Each worker counts in a shard of its own, which no other thread writes, so counting costs no more than the addition;
//! the types of [`crate::model`] that say what is counted are their sum at one moment. Counters live as long as what
//! they count is configured: by Vip and address, and by pool and backend name, whatever else of them is edited.

use crate::model::{BackendTraffic, ListenerTraffic, Responses};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A number that one worker writes and anyone reads.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    pub(super) fn sub(&self, n: u64) {
        self.0.fetch_sub(n, Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// One `T` per worker.
#[derive(Debug)]
pub(super) struct Sharded<T>(Box<[T]>);

impl<T: Default> Sharded<T> {
    pub(super) fn new(workers: usize) -> Self {
        Self((0..workers).map(|_| T::default()).collect())
    }

    pub(super) fn shard(&self, worker: usize) -> &T {
        &self.0[worker]
    }

    pub(super) fn sum(&self, of: impl Fn(&T) -> u64) -> u64 {
        self.0.iter().map(of).sum()
    }
}

/// Makes the shard that workers write, field by field like the sum that readers get.
macro_rules! counted {
    ($shard:ident of $sum:ident { $($field:ident),* $(,)? }) => {
        /// One worker's part. On cache lines of its own.
        #[derive(Debug, Default)]
        #[repr(align(128))]
        pub(super) struct $shard {
            $(pub(super) $field: Counter,)*
            responses: [Counter; 5],
        }

        impl $shard {
            /// Counts an HTTP response with this status.
            pub(super) fn responded(&self, status: u16) {
                if let Some(class) = Responses::class(status) {
                    self.responses[class].add(1);
                }
            }
        }

        impl Sharded<$shard> {
            /// Of all workers.
            pub(super) fn total(&self) -> $sum {
                $sum {
                    $($field: self.sum(|s| s.$field.get()),)*
                    responses: Responses(std::array::from_fn(|class| self.sum(|s| s.responses[class].get()))),
                }
            }
        }
    };
}

counted!(ListenerShard of ListenerTraffic {
    accepted,
    active,
    requests,
    refused,
    limited,
    proxy_refused,
    bytes_in,
    bytes_out,
});

counted!(BackendShard of BackendTraffic {
    active,
    idle,
    connections,
    connect_errors,
    port_exhausted,
    requests,
    retries,
    redispatches,
    failures,
    ejections,
    bytes_in,
    bytes_out,
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_the_sum_of_the_shards() {
        let sharded: Sharded<ListenerShard> = Sharded::new(3);
        for worker in 0..3 {
            sharded.shard(worker).accepted.add(worker as u64 + 1);
            sharded.shard(worker).responded(200);
        }
        sharded.shard(1).responded(503);
        sharded.shard(1).responded(999);
        let expected =
            ListenerTraffic { accepted: 6, responses: Responses([0, 3, 0, 0, 1]), ..ListenerTraffic::default() };
        assert_eq!(sharded.total(), expected);
    }

    #[test]
    fn a_gauge_may_rise_in_one_shard_and_fall_again() {
        let sharded: Sharded<BackendShard> = Sharded::new(2);
        sharded.shard(1).active.add(2);
        sharded.shard(1).active.sub(1);
        assert_eq!(sharded.total().active, 1);
    }
}
