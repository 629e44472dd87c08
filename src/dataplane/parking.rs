//! Clients that have been idle for a while, in as little memory as it takes.
//!
//! A connection under way is a task with a timer and a place in the reactor, some two kilobytes. Most connections of a
//! busy site are idle most of the time, so one that has been for a second is parked: what is known of it stands in one
//! row of a table, its socket is watched by one epoll set that all of them share, and a task is made for it again when it
//! has something to say.

use super::{
    reactor::{Side, Watched, sleep},
    slab::Slab,
    worker::{Worker, WorkerShared},
};
use crate::kernel::{epoll::ReadableSet, memory};
use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    io,
    net::TcpStream,
    rc::Rc,
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;

/// So many ended tasks are a megabyte or two.
const MANY: usize = 1000;
/// Before watching is tried again when it has failed.
const BACK_OFF: Duration = Duration::from_millis(50);

/// A connection that can be parked.
pub(super) trait Parked {
    /// Its socket, to watch.
    fn socket(&self) -> &TcpStream;
    /// When it has been idle for too long.
    fn deadline(&self) -> Instant;
    /// It has become readable.
    fn resume(self, worker: &Rc<Worker>);
}

/// The parked connections of one worker.
pub(super) struct Parking<T> {
    readable: Watched<ReadableSet>,
    table: RefCell<Slab<T>>,
    shared: Arc<WorkerShared>,
    /// Parked since memory was given back last.
    freed: Cell<usize>,
}

impl<T: Parked> Parking<T> {
    /// An empty one. Fails if no descriptor is left.
    pub(super) fn new(shared: Arc<WorkerShared>) -> io::Result<Self> {
        let (readable, table) = (Watched::new(ReadableSet::new()?), RefCell::new(Slab::new()));
        Ok(Self { readable, table, shared, freed: Cell::new(0) })
    }

    /// Parks a connection. If the kernel has no memory to watch it with, it is closed.
    pub(super) fn park(&self, connection: T) {
        let mut table = self.table.borrow_mut();
        let row = table.insert_with(|_| connection);
        let watched = table.get(row).map(|parked| self.readable.get().add(parked.socket(), row.into()));
        if let Some(Err(error)) = watched {
            tracing::debug!(%error, "cannot park a connection");
            drop(table.remove(row));
            return;
        }
        self.shared.parked.add(1);
        self.freed.set(self.freed.get() + 1);
    }

    /// Resumes those that become readable, for ever.
    pub(super) async fn watch(&self, worker: &Rc<Worker>) {
        let resume = |row: u64| {
            if let Some(connection) = self.take(row as u32) {
                connection.resume(worker);
            }
        };
        loop {
            // Some of them at a time. Fails only if the set cannot be watched, and then nothing can be heard of any.
            if let Err(error) = poll_fn(|cx| self.readable.poll(cx, Side::Read, |set| set.ready(resume))).await {
                tracing::error!(%error, "cannot watch parked connections");
                sleep(BACK_OFF).await;
            }
        }
    }

    /// Closes those whose time is over. When many tasks have ended, as after a burst, their memory is given back.
    pub(super) fn sweep(&self, now: Instant) {
        let rows = self.table.borrow().rows();
        for row in 0..rows {
            if self.table.borrow().get(row).is_some_and(|parked| parked.deadline() <= now) {
                drop(self.take(row));
            }
        }
        if self.freed.get() >= MANY {
            self.freed.set(0);
            memory::give_back();
        }
    }

    /// Closes all.
    pub(super) fn clear(&self) {
        let rows = self.table.borrow().rows();
        (0..rows).for_each(|row| drop(self.take(row)));
    }

    fn take(&self, row: u32) -> Option<T> {
        let connection = self.table.borrow_mut().remove(row)?;
        self.shared.parked.sub(1);
        // Fails only for a socket that is not in the set.
        let _ = self.readable.get().remove(connection.socket());
        Some(connection)
    }
}
