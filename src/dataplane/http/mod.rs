//! HTTP listeners: requests are read one after the other, routed ([`route`]), forwarded ([`forward`], [`exchange`]) or
//! answered here ([`page`]). What is HTTP about it is decided in [`engine`], which does no IO; this is the shell that
//! moves the bytes.

mod client;
mod decide;
pub mod engine;
mod exchange;
mod forward;
mod idle;
pub(in crate::dataplane) mod origin;
mod page;
mod receiver;
pub(in crate::dataplane) mod route;
mod sender;
mod sticky;

use super::{
    accept::Accepted,
    io::Transport,
    log::note,
    reactor::TcpStream,
    tcp::{Relay, count},
    upstream::BusyUpstream,
};
use client::Client;
use decide::Step;
use forward::Next;
pub(in crate::dataplane) use idle::Idle;
pub use origin::origin;
pub use route::location;
pub use sticky::{kept, key};
use tokio::time::Instant;

/// Serves one connection until it is idle or ends.
pub(super) fn serve(accepted: Accepted<TcpStream>) -> impl Future<Output = ()> {
    go_on(Client::new(accepted))
}

async fn go_on(mut client: Client<TcpStream>) {
    let Some(deadline) = exchanges(&mut client).await else { return };
    let worker = client.worker.clone();
    worker.park(Idle::new(client, deadline));
}

/// One exchange after the other. Until when a connection may wait on that is idle now; `None`: it has ended.
async fn exchanges<S: Transport>(client: &mut Client<S>) -> Option<Instant> {
    loop {
        let next = match client.next_request().await {
            Step::Answer(answer) => client.answer(&answer.page, answer.head_only, answer.keep_alive).await,
            Step::Forward(job) => forward::forward(client, job).await,
            Step::Idle(deadline) => return Some(deadline),
            Step::Over => return None,
        };
        client.end_exchange();
        if !matches!(next, Next::Tunnel(..)) {
            client.entry = None;
        }
        match next {
            Next::KeepAlive => continue,
            Next::Close => client.linger().await,
            Next::Drop => {}
            Next::Reset => client.stream.reset_on_close(),
            Next::Tunnel(backend, busy) => Box::pin(tunnel(client, backend, &busy)).await,
        }
        return None;
    }
}

/// After a 101: bytes both ways.
async fn tunnel<S: Transport>(client: &mut Client<S>, mut backend: TcpStream, busy: &BusyUpstream) {
    let _working = client.worker.working();
    let mut relay = Relay::new(std::mem::take(&mut client.input), std::mem::take(&mut client.output));
    let mut moved = (0, 0);
    let count = |forth, back| {
        moved = (moved.0 + forth, moved.1 + back);
        count(client.counted.shard(), busy.counters(), forth, back);
    };
    let result = relay.run(&mut client.stream, &mut backend, client.timeouts, None, count).await;
    note(&mut client.entry, |entry| entry.ends_relay(&result, moved));
    if result.is_err() {
        client.stream.reset_on_close();
        backend.reset_on_close();
    }
}
