//! A data plane on loopback, backends that do what a test says, and clients that look at every byte.

use crate::{
    dataplane::Dataplane,
    model::{
        Backend, BackendTraffic, Balance, Check, Listener, ListenerConfig, ListenerTimeouts, ListenerTraffic, Name,
        Pool, PoolConfig, PoolTimeouts, Protocol, ProxyConfig, Route, Serving, Sticky, StickyCookie, TrafficSnapshot,
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    num::NonZeroUsize,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

/// No wait in these tests takes longer.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);

pub(super) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// An address where nothing listens.
pub(super) fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// What a data plane is told, ready to be bent.
#[derive(Clone)]
pub(super) struct Setup {
    pub(super) listener: Listener,
    pub(super) pool: Pool,
    pub(super) down: BTreeSet<Name>,
}

impl Setup {
    /// An HTTP listener in front of these backends, `b0`, `b1` …
    pub(super) fn http(backends: &[SocketAddr]) -> Self {
        let backend = |(i, address): (usize, &SocketAddr)| Backend::new(name(&format!("b{i}")), *address);
        let pool = Pool {
            name: name("pool"),
            balance: Balance::RoundRobin,
            sticky: None,
            check: Check::default(),
            backends: backends.iter().enumerate().map(backend).collect(),
            timeouts: PoolTimeouts::default(),
            serving: Serving::default(),
        };
        let listener = Listener::new(1, Protocol::Http, Some(name("pool")));
        Self { listener, pool, down: BTreeSet::new() }
    }

    pub(super) fn tcp(backends: &[SocketAddr]) -> Self {
        let mut setup = Self::http(backends);
        setup.listener.protocol = Protocol::Tcp;
        setup
    }

    pub(super) fn sticky(mut self) -> Self {
        self.pool.sticky = Some(Sticky::Cookie(StickyCookie::named("LB")));
        self
    }

    pub(super) fn routes(mut self, routes: Vec<Route>) -> Self {
        self.listener.routes = routes;
        self
    }

    /// Of the client's side.
    pub(super) fn client_timeouts(mut self, change: impl FnOnce(&mut ListenerTimeouts)) -> Self {
        change(&mut self.listener.timeouts);
        self
    }

    /// Of the backends' side.
    pub(super) fn pool_timeouts(mut self, change: impl FnOnce(&mut PoolTimeouts)) -> Self {
        change(&mut self.pool.timeouts);
        self
    }

    pub(super) fn config(&self, addresses: &[SocketAddr]) -> Arc<ProxyConfig> {
        let listener = ListenerConfig { vip: name("vip"), listener: Arc::new(self.listener.clone()) };
        let pool = PoolConfig { pool: Arc::new(self.pool.clone()), down: self.down.clone() };
        Arc::new(ProxyConfig {
            listeners: addresses.iter().map(|a| (*a, listener.clone())).collect(),
            pools: BTreeMap::from([(name("pool"), pool)]),
        })
    }

    /// A data plane that runs like this, with two workers.
    pub(super) fn run(&self) -> Lab {
        self.run_with(Dataplane::start(NonZeroUsize::new(2).unwrap()).unwrap())
    }

    /// Served by one worker, so that it is known what it keeps and in what order it goes about things.
    pub(super) fn run_on_one_worker(&self) -> Lab {
        self.run_with(Dataplane::start(NonZeroUsize::MIN).unwrap())
    }

    pub(super) fn run_with(&self, plane: Dataplane) -> Lab {
        let lab = Lab { plane, address: free_address() };
        lab.apply(self);
        lab
    }
}

/// A running data plane with one listener.
pub(super) struct Lab {
    pub(super) plane: Dataplane,
    pub(super) address: SocketAddr,
}

impl Lab {
    pub(super) fn apply(&self, setup: &Setup) {
        for (address, result) in self.plane.apply(setup.config(&[self.address])) {
            result.unwrap_or_else(|error| panic!("{address}: {error}"));
        }
    }

    pub(super) fn connect(&self) -> Wire {
        Wire::new(TcpStream::connect(self.address).unwrap())
    }

    /// One request on a connection of its own.
    pub(super) fn get(&self, path: &str) -> Message {
        let mut client = self.connect();
        client.send(&format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"));
        let response = client.message(false);
        client.expect_end();
        response
    }

    pub(super) fn traffic(&self) -> TrafficSnapshot {
        self.plane.traffic()
    }

    /// Waits until the counters say so.
    pub(super) fn until(&self, what: &str, condition: impl Fn(&TrafficSnapshot) -> bool) {
        eventually(what, || condition(&self.traffic()));
    }
}

/// Of the only listener.
pub(super) fn listener(traffic: &TrafficSnapshot) -> ListenerTraffic {
    *traffic.listeners.values().next().unwrap()
}

/// Of the backend `b0`, `b1` …
pub(super) fn backend(traffic: &TrafficSnapshot, number: usize) -> BackendTraffic {
    traffic.backends[&(name("pool"), name(&format!("b{number}")))]
}

#[expect(clippy::disallowed_methods, reason = "a test's patience")]
pub(super) fn eventually(what: &str, condition: impl Fn() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < PATIENCE, "in vain: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// An HTTP message as it was on the wire.
#[derive(Debug, Clone, Default)]
pub(super) struct Message {
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

impl Message {
    pub(super) fn status(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(super) fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap()
    }

    pub(super) fn field(&self, wanted: &str) -> Option<&str> {
        let fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields.filter(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value).next()
    }
}

/// One end of a connection.
pub(super) struct Wire {
    pub(super) stream: TcpStream,
    pub(super) buffer: Vec<u8>,
}

impl Wire {
    pub(super) fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: Vec::new() }
    }

    pub(super) fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).unwrap();
    }

    /// Sends and reads one response.
    pub(super) fn ask(&mut self, text: &str) -> Message {
        self.send(text);
        self.message(false)
    }

    /// The next message; `bodiless` if whoever knows the request knows that there is no body.
    pub(super) fn message(&mut self, bodiless: bool) -> Message {
        self.try_message(bodiless).expect("a whole message")
    }

    /// `None` if the stream ends before a message has begun.
    pub(super) fn try_message(&mut self, bodiless: bool) -> io::Result<Message> {
        let head = loop {
            if let Some(end) = self.buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                break String::from_utf8(self.buffer.drain(..end + 4).collect()).unwrap();
            }
            self.more()?;
        };
        let mut message = Message { head, body: Vec::new() };
        if bodiless || message.head.starts_with("HTTP/1.1 1") {
            return Ok(message);
        }
        message.body = if message.field("transfer-encoding").is_some() {
            self.chunks()?
        } else if let Some(length) = message.field("content-length") {
            self.exactly(length.parse().unwrap())?
        } else if message.head.starts_with("HTTP/") && ![204, 304].contains(&message.status()) {
            self.rest()?
        } else {
            Vec::new()
        };
        Ok(message)
    }

    pub(super) fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < length {
            self.more()?;
        }
        Ok(self.buffer.drain(..length).collect())
    }

    /// All that comes until the end of the stream.
    pub(super) fn rest(&mut self) -> io::Result<Vec<u8>> {
        self.stream.read_to_end(&mut self.buffer)?;
        Ok(std::mem::take(&mut self.buffer))
    }

    /// The peer closes, and has sent nothing more.
    pub(super) fn expect_end(&mut self) {
        assert_eq!(String::from_utf8_lossy(&self.rest().expect("a clean end")), "");
    }

    fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = loop {
                if let Some(end) = self.buffer.windows(2).position(|w| w == b"\r\n") {
                    break String::from_utf8(self.buffer.drain(..end + 2).collect()).unwrap();
                }
                self.more()?;
            };
            let size = usize::from_str_radix(line.trim_end(), 16).expect("a chunk size and nothing else");
            let data = self.exactly(size + 2)?;
            assert!(data.ends_with(b"\r\n"));
            body.extend_from_slice(&data[..size]);
            if size == 0 {
                return Ok(body);
            }
        }
    }

    fn more(&mut self) -> io::Result<()> {
        let mut piece = [0; 16 * 1024];
        match self.stream.read(&mut piece)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            n => {
                self.buffer.extend_from_slice(&piece[..n]);
                Ok(())
            }
        }
    }

    /// Closes with a reset.
    pub(super) fn reset(self) {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

/// What a backend does with a request.
pub(super) enum Act {
    /// Sends this and waits for the next request.
    Send(String),
    /// Sends this and closes.
    Last(String),
    /// Sends this and resets.
    SendAndReset(String),
    /// Says nothing until the other side leaves.
    Stall,
}

/// `200` with a body of known length.
pub(super) fn ok(body: &str) -> Act {
    Act::Send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
}

/// A backend.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    /// Accepted so far.
    pub(super) connections: Arc<AtomicUsize>,
    /// All requests, whole ones.
    pub(super) seen: Arc<Mutex<Vec<Message>>>,
}

