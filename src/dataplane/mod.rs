//! The data plane: what arrives at a VIP's ports goes to a backend, and what comes back goes to the client.
//!
//! One OS thread per worker ([`worker`]), each with a [`reactor`] of its own that runs its tasks. Each listens on every
//! configured address with a socket of its own ([`listen`], [`accept`]), on Active and Backup nodes alike; which node
//! is asked is a matter of who has the address. A TCP connection is given to a backend ([`tcp`]); an HTTP connection is
//! read request by request ([`http`]), each of which is routed, balanced over a pool and forwarded on a kept or new
//! connection ([`upstream`]). A proxy in front may have to introduce the client first ([`introduced`],
//! [`proxy_protocol`]). Bytes are copied through one buffer per worker ([`io`], [`buffers`]); what is large goes from
//! socket to socket in the kernel ([`splicing`]), and clients that have nothing to say are put aside ([`parking`]).
//!
//! [`Dataplane::apply`] makes it be as a [`ProxyConfig`] says ([`control`]). Nothing that is established breaks by it:
//! services and pools are swapped in place ([`config`]), an address that is not wanted any more takes no new
//! connections and finishes the old ones. What went through is counted ([`traffic`]) and, if wanted, written down
//! ([`log`]); how much one client may have can be limited ([`sources`]). [`Dataplane::quiet`] finds a
//! good moment to take a VIP away.
//!
//! No worker waits for another, or takes a lock that another one takes, to serve a request; only those who wait in line
//! for a backend that has all it may are given their turn under one. Nothing here adds or
//! removes addresses, checks health or knows who owns a VIP.

mod accept;
mod buffers;
mod by_number;
mod config;
mod control;
pub mod http;
mod introduced;
mod io;
mod listen;
mod log;
mod parking;
pub mod proxy_protocol;
mod quiet;
mod reactor;
mod slab;
mod sources;
mod splicing;
mod tcp;
#[cfg(test)]
mod tests;
mod traffic;
mod upstream;
mod worker;

pub use listen::ListenError;

use crate::model::{Name, ProxyConfig, TrafficSnapshot};
use control::Control;
use std::{
    collections::BTreeMap,
    io as std_io,
    net::SocketAddr,
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering::Relaxed},
    time::Duration,
};
use tokio::time::Instant;
use worker::{Command, Terms, WorkerHandle};

/// A handle to a running data plane; clones are the same one. When the last is dropped without
/// [`Dataplane::shutdown`], everything ends at once.
#[derive(Clone)]
pub struct Dataplane(Arc<Inner>);

struct Inner {
    workers: Vec<WorkerHandle>,
    control: Mutex<Control>,
    started: Instant,
    max_connections: usize,
}

impl Dataplane {
    /// Starts so many workers, in the network namespace of the calling thread, from which they reach the backends. They
    /// have nothing to do yet.
    ///
    /// Fails if the machine has no thread or descriptor left.
    pub fn start(workers: NonZeroUsize) -> std_io::Result<Self> {
        Self::start_limited(workers, connections_by_descriptors() / workers)
    }

    /// As [`Dataplane::start`], with at most so many client connections per worker, at least one. More wait in the
    /// kernel's queues until one has ended.
    pub fn start_limited(workers: NonZeroUsize, connections: usize) -> std_io::Result<Self> {
        let started = Instant::now();
        let max_connections = connections.max(1);
        let start = |index| WorkerHandle::start(Terms { index, max_connections, started });
        let handles = (0..workers.get()).map(start).collect::<std_io::Result<_>>()?;
        let max_connections = max_connections * workers.get();
        Ok(Self(Arc::new(Inner { workers: handles, control: Mutex::default(), started, max_connections })))
    }

