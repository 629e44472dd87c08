//! What runs a worker's tasks: one thread, one epoll set, nothing that another thread would have to wait for.
//!
//! A runtime for any program pays for what most programs need: wake-ups from every thread, lists of those who wait for a
//! socket, timers by the million. A worker needs less. Its tasks never leave its thread ([`executor`]), a socket has at
//! most one reader and one writer ([`watched`]), deadlines are many but seldom met ([`timers`], [`sleep`]). What tasks
//! share with other threads – channels, notifications – wakes them from there ([`remote`]).
//!
//! Three habits save system calls. A socket is asked first and watched only if it has nothing: a connection that is
//! accepted, read, answered and closed is never in the epoll set. It is watched once, edge-triggered, and leaves with its
//! descriptor. And the clock is read once per turn, when the kernel has told what is ready: [`now`].
//!
//! A turn is: run tasks until none is ready or [`executor::TURN`] have run, ask the kernel what is ready (and wait, if no
//! task is), see which deadlines have passed. A task that always finds its sockets ready gives way to others after
//! [`watched::SPELL`] reads and writes. A task that panics ends, alone.

mod driver;
mod executor;
mod remote;
mod sleep;
mod tcp;
#[cfg(test)]
mod tests;
mod timers;
mod watched;

pub(super) use executor::{Reactor, spawn_local};
pub(super) use sleep::{Sleep, sleep, sleep_until, timeout, timeout_at};
pub(super) use tcp::{TcpListener, TcpStream};
pub(super) use watched::{Side, Watched};

use std::cell::Cell;
use tokio::time::Instant;

thread_local! {
    /// Of the turn, on a thread with a reactor.
    static NOW: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// The time at which this turn began, which is a moment ago: for timeouts and ages, not for measuring. Elsewhere than on a
/// reactor's thread the time itself.
pub(super) fn now() -> Instant {
    NOW.get().unwrap_or_else(Instant::now)
}

/// Runs a test that needs a reactor.
#[cfg(test)]
pub(super) fn run<T>(test: impl Future<Output = T>) -> T {
    Reactor::new().unwrap().block_on(test)
}

/// Connects with nothing out of the ordinary.
#[cfg(test)]
pub(super) async fn connect(to: std::net::SocketAddr) -> std::io::Result<TcpStream> {
    TcpStream::connect(crate::kernel::connect::socket(to, &crate::model::Connecting::default())?, to).await
}
