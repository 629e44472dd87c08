//! What went through: counters and gauges, for status and metrics.
//!
//! Each worker counts in a shard of its own, which no other thread writes, so counting costs no more than the addition;
//! [`Traffic`] is their sum at one moment. Counters live as long as what they count is configured: by Vip and address,
//! and by pool and backend name, whatever else of them is edited.

use crate::model::Name;
use serde::Serialize;
use std::{
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

/// Everything that the data plane counts. Counters (their docs say "since …") only grow; all else are gauges.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Traffic {
    /// In the order of their addresses.
    pub listeners: Vec<ListenerTraffic>,
    /// In the order of pools and of the backends in them.
    pub backends: Vec<BackendTraffic>,
    /// Times that a worker could not accept for want of descriptors or memory, since the start.
    pub accept_failures: u64,
    /// Connections that clients have open now, of all listeners that are or were.
    pub connections: u64,
    /// How many there may be; more wait in the kernel's queue.
    pub max_connections: u64,
}

/// One listening address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names say it")]
pub struct ListenerTraffic {
    pub vip: Name,
    pub address: SocketAddr,
    #[serde(flatten)]
    pub totals: ListenerTotals,
}

/// One backend of one pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names say it")]
pub struct BackendTraffic {
    pub pool: Name,
    pub backend: Name,
    #[serde(flatten)]
    pub totals: BackendTotals,
}

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

/// Makes the shard that workers write and the totals that readers get, field by field alike.
macro_rules! counted {
    ($shard:ident, $(#[$doc:meta])* $totals:ident { $($(#[$field_doc:meta])* $field:ident),* $(,)? }) => {
        /// One worker's part. On cache lines of its own.
        #[derive(Debug, Default)]
        #[repr(align(128))]
        pub(super) struct $shard {
            $(pub(super) $field: Counter,)*
            pub(super) responses: [Counter; 5],
        }

        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
        pub struct $totals {
            $($(#[$field_doc])* pub $field: u64,)*
            /// HTTP responses by class since the address or backend was configured: 1xx (only 101), 2xx, 3xx, 4xx, 5xx.
            pub responses: [u64; 5],
        }

        impl $shard {
            pub(super) fn responded(&self, status: u16) {
                if let Some(class) = self.responses.get(usize::from(status / 100).wrapping_sub(1)) {
                    class.add(1);
                }
            }
        }

        impl Sharded<$shard> {
            pub(super) fn totals(&self) -> $totals {
                $totals {
                    $($field: self.sum(|s| s.$field.get()),)*
                    responses: std::array::from_fn(|class| self.sum(|s| s.responses[class].get())),
                }
            }
        }
    };
}

counted!(
    ListenerShard,
    /// Of one listening address, since it was configured.
    ListenerTotals {
        /// Connections open now.
        open,
        /// Connections accepted since.
        accepted,
        /// HTTP requests read since, refused ones included.
        requests,
        /// Requests refused as malformed, too large or too slow since.
        refused,
        /// Bytes read from clients since.
        bytes_in,
        /// Bytes written to clients since.
        bytes_out,
    }
);

counted!(
    BackendShard,
    /// Of one backend, since it was configured.
    BackendTotals {
        /// HTTP exchanges or TCP connections that it is busy with now.
        active,
        /// Connections kept for the next request now.
        idle,
        /// Connections opened since.
        connections,
        /// Connections that could not be opened since.
        connect_failures,
        /// Requests sent since, repeated ones each time.
        requests,
        /// Requests that went to another connection or backend after this one failed, since.
        retries,
        /// Responses that never came, came too late, were malformed or truncated since.
        failures,
        /// Bytes written to it since.
        bytes_out,
        /// Bytes read from it since.
        bytes_in,
    }
);

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
        let totals = sharded.totals();
        assert_eq!(totals.accepted, 6);
        assert_eq!(totals.responses, [0, 3, 0, 0, 1]);
    }

    #[test]
    fn a_gauge_may_rise_in_one_shard_and_fall_again() {
        let sharded: Sharded<BackendShard> = Sharded::new(2);
        sharded.shard(1).active.add(2);
        sharded.shard(1).active.sub(1);
        assert_eq!(sharded.totals().active, 1);
    }
}
