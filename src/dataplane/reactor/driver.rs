//! What the kernel tells, and when: the epoll set, the deadlines and the clock.

use super::{NOW, now, remote::Remote, timers::Timers, watched::Source};
use crate::dataplane::slab::Slab;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::{
    cell::{Cell, RefCell},
    io,
    os::fd::BorrowedFd,
    rc::Rc,
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;

/// So many sockets are told of in one turn; there are more in the next one.
const EVENTS: usize = 256;
/// The key of the bell that other threads ring.
const BELL: u64 = u64::MAX;

/// Everything that a reactor waits for.
#[derive(Debug)]
pub(super) struct Driver {
    epoll: Epoll,
    events: RefCell<Box<[EpollEvent]>>,
    sources: RefCell<Slab<Rc<Source>>>,
    pub(super) timers: RefCell<Timers>,
    pub(super) remote: Arc<Remote>,
    /// Sockets that were ever watched, so that one that has gone is not taken for the next one in its row.
    watched: Cell<u32>,
}

impl Driver {
    /// Fails if no descriptor is left.
    pub(super) fn new() -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let remote = Arc::new(Remote::new()?);
        epoll.add(&remote.bell, EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, BELL))?;
        Ok(Self {
            epoll,
            events: RefCell::new(vec![EpollEvent::empty(); EVENTS].into()),
            sources: RefCell::new(Slab::new()),
            timers: RefCell::new(Timers::new()),
            remote,
            watched: Cell::new(0),
        })
    }

    /// Sees what has happened and wakes who waits for it; waits for it if `block`.
    pub(super) fn turn(&self, block: bool) {
        let timeout = if block { self.until_next() } else { EpollTimeout::ZERO };
        let mut events = self.events.borrow_mut();
        // Interrupted by a signal, it finds the same in the next turn; nothing else can be wrong with it.
        let count = self.epoll.wait(&mut events, timeout).unwrap_or(0);
        let now = self.tick();
        for event in &events[..count] {
            self.tell(event);
        }
        let mut timers = self.timers.borrow_mut();
        while let Some(waker) = timers.due(now) {
            waker.wake_by_ref();
        }
    }

    /// Reads the clock for a turn.
    pub(super) fn tick(&self) -> Instant {
        let now = Instant::now();
        NOW.set(Some(now));
        now
    }

    /// Rounded up: a moment early would be a turn for nothing.
    fn until_next(&self) -> EpollTimeout {
        let Some(deadline) = self.timers.borrow().next() else { return EpollTimeout::NONE };
        let millis = (deadline.saturating_duration_since(now()) + Duration::from_nanos(999_999)).as_millis();
        EpollTimeout::from(u16::try_from(millis).unwrap_or(u16::MAX))
    }

    fn tell(&self, event: &EpollEvent) {
        let key = event.data();
        if key == BELL {
            return self.remote.collect();
        }
        // The row is in the low half.
        if let Some(source) = self.sources.borrow().get(key as u32)
            && source.key == key
        {
            source.is_ready(event.events());
        }
    }

    /// Begins to watch a descriptor: for whatever has happened to it already, too. Fails as `epoll_ctl(2)`: for want of
    /// memory, or of `fs.epoll.max_user_watches`.
    pub(super) fn watch(&self, fd: BorrowedFd<'_>, flags: u8, interest: EpollFlags) -> io::Result<Rc<Source>> {
        let generation = self.watched.get().wrapping_add(1) & (u32::MAX >> 1);
        self.watched.set(generation);
        let key = |row: u32| (u64::from(generation) << 32) | u64::from(row);
        let mut sources = self.sources.borrow_mut();
        let row = sources.insert_with(|row| Rc::new(Source::new(key(row), flags, interest)));
        let added = self.epoll.add(fd, EpollEvent::new(interest, key(row)));
        match sources.get(row) {
            Some(source) if added.is_ok() => Ok(source.clone()),
            _ => {
                sources.remove(row);
                Err(added.err().map_or(io::ErrorKind::OutOfMemory.into(), io::Error::from))
            }
        }
    }

    /// Watches it for something else too.
    pub(super) fn watch_for(&self, fd: BorrowedFd<'_>, source: &Source, interest: EpollFlags) -> io::Result<()> {
        Ok(self.epoll.modify(fd, &mut EpollEvent::new(interest, source.key))?)
    }

    /// A descriptor is about to be closed, with which it leaves the set, or has been released.
    pub(super) fn forget(&self, source: &Source) {
        let gone = self.sources.borrow_mut().remove(source.key as u32);
        // Its wakers may be the last of something: they go when the table is not borrowed any more.
        drop(gone);
    }

    /// Takes a descriptor that goes on living out of the set.
    pub(super) fn release(&self, fd: BorrowedFd<'_>) {
        // It fails only for a descriptor that is not in the set.
        let _ = self.epoll.delete(fd);
    }
}
