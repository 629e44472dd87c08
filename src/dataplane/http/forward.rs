//! One request and the backends it may be tried on.
//!
//! A request is sent a second time only if the first one cannot have been processed – there was no connection, or no
//! byte went out on it – or if processing it twice is meant to be like once (idempotent, RFC 9110 section 9.2.2) and not
//! a byte of a response has come. Nothing of the body may have been read, for it is not kept.

use super::{
    client::Client,
    engine::{Asked, Framing, Version},
    exchange::{Exchange, Outcome},
    page::Page,
};
use crate::dataplane::{
    io::Transport,
    tcp::MAX_TRIES,
    upstream::{BusyUpstream, ConnectError, Upstream, View},
};
use std::rc::Rc;
use tokio::net::TcpStream;

/// A request that is to be forwarded.
pub(super) struct Job {
    /// As the backend gets it.
    pub(super) head: Vec<u8>,
    pub(super) asked: Asked,
    /// Of the client.
    pub(super) version: Version,
    /// The client would go on with its connection.
    pub(super) keep_alive: bool,
    /// Of the body, as it arrives and as it is forwarded.
    pub(super) framing: Framing,
    /// It is idempotent, and the head is all of it.
    pub(super) repeatable: bool,
    /// The backend that its cookie names.
    pub(super) preferred: Option<Rc<Upstream>>,
    pub(super) view: Rc<View>,
}

/// What becomes of the client's connection.
pub(super) enum Next {
    /// It waits for the next request.
    KeepAlive,
    /// It is closed, with care for what was sent last.
    Close,
    /// It is gone.
    Drop,
    /// It is closed so that the client sees a failure.
    Reset,
    /// It is not HTTP any more.
    Tunnel(TcpStream, BusyUpstream),
}

/// Forwards a request and brings its response back.
pub(super) async fn forward<S: Transport>(client: &mut Client<S>, job: Job) -> Next {
    let mut attempts = Attempts::default();
    let mut page = Page::new(503, "No server is available.");
    while let Some(upstream) = attempts.next(&job, client) {
        let busy = upstream.busy();
        let (mut stream, reused) = match attempts.connection(&upstream, &job).await {
            Ok(connection) => connection,
            Err(error) => {
                page = error;
                continue;
            }
        };
        upstream.counters().requests.add(1);
        let mut exchange = Exchange::new(client, &mut stream, &job, &upstream);
        let outcome = exchange.run().await;
        let keep_alive = exchange.keeps_client();
        match outcome {
            Outcome::Complete { reusable } => {
                if reusable {
                    upstream.put_idle(stream);
                }
                return if keep_alive { Next::KeepAlive } else { Next::Close };
            }
            Outcome::Switched => return Next::Tunnel(stream, busy),
            Outcome::NoResponse { sent } if attempts.again(&upstream, reused, sent, &job) => {}
            other => {
                stream.reset_on_close();
                return fail(client, other, &job, &upstream).await;
            }
        }
        page = Page::new(502, "The server closed the connection without an answer.");
    }
    let keep_alive = (job.keep_alive && client.requests.between_requests()).then_some(job.version);
    client.answer(&page, job.asked.head_only, keep_alive).await
}

/// Which connection is tried next.
#[derive(Default)]
struct Attempts {
    tried: Vec<Rc<Upstream>>,
    count: usize,
    /// A kept connection to this backend has died: the same again, on a new one.
    afresh: Option<Rc<Upstream>>,
    /// A new connection has died of the request. It may be the request: one more backend gets it, and no other.
    suspect: bool,
}

impl Attempts {
    fn next<S>(&mut self, job: &Job, client: &Client<S>) -> Option<Rc<Upstream>> {
        self.count += 1;
        if let Some(same) = &self.afresh {
            return Some(same.clone());
        }
        if self.count > MAX_TRIES {
            return None;
        }
        let preferred = job.preferred.as_ref().filter(|_| self.tried.is_empty()).cloned();
        preferred.or_else(|| job.view.pick(client.address.ip(), &self.tried))
    }

    /// A connection, and whether it has been used before.
    async fn connection(&mut self, upstream: &Rc<Upstream>, job: &Job) -> Result<(TcpStream, bool), Page> {
        if self.afresh.take().is_none()
            && let Some(stream) = upstream.take_idle(!job.repeatable)
        {
            return Ok((stream, true));
        }
        upstream.connect(job.view.timeouts().connect).await.map(|stream| (stream, false)).map_err(|error| {
            self.tried.push(upstream.clone());
            match error {
                ConnectError::Timeout => Page::new(504, "The server could not be reached in time."),
                ConnectError::Failed(error) => {
                    tracing::debug!(backend = %upstream.name, %error, "cannot connect");
                    Page::new(502, "The server could not be reached.")
                }
            }
        })
    }

    /// After a connection that brought no byte of a response. False: it must not be tried again.
    fn again(&mut self, upstream: &Rc<Upstream>, reused: bool, sent: bool, job: &Job) -> bool {
        if sent && (!job.repeatable || self.suspect) {
            return false;
        }
        self.suspect |= sent && !reused;
        if reused {
            upstream.counters().retries.add(1);
            self.afresh = Some(upstream.clone());
        } else {
            upstream.counters().failures.add(1);
            self.tried.push(upstream.clone());
        }
        true
    }
}

/// Tells the client as much as it can still be told.
async fn fail<S: Transport>(client: &mut Client<S>, outcome: Outcome, job: &Job, upstream: &Upstream) -> Next {
    let page = match outcome {
        Outcome::ClientGone => return Next::Drop,
        Outcome::ClientLate { answered: true } => return Next::Reset,
        Outcome::ClientLate { answered: false } => {
            client.counted.shard().refused.add(1);
            Page::new(408, "The request took too long to arrive.")
        }
        Outcome::BadBody { answered: true, .. } => return Next::Reset,
        Outcome::BadBody { answered: false, refusal } => {
            client.counted.shard().refused.add(1);
            Page::new(refusal.status, refusal.reason)
        }
        Outcome::Truncated => {
            upstream.counters().failures.add(1);
            return Next::Reset;
        }
        Outcome::BadResponse(bad) => {
            upstream.counters().failures.add(1);
            tracing::debug!(backend = %upstream.name, %bad, "bad response");
            Page::new(502, "The server's answer makes no sense.")
        }
        Outcome::BackendLate => {
            upstream.counters().failures.add(1);
            Page::new(504, "The server did not answer in time.")
        }
        Outcome::NoResponse { .. } | Outcome::Complete { .. } | Outcome::Switched => {
            upstream.counters().failures.add(1);
            Page::new(502, "The server closed the connection without an answer.")
        }
    };
    let keep_alive = (job.keep_alive && client.requests.between_requests()).then_some(job.version);
    client.answer(&page, job.asked.head_only, keep_alive).await
}
