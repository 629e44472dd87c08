//! One UDP socket per heartbeat path, bound to this node's own address there, never to a VIP, and before the address is
//! up if need be. What cannot be bound is tried again, ever more slowly.

use crate::{
    election::wire::MAX_DATAGRAM,
    kernel::datagram::{Batch, DatagramSocket},
    model::Problem,
};
use futures::future::select_all;
use std::{
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(30);

pub(super) struct Sockets {
    paths: Vec<PathSocket>,
    batch: Batch,
}

struct PathSocket {
    local: SocketAddr,
    socket: Option<DatagramSocket>,
    bind_error: Option<io::Error>,
    retry_at: Instant,
    pause: Duration,
    /// The last heartbeat could not be sent: to whom and why.
    send_error: Option<(SocketAddr, io::Error)>,
}

/// Something that a socket has to tell.
pub(super) enum Arrival<'a> {
    /// From there.
    Datagram(SocketAddr, &'a [u8]),
    /// A heartbeat to there did not arrive.
    Undelivered(SocketAddr, io::Error),
}

impl Default for Sockets {
    fn default() -> Self {
        // A datagram that is longer than any heartbeat must not look like one.
        Self { paths: Vec::new(), batch: Batch::new(MAX_DATAGRAM + 1) }
    }
}

impl Sockets {
    /// Changes the set of paths; an address that stays keeps its socket.
    pub(super) fn want(&mut self, now: Instant, locals: &[SocketAddr]) {
        let mut old = std::mem::take(&mut self.paths);
        for local in locals {
            let kept = old.iter().position(|path| path.local == *local).map(|place| old.swap_remove(place));
            self.paths.push(kept.unwrap_or_else(|| PathSocket::new(now, *local)));
        }
        // What is not wanted any more is closed first: it may be in the way.
        drop(old);
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
    pub(super) async fn ready(&self) {
        let waits: Vec<_> =
            self.paths.iter().filter_map(|path| Some(Box::pin(path.socket.as_ref()?.ready()))).collect();
        if waits.is_empty() {
            return std::future::pending().await;
        }
        select_all(waits).await;
    }

    /// Hands over what has arrived, with its path, but only so much of each socket that a flood keeps nothing waiting.
    pub(super) fn receive(&mut self, batches: usize, mut take: impl FnMut(usize, Arrival<'_>)) {
        for (index, path) in self.paths.iter().enumerate() {
            let Some(socket) = &path.socket else { continue };
            let errors = std::iter::from_fn(|| socket.error()).take(batches);
            errors.for_each(|(remote, error)| take(index, Arrival::Undelivered(remote, error)));
            for _ in 0..batches {
                let more = socket.take(&mut self.batch);
                let datagrams = self.batch.datagrams();
                datagrams.for_each(|(source, bytes)| take(index, Arrival::Datagram(source, bytes)));
                if !more {
                    break;
                }
            }
        }
    }

    /// Sends one datagram. One that cannot be sent is lost, as one that is lost on the way.
    pub(super) fn send(&mut self, index: usize, remote: SocketAddr, bytes: &[u8]) {
        let Some(path) = self.paths.get_mut(index) else { return };
        let Some(socket) = &path.socket else { return };
        path.send_error = socket.send(remote, bytes).err().map(|error| (remote, error));
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
            // Nobody listens there, which is told as the peer's silence.
            let refused = error.kind() == io::ErrorKind::ConnectionRefused;
            let message = format!("cannot send heartbeats from {} to {remote}: {error}", path.local);
            (!refused).then(|| Problem::warning("HeartbeatNotSent", message))
        });
        bind.chain(send)
    }
}

impl PathSocket {
    fn new(now: Instant, local: SocketAddr) -> Self {
        Self { local, socket: None, bind_error: None, retry_at: now, pause: FIRST_RETRY, send_error: None }
    }

    fn bind(&mut self, now: Instant) {
        match DatagramSocket::bind(self.local) {
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
