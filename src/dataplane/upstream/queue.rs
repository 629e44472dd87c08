//! Who waits while every backend that would do is busy with as much as it may: first come, first served, whatever
//! worker serves the client.
//!
//! A *place* is one of a backend's `maxConnections`. Whoever gives one back looks whether anybody waits, and if so hands
//! out what is free, to the first in line who can use it: the place changes hands before the waiter is woken, so nobody
//! can slip in between, one free place wakes one waiter, and a waiter that has left meanwhile passes it on. Nobody
//! who comes later takes a place past the line.
//!
//! No wake-up is lost: a waiter first counts itself in `waiting` and then looks for a free place; who frees a place
//! first frees it and then looks at `waiting`. One of the two sees the other.
//!
//! The lock is taken only by those who wait, and by those who free a place while somebody waits.

use super::shared::BackendShared;
use crate::{
    dataplane::{
        config::{Pool, PoolVersion},
        traffic::Counter,
    },
    model::PoolTraffic,
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};
use tokio::{sync::oneshot, time::Instant};

/// The line of one pool. It outlives the versions of its pool.
#[derive(Default)]
pub(in crate::dataplane) struct Queue {
    /// Those in line, and those about to join it.
    waiting: AtomicUsize,
    line: Mutex<Line>,
    queued: Counter,
    pub(super) timeouts: Counter,
    pub(super) refused: Counter,
}

#[derive(Default)]
struct Line {
    tickets: u64,
    /// By ticket, so in the order in which they came.
    waiters: BTreeMap<u64, Waiter>,
}

struct Waiter {
    wants: Wants,
    call: oneshot::Sender<Place>,
}

/// What a waiter can use.
pub(super) enum Wants {
    /// Any backend that may get something new, except those that it has tried in vain.
    AnyBut(Vec<Arc<BackendShared>>),
    /// The one that its cookie names.
    This(Arc<BackendShared>),
}

/// One place at a backend, until it is dropped.
pub(in crate::dataplane) struct Place {
    /// `None`: nobody is told when it is free.
    pool: Option<Arc<Pool>>,
    backend: Arc<BackendShared>,
}

impl Place {
    /// One of `limit`, past the line.
    pub(super) fn take(pool: &Arc<Pool>, backend: &Arc<BackendShared>, limit: Option<u16>) -> Option<Self> {
        backend.take_place(limit).then(|| Self { pool: Some(pool.clone()), backend: backend.clone() })
    }

    pub(super) fn backend(&self) -> &Arc<BackendShared> {
        &self.backend
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.backend.give_place_back();
        if let Some(pool) = &self.pool {
            pool.queue.hand_out(pool);
        }
    }
}

/// As many are in line as may be.
#[derive(Debug)]
pub(super) struct Full;

/// A place in the line, left when it is dropped.
pub(super) struct Waiting {
    pool: Arc<Pool>,
    /// To come back to the same place in the line with.
    pub(super) ticket: u64,
    /// An error: nothing that would do is in rotation any more; who wants anything else may ask anew.
    pub(super) called: oneshot::Receiver<Place>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut line = self.pool.queue.lock();
        self.pool.queue.remove(&mut line, self.ticket);
    }
}

impl Queue {
    /// Joins the line, or comes back to it. A place that is free is handed out at once.
    pub(super) fn join(pool: &Arc<Pool>, wants: Wants, ticket: Option<u64>) -> Result<Waiting, Full> {
        let queue = &pool.queue;
        let (call, called) = oneshot::channel();
        queue.waiting.fetch_add(1, SeqCst);
        let mut line = queue.lock();
        let version = pool.current.load();
        let number = ticket.unwrap_or(line.tickets);
        line.tickets = line.tickets.max(number + 1);
        if version.could_serve(&wants) {
            line.waiters.insert(number, Waiter { wants, call });
            queue.serve(&mut line, pool, &version);
        } else {
            queue.waiting.fetch_sub(1, SeqCst);
        }
        if line.waiters.contains_key(&number) && ticket.is_none() {
            if line.waiters.len() > version.config.pool.serving.queue.max.into() {
                queue.remove(&mut line, number);
                return Err(Full);
            }
            queue.queued.add(1);
        }
        drop(line);
        Ok(Waiting { pool: pool.clone(), ticket: number, called })
    }

