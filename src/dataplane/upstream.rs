//! Connections to backends. Each worker has its own: nothing here is shared between threads but the counters.
//!
//! A [`LocalPool`] follows its shared pool: whoever asks for its [`View`] gets the newest version. The [`Upstream`]s in
//! it outlive versions, so an edit of one backend leaves the idle connections of the others alone, and a backend that
//! goes down or leaves drops its idle ones at once.

use super::{
    config::{Pool, PoolVersion},
    traffic::{BackendShard, Sharded},
};
use crate::{
    balance::{Ask, Picker},
    model::{Name, PoolTimeouts, Sticky},
};
use std::{
    cell::{Cell, RefCell},
    io,
    mem::MaybeUninit,
    net::{IpAddr, SocketAddr},
    rc::Rc,
    sync::Arc,
    time::Duration,
};
use tokio::{net::TcpStream, time::Instant};

/// Connections kept for the next request, per worker and backend.
const MAX_IDLE: usize = 128;
/// How long one is kept. Shorter than most servers wait, so that it is mostly this side which closes.
const IDLE_EXPIRY: Duration = Duration::from_secs(30);

/// How many connections one worker keeps idle, over all backends: they cost descriptors that clients may need.
pub(super) struct IdleBudget {
    kept: Cell<usize>,
    max: usize,
}

impl IdleBudget {
    pub(super) fn new(max: usize) -> Rc<Self> {
        Rc::new(Self { kept: Cell::new(0), max })
    }
}

/// A pool as one worker knows it.
pub(super) struct LocalPool {
    shared: Arc<Pool>,
    worker: usize,
    budget: Rc<IdleBudget>,
    view: RefCell<Rc<View>>,
}

/// One version of a pool as one worker knows it.
pub(super) struct View {
    version: Arc<PoolVersion>,
    upstreams: Vec<Rc<Upstream>>,
    picker: RefCell<Picker>,
}

impl LocalPool {
    pub(super) fn new(shared: Arc<Pool>, worker: usize, budget: Rc<IdleBudget>) -> Self {
        let version = shared.current.load_full();
        let view = RefCell::new(Rc::new(View::new(version, &[], worker, &budget)));
        Self { shared, worker, budget, view }
    }

    /// The newest version.
    pub(super) fn view(&self) -> Rc<View> {
        let current = self.shared.current.load();
        let mut view = self.view.borrow_mut();
        if !Arc::ptr_eq(&current, &view.version) {
            *view = Rc::new(View::new(current.clone(), &view.upstreams, self.worker, &self.budget));
        }
        view.clone()
    }

    /// Closes connections that have been idle for long or that the backend has closed.
    pub(super) fn sweep(&self, now: Instant) {
        for upstream in &self.view().upstreams {
            upstream.sweep(now);
        }
    }
}

impl View {
    fn new(version: Arc<PoolVersion>, before: &[Rc<Upstream>], worker: usize, budget: &Rc<IdleBudget>) -> Self {
        let config = &version.config;
        let upstreams = config.pool.backends.iter().zip(&version.counters).map(|(backend, counters)| {
            let same = |u: &&Rc<Upstream>| {
                u.name == backend.name && u.address == backend.address && Arc::ptr_eq(&u.counters, counters)
            };
            let fresh = || Upstream {
                name: backend.name.clone(),
                address: backend.address,
                counters: counters.clone(),
                worker,
                up: Cell::new(true),
                idle: RefCell::default(),
                budget: budget.clone(),
            };
            let upstream = before.iter().find(same).cloned().unwrap_or_else(|| Rc::new(fresh()));
            upstream.set_up(!config.down.contains(&backend.name));
            upstream
        });
        let upstreams: Vec<_> = upstreams.collect();
        for gone in before.iter().filter(|old| !upstreams.iter().any(|new| Rc::ptr_eq(old, new))) {
            gone.set_up(false);
        }
        let picker = RefCell::new(Picker::new(config, worker as u64));
        Self { version, upstreams, picker }
    }

    /// The algorithm's choice among those that were not tried: it takes over from the last one that was.
    pub(super) fn pick(&self, client: IpAddr, already: &[Rc<Upstream>]) -> Option<Rc<Upstream>> {
        let is_tried = |u: &Rc<Upstream>| already.iter().any(|t| Rc::ptr_eq(t, u));
        let tried: Vec<usize> = (0..self.upstreams.len()).filter(|i| is_tried(&self.upstreams[*i])).collect();
        let load = |index: usize| self.upstreams[index].load();
        let ask = Ask { client, load: &load, tried: &tried };
        let index = self.picker.borrow_mut().pick(&ask)?;
        if let Some(failed) = already.last() {
            failed.counters().redispatches.add(1);
        }
        Some(self.upstreams[index].clone())
    }

