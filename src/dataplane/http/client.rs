//! A client's connection between exchanges: waiting for a request, deciding what becomes of it, answering it here.

use super::{
    decide::{Place, Step},
    engine::{RequestEvent, Requests, Version},
    forward::Next,
    origin::way,
    page::Page,
};
use crate::{
    dataplane::{
        accept::Accepted,
        config::{Listening, Service},
        io::{Alarm, Output, Transport, poll_read_with, with_scratch},
        log::{End, Entry, note},
        quiet::Exchanging,
        reactor::now,
        tcp::{Counted, YOUTH},
        worker::{OpenConnection, Worker, Working},
    },
    model::ListenerTimeouts,
};
use std::{
    future::poll_fn,
    io,
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{io::ReadBuf, time::Instant};

/// After the last response on a connection: so long and so much is still read, lest the kernel answer what the client
/// is sending with a reset that destroys the response on its way.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 4 * 1024 * 1024;

/// One client's connection.
pub(super) struct Client<S> {
    pub(super) stream: S,
    pub(super) address: SocketAddr,
    pub(super) listening: Arc<Listening>,
    pub(super) worker: Rc<Worker>,
    pub(super) counted: Counted,
    /// Read from the client, and not yet understood.
    pub(super) input: Vec<u8>,
    pub(super) output: Output,
    pub(super) requests: Requests,
    pub(super) alarm: Alarm,
    /// Of the last request; the first one's are those at the accept.
    pub(super) timeouts: ListenerTimeouts,
    pub(super) exchanging: Exchanging,
    pub(super) working: Option<Working>,
    /// A request has come on it.
    pub(super) used: bool,
    pub(super) open: OpenConnection,
    /// Of the exchange under way, where there is a log.
    pub(super) entry: Option<Box<Entry>>,
}

impl<S: Transport> Client<S> {
    pub(super) fn new(accepted: Accepted<S>) -> Self {
        let Accepted { stream, client, listening, exchanging, open, working, worker, early } = accepted;
        let timeouts = listening.service.load().timeouts;
        let counted = Counted::new(&listening, client.ip(), worker.index);
        counted.shard().bytes_in.add(early.len() as u64);
        Self {
            stream,
            address: client,
            counted,
            input: early,
            output: Output::default(),
            requests: Requests::default(),
            alarm: Alarm::new(now() + YOUTH.min(timeouts.request)),
            timeouts,
            exchanging,
            working: Some(working),
            used: false,
            open,
            entry: None,
            listening,
            worker,
        }
    }

    /// Waits for a whole head and decides.
    pub(super) async fn next_request(&mut self) -> Step {
        let begin = now();
        if self.counted.is_too_much() {
            return self.too_much(begin);
        }
        let mut head_began = (!self.input.is_empty()).then_some(begin);
        loop {
            if !self.input.is_empty()
                && let Some(step) = self.step(head_began)
            {
                return step;
            }
            if head_began.is_none() && !self.input.is_empty() {
                head_began = Some(now());
            }
            let deadline = match head_began {
                Some(began) => began + self.timeouts.request,
                None if !self.used => begin + self.timeouts.request,
                None => begin + self.timeouts.keep_alive,
            };
            let idle = head_began.is_none().then_some(begin + YOUTH).filter(|at| *at < deadline);
            match poll_fn(|cx| self.poll_more(cx, idle, deadline)).await {
                Ok(More::Idle) => return Step::Idle(deadline),
                Ok(More::End) => return Step::Over,
                Ok(More::Step(step)) => return step,
                Ok(More::Bytes) => {}
                Err(error) if error.kind() == io::ErrorKind::TimedOut && head_began.is_some() => {
                    let service = self.listening.service.load();
                    self.begin_exchange(&service);
                    self.counted.shard().refused.add(1);
                    self.begin_entry(&service, head_began.unwrap_or(begin), End::LATE_REQUEST);
                    return Step::refuse(Page::new(408, "The request took too long to arrive."));
                }
                Err(_) => return Step::Over,
            }
        }
    }

    /// Sends a page. `keep_alive` is the version of a client that may go on.
    pub(super) async fn answer(&mut self, page: &Page, head_only: bool, keep_alive: Option<Version>) -> Next {
        self.counted.shard().responded(page.status);
        note(&mut self.entry, |entry| entry.is_answered_here(page.status));
        let keep_alive = keep_alive.filter(|_| !self.listening.is_closed() && !self.worker.wants_rid());
        let connection = match keep_alive {
            None => Some("close"),
            Some(Version::Http10) => Some("keep-alive"),
            Some(Version::Http11) => None,
        };
        page.write(&self.listening.service.load().listener, head_only, connection, self.output.buffer());
        let flushed = self.flush().await;
        self.count_output();
        if flushed.is_err() {
            return Next::Drop;
        }
        if keep_alive.is_some() { Next::KeepAlive } else { Next::Close }
    }

    /// Reads on for a moment after the last byte was sent, then closes. Not if others wait for the place and nothing is
    /// known to be on its way.
    pub(super) async fn linger(&mut self) {
        if self.worker.wants_rid() && self.has_said_no_more() {
            return;
        }
        let deadline = now() + LINGER;
        let mut left = LINGER_BYTES;
        if poll_fn(|cx| Pin::new(&mut self.stream).poll_shutdown(cx)).await.is_err() {
            return;
        }
        poll_fn(|cx| {
            loop {
                match poll_read_with(cx, &mut self.stream, |_, data| data.len()) {
                    Poll::Ready(Ok(n)) if n > 0 && n < left => left -= n,
                    Poll::Ready(_) => return Poll::Ready(()),
                    Poll::Pending => return self.alarm.poll(cx, deadline),
                }
            }
        })
        .await;
    }

    /// Of what it has sent nothing is left over.
    pub(super) fn has_said_no_more(&self) -> bool {
        self.input.is_empty() && self.requests.between_requests()
    }

    fn begin_exchange(&mut self, service: &Service) {
        self.counted.shard().requests.add(1);
        self.exchanging.begin(&service.in_flight);
        if self.working.is_none() {
            self.working = Some(self.worker.working());
        }
    }

    pub(super) fn end_exchange(&mut self) {
        self.exchanging.end();
        self.working = None;
    }

    fn count_output(&mut self) {
        let bytes = std::mem::take(&mut self.output.total);
        self.counted.shard().bytes_out.add(bytes);
        note(&mut self.entry, |entry| entry.bytes_out += bytes);
    }

    /// Writes what is held, unless the client takes nothing for too long.
    async fn flush(&mut self) -> io::Result<()> {
        let deadline = now() + self.timeouts.idle;
        poll_fn(|cx| {
            if let Poll::Ready(done) = self.output.poll_flush(cx, &mut self.stream) {
                return Poll::Ready(done);
            }
            ready!(self.alarm.poll(cx, deadline));
            Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
        })
        .await
    }

    /// An exchange of which no request is known.
    fn begin_entry(&mut self, service: &Service, began: Instant, end: End) {
        self.entry = service.log.as_ref().map(|log| Entry::http(log, self.address, began, None));
        note(&mut self.entry, |entry| entry.end = end);
    }

    /// The client has as many connections as it may, without this one.
    fn too_much(&mut self, begin: Instant) -> Step {
        let service = self.listening.service.load();
        self.begin_exchange(&service);
        self.counted.shard().limited.add(1);
        self.begin_entry(&service, begin, End::REFUSED);
        Step::refuse(Page::limited(Duration::ZERO))
    }

    /// Takes a request out of what was read before. `None`: not enough there.
    fn step(&mut self, began: Option<Instant>) -> Option<Step> {
        let mut input = std::mem::take(&mut self.input);
        let (taken, step) = self.take(&input, began);
        if taken < input.len() {
            input.drain(..taken);
            self.input = input;
        }
        step
    }

    /// Takes a request out of `input`, and says how much of it that was. `began`: when it began to come, if that was not
    /// just now.
    fn take(&mut self, input: &[u8], began: Option<Instant>) -> (usize, Option<Step>) {
        // It is for the log alone.
        let began = || began.unwrap_or_else(now);
        let (taken, request) = match self.requests.next(input) {
            Ok((taken, RequestEvent::Head(request))) => (taken, request),
            Ok((taken, _)) => return (taken, None),
            Err(refusal) => {
                let service = self.listening.service.load();
                self.begin_exchange(&service);
                self.counted.shard().refused.add(1);
                self.begin_entry(&service, began(), End::REFUSED);
                return (input.len(), Some(Step::refuse(Page::new(refusal.status, refusal.reason))));
            }
        };
        let service = self.listening.service.load();
        self.begin_exchange(&service);
        self.timeouts = service.timeouts;
        self.used = true;
        let way = way(service.origin.as_ref(), &request, self.address.ip());
        let place = Place { peer: self.address, way, listening: &self.listening, worker: &self.worker };
        self.entry = service.log.as_ref().map(|log| Entry::http(log, place.client(), began(), Some(&request)));
        let step = place.decide(&request, &service);
        if request.is_bodiless() {
            // Its end is known with its head: what follows is the next request.
            let end = self.requests.next(&[]);
            debug_assert!(matches!(end, Ok((0, RequestEvent::End))));
        }
        (taken, Some(step))
    }

    /// Takes what has come from the client. Most often that is one request and nothing else, which is never copied.
    fn absorb(&mut self, data: &[u8]) -> More {
        if data.is_empty() {
            return More::End;
        }
        self.counted.shard().bytes_in.add(data.len() as u64);
        let (taken, step) = if self.input.is_empty() { self.take(data, None) } else { (0, None) };
        self.input.extend_from_slice(&data[taken..]);
        step.map_or(More::Bytes, More::Step)
    }

    /// Reads more input, until a moment from which on the connection is idle, or a deadline.
    fn poll_more(&mut self, cx: &mut Context<'_>, idle: Option<Instant>, deadline: Instant) -> Poll<io::Result<More>> {
        let read = with_scratch(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
            Poll::Ready(Ok(self.absorb(buffer.filled())))
        });
        if read.is_ready() {
            return read;
        }
        ready!(self.alarm.poll(cx, idle.unwrap_or(deadline)));
        Poll::Ready(if idle.is_some() { Ok(More::Idle) } else { Err(io::ErrorKind::TimedOut.into()) })
    }
}

/// What has come from a client.
enum More {
    /// A request, or what is not one.
    Step(Step),
    /// Some of a request.
    Bytes,
    /// Nothing, for a while.
    Idle,
    /// The end of its stream.
    End,
}
