//! The control thread's side: turns a wanted configuration into pools, services and sockets, and tells the workers.

use super::{
    config::{Listening, Pool, PoolVersion, Service},
    http::{origin::Origin, route::Routes},
    listen::{self, ListenError},
    log::{AccessLog, Sinks},
    quiet::InFlight,
    sources::Sources,
    traffic::{ListenerShard, Sharded},
    upstream::BackendShared,
    worker::{Command, WorkerHandle},
};
use crate::{
    kernel::connect::set_options,
    model::{Backend, BackendTraffic, ListenerConfig, ListenerTraffic, Name, PoolTraffic, ProxyConfig, TcpOptions},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{SocketAddr, TcpListener},
    sync::{Arc, Weak},
};
use tokio::time::Instant;

/// What was applied, and what came of it.
#[derive(Default)]
pub(super) struct Control {
    config: Arc<ProxyConfig>,
    pools: BTreeMap<Name, Arc<Pool>>,
    pools_made: u64,
    listeners: BTreeMap<SocketAddr, Arc<Listening>>,
    /// Second handles to the workers' sockets, to change their options.
    sockets: BTreeMap<SocketAddr, Vec<TcpListener>>,
    /// Closed here, but workers may still be taking the last connections out of their queues.
    closing: BTreeMap<SocketAddr, Weak<Listening>>,
    vips: BTreeMap<Name, Arc<InFlight>>,
    /// Of access logs.
    pub(super) sinks: Sinks,
    stopped: bool,
}

pub(super) type Outcome = BTreeMap<SocketAddr, Result<(), ListenError>>;

impl Control {
    /// Pools first, so that every service finds those that it names; then services and sockets; what is not wanted
    /// any more goes last.
    pub(super) fn apply(&mut self, config: &Arc<ProxyConfig>, workers: &[WorkerHandle]) -> Outcome {
        self.change_pools(config, workers.len());
        let unwanted: Vec<_> = self.listeners.keys().filter(|a| !config.listeners.contains_key(*a)).copied().collect();
        for address in unwanted {
            self.close(address, workers);
        }
        self.closing.retain(|_, listening| listening.strong_count() > 0);
        let outcome =
            config.listeners.iter().map(|(address, wanted)| (*address, self.listener(*address, wanted, workers)));
        let outcome = outcome.collect();
        self.pools.retain(|name, _| config.pools.contains_key(name));
        self.vips.retain(|name, _| config.listeners.values().any(|l| l.vip == *name));
        let present: Vec<u64> = self.pools.values().map(|p| p.id).collect();
        for worker in workers {
            worker.send(Command::Refresh(present.clone()));
        }
        self.sinks.close_unused();
        self.config = config.clone();
        outcome
    }

    /// Closes every listener.
    pub(super) fn stop(&mut self) {
        self.stopped = true;
        self.sockets.clear();
        for listening in std::mem::take(&mut self.listeners).into_values() {
            listening.close();
        }
    }

    /// The exchanges of a VIP; `None` if nothing listens there.
    pub(super) fn in_flight(&self, vip: &Name) -> Option<Arc<InFlight>> {
        self.vips.get(vip).cloned()
    }

    pub(super) fn listener_traffic(&self) -> BTreeMap<SocketAddr, ListenerTraffic> {
        let total = |listening: &Listening| listening.service.load().counters.total();
        self.listeners.iter().map(|(address, listening)| (*address, total(listening))).collect()
    }

    pub(super) fn backend_traffic(&self) -> BTreeMap<(Name, Name), BackendTraffic> {
        let mut traffic = BTreeMap::new();
        for (name, pool) in &self.pools {
            let version = pool.current.load();
            let counted = version.config.pool.backends.iter().zip(&version.backends);
            let total = |(backend, shared): (&Backend, &Arc<BackendShared>)| {
                ((name.clone(), backend.name.clone()), shared.counters.total())
            };
            traffic.extend(counted.map(total));
        }
        traffic
    }

    pub(super) fn pool_traffic(&self) -> BTreeMap<Name, PoolTraffic> {
        self.pools.iter().map(|(name, pool)| (name.clone(), pool.queue.traffic())).collect()
    }

    /// Backends that are left alone for what was met at them.
    pub(super) fn ejected(&self, now: Instant) -> BTreeSet<(Name, Name)> {
        let of = |(name, pool): (&Name, &Arc<Pool>)| {
            let version = pool.current.load();
            let places = 0..version.backends.len();
            let out = places.filter(|place| version.is_ejected(*place, now));
            out.map(|place| (name.clone(), version.config.pool.backends[place].name.clone())).collect::<Vec<_>>()
        };
        self.pools.iter().flat_map(of).collect()
    }

