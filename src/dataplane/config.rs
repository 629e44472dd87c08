//! What workers share: the configuration in the form in which they use it, and the counters beside it. Each part is
//! swapped in place (ArcSwap), so nothing that runs holds an edit up, and no edit holds up what runs.

use super::{
    http::{origin::Origin, route::Routes},
    log::AccessLog,
    quiet::InFlight,
    sources::Sources,
    traffic::{ListenerShard, Sharded},
    upstream::{BackendShared, Queue},
};
use crate::{
    balance,
    model::{Listener, ListenerTimeouts, Name, PoolConfig, Protocol},
};
use arc_swap::ArcSwap;
use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};
use tokio::time::Instant;

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
    /// What one client may have, if that is limited.
    pub(super) sources: Option<Arc<Sources>>,
    /// Where it is written what came, if anywhere.
    pub(super) log: Option<Arc<AccessLog>>,
    /// Whom it believes what is said of the way of requests, if that is configured.
    pub(super) origin: Option<Origin>,
    /// For what is seldom needed.
    pub(super) listener: Arc<Listener>,
}

/// A pool, whatever its version.
pub(super) struct Pool {
    /// Unique in this process.
    pub(super) id: u64,
    pub(super) current: ArcSwap<PoolVersion>,
    /// Who waits for a place at one of its backends.
    pub(super) queue: Queue,
    /// Held while one backend is ejected, lest two workers eject two at once of which only one may go.
    pub(super) ejecting: Mutex<()>,
}

impl Pool {
    pub(super) fn new(id: u64, version: PoolVersion) -> Self {
        let current = ArcSwap::from_pointee(version);
        Self { id, current, queue: Queue::default(), ejecting: Mutex::default() }
    }
}

/// One version of a pool.
pub(super) struct PoolVersion {
    pub(super) config: PoolConfig,
    /// In the order of its backends.
    pub(super) backends: Vec<Arc<BackendShared>>,
    /// Places of those that may get something new.
    pub(super) members: Vec<usize>,
    /// Whether there is more to a choice than the algorithm: a limit, or an ejection.
    pub(super) is_guarded: bool,
}

impl PoolVersion {
    /// Backends that go by the same name go on with their counters. One that has not been in rotation, and is now, comes
    /// up `now`.
    pub(super) fn new(config: &PoolConfig, before: Option<&Self>, workers: usize, now: Instant) -> Self {
        let backends = config.pool.backends.iter().map(|backend| {
            let known = before.and_then(|before| before.known(&backend.name));
            let was_up = before.is_none() || known.is_some_and(|(_, up)| up);
            let shared = known.map_or_else(|| Arc::new(BackendShared::new(workers, now)), |(shared, _)| shared.clone());
            if config.is_up(backend) && !was_up {
                shared.comes_up(now);
            }
            shared
        });
        let backends = backends.collect();
        let serving = &config.pool.serving;
        let is_limited = config.pool.backends.iter().any(|backend| backend.max_connections.is_some());
        let is_guarded = is_limited || serving.ejection.is_some();
        Self { config: config.clone(), backends, members: balance::in_rotation(config), is_guarded }
    }

    pub(super) fn place_of(&self, backend: &Arc<BackendShared>) -> Option<usize> {
        self.backends.iter().position(|known| Arc::ptr_eq(known, backend))
    }

    pub(super) fn is_up(&self, place: usize) -> bool {
        self.config.is_up(&self.config.pool.backends[place])
    }

    pub(super) fn limit(&self, place: usize) -> Option<u16> {
        self.config.pool.backends[place].max_connections
    }

    /// The backend of this name, and whether it is up.
    fn known(&self, name: &Name) -> Option<(&Arc<BackendShared>, bool)> {
        let place = self.config.pool.backends.iter().position(|b| b.name == *name)?;
        Some((&self.backends[place], self.is_up(place)))
    }
}
