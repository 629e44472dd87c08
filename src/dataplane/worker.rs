//! One OS thread with its own reactor: its own listening sockets, its own client connections, its own connections to
//! backends. Workers share counters and configuration and wait for each other never.

use super::{
    accept,
    by_number::ByNumber,
    config::{Listening, Pool},
    http::Idle,
    parking::Parking,
    reactor::{Reactor, Sleep, TcpListener, sleep, spawn_local, timeout},
    splicing,
    traffic::Counter,
    upstream::{IdleBudget, LocalPool},
};
use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    io,
    net::SocketAddr,
    rc::Rc,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};
use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::Instant,
};

/// How often a worker proves that it is alive and looks after its idle connections.
const TICK: Duration = Duration::from_millis(250);

/// What the control thread asks of a worker.
pub(super) enum Command {
    /// Accept from this socket, which does not block.
    Open(Arc<Listening>, std::net::TcpListener),
    /// Take what waits in the queue of this socket, and close it.
    Close(SocketAddr),
    /// Pools have changed, and these are all there are: see to the idle connections.
    Refresh(Vec<u64>),
    /// Close all listeners, let what is in flight end for so long, then end.
    Stop(Duration),
}

/// The control thread's end of a worker.
pub(super) struct WorkerHandle {
    /// Unbounded, for it carries only what the control thread does, which waits for no worker.
    commands: mpsc::UnboundedSender<Command>,
    pub(super) shared: Arc<WorkerShared>,
    thread: Mutex<Option<thread::JoinHandle<()>>>,
}

/// What others may read of a worker.
#[derive(Default)]
pub(super) struct WorkerShared {
    /// Milliseconds from the start of the data plane to the worker's last sign of life.
    pub(super) stamp: AtomicU64,
    pub(super) accept_failures: Counter,
    pub(super) connections: Counter,
    pub(super) parked: Counter,
}

/// What each worker is given.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    pub(super) index: usize,
    pub(super) max_connections: usize,
    pub(super) started: Instant,
}

impl WorkerHandle {
    /// Starts the thread, and waits until its reactor is there.
    pub(super) fn start(terms: Terms) -> io::Result<Self> {
        let (commands, receiver) = mpsc::unbounded_channel();
        let (ready, is_ready) = std::sync::mpsc::sync_channel(1);
        let shared = Arc::new(WorkerShared::default());
        let theirs = shared.clone();
        let body = move || {
            let parts = Reactor::new().and_then(|reactor| Ok((reactor, Parking::new(theirs.clone())?)));
            let (reactor, parking) = match parts {
                Ok(parts) => parts,
                Err(error) => return drop(ready.send(Err(error))),
            };
            let _ = ready.send(Ok(()));
            splicing::limit(terms.max_connections);
            let worker = Rc::new(Worker::new(terms, theirs, parking));
            reactor.block_on(worker.run(receiver));
        };
        let thread = thread::Builder::new().name(format!("worker{}", terms.index)).spawn(body)?;
        is_ready.recv().map_err(|_| io::Error::other("a worker ended before it began"))??;
        Ok(Self { commands, shared, thread: Mutex::new(Some(thread)) })
    }

    /// False if the worker has ended.
    pub(super) fn send(&self, command: Command) -> bool {
        self.commands.send(command).is_ok()
    }

    /// Waits, without blocking, until it takes no commands any more.
    pub(super) async fn ended(&self) {
        self.commands.closed().await;
    }

    /// Waits for the thread to end.
    pub(super) fn join(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("a worker of the data plane panicked");
        }
    }
}

/// What the tasks of one worker share.
pub(super) struct Worker {
    pub(super) index: usize,
    pub(super) shared: Arc<WorkerShared>,
    max_connections: usize,
    started: Instant,
    connections: Cell<usize>,
    /// Connections that an exchange or a relay is under way on.
    working: Cell<usize>,
    stopping: Cell<bool>,
    /// A connection, or its work, has ended.
    ended: Notify,
    pools: RefCell<ByNumber<Rc<LocalPool>>>,
    idle_budget: Rc<IdleBudget>,
    /// Clients that have nothing to say.
    parking: Parking<Idle>,
}

impl Worker {
    fn new(terms: Terms, shared: Arc<WorkerShared>, parking: Parking<Idle>) -> Self {
        Self {
            index: terms.index,
            shared,
            max_connections: terms.max_connections,
            started: terms.started,
            connections: Cell::new(0),
            working: Cell::new(0),
            stopping: Cell::new(false),
            ended: Notify::new(),
            pools: RefCell::default(),
            idle_budget: IdleBudget::new(terms.max_connections.div_ceil(4)),
            parking,
        }
    }

