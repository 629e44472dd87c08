//! What workers share: the configuration in the form in which they use it, and the counters beside it. Each part is
//! swapped in place (ArcSwap), so nothing that runs holds an edit up, and no edit holds up what runs.

use super::{
    http::route::Routes,
    quiet::InFlight,
    traffic::{BackendShard, ListenerShard, Sharded},
};
use crate::model::{ListenerTimeouts, Name, PoolConfig, Protocol};
use arc_swap::ArcSwap;
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

/// A listening address while its sockets are open or connections that came through them live.
pub(super) struct Listening {
    pub(super) address: SocketAddr,
    /// What is done with the next connection, and with the next request of a connection.
    pub(super) service: ArcSwap<Service>,
    closed: AtomicBool,
}

impl Listening {
    pub(super) fn new(address: SocketAddr, service: Service) -> Self {
        Self { address, service: ArcSwap::from_pointee(service), closed: AtomicBool::new(false) }
    }

    /// No listener any more: its connections finish what they are at, by the configuration that they had last.
    pub(super) fn close(&self) {
        self.closed.store(true, Relaxed);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Relaxed)
    }
}

/// One version of a listener.
pub(super) struct Service {
    pub(super) vip: Name,
    pub(super) in_flight: Arc<InFlight>,
    pub(super) counters: Arc<Sharded<ListenerShard>>,
    pub(super) protocol: Protocol,
    pub(super) timeouts: ListenerTimeouts,
    pub(super) routes: Routes,
}

/// A pool, whatever its version.
pub(super) struct Pool {
    /// Unique in this process.
    pub(super) id: u64,
    pub(super) current: ArcSwap<PoolVersion>,
}

/// One version of a pool.
pub(super) struct PoolVersion {
    pub(super) config: PoolConfig,
    /// In the order of its backends.
    pub(super) counters: Vec<Arc<Sharded<BackendShard>>>,
}

impl PoolVersion {
    /// Backends that go by the same name go on with their counters.
    pub(super) fn new(config: &PoolConfig, before: Option<&Self>, workers: usize) -> Self {
        let counters = config.pool.backends.iter();
        let counters = counters
            .map(|b| before.and_then(|v| v.counters_of(&b.name)).unwrap_or_else(|| Arc::new(Sharded::new(workers))));
        Self { config: config.clone(), counters: counters.collect() }
    }

    fn counters_of(&self, name: &Name) -> Option<Arc<Sharded<BackendShard>>> {
        let place = self.config.pool.backends.iter().position(|b| b.name == *name)?;
        Some(self.counters[place].clone())
    }
}
