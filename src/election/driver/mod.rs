//! The shell around the [machine](super::machine): sockets, the key file, the clock. It decides nothing.
//!
//! It runs on a current-thread runtime of its own, so that no other work delays a heartbeat. Each turn of the loop
//! takes in what has arrived (a bounded batch per socket, so that a flood cannot keep the timer waiting), lets the
//! machine decide, and sends what it wants sent. Everything that can change while it runs – the state, the peers'
//! timers and addresses, the key file – takes effect without a restart.

mod keyfile;
mod sockets;
#[cfg(test)]
mod tests;

use super::{
    machine::{HeldReport, Machine, Transmit},
    wire::{self, MAX_DATAGRAM},
};
use crate::model::{Candidate, ElectionEvent, ElectionView, Link, Mac, Name, Peer, Problem, Sight};
use futures::FutureExt;
use keyfile::KeyFile;
use sockets::Sockets;
use std::{
    collections::BTreeMap,
    future::Future,
    io,
    net::IpAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};
use tokio::sync::watch;

/// Datagrams and answers that one turn takes from one source.
const BATCH: usize = 64;
/// How often the key file and failed sockets are looked at, and counters published.
const CHORES_EVERY: Duration = Duration::from_secs(1);

/// What the election works from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElectionInput {
    /// This node's name.
    pub node: Name,
    /// Every node, this one included.
    pub peers: Vec<Arc<Peer>>,
    /// The Vips, resolved for this node.
    pub candidates: Vec<Candidate>,
    /// Ethernet addresses of this node.
    pub macs: Vec<Mac>,
    /// This node's devices, by `ifindex`.
    pub links: BTreeMap<u32, Link>,
}

/// Sends ARP and ND probes and receives the answers.
pub trait ProbeIo {
    /// Asks on `link` who has `ip`.
    fn send(&self, link: &Link, ip: IpAddr) -> io::Result<()>;
    /// The next thing seen of a watched address. Dropping the future must lose none.
    fn recv(&self) -> impl Future<Output = Sight>;
    /// Packets that `link` has received since it came up; grows while the device hears anything at all.
    fn rx_packets(&self, link: &Link) -> io::Result<u64>;
}

/// Permission to use addresses, which ends by itself unless it is renewed.
pub trait LeaseIo {
    /// Whether the kernel enforces the leases; if not, why.
    fn fenced(&self) -> Result<(), String>;
    /// See [`Transmit::Ticket`].
    fn ticket(&self, id: u64, ttl: Duration) -> Result<(), String>;
    /// See [`Transmit::Grant`]. `Ok(false)`: the ticket has expired.
    fn grant(&self, ticket: u64, ips: &[IpAddr]) -> Result<bool, String>;
    /// See [`Transmit::Revoke`].
    fn revoke(&self, ips: &[IpAddr]);
    /// Leased addresses whose lease has ended without being revoked, since the last call. Checks against the clock, so
    /// that an agent that was stopped learns of it before it says anything.
    fn lost(&self, now: Instant) -> Vec<IpAddr>;
    /// What keeps the leases from being renewed, in words: parts of the agent that make no progress.
    fn unfit(&self, now: Instant) -> Vec<String>;
}

/// How the driver is connected to the rest of the agent.
#[derive(Debug)]
pub struct Channels {
    /// The driver ends when the sender is gone.
    pub input: watch::Receiver<ElectionInput>,
    /// Sent after every pass of the reconcile loop. Must hold what is really there from the start (with a default
    /// `acted_on`): a new agent goes by it.
    pub held: watch::Receiver<HeldReport>,
    /// Published on every change, and once a second for its counters.
    pub view: watch::Sender<Arc<ElectionView>>,
    /// What is wrong now; all of it, each time.
    pub problems: watch::Sender<Vec<Problem>>,
}

/// Takes part in the election until the sender of [`Channels::input`] is dropped. Must run on a runtime with IO and
/// time. The error is that of the system's random numbers.
pub async fn run(key_file: PathBuf, probes: impl ProbeIo, channels: Channels) -> io::Result<()> {
    let now = now();
    let session = getrandom::u64().map_err(io::Error::other)?;
    let mut driver = Driver {
        machine: Machine::new(now, session, wall_ms(), 0),
        keys: KeyFile::new(key_file),
        sockets: Sockets::default(),
        probes,
        channels,
        chores_at: now,
        published: (0, now),
        probe_error: None,
        logged: None,
    };
    driver.take_input(now);
    driver.take_held();
    while driver.turn().await {}
    Ok(())
}

struct Driver<P> {
    machine: Machine,
    keys: KeyFile,
    sockets: Sockets,
    probes: P,
    channels: Channels,
    chores_at: Instant,
    /// The revision that was published last, and when.
    published: (u64, Instant),
    probe_error: Option<Problem>,
    /// The last event that the log was told.
    logged: Option<Arc<ElectionEvent>>,
}

/// Why a turn has begun.
enum Wake {
    Input,
    Held,
    Seen(Sight),
    Socket,
    Time,
    Closed,
}

impl<P: ProbeIo> Driver<P> {
    /// Waits for something to do and does it; false when it is over.
    async fn turn(&mut self) -> bool {
        let wake = self.wait().await;
        let now = now();
        match wake {
            Wake::Closed => return false,
            Wake::Input => self.take_input(now),
            Wake::Held => self.take_held(),
            Wake::Seen(sight) => self.machine.handle_sight(now, sight),
            Wake::Socket | Wake::Time => {}
        }
        // Whatever the reason: all that has arrived is taken in before anything is decided, so that a loop which was
        // kept from running does not take its own absence for the others' silence.
        if self.channels.held.has_changed().unwrap_or(false) {
            // Above all: a new agent must not decide about a Vip before it knows that it has its addresses.
            self.take_held();
        }
        self.take_answers(now);
        self.take_datagrams(now);
        if now >= self.chores_at {
            self.do_chores(now);
        }
        if now >= self.machine.poll_timeout() {
            self.machine.handle_timeout(now);
        }
        self.send();
        self.publish(now);
        true
    }

