//! Bytes between two streams without a buffer per connection.
//!
//! A worker has one scratch buffer, lent out for the length of one poll; a connection owns memory only for what the
//! other side has not taken yet. Whoever has such bytes reads no more until they are gone: that is the back-pressure.

use super::{
    buffers::Buffer,
    reactor::{Sleep, TcpStream, now, sleep_until},
};
use std::{
    cell::RefCell,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

/// What is read at once, and so about the most that one direction of a connection holds.
const SCRATCH: usize = 64 * 1024;
/// From here on, copying costs more than a system call of its own.
const LARGE: usize = 8 * 1024;

thread_local! {
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH].into_boxed_slice());
}

/// A byte stream of one connection: TCP, and TLS over it.
pub(super) trait Transport: AsyncRead + AsyncWrite + Unpin {
    /// Makes the coming close a reset: the peer must not take what it got for the whole.
    fn reset_on_close(&self);

    /// The socket, if what is on it is the stream itself: then the kernel can pass it on unseen.
    fn socket(&self) -> Option<&TcpStream> {
        None
    }
}

impl Transport for TcpStream {
    fn reset_on_close(&self) {
        // It fails only on a socket that is gone already.
        let _ = self.set_zero_linger();
    }

    fn socket(&self) -> Option<&TcpStream> {
        Some(self)
    }
}

/// Lends out the worker's buffer. Not within itself.
pub(super) fn with_scratch<T>(f: impl FnOnce(&mut [u8]) -> T) -> T {
    BUFFER.with_borrow_mut(|scratch| f(scratch))
}

/// Reads what is there and shows it to `f`; an empty slice is the end of the stream.
pub(super) fn poll_read_with<S: AsyncRead + Unpin, T>(
    cx: &mut Context<'_>,
    stream: &mut S,
    f: impl FnOnce(&mut Context<'_>, &[u8]) -> T,
) -> Poll<io::Result<T>> {
    poll_read_some_with(cx, stream, SCRATCH, f)
}

/// The same for at most so many bytes.
pub(super) fn poll_read_some_with<S: AsyncRead + Unpin, T>(
    cx: &mut Context<'_>,
    stream: &mut S,
    most: usize,
    f: impl FnOnce(&mut Context<'_>, &[u8]) -> T,
) -> Poll<io::Result<T>> {
    with_scratch(|scratch| {
        let mut buffer = ReadBuf::new(&mut scratch[..most.min(SCRATCH)]);
        ready!(Pin::new(stream).poll_read(cx, &mut buffer))?;
        Poll::Ready(Ok(f(cx, buffer.filled())))
    })
}

/// Bytes that a peer has not taken yet.
#[derive(Debug, Default)]
pub(super) struct Output {
    bytes: Buffer,
    sent: usize,
    /// All that the peer ever took.
    pub(super) total: u64,
}

impl Output {
    pub(super) fn holding(bytes: Vec<u8>) -> Self {
        Self { bytes: bytes.into(), sent: 0, total: 0 }
    }

    /// To add to.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        self.bytes.writable()
    }

    /// Nothing is held.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Writes all that is held. When that is done the memory is given back. Mostly nothing is held, and that is seen at once.
    #[inline]
    pub(super) fn poll_flush<S: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut S,
    ) -> Poll<io::Result<()>> {
        if self.bytes.is_empty() { Poll::Ready(Ok(())) } else { self.poll_write_held(cx, to) }
    }

    fn poll_write_held<S: AsyncWrite + Unpin>(&mut self, cx: &mut Context<'_>, to: &mut S) -> Poll<io::Result<()>> {
        while self.sent < self.bytes.len() {
            let n = ready!(Pin::new(&mut *to).poll_write(cx, &self.bytes[self.sent..]))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += n;
            self.total += n as u64;
        }
        self.bytes = Buffer::default();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }

    /// Writes `data` behind what is held. Much of it goes straight to the stream if that takes it.
    pub(super) fn send<S: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut S,
        mut data: &[u8],
    ) -> io::Result<()> {
        while self.bytes.is_empty() && data.len() >= LARGE {
            match Pin::new(&mut *to).poll_write(cx, data)? {
                Poll::Pending | Poll::Ready(0) => break,
                Poll::Ready(n) => {
                    self.total += n as u64;
                    data = &data[n..];
                }
            }
        }
        if !data.is_empty() {
            self.buffer().extend_from_slice(data);
        }
        Ok(())
    }
}

/// A timer that may be asked for another deadline at each poll and seldom touches the list of timers: it goes off early
/// and looks again.
#[derive(Debug)]
pub(super) struct Alarm(Sleep);

impl Alarm {
    pub(super) fn new(first: Instant) -> Self {
        Self(sleep_until(first))
    }

    /// Ready once `deadline` has passed.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        if self.0.deadline() > deadline {
            self.0.reset(deadline);
        }
        loop {
            ready!(Pin::new(&mut self.0).poll(cx));
            if now() >= deadline {
                return Poll::Ready(());
            }
            self.0.reset(deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataplane::reactor;
    use std::{future::poll_fn, time::Duration};

    #[tokio::test]
    async fn what_the_peer_does_not_take_is_held_and_sent_in_order() {
        let (mut near, mut far) = tokio::io::duplex(10_000);
        let sent: Vec<u8> = (0..50_000u32).map(|i| i as u8).collect();
        let mut output = Output::default();
        output.buffer().extend_from_slice(&sent[..100]);
        poll_fn(|cx| {
            output.send(cx, &mut near, &sent[100..]).unwrap();
            Poll::Ready(())
        })
        .await;
        let flush = async {
            poll_fn(|cx| output.poll_flush(cx, &mut near)).await.unwrap();
            drop(near);
        };
        let mut got = Vec::new();
        let (_, read) = tokio::join!(flush, tokio::io::AsyncReadExt::read_to_end(&mut far, &mut got));
        read.unwrap();
        assert!(got == sent);
        assert_eq!((output.total, output.bytes), (50_000, Buffer::default()));
    }

    #[test]
    fn an_alarm_follows_a_deadline_that_moves_both_ways() {
        let start = Instant::now();
        let unit = Duration::from_millis(15);
        reactor::run(async {
            let mut alarm = Alarm::new(start + 10_000 * unit);
            poll_fn(|cx| alarm.poll(cx, start + 2 * unit)).await;
            assert!((2 * unit..5000 * unit).contains(&start.elapsed()), "earlier than it was set for at first");
            poll_fn(|cx| alarm.poll(cx, start + 6 * unit)).await;
            assert!(start.elapsed() >= 6 * unit, "and later again");
        });
    }
}
