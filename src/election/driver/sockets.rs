//! One UDP socket per heartbeat path, bound to this node's own address there, never to a VIP. With `IP_FREEBIND` it
//! can be bound before the address is up. What cannot be bound is tried again, ever more slowly.

use super::RECEIVE_BUFFER;
use crate::model::Problem;
use socket2::{Domain, Socket, Type};
use std::{
    future::poll_fn,
    io,
    net::SocketAddr,
    task::Poll,
    time::{Duration, Instant},
};
use tokio::net::UdpSocket;

/// Room for some thousand heartbeats while the loop is kept from running.
const KERNEL_BUFFER: usize = 1024 * 1024;
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(30);

#[derive(Default)]
pub(super) struct Sockets {
    paths: Vec<PathSocket>,
    buffer: Vec<u8>,
}

struct PathSocket {
    local: SocketAddr,
    socket: Option<UdpSocket>,
    bind_error: Option<io::Error>,
    retry_at: Instant,
    pause: Duration,
    /// The last heartbeat could not be sent: to whom and why.
    send_error: Option<(SocketAddr, io::Error)>,
}

impl Sockets {
    /// Changes the set of paths; a path whose address stays keeps its socket.
    pub(super) fn want(&mut self, now: Instant, locals: &[SocketAddr]) {
        self.buffer.resize(RECEIVE_BUFFER, 0);
        let same = |(path, local): (&PathSocket, &SocketAddr)| path.local == *local;
        let kept = self.paths.iter().zip(locals).take_while(|pair| same(*pair)).count();
        self.paths.truncate(kept);
        self.paths.extend(locals[kept..].iter().map(|local| PathSocket::new(now, *local)));
        self.bind(now);
    }

    /// Binds what is not bound and due.
    pub(super) fn bind(&mut self, now: Instant) {
        self.paths
            .iter_mut()
            .filter(|path| path.socket.is_none() && now >= path.retry_at)
            .for_each(|path| path.bind(now));
    }

    /// Waits until one of the sockets has something.
    pub(super) async fn readable(&self) {
        poll_fn(|cx| {
            let ready = |socket: &UdpSocket| socket.poll_recv_ready(cx).is_ready();
            // Every socket is polled, so that every one of them wakes this task.
            match self.paths.iter().filter_map(|path| path.socket.as_ref()).map(ready).fold(false, |a, b| a | b) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }

    /// Hands over at most `limit` datagrams of each socket, with path and source.
    pub(super) fn receive(&mut self, limit: usize, mut take: impl FnMut(usize, SocketAddr, io::Result<&[u8]>)) {
        for (index, path) in self.paths.iter().enumerate() {
            let Some(socket) = &path.socket else { continue };
            for _ in 0..limit {
                match socket.try_recv_from(&mut self.buffer) {
                    Ok((len, source)) => take(index, source, Ok(&self.buffer[..len])),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => take(index, path.local, Err(error)),
                }
            }
        }
    }

    /// Sends one datagram. One that cannot be sent is lost, as one that is lost on the way.
    pub(super) fn send(&mut self, path: usize, remote: SocketAddr, bytes: &[u8]) {
        let Some(path) = self.paths.get_mut(path) else { return };
        let Some(socket) = &path.socket else { return };
        match socket.try_send_to(bytes, remote) {
            Ok(_) => path.send_error = None,
            Err(error) => path.send_error = Some((remote, error)),
        }
    }

    pub(super) fn problems(&self) -> impl Iterator<Item = Problem> {
        let bind = self.paths.iter().filter_map(|path| {
            let error = path.bind_error.as_ref()?;
            let message = format!(
                "cannot listen for heartbeats on {}: {error}; this path is down, trying again (is the port in use?)",
                path.local
            );
            Some(Problem::error("HeartbeatAddress", message))
        });
        let send = self.paths.iter().filter_map(|path| {
            let (remote, error) = path.send_error.as_ref()?;
            let message = format!("cannot send heartbeats from {} to {remote}: {error}", path.local);
            Some(Problem::warning("HeartbeatNotSent", message))
        });
        bind.chain(send)
    }
}

impl PathSocket {
    fn new(now: Instant, local: SocketAddr) -> Self {
        Self { local, socket: None, bind_error: None, retry_at: now, pause: FIRST_RETRY, send_error: None }
    }

    fn bind(&mut self, now: Instant) {
        match open(self.local) {
            Ok(socket) => {
                self.socket = Some(socket);
                self.bind_error = None;
                self.pause = FIRST_RETRY;
            }
            Err(error) => {
                self.bind_error = Some(error);
                self.retry_at = now + self.pause;
                self.pause = (self.pause * 2).min(LAST_RETRY);
            }
        }
    }
}

/// Without `SO_REUSEADDR`: on UDP it would let another program take the heartbeats in silence, and a restart does not
/// need it.
fn open(local: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(local), Type::DGRAM, None)?;
    socket.set_nonblocking(true)?;
    match local {
        SocketAddr::V4(_) => socket.set_freebind_v4(true)?,
        SocketAddr::V6(_) => {
            socket.set_only_v6(true)?;
            socket.set_freebind_v6(true)?;
        }
    }
    // More is better, but no reason not to start.
    let _ = socket.set_recv_buffer_size(KERNEL_BUFFER);
    socket.bind(&local.into())?;
    UdpSocket::from_std(socket.into())
}
