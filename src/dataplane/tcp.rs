//! TCP listeners: each connection gets a backend, and bytes go both ways until both sides have said that they are done.
//!
//! A FIN from one side is passed to the other, and the opposite direction goes on; an error on either side resets both,
//! so that nobody takes a part for the whole.

use super::{
    accept::Accepted,
    config::Listening,
    io::{Alarm, Output, Transport, poll_read_with},
    log::{End, Entry, note},
    quiet::Exchanging,
    reactor::{TcpStream, now},
    sources::{Full, Seat},
    splicing::Splicing,
    traffic::{BackendShard, ListenerShard, Sharded},
    upstream::{BusyUpstream, Ends, Tries, leaves},
    worker::Worker,
};
use crate::model::ListenerTimeouts;
use std::{
    future::poll_fn,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

/// For so long a connection counts as an exchange: a move of the VIP should not meet its first words.
pub(super) const YOUTH: Duration = Duration::from_secs(1);

/// Serves one connection to its end.
pub(super) async fn serve(accepted: Accepted<TcpStream>) {
    let Accepted {
        stream: mut client,
        client: address,
        listening,
        mut exchanging,
        open: _open,
        working: _working,
        worker,
        early: mut held,
    } = accepted;
    let counted = Counted::new(&listening, address.ip(), worker.index);
    let mut entry = listening.service.load().log.as_ref().map(|log| Entry::tcp(log, address));
    if counted.is_too_much() {
        counted.shard().limited.add(1);
        note(&mut entry, |entry| entry.end = End::REFUSED);
        return client.reset_on_close();
    }
    let found = backend(&listening, &mut client, address, &mut held, &worker, &mut entry).await;
    let (mut backend, busy) = match found {
        Ok(connection) => connection,
        Err(end) => {
            note(&mut entry, |entry| entry.end = end);
            return client.reset_on_close();
        }
    };
    let timeouts = listening.service.load().timeouts;
    let mut relay = Relay::new(held, Output::default());
    let mut moved = (0, 0);
    let count = |forth, back| {
        moved = (moved.0 + forth, moved.1 + back);
        count(counted.shard(), busy.counters(), forth, back);
    };
    let result = relay.run(&mut client, &mut backend, timeouts, Some(&mut exchanging), count).await;
    note(&mut entry, |entry| entry.ends_relay(&result, moved));
    if result.is_err() {
        client.reset_on_close();
        backend.reset_on_close();
    }
}

/// A connection to the backend that the algorithm chooses, or to the next one if that fails. What the client says while
/// it waits for its turn goes to `held`.
async fn backend(
    listening: &Listening,
    stream: &mut TcpStream,
    client: SocketAddr,
    held: &mut Vec<u8>,
    worker: &Worker,
    entry: &mut Option<Box<Entry>>,
) -> Result<(TcpStream, BusyUpstream), End> {
    let pool = listening.service.load().routes.fallback().cloned().ok_or(End::NO_CONNECTION)?;
    let view = worker.pool(&pool).view();
    let home = view.home(client.ip());
    let mut tries = Tries::default();
    let ends = Ends { client, here: listening.address };
    note(entry, |entry| entry.asks(&view));
    loop {
        let busy = match tries.at_once(&view, client.ip().into(), home.as_ref()) {
            Some(busy) => busy,
            None => Box::pin(tries.next(worker, &view, client.ip().into(), home.as_ref(), leaves(stream, held, true)))
                .await
                .map_err(|none| End::no_place(&none))?,
        };
        note(entry, |entry| entry.is_seated(&view, &busy));
        // On the heap: a relay should not carry the room for connecting.
        match Box::pin(busy.connect(view.timeouts().connect, ends)).await {
            Ok(stream) => {
                note(entry, |entry| entry.is_connected());
                view.went_well(&busy);
                return Ok((stream, busy));
            }
            Err(error) => tries.unreachable(&view, &busy, &error),
        }
    }
}

/// Counts a client's connection of a listener until it is dropped.
pub(super) struct Counted {
    counters: Arc<Sharded<ListenerShard>>,
    worker: usize,
    /// Where connections per client are limited.
    seat: Option<Box<Result<Seat, Full>>>,
}

impl Counted {
    pub(super) fn new(listening: &Listening, client: IpAddr, worker: usize) -> Self {
        let service = listening.service.load();
        // A proxy that is trusted is as many clients as it speaks for.
        let sources = service.sources.as_ref().filter(|_| !service.origin.as_ref().is_some_and(|o| o.trusts(client)));
        let seat = sources.map(|sources| Box::new(sources.connect(client)));
        let this = Self { counters: service.counters.clone(), worker, seat };
        this.shard().accepted.add(1);
        this.shard().active.add(1);
        this
    }

    /// The client has as many connections as it may, without this one.
    pub(super) fn is_too_much(&self) -> bool {
        self.seat.as_ref().is_some_and(|seat| seat.is_err())
    }

    pub(super) fn shard(&self) -> &ListenerShard {
        self.counters.shard(self.worker)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.shard().active.sub(1);
    }
}

/// Two directions between a client and a backend.
pub(super) struct Relay {
    forth: OneWay,
    back: OneWay,
}

impl Relay {
    /// Each direction begins with what is held for it already.
    pub(super) fn new(to_backend: Vec<u8>, to_client: Output) -> Self {
        Self { forth: OneWay::new(Output::holding(to_backend)), back: OneWay::new(to_client) }
    }

    /// Until both directions have ended, or one has failed, or nothing has moved for as long as `timeouts` allow. A young
    /// connection counts as an exchange.
    pub(super) async fn run<C: Transport, B: Transport>(
        &mut self,
        client: &mut C,
        backend: &mut B,
        timeouts: ListenerTimeouts,
        mut young: Option<&mut Exchanging>,
        mut count: impl FnMut(u64, u64),
    ) -> io::Result<()> {
        let mut last = now();
        let grown_up = last + YOUTH;
        let mut alarm = Alarm::new(grown_up.min(last + timeouts.tunnel));
        poll_fn(|cx| {
            let forth = self.forth.poll(cx, client, backend, self.back.state);
            let back = self.back.poll(cx, backend, client, self.forth.state);
            let take = std::mem::take::<u64>;
            let (to_backend, to_client) = (take(&mut self.forth.held.total), take(&mut self.back.held.total));
            if to_backend + to_client > 0 {
                last = now();
                count(to_backend, to_client);
            }
            let (forth, back) = (forth?, back?);
            if forth.is_ready() && back.is_ready() {
                return Poll::Ready(Ok(()));
            }
            if young.is_some()
                && alarm.poll(cx, grown_up).is_ready()
                && let Some(exchanging) = young.take()
            {
                exchanging.end();
            }
            let timeout = if forth.is_ready() || back.is_ready() { timeouts.half_closed } else { timeouts.tunnel };
            if young.is_none() || last + timeout < grown_up {
                ready!(alarm.poll(cx, last + timeout));
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            Poll::Pending
        })
        .await
    }
}

/// What a relay has moved since the last time: bytes to the backend, bytes to the client.
pub(super) fn count(client: &ListenerShard, backend: &BackendShard, forth: u64, back: u64) {
    client.bytes_in.add(forth);
    backend.bytes_in.add(forth);
    backend.bytes_out.add(back);
    client.bytes_out.add(back);
}

/// One direction. Copies through the worker's scratch buffer, and splices bulk.
struct OneWay {
    held: Output,
    splicing: Splicing,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Flowing,
    /// The source has ended; what is held, and then a FIN, are to follow.
    Ending,
    Ended,
}

impl OneWay {
    fn new(held: Output) -> Self {
        Self { held, splicing: Splicing::default(), state: State::Flowing }
    }

    fn poll<A: Transport, B: Transport>(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut A,
        to: &mut B,
        other: State,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.held.poll_flush(cx, to))?;
            match self.state {
                State::Ended => return Poll::Ready(Ok(())),
                // Both connections are closed next, which says the same.
                State::Ending if other == State::Ended => self.state = State::Ended,
                State::Ending => {
                    ready!(Pin::new(&mut *to).poll_shutdown(cx))?;
                    self.state = State::Ended;
                }
                State::Flowing => {
                    let Self { held, splicing, .. } = self;
                    if let Some(spliced) = splicing.poll(cx, (&*from, &*to), &mut held.total) {
                        ready!(spliced)?;
                        self.state = State::Ending;
                        continue;
                    }
                    let pass = |cx: &mut Context<'_>, data: &[u8]| held.send(cx, to, data).map(|()| data.len());
                    let count = ready!(poll_read_with(cx, from, pass))??;
                    splicing.has_copied(count);
                    if count == 0 {
                        self.state = State::Ending;
                    }
                }
            }
        }
    }
}
