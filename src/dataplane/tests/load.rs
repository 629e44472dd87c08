//! Clients that never rest, and what they are served by.

use super::harness::*;
use crate::model::{Backend, PoolTraffic, Serving, TrafficSnapshot};
use std::{
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
};

const GET: &str = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";

impl Setup {
    pub(super) fn serving(mut self, change: impl FnOnce(&mut Serving)) -> Self {
        change(&mut self.pool.serving);
        self
    }

    /// Each backend of the pool.
    pub(super) fn backends(mut self, change: impl FnMut(&mut Backend)) -> Self {
        self.pool.backends.iter_mut().for_each(change);
        self
    }
}

/// Of the only pool.
pub(super) fn queue(traffic: &TrafficSnapshot) -> PoolTraffic {
    traffic.pools[&name("pool")]
}

/// Clients that ask without a pause and count what goes wrong.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    good: Arc<AtomicUsize>,
    clients: Vec<thread::JoinHandle<Vec<String>>>,
}

impl Load {
    pub(super) fn start(address: SocketAddr) -> Self {
        let (stop, good) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let client = |kept: bool| {
            let (stop, good) = (stop.clone(), good.clone());
            thread::spawn(move || ask_on(address, kept, &stop, &good))
        };
        let clients = vec![client(true), client(true), client(false), client(false)];
        Self { stop, good, clients }
    }

    pub(super) fn good(&self) -> usize {
        self.good.load(SeqCst)
    }

    /// Waits until some more requests have been answered.
    pub(super) fn goes_on(&self) {
        let before = self.good();
        eventually("the load goes on", || self.good() > before + 40);
    }

    /// Every request so far was answered with 200.
    pub(super) fn end(self) {
        self.stop.store(true, SeqCst);
        for client in self.clients {
            assert_eq!(client.join().unwrap(), Vec::<String>::new());
        }
    }
}

fn ask_on(address: SocketAddr, kept: bool, stop: &AtomicBool, good: &AtomicUsize) -> Vec<String> {
    let mut failures = Vec::new();
    let mut kept_wire: Option<Wire> = None;
    while !stop.load(SeqCst) && failures.is_empty() {
        let mut wire = kept_wire.take().unwrap_or_else(|| Wire::new(TcpStream::connect(address).unwrap()));
        wire.send(GET);
        match wire.try_message(false) {
            Ok(response) if response.status() == 200 => {
                good.fetch_add(1, SeqCst);
                kept_wire = Some(wire).filter(|_| kept && response.field("connection") != Some("close"));
            }
            other => failures.push(format!("{other:?}")),
        }
    }
    failures
}
