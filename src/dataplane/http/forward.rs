//! One request and the backends it may be tried on.
//!
//! A request is sent a second time only if the first one cannot have been processed – there was no connection, or no
//! byte went out on it – or if processing it twice is meant to be like once (idempotent, RFC 9110 section 9.2.2) and not
//! a byte of a response has come. Nothing of the body may have been read, for it is not kept.
//!
//! How often and where is the pool's business ([`Tries`]). One case is apart: a kept connection that has died is no sign
//! of anything but its age, so the same backend gets the request again on a new one, whatever else was tried.

use super::{
    client::Client,
    engine::{Asked, Framing, HeaderRules, Version},
    exchange::{Exchange, Outcome},
    page::Page,
};
use crate::dataplane::{
    buffers::Buffer,
    io::Transport,
    log::{End, Entry, note},
    reactor::TcpStream,
    upstream::{BusyUpstream, Caller, ConnectError, Ends, NoPlace, Tries, Upstream, View, leaves},
};
use std::{rc::Rc, sync::Arc};

/// A request that is to be forwarded.
pub(super) struct Job {
    /// As the backend gets it.
    pub(super) head: Buffer,
    pub(super) asked: Asked,
    /// Of the client.
    pub(super) version: Version,
    /// The client would go on with its connection.
    pub(super) keep_alive: bool,
    /// Of the body, as it arrives and as it is forwarded.
    pub(super) framing: Framing,
    /// It is idempotent, and the head is all of it.
    pub(super) repeatable: bool,
    pub(super) caller: Caller,
    /// The backend where the client is kept.
    pub(super) preferred: Option<Rc<Upstream>>,
    /// What is done to the fields of its response.
    pub(super) rules: Option<Arc<HeaderRules>>,
    pub(super) view: Rc<View>,
}

impl Job {
    /// The client sends nothing after it, not even a body.
    fn is_last(&self) -> bool {
        !self.keep_alive && self.framing.is_bodiless()
    }
}

/// What becomes of the client's connection.
pub(super) enum Next {
    /// It waits for the next request.
    KeepAlive,
    /// It is closed, with care for what was sent last.
    Close,
    /// It is gone, or may be closed as it is.
    Drop,
    /// It is closed so that the client sees a failure.
    Reset,
    /// It is not HTTP any more.
    Tunnel(TcpStream, BusyUpstream),
}

/// Forwards a request and brings its response back.
pub(super) async fn forward<S: Transport>(client: &mut Client<S>, job: Box<Job>) -> Next {
    let mut attempts = Attempts::default();
    let mut page = Page::new(503, "No server is available.");
    let mut end = End::NO_CONNECTION;
    note(&mut client.entry, |entry| entry.asks(&job.view));
    loop {
        let place = match attempts.at_once(&job) {
            Some(place) => Ok(place),
            None => Box::pin(attempts.next(&job, client)).await,
        };
        let (busy, afresh) = match place {
            Ok(place) => place,
            Err(NoPlace::Nobody) => break,
            Err(NoPlace::ClientGone) => {
                note(&mut client.entry, |entry| entry.end = End::LEFT_QUEUE);
                return Next::Drop;
            }
            Err(why) => {
                page = Page::new(503, "The servers are busy.");
                end = End::no_place(&why);
                break;
            }
        };
        note(&mut client.entry, |entry| entry.is_seated(&job.view, &busy));
        let (mut stream, reused) = match attempts.connection(&busy, afresh, &job, client).await {
            Ok(connection) => connection,
            Err(error) => {
                end = if error.status == 504 { End::CONNECTION_LATE } else { End::NO_CONNECTION };
                page = error;
                continue;
            }
        };
        busy.counters().requests.add(1);
        note(&mut client.entry, |entry| entry.is_connected());
        let mut exchange = Exchange::new(client, &mut stream, &job, &busy);
        let outcome = exchange.run().await;
        let (keep_alive, status) = (exchange.keeps_client(), exchange.status());
        note(&mut client.entry, |entry| entry.status = (status > 0).then_some(status));
        match outcome {
            Outcome::Complete { reusable } => {
                job.view.answered(&busy, status);
                if reusable {
                    busy.put_idle(stream);
                }
                return match keep_alive {
                    true => Next::KeepAlive,
                    // It has said that it will send no more: nothing can meet the close on its way.
                    false if job.is_last() && client.has_said_no_more() => Next::Drop,
                    false => Next::Close,
                };
            }
            Outcome::Switched => {
                note(&mut client.entry, |entry| entry.status = Some(101));
                job.view.went_well(&busy);
                return Next::Tunnel(stream, busy);
            }
            Outcome::NoResponse { sent } if !sent || job.repeatable && !attempts.suspect => {
                attempts.go_on(busy, reused, sent, &job);
            }
            other => {
                stream.reset_on_close();
                return fail(client, other, &job, &busy).await;
            }
        }
        page = Page::new(502, "The server closed the connection without an answer.");
        end = End::NO_RESPONSE;
    }
    note(&mut client.entry, |entry| entry.end = end);
    let keep_alive = (job.keep_alive && client.requests.between_requests()).then_some(job.version);
    client.answer(&page, job.asked.head_only, keep_alive).await
}

