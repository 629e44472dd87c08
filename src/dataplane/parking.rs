//! Clients that have been idle for a while, in as little memory as it takes.
//!
//! A connection under way is a task with a timer and a place in the reactor, some two kilobytes. Most
//! connections of a busy site are idle most of the time, so one that has been for a second is parked: what is known of it
//! stands in one row of a table, its socket is watched by one epoll set that all of them share, and a task is made for it
//! again when it has something to say.

use super::{
    reactor::{Side, Watched, sleep},
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
    table: RefCell<Table<T>>,
    shared: Arc<WorkerShared>,
    /// Parked since memory was given back last.
    freed: Cell<usize>,
}

struct Table<T> {
    places: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T: Parked> Parking<T> {
    /// An empty one. Fails if no descriptor is left.
    pub(super) fn new(shared: Arc<WorkerShared>) -> io::Result<Self> {
        let table = RefCell::new(Table { places: Vec::new(), free: Vec::new() });
        Ok(Self { readable: Watched::new(ReadableSet::new()?), table, shared, freed: Cell::new(0) })
    }

    /// Parks a connection. If the kernel has no memory to watch it with, it is closed.
    pub(super) fn park(&self, connection: T) {
        let mut table = self.table.borrow_mut();
        let place = table.free.pop().unwrap_or(table.places.len() as u32);
        if let Err(error) = self.readable.get().add(connection.socket(), place.into()) {
            tracing::debug!(%error, "cannot park a connection");
            table.free.push(place);
            return;
        }
        match table.places.get_mut(place as usize) {
            Some(empty) => *empty = Some(connection),
            None => table.places.push(Some(connection)),
        }
        self.shared.parked.add(1);
        self.freed.set(self.freed.get() + 1);
    }

    /// Resumes those that become readable, for ever.
    pub(super) async fn watch(&self, worker: &Rc<Worker>) {
        let resume = |place: u64| {
            if let Some(connection) = self.take(place as usize) {
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
        let is_over = |parked: &Option<T>| parked.as_ref().is_some_and(|parked| parked.deadline() <= now);
        let places = self.table.borrow().places.len();
        for place in 0..places {
            if self.table.borrow().places.get(place).is_some_and(is_over) {
                drop(self.take(place));
            }
        }
        if self.freed.get() >= MANY {
            self.freed.set(0);
            memory::give_back();
        }
    }

    /// Closes all.
    pub(super) fn clear(&self) {
        let places = self.table.borrow().places.len();
        (0..places).for_each(|place| drop(self.take(place)));
    }

    fn take(&self, place: usize) -> Option<T> {
        let mut table = self.table.borrow_mut();
        let connection = table.places.get_mut(place)?.take()?;
        table.free.push(place as u32);
        self.shared.parked.sub(1);
        // Fails only for a socket that is not in the set.
        let _ = self.readable.get().remove(connection.socket());
        Some(connection)
    }
}
