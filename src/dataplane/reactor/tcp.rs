//! TCP: sockets that are tried first.

use super::watched::{Side, Watched};
use crate::kernel::stream;
use socket2::{SockRef, Socket};
use std::{
    future::poll_fn,
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr},
    os::fd::{AsFd, BorrowedFd},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection, of which one task may wait to read and one to write. Unless it is told otherwise it is closed in order.
#[derive(Debug)]
pub(in crate::dataplane) struct TcpStream(Watched<std::net::TcpStream>);

impl TcpStream {
    /// Takes a connection that does not block and may have something to say.
    pub(in crate::dataplane) fn new(stream: std::net::TcpStream) -> Self {
        Self(Watched::new(stream))
    }

    /// Connects a socket that does not block. Fails as `connect(2)`.
    pub(in crate::dataplane) async fn connect(socket: Socket, to: SocketAddr) -> io::Result<Self> {
        let (socket, to) = (Watched::silent(std::net::TcpStream::from(socket)), to.into());
        // The first call begins, and the next ones tell how it stands. A peer that is near is there by the second.
        let begun = SockRef::from(socket.get()).connect(&to);
        match begun {
            Err(error) if is_under_way(&error) => {}
            result => return result.map(|()| Self(socket)),
        }
        let goes_on = |socket: &std::net::TcpStream| match SockRef::from(socket).connect(&to) {
            Err(error) if error.raw_os_error() == Some(libc::EISCONN) => Ok(()),
            Err(error) if is_under_way(&error) => Err(io::ErrorKind::WouldBlock.into()),
            result => result,
        };
        poll_fn(|cx| socket.poll(cx, Side::Write, goes_on)).await?;
        Ok(Self(socket))
    }

    /// Reads what is there. [`io::ErrorKind::WouldBlock`]: nothing.
    pub(in crate::dataplane) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.attempt(Side::Read, |mut socket| socket.read(buffer))
    }

    /// Tries something else than reading or writing when that is worth it, and waits if it would block.
    pub(in crate::dataplane) fn poll_with<T>(
        &self,
        cx: &mut Context<'_>,
        side: Side,
        op: impl FnMut(&std::net::TcpStream) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        self.0.poll(cx, side, op)
    }

    /// Sends small pieces at once.
    pub(in crate::dataplane) fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.0.get().set_nodelay(nodelay)
    }

    /// Makes the coming close a reset.
    pub(in crate::dataplane) fn set_zero_linger(&self) -> io::Result<()> {
        SockRef::from(self).set_linger(Some(Duration::ZERO))
    }

    #[cfg(test)]
    pub(super) fn is_watched(&self) -> bool {
        self.0.is_watched()
    }

    /// No reactor's any more; it still does not block.
    pub(in crate::dataplane) fn into_std(self) -> std::net::TcpStream {
        self.0.into_inner()
    }
}

fn is_under_way(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINPROGRESS | libc::EALREADY | libc::EINTR))
}

impl AsFd for TcpStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.get().as_fd()
    }
}

impl AsyncRead for TcpStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let room = buffer.initialize_unfilled();
        let count = ready!(self.0.poll(cx, Side::Read, |mut socket| socket.read(room)))?;
        if (1..room.len()).contains(&count) {
            self.0.is_exhausted(Side::Read);
        }
        buffer.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let count = ready!(self.0.poll(cx, Side::Write, |mut socket| socket.write(data)))?;
        if (1..data.len()).contains(&count) {
            self.0.is_exhausted(Side::Write);
        }
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.0.get().shutdown(Shutdown::Write) {
            // The other side has reset it already.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Poll::Ready(Ok(())),
            result => Poll::Ready(result),
        }
    }
}

/// A listening socket.
#[derive(Debug)]
pub(in crate::dataplane) struct TcpListener(Watched<std::net::TcpListener>);

impl TcpListener {
    /// Takes one that does not block.
    pub(in crate::dataplane) fn new(listener: std::net::TcpListener) -> Self {
        Self(Watched::new(listener))
    }

    /// The next connection, and whose it is. Fails as `accept(2)`, and if it cannot be watched.
    pub(in crate::dataplane) async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        poll_fn(|cx| self.0.poll(cx, Side::Read, stream::accept))
            .await
            .map(|(stream, from)| (TcpStream::new(stream), from))
    }

    /// One that is in the queue. [`io::ErrorKind::WouldBlock`]: none is. Asks the kernel itself, of which this reactor may
    /// not have heard yet.
    pub(in crate::dataplane) fn try_accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        stream::accept(self.0.get()).map(|(stream, from)| (TcpStream::new(stream), from))
    }
}
