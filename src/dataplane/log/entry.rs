//! What is gathered about one exchange while it goes on.

use super::{
    AccessLog,
    line::{Asked, Connections, Http, Line, Timers},
};
use crate::dataplane::{
    http::engine::{Request, Version},
    upstream::{NoPlace, Upstream, View},
};
use std::{io, net::SocketAddr, rc::Rc, sync::Arc, time::SystemTime};
use tokio::time::Instant;

/// Of a method, a target or a field's value, in bytes: a line must not be as long as a client likes.
const LONGEST: usize = 1024;

/// How an exchange ended, in HAProxy's letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::dataplane) struct End(pub(super) [u8; 2]);

impl End {
    /// In order.
    pub(in crate::dataplane) const WELL: Self = Self(*b"--");
    /// Answered by the proxy itself.
    pub(in crate::dataplane) const LOCAL: Self = Self(*b"LR");
    /// Refused by the proxy.
    pub(in crate::dataplane) const REFUSED: Self = Self(*b"PR");
    /// The proxy has refused what came after the response had begun.
    pub(in crate::dataplane) const BAD_BODY: Self = Self(*b"PD");
    /// The head of the request came too late.
    pub(in crate::dataplane) const LATE_REQUEST: Self = Self(*b"cR");
    /// The client has left while it waited for a place, …
    pub(in crate::dataplane) const LEFT_QUEUE: Self = Self(*b"CQ");
    /// … before the response, …
    pub(in crate::dataplane) const LEFT_WAITING: Self = Self(*b"CH");
    /// … or while there was something to come.
    pub(in crate::dataplane) const LEFT: Self = Self(*b"CD");
    /// The client said nothing for too long before the response, …
    pub(in crate::dataplane) const CLIENT_LATE_WAITING: Self = Self(*b"cH");
    /// … or after it had begun.
    pub(in crate::dataplane) const CLIENT_LATE: Self = Self(*b"cD");
    /// Too many wait for a place.
    pub(in crate::dataplane) const QUEUE_FULL: Self = Self(*b"PQ");
    /// No place became free in time.
    pub(in crate::dataplane) const QUEUE_TIMEOUT: Self = Self(*b"sQ");
    /// There was no connection to be had.
    pub(in crate::dataplane) const NO_CONNECTION: Self = Self(*b"SC");
    /// There was none in time.
    pub(in crate::dataplane) const CONNECTION_LATE: Self = Self(*b"sC");
    /// The backend has closed before a response.
    pub(in crate::dataplane) const NO_RESPONSE: Self = Self(*b"SH");
    /// No response came in time.
    pub(in crate::dataplane) const RESPONSE_LATE: Self = Self(*b"sH");
    /// The response made no sense.
    pub(in crate::dataplane) const BAD_RESPONSE: Self = Self(*b"PH");
    /// The response broke off.
    pub(in crate::dataplane) const TRUNCATED: Self = Self(*b"SD");
}

impl End {
    /// For want of a place at a backend.
    pub(in crate::dataplane) fn no_place(why: &NoPlace) -> Self {
        match why {
            NoPlace::Nobody => Self::NO_CONNECTION,
            NoPlace::QueueFull => Self::QUEUE_FULL,
            NoPlace::QueueTimeout => Self::QUEUE_TIMEOUT,
            NoPlace::ClientGone => Self::LEFT_QUEUE,
        }
    }
}

/// Tells `entry`, if there is one.
pub(in crate::dataplane) fn note(entry: &mut Option<Box<Entry>>, what: impl FnOnce(&mut Entry)) {
    if let Some(entry) = entry {
        what(entry);
    }
}

/// One exchange of a listener with a log. Written when it is dropped, so that no way out leaves it unwritten.
pub(in crate::dataplane) struct Entry {
    log: Arc<AccessLog>,
    client: SocketAddr,
    date: SystemTime,
    began: Instant,
    /// HTTP only: the request, and when it had come.
    http: Option<(Option<Asked>, Instant)>,
    queued: u64,
    seated: Option<Instant>,
    connected: Option<Instant>,
    answered: Option<Instant>,
    upstream: Option<(Rc<View>, Option<Rc<Upstream>>)>,
    attempts: u32,
    redispatched: bool,
    pub(in crate::dataplane) status: Option<u16>,
    pub(in crate::dataplane) bytes_in: u64,
    pub(in crate::dataplane) bytes_out: u64,
    pub(in crate::dataplane) end: End,
}

impl Entry {
    /// Of a request whose head has come now, and began to come at `began`. `None`: it is not one.
    pub(in crate::dataplane) fn http(
        log: &Arc<AccessLog>,
        client: SocketAddr,
        began: Instant,
        request: Option<&Request<'_>>,
    ) -> Box<Self> {
        let asked = request.map(|request| Asked {
            method: cut(request.method),
            target: cut(&request.target),
            version: match request.version {
                Version::Http10 => "1.0",
                Version::Http11 => "1.1",
            },
            host: request.host.map(cut),
            user_agent: request.field("user-agent").map(|value| cut(&String::from_utf8_lossy(value))),
        });
        let now = Instant::now();
        let mut entry = Self::new(log, client, began);
        entry.http = Some((asked, now));
        Box::new(entry)
    }

