//! The tries of one request or connection: the first where the algorithm says (or a cookie), the next ones elsewhere.
//!
//! The first retry goes to another backend already. Going back to the one that has just refused would only help if it
//! were about to come back, and HAProxy's second of waiting for that is a second of the client's time. Only when every
//! backend has been tried it begins from the front, after a pause: 100 ms, twice as long each time, at most a second. A
//! server that restarts is bridged by that in most cases, and nobody waits long for one that is gone.

use super::{BusyUpstream, Caller, ConnectError, NoSeat, Upstream, View, queue::Queue};
use crate::dataplane::{io::poll_read_with, worker::Worker};
use std::{
    future::{Future, poll_fn},
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
    /// The next backend to try, if there is one that takes somebody new at once. `preferred` is the one that a cookie
    /// names.
    pub(in crate::dataplane) fn at_once(
        &mut self,
        view: &View,
        client: Caller,
        preferred: Option<&Rc<Upstream>>,
    ) -> Option<BusyUpstream> {
        if self.made > 0 && self.made > view.serving().retries {
            return None;
        }
        let busy = view.seat(client, preferred.filter(|_| self.is_first()), &self.tried).ok()?;
        self.made += 1;
        if let Some(failed) = self.tried.last() {
            failed.counters().redispatches.add(1);
        }
        Some(busy)
    }

    /// The next backend to try after all, when [`Tries::at_once`] had none; `left` resolves when the client leaves. Few
    /// come here: keep the future on the heap, so that the others do not carry the room for it.
    pub(in crate::dataplane) async fn next(
        &mut self,
        worker: &Worker,
        view: &View,
        client: Caller,
        preferred: Option<&Rc<Upstream>>,
        left: impl Future<Output = ()>,
    ) -> Result<BusyUpstream, NoPlace> {
        if self.made > view.serving().retries {
            return Err(NoPlace::Nobody);
        }
        self.made += 1;
        let preferred = preferred.filter(|_| self.is_first());
        let mut seat = view.seat(client, preferred, &self.tried);
        if matches!(seat, Err(NoSeat::Nobody)) && self.refused {
            let pause = (FIRST_PAUSE * (1 << self.pauses.min(8))).min(LONGEST_PAUSE);
            tokio::time::sleep(pause).await;
            self.pauses += 1;
            self.tried.clear();
            // Meanwhile the pool may have been edited, and for the better.
            seat = worker.pool(&view.pool).view().seat(client, None, &[]);
        }
        let place = match seat {
            Ok(busy) => Ok(busy),
            Err(NoSeat::Nobody) => Err(NoPlace::Nobody),
            Err(NoSeat::Full(_)) => wait(worker, view, client, preferred, &self.tried, left).await,
        };
        if let (Ok(_), Some(failed)) = (&place, self.tried.last()) {
            failed.counters().redispatches.add(1);
        }
        place
    }

    fn is_first(&self) -> bool {
        self.tried.is_empty() && self.pauses == 0
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
    client: Caller,
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

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use tokio::io::AsyncWriteExt;

    #[tokio::test]
    async fn what_a_client_says_while_it_waits_is_kept_up_to_a_limit() {
        let (mut near, mut far) = tokio::io::duplex(8 * MUCH);
        let mut held = b"before ".to_vec();
        far.write_all(b"hello").await.unwrap();
        assert!(leaves(&mut near, &mut held, false).now_or_never().is_none());
        assert_eq!(held, b"before hello");
        far.write_all(&vec![b'x'; 6 * MUCH]).await.unwrap();
        assert!(leaves(&mut near, &mut held, false).now_or_never().is_none());
        let kept = held.len();
        assert!((MUCH..6 * MUCH).contains(&kept), "{kept}");
        drop(far);
        assert!(leaves(&mut near, &mut held, false).now_or_never().is_none(), "it is not listened to any more");
        assert_eq!(held.len(), kept);
    }

    #[tokio::test]
    async fn a_client_that_closes_has_left_unless_it_may_half_close() {
        for (said, may_half_close, left) in
            [("", false, true), ("", true, true), ("hello", false, true), ("hello", true, false)]
        {
            let (mut near, mut far) = tokio::io::duplex(64);
            far.write_all(said.as_bytes()).await.unwrap();
            far.shutdown().await.unwrap();
            let mut held = Vec::new();
            let has_left = leaves(&mut near, &mut held, may_half_close).now_or_never().is_some();
            assert_eq!((has_left, held.as_slice()), (left, said.as_bytes()), "{said:?} {may_half_close}");
        }
    }
}
