//! A client's connection while nothing is under way on it: what is kept of it is little, for there may be many.

use super::client::Client;
use crate::dataplane::{
    config::Listening,
    io::{Alarm, Output},
    parking::Parked,
    quiet::Exchanging,
    reactor::{TcpStream, spawn_local},
    tcp::Counted,
    worker::{OpenConnection, Worker},
};
use std::{net::SocketAddr, rc::Rc, sync::Arc};
use tokio::time::Instant;

/// A connection between requests, or before its first.
pub(in crate::dataplane) struct Idle {
    stream: std::net::TcpStream,
    address: SocketAddr,
    listening: Arc<Listening>,
    counted: Counted,
    open: OpenConnection,
    used: bool,
    deadline: Instant,
}

impl Idle {
    /// Of a client that has nothing to say.
    pub(super) fn new(client: Client<TcpStream>, deadline: Instant) -> Self {
        let Client { stream, address, listening, counted, open, used, .. } = client;
        Self { stream: stream.into_std(), address, listening, counted, open, used, deadline }
    }

    fn into_client(self, worker: &Rc<Worker>) -> Client<TcpStream> {
        let Self { stream, address, listening, counted, open, used, deadline } = self;
        let service = listening.service.load_full();
        Client {
            stream: TcpStream::new(stream),
            address,
            worker: worker.clone(),
            counted,
            input: Vec::new(),
            output: Output::default(),
            requests: Default::default(),
            alarm: Alarm::new(deadline),
            timeouts: service.timeouts,
            exchanging: Exchanging::none(service.in_flight.clone(), worker.index),
            working: None,
            used,
            open,
            entry: None,
            listening,
        }
    }
}

impl Parked for Idle {
    fn socket(&self) -> &std::net::TcpStream {
        &self.stream
    }

    fn deadline(&self) -> Instant {
        self.deadline
    }

    fn resume(self, worker: &Rc<Worker>) {
        spawn_local(super::go_on(self.into_client(worker)));
    }
}
