//! A client's connection while nothing is under way on it: what is kept of it is little, for there may be many.

use super::client::Client;
use crate::dataplane::{
    config::Listening,
    io::{Alarm, Output},
    parking::Parked,
    quiet::Exchanging,
    tcp::Counted,
    worker::{OpenConnection, Worker},
};
use std::{net::SocketAddr, rc::Rc, sync::Arc};
use tokio::{net::TcpStream, time::Instant};

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
    /// Of a client that has nothing to say. `None`: the runtime does not let go of it, so it is closed.
    pub(super) fn new(client: Client<TcpStream>, deadline: Instant) -> Option<Self> {
        let Client { stream, address, listening, counted, open, used, .. } = client;
        Some(Self { stream: stream.into_std().ok()?, address, listening, counted, open, used, deadline })
    }

    /// `None`: the kernel has no memory to watch it with, so it is closed.
    fn into_client(self, worker: &Rc<Worker>) -> Option<Client<TcpStream>> {
        let Self { stream, address, listening, counted, open, used, deadline } = self;
        let service = listening.service.load_full();
        Some(Client {
            stream: TcpStream::from_std(stream).ok()?,
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
        })
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
        if let Some(client) = self.into_client(worker) {
            tokio::task::spawn_local(super::go_on(client));
        }
    }
}