    /// Opens, changes and closes listeners, and swaps pools and routes in place, until all is as `config` says. The
    /// outcome has every configured address: open, or why not; one that cannot be opened is tried again at the next
    /// apply and keeps no other from being served. Doing it twice changes nothing. The sockets belong to the network
    /// namespace of the calling thread.
    pub fn apply(&self, config: Arc<ProxyConfig>) -> BTreeMap<SocketAddr, Result<(), ListenError>> {
        self.control().apply(&config, &self.0.workers)
    }

    /// What has gone through since the start, and what is there now, of every listener and backend that is configured.
    pub fn traffic(&self) -> TrafficSnapshot {
        let control = self.control();
        let workers = || self.0.workers.iter().map(|w| &w.shared);
        TrafficSnapshot {
            listeners: control.listener_traffic(),
            backends: control.backend_traffic(),
            pools: control.pool_traffic(),
            ejected: control.ejected(Instant::now()),
            accept_failures: workers().map(|w| w.accept_failures.get()).sum(),
            connections: workers().map(|w| w.connections.get()).sum(),
            parked: workers().map(|w| w.parked.get()).sum(),
            access_log_dropped: control.sinks.dropped(),
            max_connections: self.0.max_connections as u64,
        }
    }

    /// Waits for the best moment to take a VIP away: right after the number of its exchanges has fallen to zero, or
    /// when `limit` has passed. An exchange is an HTTP request from its head to the last byte of its response, or a new
    /// connection for about a second.
    pub async fn quiet(&self, vip: &Name, limit: Duration) {
        let in_flight = self.control().in_flight(vip);
        match in_flight {
            Some(in_flight) => in_flight.quiet(limit).await,
            None => tokio::time::sleep(limit).await,
        }
    }

    /// Exchanges of a VIP that are under way, as [`Dataplane::quiet`] counts them.
    pub fn in_flight(&self, vip: &Name) -> u64 {
        self.control().in_flight(vip).map_or(0, |in_flight| in_flight.count())
    }

    /// How long ago each worker last came round to prove that it makes progress; four times a second if all is well.
    pub fn progress(&self) -> Vec<Duration> {
        let now = self.0.started.elapsed();
        let stamps = self.0.workers.iter().map(|w| Duration::from_millis(w.shared.stamp.load(Relaxed)));
        stamps.map(|stamp| now.saturating_sub(stamp)).collect()
    }

    /// Waits until one of the workers has ended: not before [`Dataplane::shutdown`], unless it has panicked.
    pub async fn ended(&self) {
        let workers = self.0.workers.iter().map(|worker| Box::pin(worker.ended()));
        futures::future::select_all(workers).await;
    }

    /// Stops listening, lets exchanges and relays end for at most `grace`, closes the rest and ends the workers.
    /// Blocks so long, and a moment for the last lines of the access logs.
    pub fn shutdown(&self, grace: Duration) {
        self.control().stop();
        for worker in &self.0.workers {
            worker.send(Command::Stop(grace));
        }
        for worker in &self.0.workers {
            worker.join();
        }
        self.control().sinks.flush(LAST_LINES);
    }

    fn control(&self) -> MutexGuard<'_, Control> {
        // Only the control side takes this lock; what a panic under it left is what the next apply repairs.
        self.0.control.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For what is still to be written to an access log in the end.
const LAST_LINES: Duration = Duration::from_secs(1);

/// How many connections the limit of open files allows: each may need a second descriptor for its backend, for every
/// four of them a worker may keep one idle, for every so many there may be a pipe, and some are left for all else that this
/// process does.
fn connections_by_descriptors() -> usize {
    const OTHER: usize = 512;
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let soft =
        line.and_then(|line| line.split_whitespace().next()).map_or(1024, |n| n.parse().unwrap_or(usize::MAX / 1024));
    const PER_PIPE: usize = splicing::CONNECTIONS_PER_PIPE;
    // Two, a quarter and the two of a pipe each.
    (soft.saturating_sub(OTHER) * 4 * PER_PIPE / (9 * PER_PIPE + 8)).max(soft / 8)
}
