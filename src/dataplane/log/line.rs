//! What a line tells, before it is text.

use std::{
    net::SocketAddr,
    time::{Duration, SystemTime},
};

/// One HTTP request or TCP connection that has come to its end.
#[derive(Debug, Clone)]
pub(super) struct Line<'a> {
    pub(super) client: SocketAddr,
    /// When the first byte of the request came, or the connection was accepted.
    pub(super) date: SystemTime,
    /// The Vip and the port.
    pub(super) listener: &'a str,
    /// What was listened on.
    pub(super) address: SocketAddr,
    /// `None`: answered here.
    pub(super) pool: Option<&'a str>,
    /// `None`: no backend was found.
    pub(super) backend: Option<&'a str>,
    pub(super) timers: Timers,
    /// `None` for TCP.
    pub(super) http: Option<Http<'a>>,
    /// From the client. For HTTP, of the request's body.
    pub(super) bytes_in: u64,
    /// To the client.
    pub(super) bytes_out: u64,
    /// How it ended, in HAProxy's letters: who or what ended it, and in which state it was then.
    pub(super) end: [u8; 2],
    pub(super) connections: Connections,
    /// Times that it was tried again.
    pub(super) retries: u32,
    /// The last time elsewhere.
    pub(super) redispatched: bool,
    /// Those that waited for a backend of the pool when this one came.
    pub(super) queued: u64,
}

/// `None`: it did not come so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Timers {
    /// From the first byte of the request's head to the last. HTTP only.
    pub(super) request: Option<Duration>,
    /// Then, until a backend had a place for it.
    pub(super) queue: Option<Duration>,
    /// Then, until there was a connection.
    pub(super) connect: Option<Duration>,
    /// Then, until the head of the response was there. HTTP only.
    pub(super) response: Option<Duration>,
    /// All of it.
    pub(super) total: Duration,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Http<'a> {
    /// `None`: it could not be understood.
    pub(super) request: Option<&'a Asked>,
    /// `None`: no response went to the client.
    pub(super) status: Option<u16>,
}

/// A request as it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::dataplane) struct Asked {
    pub(in crate::dataplane) method: String,
    pub(in crate::dataplane) target: String,
    /// `1.0` or `1.1`.
    pub(in crate::dataplane) version: &'static str,
    pub(in crate::dataplane) host: Option<String>,
    pub(in crate::dataplane) user_agent: Option<String>,
}

/// Open at the end, in HAProxy's order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Connections {
    /// Of clients, of this process.
    pub(super) process: u64,
    /// Of clients, of the listener.
    pub(super) listener: u64,
    /// Exchanges of the pool's backends.
    pub(super) pool: u64,
    /// Exchanges of the backend.
    pub(super) backend: u64,
}