    /// Whether somebody waits, whom nobody may pass.
    pub(super) fn is_waited_in(&self) -> bool {
        self.waiting.load(SeqCst) > 0
    }

    /// Places may have become free.
    pub(super) fn hand_out(&self, pool: &Arc<Pool>) {
        if self.is_waited_in() {
            let mut line = self.lock();
            self.serve(&mut line, pool, &pool.current.load());
        }
    }

    /// The pool has been edited, or a backend has gone up or down.
    pub(in crate::dataplane) fn edited(&self, pool: &Arc<Pool>) {
        if self.is_waited_in() {
            let mut line = self.lock();
            let version = pool.current.load();
            let before = line.waiters.len();
            line.waiters.retain(|_, waiter| version.could_serve(&waiter.wants));
            self.waiting.fetch_sub(before - line.waiters.len(), SeqCst);
            self.serve(&mut line, pool, &version);
        }
    }

    pub(in crate::dataplane) fn traffic(&self) -> PoolTraffic {
        PoolTraffic {
            queued: self.lock().waiters.len() as u64,
            queued_total: self.queued.get(),
            queue_timeouts: self.timeouts.get(),
            queue_refused: self.refused.get(),
        }
    }

    fn serve(&self, line: &mut Line, pool: &Arc<Pool>, version: &PoolVersion) {
        let now = Instant::now();
        while let Some((ticket, backend)) =
            line.waiters.iter().find_map(|(ticket, waiter)| Some((*ticket, version.take_for(&waiter.wants, now)?)))
        {
            let Some(waiter) = self.remove(line, ticket) else { return };
            if let Err(mut place) = waiter.call.send(Place { pool: Some(pool.clone()), backend }) {
                // It has left. The next in line is found here, under the lock that is held already.
                place.pool = None;
            }
        }
    }

    fn remove(&self, line: &mut Line, ticket: u64) -> Option<Waiter> {
        let waiter = line.waiters.remove(&ticket)?;
        self.waiting.fetch_sub(1, SeqCst);
        Some(waiter)
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        // Each change under it is whole before anything in it could panic.
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PoolVersion {
    /// Whether what is wanted is in rotation, busy or not.
    fn could_serve(&self, wants: &Wants) -> bool {
        self.wanted(wants).next().is_some()
    }

    /// Takes a place for somebody who wants this: at the backend that is the least busy in proportion to its weight.
    fn take_for(&self, wants: &Wants, now: Instant) -> Option<Arc<BackendShared>> {
        let mut wanted: Vec<usize> = self.wanted(wants).collect();
        if matches!(wants, Wants::AnyBut(_)) && wanted.iter().any(|place| !self.is_ejected(*place, now)) {
            wanted.retain(|place| !self.is_ejected(*place, now));
        }
        wanted.sort_by_key(|place| {
            let weight = u32::from(self.config.pool.backends[*place].weight).max(1);
            self.backends[*place].taken() * 256 / weight
        });
        let place = wanted.into_iter().find(|place| self.backends[*place].take_place(self.limit(*place)))?;
        Some(self.backends[place].clone())
    }

    fn wanted(&self, wants: &Wants) -> impl Iterator<Item = usize> {
        let (this, any) = match wants {
            Wants::This(backend) => (self.place_of(backend).filter(|place| self.is_up(*place)), None),
            Wants::AnyBut(tried) => (None, Some(tried)),
        };
        let untried = |tried: &Vec<Arc<BackendShared>>, place: usize| {
            !tried.iter().any(|backend| Arc::ptr_eq(backend, &self.backends[place]))
        };
        let any = any
            .into_iter()
            .flat_map(move |tried| self.members.iter().copied().filter(move |place| untried(tried, *place)));
        this.into_iter().chain(any)
    }
}