    fn change_pools(&mut self, config: &ProxyConfig, workers: usize) {
        let now = Instant::now();
        for (name, wanted) in &config.pools {
            let Some(pool) = self.pools.get(name) else {
                self.pools_made += 1;
                let version = PoolVersion::new(wanted, None, workers, now);
                self.pools.insert(name.clone(), Arc::new(Pool::new(self.pools_made, version)));
                continue;
            };
            let before = pool.current.load();
            if before.config != *wanted {
                pool.current.store(Arc::new(PoolVersion::new(wanted, Some(&before), workers, now)));
                pool.queue.edited(pool);
            }
        }
    }

    fn listener(
        &mut self,
        address: SocketAddr,
        wanted: &ListenerConfig,
        workers: &[WorkerHandle],
    ) -> Result<(), ListenError> {
        if self.stopped {
            return Err(ListenError::Stopped(address));
        }
        let unchanged = self.config.listeners.get(&address) == Some(wanted) && self.same_pools(wanted);
        match self.listeners.get(&address).cloned() {
            Some(_) if unchanged => Ok(()),
            Some(listening) => {
                let service = self.service(address, wanted, Some(&listening.service.load()), workers);
                listening.service.store(Arc::new(service));
                self.change_options(address, wanted.listener.tcp);
                Ok(())
            }
            None => {
                let service = self.service(address, wanted, None, workers);
                self.open(Arc::new(Listening::new(address, service)), wanted.listener.tcp, workers)
            }
        }
    }

    /// A pool that was removed and has come back is another one.
    fn same_pools(&self, wanted: &ListenerConfig) -> bool {
        wanted.listener.pools().all(|name| self.config.pools.contains_key(name))
    }

    fn service(
        &mut self,
        address: SocketAddr,
        wanted: &ListenerConfig,
        before: Option<&Service>,
        workers: &[WorkerHandle],
    ) -> Service {
        let same_owner = before.filter(|b| b.vip == wanted.vip);
        let in_flight = self.vips.entry(wanted.vip.clone()).or_insert_with(|| Arc::new(InFlight::new(workers.len())));
        let in_flight = in_flight.clone();
        let counters = same_owner.map_or_else(|| Arc::new(Sharded::new(workers.len())), |b| b.counters.clone());
        let before = same_owner.and_then(|b| b.sources.as_deref());
        let sources = Sources::new(wanted.listener.limits, before, Instant::now());
        let log = self.access_log(address, wanted, &counters, workers);
        Service {
            vip: wanted.vip.clone(),
            in_flight,
            counters,
            protocol: wanted.listener.protocol,
            timeouts: wanted.listener.timeouts,
            routes: Routes::new(&wanted.listener, &self.pools),
            sources,
            log,
            origin: Origin::new(&wanted.listener.forwarded),
            listener: wanted.listener.clone(),
        }
    }

    fn access_log(
        &mut self,
        address: SocketAddr,
        wanted: &ListenerConfig,
        counters: &Arc<Sharded<ListenerShard>>,
        workers: &[WorkerHandle],
    ) -> Option<Arc<AccessLog>> {
        let log = wanted.listener.access_log.as_ref()?;
        Some(Arc::new(AccessLog {
            format: log.format,
            sink: self.sinks.open(&log.to)?,
            listener: format!("{}:{}", wanted.vip, wanted.listener.port),
            address,
            counters: counters.clone(),
            workers: workers.iter().map(|worker| worker.shared.clone()).collect(),
        }))
    }

    fn open(
        &mut self,
        listening: Arc<Listening>,
        options: TcpOptions,
        workers: &[WorkerHandle],
    ) -> Result<(), ListenError> {
        let address = listening.address;
        let ours = self.closing.contains_key(&address);
        let sockets = listen::open(address, workers.len(), ours, options)?;
        let failed = |source| ListenError::Failed { address, source };
        let handles = sockets.iter().map(TcpListener::try_clone).collect::<io::Result<_>>().map_err(failed)?;
        for (worker, socket) in workers.iter().zip(sockets) {
            worker.send(Command::Open(listening.clone(), socket));
        }
        self.listeners.insert(address, listening);
        self.sockets.insert(address, handles);
        Ok(())
    }

    /// Connections that are accepted from now on have them.
    fn change_options(&self, address: SocketAddr, options: TcpOptions) {
        for socket in self.sockets.get(&address).into_iter().flatten() {
            if let Err(error) = set_options(socket, options) {
                tracing::warn!(%address, %error, "cannot change the options of a listening socket");
            }
        }
    }

    fn close(&mut self, address: SocketAddr, workers: &[WorkerHandle]) {
        let Some(listening) = self.listeners.remove(&address) else { return };
        listening.close();
        // First, so that the workers' are the last ones.
        self.sockets.remove(&address);
        for worker in workers {
            worker.send(Command::Close(address));
        }
        self.closing.insert(address, Arc::downgrade(&listening));
    }
}
