//! One backend as one worker knows it.

use super::{
    idle::{IdleBudget, IdleList},
    proxy_header::{Ends, header},
    queue::Place,
    shared::BackendShared,
};
use crate::{
    dataplane::{
        reactor::{TcpStream, timeout},
        traffic::BackendShard,
    },
    kernel::connect::{is_out_of_ports, socket},
    model::{Backend, Connecting, IdleLimits, Name, Serving},
};
use std::{cell::Cell, io, net::SocketAddr, rc::Rc, sync::Arc, time::Duration};
use tokio::{io::AsyncWriteExt, time::Instant};

/// A backend as one worker knows it. It outlives the versions of its pool, for as long as its name and address stay, and
/// how connections to it are made.
pub(in crate::dataplane) struct Upstream {
    pub(in crate::dataplane) name: Name,
    pub(super) address: SocketAddr,
    pub(super) connecting: Connecting,
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
        match self {
            // Without a number: no source address is on this machine.
            Self::Failed(error) => error
                .raw_os_error()
                .map_or(error.kind() == io::ErrorKind::AddrNotAvailable, |code| OURS.contains(&code)),
            Self::Timeout => false,
        }
    }
}

impl Upstream {
    pub(super) fn new(
        backend: &Backend,
        shared: Arc<BackendShared>,
        worker: usize,
        serving: &Serving,
        budget: &Rc<IdleBudget>,
    ) -> Self {
        Self {
            name: backend.name.clone(),
            address: backend.address,
            connecting: serving.connecting.clone(),
            shared,
            worker,
            up: Cell::new(true),
            idle: IdleList::new(idle_limits(serving), budget.clone()),
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

    /// A new connection, for the client at one of these `ends`.
    pub(in crate::dataplane) async fn connect(&self, limit: Duration, ends: Ends) -> Result<TcpStream, ConnectError> {
        let result = match timeout(limit, self.connect_for(ends)).await {
            Ok(result) => result.map_err(ConnectError::Failed),
            Err(_) => Err(ConnectError::Timeout),
        };
        match &result {
            Ok(_) => self.counters().connections.add(1),
            Err(error) => {
                self.counters().connect_errors.add(1);
                if matches!(error, ConnectError::Failed(error) if is_out_of_ports(error)) {
                    self.counters().port_exhausted.add(1);
                }
            }
        }
        result
    }

    async fn connect_for(&self, ends: Ends) -> io::Result<TcpStream> {
        let mut stream = TcpStream::connect(socket(self.address, &self.connecting)?, self.address).await?;
        stream.set_nodelay(true)?;
        if let Some(version) = self.connecting.proxy {
            // At once and by itself: a server that speaks first waits for it.
            stream.write_all(&header(version, ends)).await?;
        }
        Ok(stream)
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

    pub(super) fn set_idle_limits(&self, serving: &Serving) {
        self.idle.set_limits(idle_limits(serving));
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

/// A connection that has begun with one client's address is never another's.
fn idle_limits(serving: &Serving) -> IdleLimits {
    let max = if serving.connecting.proxy.is_some() { 0 } else { serving.idle.max };
    IdleLimits { max, ..serving.idle }
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
        assert!(ConnectError::Failed(io::ErrorKind::AddrNotAvailable.into()).is_ours(), "no source address is here");
        assert!(!ConnectError::Timeout.is_ours() && !ConnectError::Failed(io::ErrorKind::Other.into()).is_ours());
    }
}
