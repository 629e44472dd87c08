//! Bulk, spliced from socket to socket: responses' bodies of which it is known how long they are, and relays.
//!
//! What is small is cheaper to copy, and most connections never move much. A direction of a relay is bulk once [`RUN`]
//! reads in a row have given [`MUCH`], and until something gives no more than [`LITTLE`]. A pipe is its own only while
//! there is something in it; the worker keeps a few empty ones. Where none can be had, or a stream is none of the
//! kernel's (TLS), bytes are copied.

use super::{io::Transport, reactor::Side};
use crate::kernel::splice::Pipe;
use std::{
    cell::{Cell, RefCell},
    io,
    task::{Context, Poll, ready},
};

/// Large reads that make bulk.
const RUN: u8 = 4;
/// Bytes of a large read.
const MUCH: usize = 32 * 1024;
/// Bytes. What comes in such pieces is copied again.
const LITTLE: usize = 16 * 1024;
/// Pipes that a worker keeps while nobody needs them.
const SPARE: usize = 16;
/// Pipes that a worker has at most, whatever it may.
const MOST: usize = 256;
/// For so many connections of clients that a worker may have it may have a pipe, which is two descriptors.
pub(super) const CONNECTIONS_PER_PIPE: usize = 32;

thread_local! {
    static EMPTY: RefCell<Vec<Pipe>> = const { RefCell::new(Vec::new()) };
    static COUNT: Cell<usize> = const { Cell::new(0) };
    static LIMIT: Cell<usize> = const { Cell::new(MOST) };
}

/// How many pipes this worker may have, which has at most so many clients.
pub(super) fn limit(connections: usize) {
    LIMIT.set((connections / CONNECTIONS_PER_PIPE).min(MOST));
}

/// One direction of a relay: what it has shown, and what is on its way.
#[derive(Default)]
pub(super) struct Splicing {
    /// Large reads in a row.
    large: u8,
    conduit: Conduit,
}

impl Splicing {
    /// So much was read at once, and copied.
    pub(super) fn has_copied(&mut self, count: usize) {
        self.large = if count >= MUCH { self.large.saturating_add(1) } else { 0 };
    }

    /// Moves what there is, and adds to `moved` what the receiver has got. Ready once the sender has ended and all of it is
    /// gone; `None`: it is to be copied.
    pub(super) fn poll<A: Transport, B: Transport>(
        &mut self,
        cx: &mut Context<'_>,
        (from, to): (&A, &B),
        moved: &mut u64,
    ) -> Option<Poll<io::Result<()>>> {
        loop {
            match self.conduit.poll_drain(cx, to, moved) {
                Poll::Ready(Ok(())) => {}
                unfinished => return Some(unfinished),
            }
            if self.large < RUN {
                return None;
            }
            match self.conduit.poll_fill(cx, from, usize::MAX) {
                Some(Poll::Ready(Ok(0))) => return Some(Poll::Ready(Ok(()))),
                Some(Poll::Ready(Ok(count))) if count > LITTLE => {}
                Some(Poll::Ready(Err(error))) => return Some(Poll::Ready(Err(error))),
                Some(Poll::Pending) => return Some(Poll::Pending),
                Some(Poll::Ready(Ok(_))) | None => self.large = 0,
            }
        }
    }
}

/// From one socket to another, past this process. It has a pipe only while there is something in it.
#[derive(Default)]
pub(super) struct Conduit(Option<Borrowed>);

impl Conduit {
    /// Gives to `to` what is on its way, and adds it to `moved`. Ready when that is all.
    pub(super) fn poll_drain<B: Transport>(
        &mut self,
        cx: &mut Context<'_>,
        to: &B,
        moved: &mut u64,
    ) -> Poll<io::Result<()>> {
        let Some(pipe) = &mut self.0 else { return Poll::Ready(Ok(())) };
        let (pipe, to) = (pipe.get(), to.socket().ok_or(io::ErrorKind::Unsupported)?);
        while pipe.held() > 0 {
            match ready!(to.poll_with(cx, Side::Write, |socket| pipe.drain(socket)))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => *moved += count as u64,
            }
        }
        self.0 = None;
        Poll::Ready(Ok(()))
    }

    /// Takes from `from` at most so much, when nothing is on its way, and says how much; nothing is the end of its stream.
    /// `None`: there is no pipe for it, or `from` is no stream of the kernel's.
    pub(super) fn poll_fill<A: Transport>(
        &mut self,
        cx: &mut Context<'_>,
        from: &A,
        most: usize,
    ) -> Option<Poll<io::Result<usize>>> {
        let (from, mut pipe) = (from.socket()?, Borrowed::take()?);
        let filled = from.poll_with(cx, Side::Read, |socket| pipe.get().fill(socket, most));
        if matches!(filled, Poll::Ready(Ok(1..))) {
            self.0 = Some(pipe);
        }
        Some(filled)
    }
}

/// A pipe of this worker, which gets it back if it is empty.
struct Borrowed(Option<Pipe>);

impl Borrowed {
    /// `None`: there are as many as there may be, or no descriptor is left.
    fn take() -> Option<Self> {
        let made = || {
            let pipe = (COUNT.get() < LIMIT.get()).then(Pipe::new)?.ok()?;
            COUNT.set(COUNT.get() + 1);
            Some(pipe)
        };
        EMPTY.with_borrow_mut(Vec::pop).or_else(made).map(|pipe| Self(Some(pipe)))
    }

    fn get(&mut self) -> &mut Pipe {
        self.0.as_mut().expect("it is there until it is dropped")
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        let empty = self.0.take().filter(|pipe| pipe.held() == 0);
        let rest = EMPTY.with_borrow_mut(|spare| match empty {
            Some(pipe) if spare.len() < SPARE => {
                spare.push(pipe);
                false
            }
            _ => true,
        });
        if rest {
            COUNT.set(COUNT.get() - 1);
        }
    }
}

#[cfg(test)]
mod tests;