    /// Of a connection that has just come.
    pub(in crate::dataplane) fn tcp(log: &Arc<AccessLog>, client: SocketAddr) -> Box<Self> {
        Box::new(Self::new(log, client, Instant::now()))
    }

    #[expect(clippy::disallowed_methods, reason = "the shell that says when something came")]
    fn new(log: &Arc<AccessLog>, client: SocketAddr, began: Instant) -> Self {
        Self {
            log: log.clone(),
            client,
            date: SystemTime::now() - began.elapsed(),
            began,
            http: None,
            queued: 0,
            seated: None,
            connected: None,
            answered: None,
            upstream: None,
            attempts: 0,
            redispatched: false,
            status: None,
            bytes_in: 0,
            bytes_out: 0,
            end: End::WELL,
        }
    }

    /// It asks for a place at a backend of this pool.
    pub(in crate::dataplane) fn asks(&mut self, view: &Rc<View>) {
        if self.upstream.is_none() {
            self.queued = view.queued();
            self.upstream = Some((view.clone(), None));
        }
    }

    /// It has a place there.
    pub(in crate::dataplane) fn is_seated(&mut self, view: &Rc<View>, upstream: &Rc<Upstream>) {
        self.attempts += 1;
        let before = self.upstream.as_ref().and_then(|(_, upstream)| upstream.as_ref());
        self.redispatched |= before.is_some_and(|before| !Rc::ptr_eq(before, upstream));
        self.upstream = Some((view.clone(), Some(upstream.clone())));
        self.seated.get_or_insert_with(Instant::now);
    }

    /// It has a connection.
    pub(in crate::dataplane) fn is_connected(&mut self) {
        self.connected = Some(Instant::now());
    }

    /// The head of the response is there.
    pub(in crate::dataplane) fn is_answered(&mut self) {
        self.answered.get_or_insert_with(Instant::now);
    }

    /// What the client has got is a page of the proxy's own.
    pub(in crate::dataplane) fn is_answered_here(&mut self, status: u16) {
        self.status = Some(status);
        if self.end == End::WELL {
            self.end = if status == 429 { End::REFUSED } else { End::LOCAL };
        }
    }

    /// The client has gone.
    pub(in crate::dataplane) fn is_left(&mut self) {
        self.end = if self.answered.is_some() { End::LEFT } else { End::LEFT_WAITING };
    }

    /// A relay has come to its end, and has moved so much to the backend and to the client.
    pub(in crate::dataplane) fn ends_relay(&mut self, result: &io::Result<()>, (forth, back): (u64, u64)) {
        self.bytes_in += forth;
        self.bytes_out += back;
        self.end = match result {
            Ok(()) => End::WELL,
            Err(error) if error.kind() == io::ErrorKind::TimedOut => End::CLIENT_LATE,
            Err(_) => End::LEFT,
        };
    }

    fn timers(&self, now: Instant) -> Timers {
        let begun = self.http.as_ref().map_or(self.began, |(_, read)| *read);
        let since = |from: Option<Instant>, to: Option<Instant>| Some(to?.saturating_duration_since(from?));
        Timers {
            request: self.http.as_ref().and_then(|(asked, _)| asked.as_ref()).map(|_| begun - self.began),
            queue: since(Some(begun), self.seated),
            connect: since(self.seated, self.connected),
            response: since(self.connected, self.answered),
            total: now.saturating_duration_since(self.began),
        }
    }

    fn connections(&self) -> Connections {
        let (pool, backend) = match &self.upstream {
            Some((view, upstream)) => (view.active(), upstream.as_ref().map_or(0, |upstream| upstream.active())),
            None => (0, 0),
        };
        Connections {
            process: self.log.workers.iter().map(|worker| worker.connections.get()).sum(),
            listener: self.log.counters.sum(|shard| shard.active.get()),
            pool,
            backend,
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let (pool, backend) = match &self.upstream {
            Some((view, upstream)) => (Some(view.pool_name()), upstream.as_ref().map(|upstream| &*upstream.name)),
            None => (None, None),
        };
        self.log.write(&Line {
            client: self.client,
            date: self.date,
            listener: &self.log.listener,
            address: self.log.address,
            pool,
            backend,
            timers: self.timers(Instant::now()),
            http: self.http.as_ref().map(|(asked, _)| Http { request: asked.as_ref(), status: self.status }),
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            end: self.end.0,
            connections: self.connections(),
            retries: self.attempts.saturating_sub(1),
            redispatched: self.redispatched,
            queued: self.queued,
        });
    }
}

fn cut(text: &str) -> String {
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}
