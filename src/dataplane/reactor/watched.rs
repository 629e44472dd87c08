//! A descriptor that is tried first and watched only when it has nothing.
//!
//! What is known of it are flags: ready to be read, ready to be written, and whether the other side has hung up. Ready
//! means that trying is worth it. It is taken back when the kernel says that it would block, and when it gave or took less
//! than it was asked for, which says the same without another call; the next edge sets it again. After a hang-up there may
//! be no other edge, so such a one is always tried.

use super::{
    driver::Driver,
    executor::{self, spend},
};
use nix::sys::epoll::EpollFlags;
use std::{
    cell::{Cell, OnceCell, RefCell},
    io,
    os::fd::AsFd,
    rc::Rc,
    task::{Context, Poll, Waker, ready},
};

/// After so many tries in one go a task lets others run.
pub(super) const SPELL: u32 = 64;

const READ: u8 = 1;
const WRITE: u8 = 2;
const HUNG_UP: u8 = 4;

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::dataplane) enum Side {
    /// That there is something to read, or the end, or an error.
    Read,
    /// That there is room to write, or an error.
    Write,
}

impl Side {
    fn flag(self) -> u8 {
        match self {
            Self::Read => READ,
            Self::Write => WRITE,
        }
    }
}

/// What a reactor knows of a descriptor in its epoll set.
#[derive(Debug)]
pub(super) struct Source {
    /// Which one it is, to the kernel.
    pub(super) key: u64,
    flags: Cell<u8>,
    interest: Cell<EpollFlags>,
    reader: RefCell<Option<Waker>>,
    writer: RefCell<Option<Waker>>,
}

impl Source {
    pub(super) fn new(key: u64, flags: u8, interest: EpollFlags) -> Self {
        let (reader, writer) = Default::default();
        Self { key, flags: Cell::new(flags), interest: Cell::new(interest), reader, writer }
    }

    /// The kernel says so.
    pub(super) fn is_ready(&self, events: EpollFlags) {
        let over = events.intersects(EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR);
        let ended = over || events.contains(EpollFlags::EPOLLRDHUP);
        let readable = ended || events.contains(EpollFlags::EPOLLIN);
        let writable = over || events.contains(EpollFlags::EPOLLOUT);
        let flag = |is: bool, flag: u8| if is { flag } else { 0 };
        self.flags.set(self.flags.get() | flag(readable, READ) | flag(writable, WRITE) | flag(ended, HUNG_UP));
        if readable {
            wake(&self.reader);
        }
        if writable {
            wake(&self.writer);
        }
    }

    fn waiter(&self, side: Side) -> &RefCell<Option<Waker>> {
        match side {
            Side::Read => &self.reader,
            Side::Write => &self.writer,
        }
    }
}

/// The waker stays for the next time, which is most often of the same task.
fn wake(waiter: &RefCell<Option<Waker>>) {
    if let Some(waker) = &*waiter.borrow() {
        waker.wake_by_ref();
    }
}

/// A non-blocking descriptor, of which one task may wait to read and one to write.
#[derive(Debug)]
pub(in crate::dataplane) struct Watched<F: AsFd> {
    /// Until it is in the epoll set.
    flags: Cell<u8>,
    /// Declared before the descriptor, and so gone before it is closed.
    place: OnceCell<Place>,
    fd: F,
}

#[derive(Debug)]
struct Place {
    driver: Rc<Driver>,
    source: Rc<Source>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.driver.forget(&self.source);
    }
}

impl<F: AsFd> Watched<F> {
    /// `fd` must not block. It may have something to read, and room to write.
    pub(in crate::dataplane) fn new(fd: F) -> Self {
        Self { flags: Cell::new(READ | WRITE), place: OnceCell::new(), fd }
    }

    /// `fd` has nothing to read yet, as a new connection.
    pub(super) fn silent(fd: F) -> Self {
        Self { flags: Cell::new(WRITE), ..Self::new(fd) }
    }

    pub(in crate::dataplane) fn get(&self) -> &F {
        &self.fd
    }

    /// Watched no longer.
    pub(in crate::dataplane) fn into_inner(mut self) -> F {
        if let Some(place) = self.place.take() {
            place.driver.release(self.fd.as_fd());
        }
        self.fd
    }

    /// Tries `op` if that is worth it, and waits if it would block.
    pub(in crate::dataplane) fn poll<T>(
        &self,
        cx: &mut Context<'_>,
        side: Side,
        mut op: impl FnMut(&F) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        while self.is_worth_it(side) {
            ready!(spend(cx));
            match op(&self.fd) {
                Err(error) if would_block(&error) => self.blocks(side),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return Poll::Ready(result),
            }
        }
        match self.wait(cx, side) {
            Ok(()) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// Tries `op`, unless it is known that it would block.
    pub(in crate::dataplane) fn attempt<T>(&self, side: Side, op: impl FnOnce(&F) -> io::Result<T>) -> io::Result<T> {
        // Nothing is known of what nobody watches.
        if self.place.get().is_some() && !self.is_worth_it(side) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let result = op(&self.fd);
        if result.as_ref().is_err_and(would_block) {
            self.blocks(side);
        }
        result
    }

    /// It gave or took less than it was asked for: there is no more.
    pub(in crate::dataplane) fn is_exhausted(&self, side: Side) {
        let flags = self.flags();
        if flags.get() & HUNG_UP == 0 {
            flags.set(flags.get() & !side.flag());
        }
    }

    #[cfg(test)]
    pub(super) fn is_watched(&self) -> bool {
        self.place.get().is_some()
    }

    fn flags(&self) -> &Cell<u8> {
        self.place.get().map_or(&self.flags, |place| &place.source.flags)
    }

    fn is_worth_it(&self, side: Side) -> bool {
        self.flags().get() & side.flag() != 0
    }

    fn blocks(&self, side: Side) {
        let flags = self.flags();
        flags.set(flags.get() & !side.flag());
    }

    fn wait(&self, cx: &Context<'_>, side: Side) -> io::Result<()> {
        const READ: EpollFlags = EpollFlags::EPOLLIN.union(EpollFlags::EPOLLRDHUP).union(EpollFlags::EPOLLET);
        let wanted = match side {
            Side::Read => READ,
            Side::Write => READ.union(EpollFlags::EPOLLOUT),
        };
        let place = match self.place.get() {
            Some(place) => place,
            None => {
                let driver = executor::driver();
                let source = driver.watch(self.fd.as_fd(), self.flags.get(), wanted)?;
                self.place.get_or_init(|| Place { driver, source })
            }
        };
        let source = &place.source;
        if !source.interest.get().contains(wanted) {
            place.driver.watch_for(self.fd.as_fd(), source, wanted)?;
            source.interest.set(wanted);
        }
        let mut waiter = source.waiter(side).borrow_mut();
        if !waiter.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waiter = Some(cx.waker().clone());
        }
        Ok(())
    }
}

fn would_block(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}