    /// The cookie that keeps clients at their backends.
    pub(super) fn cookie_name(&self) -> Option<&str> {
        let Sticky::Cookie { name } = self.version.config.pool.sticky.as_ref()?;
        Some(name)
    }

    /// The backend that a cookie names, if it is in rotation, whatever its weight.
    pub(super) fn named(&self, name: &[u8]) -> Option<Rc<Upstream>> {
        self.upstreams.iter().find(|u| u.name.as_bytes() == name && u.up.get()).cloned()
    }

    pub(super) fn timeouts(&self) -> PoolTimeouts {
        self.version.config.pool.timeouts
    }
}

/// A backend as one worker knows it.
pub(super) struct Upstream {
    pub(super) name: Name,
    address: SocketAddr,
    counters: Arc<Sharded<BackendShard>>,
    worker: usize,
    up: Cell<bool>,
    /// The one used last is used first, so that a surplus expires.
    idle: RefCell<Vec<Idle>>,
    budget: Rc<IdleBudget>,
}

struct Idle {
    stream: TcpStream,
    since: Instant,
}

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum ConnectError {
    Timeout,
    Failed(io::Error),
}

impl Upstream {
    pub(super) fn counters(&self) -> &BackendShard {
        self.counters.shard(self.worker)
    }

    /// Of all workers.
    fn load(&self) -> u32 {
        u32::try_from(self.counters.sum(|s| s.active.get())).unwrap_or(u32::MAX)
    }

    /// Counts it as busy until the guard is dropped.
    pub(super) fn busy(self: &Rc<Self>) -> BusyUpstream {
        self.counters().active.add(1);
        BusyUpstream(self.clone())
    }

    /// A new connection.
    pub(super) async fn connect(&self, limit: Duration) -> Result<TcpStream, ConnectError> {
        let result = match tokio::time::timeout(limit, TcpStream::connect(self.address)).await {
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
    pub(super) fn take_idle(&self, certain: bool) -> Option<TcpStream> {
        loop {
            let idle = self.idle.borrow_mut().pop()?;
            self.count_idle_gone(1);
            if is_silent(&idle.stream, certain) {
                return Some(idle.stream);
            }
        }
    }

    /// Keeps a connection for the next request.
    pub(super) fn put_idle(&self, stream: TcpStream) {
        let mut idle = self.idle.borrow_mut();
        if self.up.get() && idle.len() < MAX_IDLE && self.budget.kept.get() < self.budget.max {
            idle.push(Idle { stream, since: Instant::now() });
            self.counters().idle.add(1);
            self.budget.kept.set(self.budget.kept.get() + 1);
        }
    }

    fn count_idle_gone(&self, count: usize) {
        self.counters().idle.sub(count as u64);
        self.budget.kept.set(self.budget.kept.get() - count);
    }

    fn set_up(&self, up: bool) {
        self.up.set(up);
        if !up {
            self.retain(|_| false);
        }
    }

    fn sweep(&self, now: Instant) {
        self.retain(|idle| now.duration_since(idle.since) < IDLE_EXPIRY && is_silent(&idle.stream, false));
    }

    fn retain(&self, keep: impl FnMut(&Idle) -> bool) {
        let mut idle = self.idle.borrow_mut();
        let before = idle.len();
        idle.retain(keep);
        self.count_idle_gone(before - idle.len());
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.retain(|_| false);
    }
}

/// Counts a backend as busy with one exchange or connection.
pub(super) struct BusyUpstream(Rc<Upstream>);

impl std::ops::Deref for BusyUpstream {
    type Target = Rc<Upstream>;
    fn deref(&self) -> &Rc<Upstream> {
        &self.0
    }
}

impl Drop for BusyUpstream {
    fn drop(&mut self) {
        self.0.counters().active.sub(1);
    }
}

/// Neither closed nor speaking unasked: both make an idle connection useless.
fn is_silent(stream: &TcpStream, certain: bool) -> bool {
    let would_block = |result: io::Result<usize>| matches!(result, Err(e) if e.kind() == io::ErrorKind::WouldBlock);
    would_block(stream.try_read(&mut [0]))
        && (!certain || would_block(socket2::SockRef::from(stream).peek(&mut [MaybeUninit::uninit()])))
}
