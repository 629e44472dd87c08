//! The tries of one request or connection: the first where the algorithm says (or a cookie), the next ones elsewhere.
//!
//! The first retry goes to another backend already. Going back to the one that has just refused would only help if it
//! were about to come back, and HAProxy's second of waiting for that is a second of the client's time. Only when every
//! backend has been tried it begins from the front, after a pause: 100 ms, twice as long each time, at most a second. A
//! server that restarts is bridged by that in most cases, and nobody waits long for one that is gone.

use super::{BusyUpstream, ConnectError, NoSeat, Upstream, View, queue::Queue};
use crate::dataplane::{io::poll_read_with, worker::Worker};
use std::{
    future::{Future, poll_fn},
    net::IpAddr,
    pin::pin,
    rc::Rc,
    task::{Poll, ready},
    time::Duration,
};
use tokio::{io::AsyncRead, time::Instant};

/// Before the backends are tried a second time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// So much of what a client says while it waits is kept; then it is not listened to any more.
const MUCH: usize = 16 * 1024;

/// Why there is no backend to try.
pub(in crate::dataplane) enum NoPlace {
    /// None is left, or it was tried often enough.
    Nobody,
    /// Too many wait for one.
    QueueFull,
    /// It has waited for one for too long.
    QueueTimeout,
    /// The client did not wait.
    ClientGone,
}

/// What one request or connection has tried.
#[derive(Default)]
pub(in crate::dataplane) struct Tries {
    tried: Vec<Rc<Upstream>>,
    made: u16,
    pauses: u32,
    /// The last one could not be reached, and that at once.
    refused: bool,
}

impl Tries {
    /// The next backend to try. `preferred` is the one that a cookie names; `left` resolves when the client leaves.
    pub(in crate::dataplane) async fn next(
        &mut self,
        worker: &Worker,
        view: &View,
        client: IpAddr,
        preferred: Option<&Rc<Upstream>>,
        left: impl Future<Output = ()>,
    ) -> Result<BusyUpstream, NoPlace> {
        if self.made > view.serving().retries {
            return Err(NoPlace::Nobody);
        }
        self.made += 1;
        let preferred = preferred.filter(|_| self.tried.is_empty() && self.pauses == 0);
        let mut seat = view.seat(client, preferred, &self.tried);
        if matches!(seat, Err(NoSeat::Nobody)) && self.refused {
            let pause = (FIRST_PAUSE * (1 << self.pauses.min(8))).min(LONGEST_PAUSE);
            // On the heap: few come here, and the others should not carry the room for it.
            Box::pin(tokio::time::sleep(pause)).await;
            self.pauses += 1;
            self.tried.clear();
            seat = view.seat(client, None, &[]);
        }
        let place = match seat {
            Ok(busy) => Ok(busy),
            Err(NoSeat::Nobody) => Err(NoPlace::Nobody),
            // On the heap for the same reason.
            Err(NoSeat::Full(_)) => Box::pin(wait(worker, view, client, preferred, &self.tried, left)).await,
        };
        if let (Ok(_), Some(failed)) = (&place, self.tried.last()) {
            failed.counters().redispatches.add(1);
        }
        place
    }

    /// There was no connection to be had.
    pub(in crate::dataplane) fn unreachable(&mut self, view: &View, upstream: &Rc<Upstream>, error: &ConnectError) {
        if !error.is_ours() {
            view.went_wrong(upstream);
        }
        self.refused = matches!(error, ConnectError::Failed(_));
        self.tried.push(upstream.clone());
    }

    /// It was reached, and that did not help.
    pub(in crate::dataplane) fn useless(&mut self, view: &View, upstream: &Rc<Upstream>) {
        view.went_wrong(upstream);
        self.refused = false;
        self.tried.push(upstream.clone());
    }
}

/// Waits for a place at a backend, in the queue of the pool. A client whose cookie names a backend waits for that one,
/// and is given another only if the queue is full (HAProxy's way).
async fn wait(
    worker: &Worker,
    view: &View,
    client: IpAddr,
    mut preferred: Option<&Rc<Upstream>>,
    tried: &[Rc<Upstream>],
    left: impl Future<Output = ()>,
) -> Result<BusyUpstream, NoPlace> {
    let pool = &view.pool;
    let local = worker.pool(pool);
    let mut left = pin!(left);
    let mut deadline = pin!(tokio::time::sleep_until(Instant::now() + view.serving().queue.timeout));
    let mut ticket = None;
    loop {
        let view = local.view();
        preferred = preferred.filter(|preferred| preferred.up.get());
        let wants = match view.seat(client, preferred, tried) {
            Ok(busy) => return Ok(busy),
            Err(NoSeat::Nobody) => return Err(NoPlace::Nobody),
            Err(NoSeat::Full(wants)) => wants,
        };
        let Ok(mut waiting) = Queue::join(pool, wants, ticket) else {
            // Nothing is free that anybody in line could use, but there may be something that nobody there wants.
            if preferred.take().is_some() {
                continue;
            }
            pool.queue.refused.add(1);
            return Err(NoPlace::QueueFull);
        };
        ticket = Some(waiting.ticket);
        tokio::select! {
            biased;
            called = &mut waiting.called => {
                // Otherwise the pool was edited, or the backend has just gone: back to the same place in the line.
                if let Some(busy) = called.ok().and_then(|place| local.view().occupy(place)) {
                    return Ok(busy);
                }
            }
            () = &mut left => return Err(NoPlace::ClientGone),
            () = &mut deadline => {
                pool.queue.timeouts.add(1);
                return Err(NoPlace::QueueTimeout);
            }
        }
    }
}

/// Resolves when the client has left: by an error, or by closing its side, unless it `may_half_close` after it has said
/// something. What it says meanwhile is kept in `held`.
pub(in crate::dataplane) async fn leaves<S: AsyncRead + Unpin>(
    stream: &mut S,
    held: &mut Vec<u8>,
    may_half_close: bool,
) {
    let mut over = false;
    poll_fn(|cx| {
        while held.len() < MUCH && !over {
            match ready!(poll_read_with(cx, stream, |_, data| {
                held.extend_from_slice(data);
                data.len()
            })) {
                Ok(0) if may_half_close && !held.is_empty() => over = true,
                Ok(0) | Err(_) => return Poll::Ready(()),
                Ok(_) => {}
            }
        }
        Poll::Pending
    })
    .await
}
