//! One request and its response on one backend connection: both directions at once, bytes held only where the other
//! side is slow.
//!
//! ```text
//! client ── Requests ──> Sender ──> backend
//! client <── Receiver <── Responses ── backend
//! ```
//!
//! A response may come before the request is complete; then the client is told that its connection will be closed, and
//! what it still sends is forwarded for as long as the response lasts, and on if the backend means to go on with its
//! connection: it may well be reading. A response that cannot be completed is never made to look complete.

use super::{
    client::Client,
    engine::{BadResponse, Refusal, Reply, Responses},
    forward::Job,
    receiver::{Answer, Failure, Receiver, Stage},
    sender::{Sender, Sending},
    sticky,
};
use crate::dataplane::{
    io::{Transport, poll_read_some_with, poll_read_with},
    log::note,
    reactor::now,
    splicing::Conduit,
    upstream::Upstream,
};
use std::{
    future::poll_fn,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

/// Bytes that are read at once until the head of the response is there: most responses fit.
const FIRST_READ: usize = 8 * 1024;
/// What is left of a body when it is worth a pipe.
const LARGE_BODY: usize = 16 * 1024;

/// How it ended. `answered`: the head of a response has gone out to the client, so no other one can.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The client has the whole response. The backend's connection may be reusable.
    Complete { reusable: bool },
    /// Both sides have changed the protocol.
    Switched,
    /// The backend has closed before the first byte of a response; `sent`: it has got some of the request.
    NoResponse { sent: bool },
    /// Nothing of it has gone to the client.
    BadResponse(BadResponse),
    /// No response within the time that the pool allows.
    BackendLate,
    /// The rest of a response that has begun will not come.
    Truncated,
    /// It has closed, or takes nothing any more.
    ClientGone,
    /// It has sent or taken nothing for too long.
    ClientLate { answered: bool },
    /// The framing of the request's body is broken.
    BadBody { answered: bool, refusal: Refusal },
}

/// An exchange under way.
pub(super) struct Exchange<'a, S, B> {
    client: &'a mut Client<S>,
    backend: &'a mut B,
    job: &'a Job,
    upstream: &'a Rc<Upstream>,
    sender: Sender<'a>,
    receiver: Receiver,
    /// What of the response's body passes unseen.
    conduit: Conduit,
    waiting: Waiting,
}

/// Whose turn it is: whose timeout counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waiting {
    Client,
    Backend,
    /// The client has its response, and still sends its request.
    Rest,
}

/// For so long the rest of a request that has been answered may pause.
const PAUSE: Duration = Duration::from_secs(2);

impl<'a, S: Transport, B: Transport> Exchange<'a, S, B> {
    pub(super) fn new(client: &'a mut Client<S>, backend: &'a mut B, job: &'a Job, upstream: &'a Rc<Upstream>) -> Self {
        let sender = Sender::new(job, !client.requests.between_requests());
        let receiver = Receiver::new(Responses::new(job.asked));
        Self {
            client,
            backend,
            job,
            upstream,
            sender,
            receiver,
            conduit: Conduit::default(),
            waiting: Waiting::Backend,
        }
    }

    /// Drives it to its end.
    pub(super) async fn run(&mut self) -> Outcome {
        let mut last = None;
        poll_fn(|cx| {
            let outcome = self.poll(cx);
            if self.receiver.stage >= Stage::Body {
                note(&mut self.client.entry, |entry| entry.is_answered());
            }
            let moved = self.count();
            if outcome.is_ready() {
                return outcome;
            }
            let last = match last {
                Some(last) if moved == 0 => last,
                _ => *last.insert(now()),
            };
            let limit = match self.waiting {
                Waiting::Client => self.client.timeouts.idle,
                Waiting::Backend => self.job.view.timeouts().response,
                Waiting::Rest => PAUSE,
            };
            ready!(self.client.alarm.poll(cx, last + limit));
            Poll::Ready(self.late())
        })
        .await
    }