/// Which connection is tried next.
#[derive(Default)]
struct Attempts {
    tries: Tries,
    /// A kept connection to this backend has died: the same again, on a new one. The place there is kept.
    afresh: Option<BusyUpstream>,
    /// A new connection has died of the request. It may be the request: one more backend gets it, and no other.
    suspect: bool,
}

impl Attempts {
    /// A backend, and whether it must be a new connection.
    fn at_once(&mut self, job: &Job) -> Option<(BusyUpstream, bool)> {
        if let Some(same) = self.afresh.take() {
            return Some((same, true));
        }
        Some((self.tries.at_once(&job.view, job.caller, job.preferred.as_ref())?, false))
    }

    /// The same when none is to be had at once.
    async fn next<S: Transport>(&mut self, job: &Job, client: &mut Client<S>) -> Result<(BusyUpstream, bool), NoPlace> {
        let Client { stream, input, worker, counted, .. } = client;
        let before = input.len();
        let left = leaves(stream, input, false);
        let place = self.tries.next(worker, &job.view, job.caller, job.preferred.as_ref(), left).await;
        counted.shard().bytes_in.add((input.len() - before) as u64);
        Ok((place?, false))
    }

    /// A connection, and whether it has been used before.
    async fn connection<S>(
        &mut self,
        upstream: &Rc<Upstream>,
        afresh: bool,
        job: &Job,
        client: &Client<S>,
    ) -> Result<(TcpStream, bool), Page> {
        if !afresh && let Some(stream) = upstream.take_idle(!job.repeatable) {
            return Ok((stream, true));
        }
        let ends = Ends { client: client.address, here: client.listening.address };
        // On the heap: a connection that idles should not carry the room for connecting.
        Box::pin(upstream.connect(job.view.timeouts().connect, ends)).await.map(|stream| (stream, false)).map_err(
            |error| {
                self.tries.unreachable(&job.view, upstream, &error);
                match error {
                    ConnectError::Timeout => Page::new(504, "The server could not be reached in time."),
                    ConnectError::Failed(error) => {
                        tracing::debug!(backend = %upstream.name, %error, "cannot connect");
                        Page::new(502, "The server could not be reached.")
                    }
                }
            },
        )
    }

    /// After a connection that brought no byte of a response.
    fn go_on(&mut self, busy: BusyUpstream, reused: bool, sent: bool, job: &Job) {
        self.suspect |= sent && !reused;
        if reused {
            busy.counters().retries.add(1);
            self.afresh = Some(busy);
        } else {
            busy.counters().failures.add(1);
            self.tries.useless(&job.view, &busy);
        }
    }
}

/// Tells the log.
fn tell(entry: &mut Entry, outcome: &Outcome) {
    entry.end = match outcome {
        Outcome::ClientGone => return entry.is_left(),
        Outcome::ClientLate { answered: true } => End::CLIENT_LATE,
        Outcome::ClientLate { answered: false } => End::CLIENT_LATE_WAITING,
        Outcome::BadBody { answered: true, .. } => End::BAD_BODY,
        Outcome::BadBody { answered: false, .. } => End::REFUSED,
        Outcome::Truncated => End::TRUNCATED,
        Outcome::BadResponse(_) => End::BAD_RESPONSE,
        Outcome::BackendLate => End::RESPONSE_LATE,
        Outcome::NoResponse { .. } | Outcome::Complete { .. } | Outcome::Switched => End::NO_RESPONSE,
    };
}

/// Tells the client as much as it can still be told.
async fn fail<S: Transport>(client: &mut Client<S>, outcome: Outcome, job: &Job, upstream: &Upstream) -> Next {
    let failed = || {
        upstream.counters().failures.add(1);
        job.view.went_wrong(upstream);
    };
    note(&mut client.entry, |entry| tell(entry, &outcome));
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
            failed();
            return Next::Reset;
        }
        Outcome::BadResponse(bad) => {
            failed();
            tracing::debug!(backend = %upstream.name, %bad, "bad response");
            Page::new(502, "The server's answer makes no sense.")
        }
        Outcome::BackendLate => {
            failed();
            Page::new(504, "The server did not answer in time.")
        }
        Outcome::NoResponse { .. } | Outcome::Complete { .. } | Outcome::Switched => {
            failed();
            Page::new(502, "The server closed the connection without an answer.")
        }
    };
    let keep_alive = (job.keep_alive && client.requests.between_requests()).then_some(job.version);
    client.answer(&page, job.asked.head_only, keep_alive).await
}