    /// This worker's side of a pool.
    pub(super) fn pool(&self, shared: &Arc<Pool>) -> Rc<LocalPool> {
        let mut pools = self.pools.borrow_mut();
        let local = || Rc::new(LocalPool::new(shared.clone(), self.index, self.idle_budget.clone()));
        pools.entry(shared.id).or_insert_with(local).clone()
    }

    /// Waits until another connection may be accepted.
    pub(super) async fn room(&self) {
        while !self.has_room() {
            self.ended.notified().await;
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.connections.get() < self.max_connections
    }

    /// Whether connections should rather end than idle: the worker stops, or has little room left for new ones.
    pub(super) fn wants_rid(&self) -> bool {
        self.stopping.get() || self.connections.get() >= self.max_connections - self.max_connections / 8
    }

    /// Counts a client's connection until the guard is dropped.
    pub(super) fn connection(self: &Rc<Self>) -> OpenConnection {
        self.connections.set(self.connections.get() + 1);
        self.shared.connections.add(1);
        OpenConnection(self.clone())
    }

    /// Keeps a client that has nothing to say until it has.
    pub(super) fn park(&self, client: Idle) {
        self.parking.park(client);
    }

    /// Counts work on a connection, which a stop waits for, until the guard is dropped.
    pub(super) fn working(self: &Rc<Self>) -> Working {
        self.working.set(self.working.get() + 1);
        Working(self.clone())
    }

    async fn run(self: Rc<Self>, mut commands: mpsc::UnboundedReceiver<Command>) {
        // By address: dropping the first end asks it to close, the second resolves when it has.
        let mut listeners: HashMap<SocketAddr, (oneshot::Sender<()>, oneshot::Receiver<()>)> = HashMap::new();
        let worker = self.clone();
        spawn_local(async move { worker.parking.watch(&worker).await });
        self.tick();
        let mut tick = sleep(TICK);
        let grace = loop {
            tokio::select! {
                command = commands.recv() => match command {
                    Some(Command::Open(listening, socket)) => {
                        let (close, closed) = oneshot::channel();
                        let address = listening.address;
                        let (done, ended) = oneshot::channel();
                        let accepting = accept::run(TcpListener::new(socket), listening, self.clone(), closed);
                        spawn_local(async move {
                            accepting.await;
                            drop(done);
                        });
                        listeners.insert(address, (close, ended));
                    }
                    Some(Command::Close(address)) => drop(listeners.remove(&address)),
                    Some(Command::Refresh(present)) => self.refresh(&present),
                    Some(Command::Stop(grace)) => break grace,
                    // The last handle is gone, and with it whoever could tell this worker anything.
                    None => break Duration::ZERO,
                },
                () = &mut tick => {
                    self.tick();
                    tick = sleep(TICK);
                }
            }
        };
        self.stopping.set(true);
        for (close, ended) in listeners.into_values() {
            drop(close);
            let _ = ended.await;
        }
        // What is left after it ends with the reactor.
        let _ = timeout(grace, self.idle(tick)).await;
        self.parking.clear();
    }

    /// Waits until no work is under way, alive meanwhile.
    async fn idle(&self, mut tick: Sleep) {
        while self.working.get() > 0 {
            tokio::select! {
                () = self.ended.notified() => {}
                () = &mut tick => {
                    self.tick();
                    tick = sleep(TICK);
                }
            }
        }
    }

    fn refresh(&self, present: &[u64]) {
        let mut pools = self.pools.borrow_mut();
        pools.retain(|id, _| present.contains(id));
        for pool in pools.values() {
            pool.view();
        }
    }

    fn tick(&self) {
        let now = Instant::now();
        let since_start = now.duration_since(self.started).as_millis();
        self.shared.stamp.store(u64::try_from(since_start).unwrap_or(u64::MAX), Relaxed);
        for pool in self.pools.borrow().values() {
            pool.sweep(now);
        }
        self.parking.sweep(now);
    }
}

/// See [`Worker::connection`].
pub(super) struct OpenConnection(Rc<Worker>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.connections.set(self.0.connections.get() - 1);
        self.0.shared.connections.sub(1);
        self.0.ended.notify_waiters();
    }
}

/// See [`Worker::working`].
pub(super) struct Working(Rc<Worker>);

impl Drop for Working {
    fn drop(&mut self) {
        self.0.working.set(self.0.working.get() - 1);
        if self.0.stopping.get() {
            self.0.ended.notify_waiters();
        }
    }
}