impl Server {
    /// Does with each connection what `script` says, in a thread of its own. It is told the connection's number.
    pub(super) fn raw(script: impl Fn(usize, Wire) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let (count, script) = (connections.clone(), Arc::new(script));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (number, script) = (count.fetch_add(1, SeqCst), script.clone());
                thread::spawn(move || script(number, Wire::new(stream)));
            }
        });
        Self { address, connections, seen: Arc::default() }
    }

    /// Reads requests, with their bodies, and acts. `script` is told the connection's number too.
    pub(super) fn http(script: impl Fn(&Message, usize) -> Act + Send + Sync + 'static) -> Self {
        let seen: Arc<Mutex<Vec<Message>>> = Arc::default();
        let record = seen.clone();
        let mut server = Self::raw(move |number, mut wire| {
            while let Ok(request) = wire.try_message(false) {
                record.lock().unwrap().push(request.clone());
                match script(&request, number) {
                    Act::Send(response) => wire.stream.write_all(response.as_bytes()).unwrap_or(()),
                    Act::Last(response) => return wire.stream.write_all(response.as_bytes()).unwrap_or(()),
                    Act::SendAndReset(response) => {
                        wire.stream.write_all(response.as_bytes()).unwrap_or(());
                        return wire.reset();
                    }
                    Act::Stall => drop(wire.rest()),
                }
            }
        });
        server.seen = seen;
        server
    }

    /// Answers everything with its own name and the path.
    pub(super) fn named(name: &'static str) -> Self {
        Self::http(move |request, _| ok(&format!("{name} {}", request.path())))
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(SeqCst)
    }

    pub(super) fn seen(&self) -> Vec<Message> {
        self.seen.lock().unwrap().clone()
    }

    pub(super) fn paths(&self) -> Vec<String> {
        self.seen().iter().map(|m| m.path().to_owned()).collect()
    }
}
