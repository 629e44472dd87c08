//! Bulk in one direction of a relay: spliced from socket to socket, once it has shown itself to be bulk.
//!
//! What is small is cheaper to copy, and most connections never move much. A direction is bulk once [`RUN`] reads in a row
//! have given [`MUCH`], and until something gives no more than [`LITTLE`]. A pipe is its own only while there is something in it; the worker keeps a few empty ones. Where none can
//! be had, or a stream is none of the kernel's (TLS), bytes are copied.

use super::{
    io::Transport,
    reactor::{Side, TcpStream},
};
use crate::kernel::splice::Pipe;
use std::{
    cell::{Cell, RefCell},
    io,
    task::{Context, Poll},
};

/// Large reads that make bulk.
const RUN: u8 = 4;
/// Bytes of a large read.
const MUCH: usize = 32 * 1024;
/// Bytes. What comes in such pieces is copied again.
const LITTLE: usize = 16 * 1024;
/// Pipes that a worker keeps while nobody needs them.
const SPARE: usize = 16;
/// Pipes that a worker has at most: two descriptors each, which clients may need.
const MOST: usize = 256;

thread_local! {
    static EMPTY: RefCell<Vec<Pipe>> = const { RefCell::new(Vec::new()) };
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

/// What one direction has shown, and what is on its way in it.
#[derive(Default)]
pub(super) struct Splicing {
    /// Large reads in a row.
    large: u8,
    pipe: Option<Borrowed>,
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
        if self.large < RUN && self.pipe.is_none() {
            return None;
        }
        let (from, to) = (from.socket()?, to.socket()?);
        loop {
            if let Err(unfinished) = self.drain(cx, to, moved) {
                return Some(unfinished);
            }
            if self.large < RUN {
                return None;
            }
            let Some(mut pipe) = Borrowed::take() else {
                self.large = 0;
                return None;
            };
            match from.poll_with(cx, Side::Read, |socket| pipe.get().fill(socket)) {
                Poll::Ready(Ok(0)) => return Some(Poll::Ready(Ok(()))),
                Poll::Ready(Ok(count)) => {
                    if count <= LITTLE {
                        self.large = 0;
                    }
                    self.pipe = Some(pipe);
                }
                Poll::Ready(Err(error)) => return Some(Poll::Ready(Err(error))),
                Poll::Pending => return Some(Poll::Pending),
            }
        }
    }

    /// Ok: the pipe is empty and given back.
    fn drain(&mut self, cx: &mut Context<'_>, to: &TcpStream, moved: &mut u64) -> Result<(), Poll<io::Result<()>>> {
        while let Some(pipe) = self.pipe.as_mut().map(Borrowed::get).filter(|pipe| pipe.held() > 0) {
            match to.poll_with(cx, Side::Write, |socket| pipe.drain(socket)) {
                Poll::Ready(Ok(0)) => return Err(Poll::Ready(Err(io::ErrorKind::WriteZero.into()))),
                Poll::Ready(Ok(count)) => *moved += count as u64,
                Poll::Ready(Err(error)) => return Err(Poll::Ready(Err(error))),
                Poll::Pending => return Err(Poll::Pending),
            }
        }
        self.pipe = None;
        Ok(())
    }
}

/// A pipe of this worker, which gets it back if it is empty.
struct Borrowed(Option<Pipe>);

impl Borrowed {
    /// `None`: there are as many as there may be, or no descriptor is left.
    fn take() -> Option<Self> {
        let made = || {
            let pipe = (COUNT.get() < MOST).then(Pipe::new)?.ok()?;
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
