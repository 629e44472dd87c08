//! Connections that a proxy before this one introduces: each begins with a header of the PROXY protocol, and who is named
//! there is the client from then on.
//!
//! All or nothing: where the header is wanted, nobody gets in without it, and nobody but the proxies that the
//! configuration names. Served as they are, others would walk past whatever stands in front; believed, they could be
//! anybody.

use super::{
    accept::{self, Accepted},
    config::Service,
    io::{Transport, poll_read_with},
    proxy_protocol::{Header, LONGEST, parse},
    reactor::{TcpStream, now, timeout_at},
    tcp::YOUTH,
};
use std::{
    future::poll_fn,
    io,
    sync::Arc,
    task::{Poll, ready},
};

/// Reads the header, then serves the connection as any other.
pub(super) async fn serve(mut accepted: Accepted<TcpStream>) {
    let service = accepted.listening.service.load_full();
    match introduction(&mut accepted, &service).await {
        Ok(header) => {
            accepted.early.drain(..header.length);
            if let Some((source, _)) = header.ends {
                accepted.client = source;
            }
            accept::serve(accepted, service.protocol);
        }
        Err(rejected) => reject(&accepted, &service, &rejected),
    }
}

fn reject(accepted: &Accepted<TcpStream>, service: &Service, rejected: &Rejected) {
    let counters = service.counters.shard(accepted.worker.index);
    counters.accepted.add(1);
    if let Rejected::Refused(why) = rejected {
        counters.proxy_refused.add(1);
        tracing::debug!(address = %accepted.listening.address, client = %accepted.client, why, "not introduced");
        accepted.stream.reset_on_close();
    }
}

/// Why a connection is not served.
enum Rejected {
    /// It was closed before it said anything, as by those who only look if somebody listens.
    Gone,
    Refused(String),
}

/// The header, which begins what was read early.
async fn introduction(accepted: &mut Accepted<TcpStream>, service: &Arc<Service>) -> Result<Header, Rejected> {
    let began = now();
    let peer = accepted.client.ip();
    if !service.listener.proxy_from.iter().any(|network| network.contains(peer)) {
        return Err(Rejected::Refused("it comes from elsewhere".to_owned()));
    }
    let deadline = began + service.timeouts.request;
    let grown_up = deadline.min(began + YOUTH);
    let result = match timeout_at(grown_up, read(accepted)).await {
        Ok(result) => result,
        Err(_) => {
            // Long past its first words, a move of the VIP need not wait for it.
            accepted.exchanging.end();
            let late = |_| Rejected::Refused("the header took too long to arrive".to_owned());
            timeout_at(deadline, read(accepted)).await.map_err(late)?
        }
    };
    match result {
        Ok(header) => header.map_err(|bad| Rejected::Refused(bad.to_string())),
        Err(_) if accepted.early.is_empty() => Err(Rejected::Gone),
        Err(error) => Err(Rejected::Refused(error.to_string())),
    }
}

/// Reads until there is a header, or can be none. May be dropped and called again.
async fn read(accepted: &mut Accepted<TcpStream>) -> io::Result<Result<Header, super::proxy_protocol::BadHeader>> {
    poll_fn(|cx| {
        loop {
            match parse(&accepted.early) {
                Ok(None) => debug_assert!(accepted.early.len() < LONGEST, "a longer one is refused"),
                Ok(Some(header)) => return Poll::Ready(Ok(Ok(header))),
                Err(bad) => return Poll::Ready(Ok(Err(bad))),
            }
            let Accepted { stream, early, .. } = &mut *accepted;
            let read = poll_read_with(cx, stream, |_, data| {
                early.extend_from_slice(data);
                data.len()
            });
            if ready!(read)? == 0 {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    })
    .await
}
