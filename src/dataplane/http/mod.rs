//! HTTP listeners: requests are read one after the other, routed ([`route`]), forwarded ([`forward`], [`exchange`]) or
//! answered here ([`page`]). What is HTTP about it is decided in [`engine`], which does no IO; this is the shell that
//! moves the bytes.

mod client;
pub mod engine;
mod exchange;
mod forward;
mod page;
mod receiver;
pub(in crate::dataplane) mod route;
mod sender;

use super::{
    accept::Accepted,
    io::Transport,
    tcp::{Relay, count},
};
use client::{Client, Step};
use forward::Next;

/// Serves one connection to its end.
pub(super) async fn serve<S: Transport>(accepted: Accepted<S>) {
    let mut client = Client::new(accepted);
    loop {
        let next = match client.next_request().await {
            Step::Answer { page, head_only, keep_alive } => client.answer(&page, head_only, keep_alive).await,
            Step::Forward(job) => forward::forward(&mut client, *job).await,
            Step::Over => return,
        };
        client.end_exchange();
        match next {
            Next::KeepAlive => {}
            Next::Close => return client.linger().await,
            Next::Drop => return,
            Next::Reset => return client.stream.reset_on_close(),
            Next::Tunnel(mut backend, busy) => {
                let _working = client.worker.working();
                let mut relay = Relay::new(std::mem::take(&mut client.input), std::mem::take(&mut client.output));
                let count = |forth, back| count(client.counted.shard(), busy.counters(), forth, back);
                let result = relay.run(&mut client.stream, &mut backend, client.timeouts.tunnel, None, count).await;
                if result.is_err() {
                    client.stream.reset_on_close();
                    backend.reset_on_close();
                }
                return;
            }
        }
    }
}