    async fn wait(&mut self) -> Wake {
        let deadline = self.machine.poll_timeout().min(self.chores_at);
        let Channels { input, held, .. } = &mut self.channels;
        tokio::select! {
            changed = input.changed() => if changed.is_ok() { Wake::Input } else { Wake::Closed },
            Ok(()) = held.changed() => Wake::Held,
            sight = self.probes.recv() => Wake::Seen(sight),
            () = self.sockets.readable() => Wake::Socket,
            () = tokio::time::sleep_until(deadline.into()) => Wake::Time,
        }
    }

    fn take_input(&mut self, now: Instant) {
        let input = self.channels.input.borrow_and_update().clone();
        let own = input.peers.iter().find(|peer| peer.name == input.node);
        self.sockets.want(now, own.map_or(&[], |peer| &peer.addresses));
        self.machine.handle_desired(now, &input.node, &input.peers, input.candidates, input.macs);
        self.chores_at = now;
    }

    fn take_held(&mut self) {
        let held = self.channels.held.borrow_and_update().clone();
        self.machine.handle_held(held);
    }

    fn take_answers(&mut self, now: Instant) {
        for _ in 0..BATCH {
            let Some(sight) = self.probes.recv().now_or_never() else { return };
            self.machine.handle_sight(now, sight);
        }
    }

    fn take_datagrams(&mut self, now: Instant) {
        let (machine, keys) = (&mut self.machine, &self.keys);
        self.sockets.receive(BATCH, |path, source, bytes| {
            let result = match (bytes, keys.ring()) {
                (Err(_), _) => Err("icmp_error"),
                (Ok(_), None) => Err("no_key"),
                (Ok(bytes), Some(ring)) => wire::decode(bytes, ring).map_err(wire::DecodeError::reason),
            };
            match result {
                // The machine counts what it refuses.
                Ok(packet) => _ = machine.handle_heartbeat(now, path, packet),
                Err(reason) => machine.handle_rejected(now, path, source, reason),
            }
        });
    }

    fn do_chores(&mut self, now: Instant) {
        self.chores_at = now + CHORES_EVERY;
        self.machine.handle_wall_clock(now, wall_ms());
        self.keys.look();
        self.machine.handle_voice(self.keys.ring().is_some());
        self.sockets.bind(now);
        let lone = self.channels.input.borrow().peers.len() < 2;
        let key_problem = self.keys.problem().filter(|_| !lone);
        let problems: Vec<Problem> =
            key_problem.cloned().into_iter().chain(self.sockets.problems()).chain(self.probe_error.take()).collect();
        self.channels.problems.send_if_modified(|old| {
            let changed = *old != problems;
            *old = problems;
            changed
        });
    }

    fn send(&mut self) {
        while let Some(transmit) = self.machine.poll_transmit() {
            match transmit {
                Transmit::Heartbeat { peer, path, packet } => {
                    let Some(ring) = self.keys.ring() else { continue };
                    let Some(remote) = self.machine.remote(&peer, path) else { continue };
                    self.sockets.send(path, remote, &wire::encode(&packet, ring));
                }
                Transmit::Probe { link, ip } => self.probe(link, ip),
                Transmit::Ticket { .. } | Transmit::Grant { .. } | Transmit::Revoke { .. } => {}
            }
        }
    }

    fn probe(&mut self, link: u32, ip: IpAddr) {
        let input = self.channels.input.borrow();
        let Some(link) = input.links.get(&link) else { return self.machine.handle_probe_failed(ip) };
        if let Err(error) = self.probes.send(link, ip) {
            let message = format!("cannot probe {ip} on {}: {error}; claims wait for up to one second", link.name);
            self.probe_error = Some(Problem::warning("ProbeFailed", message));
            self.machine.handle_probe_failed(ip);
        }
    }

    fn publish(&mut self, now: Instant) {
        let (revision, at) = self.published;
        if self.machine.revision() == revision && now < at + CHORES_EVERY {
            return;
        }
        self.published = (self.machine.revision(), now);
        let view = Arc::new(self.machine.view(now));
        for event in unlogged(&view.events, self.logged.as_ref()) {
            tracing::info!("{}: {}", event.subject, event.message);
        }
        self.logged = view.events.last().cloned();
        self.channels.view.send_replace(view);
    }
}

/// The events after `last`; all of them if it has been forgotten meanwhile.
fn unlogged<'a>(events: &'a [Arc<ElectionEvent>], last: Option<&Arc<ElectionEvent>>) -> &'a [Arc<ElectionEvent>] {
    let place = last.and_then(|last| events.iter().rposition(|event| Arc::ptr_eq(event, last)));
    place.map_or(events, |place| &events[place + 1..])
}

#[expect(clippy::disallowed_methods, reason = "the driver is the shell that reads the clock for the machine")]
fn now() -> Instant {
    Instant::now()
}

/// Milliseconds since 1970, for epochs; a clock before that counts as 1970.
#[expect(clippy::disallowed_methods, reason = "the driver is the shell that reads the clock for the machine")]
fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    since.as_millis().try_into().unwrap_or(u64::MAX)
}

/// A datagram may be larger than any heartbeat; it must not look like a shorter one.
const RECEIVE_BUFFER: usize = 64 * 1024;
const _: () = assert!(MAX_DATAGRAM < RECEIVE_BUFFER);
