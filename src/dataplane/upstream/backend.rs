//! One backend as one worker knows it.

use super::{
    idle::{IdleBudget, IdleList},
    queue::Place,
    shared::BackendShared,
};
use crate::{
    dataplane::{
        reactor::{TcpStream, timeout},
        traffic::BackendShard,
    },
    model::{Backend, IdleLimits, Name},
};
use std::{cell::Cell, io, net::SocketAddr, rc::Rc, sync::Arc, time::Duration};
use tokio::time::Instant;

/// A backend as one worker knows it. It outlives the versions of its pool, for as long as its name and address stay.
pub(in crate::dataplane) struct Upstream {
    pub(in crate::dataplane) name: Name,
    pub(super) address: SocketAddr,
    pub(super) shared: Arc<BackendShared>,
    worker: usize,
    pub(super) up: Cell<bool>,
    idle: IdleList,
}

/// Why there is no connection.
#[derive(Debug)]
pub(in crate::dataplane) enum ConnectError {
    Timeout,
    Failed(io::Error),
}

impl ConnectError {
    /// This machine lacks something (descriptors, memory, ports): it says nothing about the backend.
    pub(super) fn is_ours(&self) -> bool {
        const OURS: [i32; 5] = [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::ENOBUFS, libc::EADDRNOTAVAIL];
        matches!(self, Self::Failed(error) if error.raw_os_error().is_some_and(|code| OURS.contains(&code)))
    }
}

impl Upstream {
    pub(super) fn new(
        backend: &Backend,
        shared: Arc<BackendShared>,
        worker: usize,
        idle: IdleLimits,
        budget: &Rc<IdleBudget>,
    ) -> Self {
        Self {
            name: backend.name.clone(),
            address: backend.address,
            shared,
            worker,
            up: Cell::new(true),
            idle: IdleList::new(idle, budget.clone()),
        }
    }

    pub(in crate::dataplane) fn counters(&self) -> &BackendShard {
        self.shared.counters.shard(self.worker)
    }

    /// Exchanges of all workers.
    pub(in crate::dataplane) fn active(&self) -> u64 {
        self.shared.counters.sum(|s| s.active.get())
    }

    /// Of all workers.
    pub(super) fn load(&self) -> u32 {
        u32::try_from(self.shared.counters.sum(|s| s.active.get())).unwrap_or(u32::MAX)
    }

    /// Counts it as busy until the guard is dropped.
    pub(super) fn busy(self: &Rc<Self>, place: Option<Place>) -> BusyUpstream {
        self.counters().active.add(1);
        BusyUpstream { upstream: self.clone(), place: place.map(Box::new) }
    }

    /// A new connection.
    pub(in crate::dataplane) async fn connect(&self, limit: Duration) -> Result<TcpStream, ConnectError> {
        let result = match timeout(limit, TcpStream::connect(self.address)).await {
            Ok(Ok(stream)) => stream.set_nodelay(true).map(|()| stream).map_err(ConnectError::Failed),
            Ok(Err(error)) => Err(ConnectError::Failed(error)),
            Err(_) => Err(ConnectError::Timeout),
        };
        match &result {
            Ok(_) => self.counters().connections.add(1),
            Err(_) => self.counters().connect_errors.add(1),
        }
        result
    }

    /// A connection that was kept. `certain`: the kernel itself is asked whether the backend has closed it meanwhile,
    /// for a request that could not be repeated.
    pub(in crate::dataplane) fn take_idle(&self, certain: bool) -> Option<TcpStream> {
        self.idle.take(certain, &self.counters().idle)
    }

    /// Keeps a connection for the next request.
    pub(in crate::dataplane) fn put_idle(&self, stream: TcpStream) {
        if self.up.get() {
            self.idle.put(stream, &self.counters().idle);
        }
    }

    pub(super) fn set_idle_limits(&self, limits: IdleLimits) {
        self.idle.set_limits(limits);
    }

    pub(super) fn set_up(&self, up: bool) {
        self.up.set(up);
        if !up {
            self.idle.clear(&self.counters().idle);
        }
    }

    pub(super) fn sweep(&self, now: Instant) {
        self.idle.sweep(now, &self.counters().idle);
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.idle.clear(&self.counters().idle);
    }
}

/// Counts a backend as busy with one exchange or connection, and holds its place there if it has a limit.
pub(in crate::dataplane) struct BusyUpstream {
    upstream: Rc<Upstream>,
    /// In a box, for few have one and every connection carries the room for it.
    place: Option<Box<Place>>,
}

impl std::ops::Deref for BusyUpstream {
    type Target = Rc<Upstream>;
    fn deref(&self) -> &Rc<Upstream> {
        &self.upstream
    }
}

impl Drop for BusyUpstream {
    fn drop(&mut self) {
        self.place = None;
        self.upstream.counters().active.sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_machine_lacks_is_not_the_backends_fault() {
        let failed = |code| ConnectError::Failed(io::Error::from_raw_os_error(code));
        assert!(failed(libc::EMFILE).is_ours() && failed(libc::EADDRNOTAVAIL).is_ours());
        assert!(!failed(libc::ECONNREFUSED).is_ours() && !failed(libc::ETIMEDOUT).is_ours());
        assert!(!ConnectError::Timeout.is_ours());
    }
}
