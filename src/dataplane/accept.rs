//! Takes connections out of one listening socket's queue.

use super::{
    config::Listening,
    http, introduced,
    quiet::Exchanging,
    reactor::{TcpListener, TcpStream, sleep, spawn_local},
    tcp,
    worker::{OpenConnection, Worker, Working},
};
use crate::model::Protocol;
use std::{io, net::SocketAddr, rc::Rc, sync::Arc, time::Duration};
use tokio::sync::oneshot;

/// After an accept that failed for want of descriptors or memory: the connection stays in the queue, and trying again
/// at once would only spin.
const BACK_OFF: Duration = Duration::from_millis(50);

/// Until the other end of `closed` is dropped; then the queue is emptied and the socket closed.
pub(super) async fn run(
    listener: TcpListener,
    listening: Arc<Listening>,
    worker: Rc<Worker>,
    mut closed: oneshot::Receiver<()>,
) {
    loop {
        let accept = async {
            worker.room().await;
            listener.accept().await
        };
        tokio::select! {
            _ = &mut closed => break,
            accepted = accept => match accepted {
                Ok((stream, client)) => start(stream, client, &listening, &worker),
                Err(error) if is_the_clients_doing(&error) => {}
                Err(error) => {
                    worker.shared.accept_failures.add(1);
                    tracing::debug!(address = %listening.address, %error, "cannot accept");
                    sleep(BACK_OFF).await;
                }
            },
        }
    }
    empty(&listener, &listening, &worker);
}

/// Starts what is still in the queue.
fn empty(listener: &TcpListener, listening: &Arc<Listening>, worker: &Rc<Worker>) {
    while worker.has_room() {
        match listener.try_accept() {
            Ok((stream, client)) => start(stream, client, listening, worker),
            Err(error) if is_the_clients_doing(&error) => {}
            Err(_) => return,
        }
    }
}

fn start(stream: TcpStream, client: SocketAddr, listening: &Arc<Listening>, worker: &Rc<Worker>) {
    let service = listening.service.load();
    let accepted = Accepted {
        stream,
        client,
        listening: listening.clone(),
        exchanging: Exchanging::begun(service.in_flight.clone(), worker.index),
        open: worker.connection(),
        working: worker.working(),
        worker: worker.clone(),
        early: Vec::new(),
    };
    match service.listener.proxy_from.is_empty() {
        true => serve(accepted, service.protocol),
        false => spawn_local(introduced::serve(accepted)),
    }
}

/// Serves a connection in a task of its own.
pub(super) fn serve(accepted: Accepted<TcpStream>, protocol: Protocol) {
    match protocol {
        Protocol::Http => spawn_local(http::serve(accepted)),
        Protocol::Tcp => spawn_local(tcp::serve(accepted)),
    }
}

/// A connection that was accepted, and where.
pub(super) struct Accepted<S> {
    pub(super) stream: S,
    pub(super) client: SocketAddr,
    pub(super) listening: Arc<Listening>,
    pub(super) exchanging: Exchanging,
    pub(super) open: OpenConnection,
    pub(super) working: Working,
    pub(super) worker: Rc<Worker>,
    /// What the client has said already.
    pub(super) early: Vec<u8>,
}

/// The connection went away while it waited.
fn is_the_clients_doing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}