    /// Whether the client was told that its connection goes on, and can go on.
    pub(super) fn keeps_client(&self) -> bool {
        self.receiver.keep_alive
    }

    /// Of the response that the client has got.
    pub(super) fn status(&self) -> u16 {
        self.receiver.status
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        let is_answered = self.waiting == Waiting::Rest;
        self.waiting = Waiting::Backend;
        if let Poll::Ready(Err(outcome)) = self.poll_send(cx) {
            return Poll::Ready(if is_answered { Outcome::Complete { reusable: false } } else { outcome });
        }
        let outcome = ready!(self.poll_receive(cx));
        let is_under_way = match self.sender.state {
            Sending::Body => true,
            // All of it has come, and some has not gone out.
            Sending::Done => is_answered && !self.sender.is_done(),
            Sending::Broken => false,
        };
        let is_read_on = self.receiver.reusable && is_under_way;
        if !is_read_on || !matches!(outcome, Outcome::Complete { .. }) {
            return Poll::Ready(outcome);
        }
        // Some wait for the end of the stream, although it has been announced.
        if !is_answered && ready!(Pin::new(&mut self.client.stream).poll_shutdown(cx)).is_err() {
            return Poll::Ready(outcome);
        }
        self.waiting = Waiting::Rest;
        Poll::Pending
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Outcome>> {
        let Self { client, backend, sender, receiver, .. } = self;
        let answered = receiver.stage >= Stage::Body;
        loop {
            ready!(sender.poll_flush(cx, *backend));
            if sender.state != Sending::Body {
                return Poll::Ready(Ok(()));
            }
            if !client.input.is_empty() {
                let input = std::mem::take(&mut client.input);
                match sender.feed(cx, &mut client.requests, *backend, &input) {
                    Ok(taken) => {
                        note(&mut client.entry, |entry| entry.bytes_in += taken as u64);
                        client.input.extend_from_slice(&input[taken..]);
                    }
                    Err(refusal) => return Poll::Ready(Err(Outcome::BadBody { answered, refusal })),
                }
                continue;
            }
            let (requests, rest, entry) = (&mut client.requests, &mut client.input, &mut client.entry);
            let feed = |cx: &mut Context<'_>, data: &[u8]| {
                sender.read += data.len() as u64;
                let taken = sender.feed(cx, requests, *backend, data)?;
                note(entry, |entry| entry.bytes_in += taken as u64);
                rest.extend_from_slice(&data[taken..]);
                Ok(data.is_empty())
            };
            let Poll::Ready(read) = poll_read_with(cx, &mut client.stream, feed) else {
                self.waiting = Waiting::Client;
                return Poll::Pending;
            };
            match read {
                Ok(Ok(false)) => {}
                Ok(Err(refusal)) => return Poll::Ready(Err(Outcome::BadBody { answered, refusal })),
                Ok(Ok(true)) | Err(_) => return Poll::Ready(Err(Outcome::ClientGone)),
            }
        }
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        loop {
            let Client { stream, output, .. } = &mut *self.client;
            let flushed = match output.poll_flush(cx, stream) {
                Poll::Ready(Ok(())) => self.conduit.poll_drain(cx, stream, &mut output.total),
                unfinished => unfinished,
            };
            match flushed {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(Outcome::ClientGone),
                Poll::Pending => {
                    self.waiting = Waiting::Client;
                    return Poll::Pending;
                }
            }
            match self.receiver.stage {
                Stage::Complete => {
                    let reusable = self.receiver.reusable && self.sender.is_done();
                    return Poll::Ready(Outcome::Complete { reusable });
                }
                Stage::Switched => return Poll::Ready(Outcome::Switched),
                Stage::Nothing | Stage::Head | Stage::Body => {}
            }
            if let Some(passed) = self.poll_pass(cx) {
                match ready!(passed) {
                    Ok(1..) => continue,
                    Ok(0) | Err(_) => return Poll::Ready(self.failed(Failure::Closed)),
                }
            }
            let Self { client, backend, job, upstream, sender, receiver, .. } = self;
            let Client { stream, output, counted, listening, worker, .. } = &mut **client;
            // If the body is large, the less of it comes with the head the better.
            let most = if receiver.stage < Stage::Body { FIRST_READ } else { usize::MAX };
            let read = poll_read_some_with(cx, *backend, most, |cx, data| {
                receiver.read += data.len() as u64;
                let goes_on = sender.state == Sending::Done && !listening.is_closed() && !worker.wants_rid();
                let answer = Answer { reply: reply(job, upstream, goes_on), upstream, client: counted.shard() };
                receiver.absorb(cx, data, output, stream, &answer)
            });
            match ready!(read) {
                Ok(Ok(())) => {}
                Ok(Err(failure)) => return Poll::Ready(self.failed(failure)),
                Err(_) => return Poll::Ready(self.failed(Failure::Closed)),
            }
        }
    }

    /// Takes some of a large body past this process. `None`: there is none, or no way past.
    fn poll_pass(&mut self, cx: &mut Context<'_>) -> Option<Poll<io::Result<usize>>> {
        let left = usize::try_from(self.receiver.left()).unwrap_or(usize::MAX);
        if left < LARGE_BODY || self.client.stream.socket().is_none() {
            return None;
        }
        let filled = self.conduit.poll_fill(cx, self.backend, left);
        if let Some(Poll::Ready(Ok(count))) = &filled {
            self.receiver.pass(*count as u64);
        }
        filled
    }

    fn failed(&self, failure: Failure) -> Outcome {
        match (self.receiver.stage, failure) {
            (Stage::Nothing, Failure::Closed) => Outcome::NoResponse { sent: self.sender.ever_sent },
            (Stage::Nothing | Stage::Head, Failure::Bad(bad)) => Outcome::BadResponse(bad),
            (Stage::Head, Failure::Closed) => {
                Outcome::BadResponse(BadResponse("the connection was closed within the head"))
            }
            (Stage::Body | Stage::Complete | Stage::Switched, _) => Outcome::Truncated,
            (_, Failure::ClientGone) => Outcome::ClientGone,
        }
    }

    fn late(&self) -> Outcome {
        let answered = self.receiver.stage >= Stage::Body;
        match self.waiting {
            Waiting::Client => Outcome::ClientLate { answered },
            Waiting::Rest => Outcome::Complete { reusable: false },
            Waiting::Backend if answered => Outcome::Truncated,
            Waiting::Backend => Outcome::BackendLate,
        }
    }

    /// Adds what has moved since the last time to the counters, and says how much it was.
    fn count(&mut self) -> u64 {
        let take = std::mem::take::<u64>;
        let (from_client, to_backend) = (take(&mut self.sender.read), take(&mut self.sender.output.total));
        let (from_backend, to_client) = (take(&mut self.receiver.read), take(&mut self.client.output.total));
        let (client, backend) = (self.client.counted.shard(), self.upstream.counters());
        client.bytes_in.add(from_client);
        client.bytes_out.add(to_client);
        note(&mut self.client.entry, |entry| entry.bytes_out += to_client);
        backend.bytes_in.add(to_backend);
        backend.bytes_out.add(from_backend);
        self.sender.ever_sent |= to_backend > 0;
        from_client + to_backend + from_backend + to_client
    }
}

/// How the client is answered; `goes_on`: nothing here speaks against another request on its connection.
fn reply<'a>(job: &'a Job, upstream: &'a Rc<Upstream>, goes_on: bool) -> Reply<'a> {
    let is_kept = job.preferred.as_ref().is_some_and(|preferred| Rc::ptr_eq(preferred, upstream));
    Reply {
        version: job.version,
        keep_alive: job.keep_alive && goes_on,
        keep: sticky::keep(&job.view, upstream, is_kept),
        rules: job.rules.as_deref(),
    }
}
