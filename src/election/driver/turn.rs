//! One turn of the loop, and what it takes in.

use super::{
    Channels, ElectionInput, Files, LeaseIo, ProbeIo,
    clocks::{Sleep, now, wall_ms},
    epoch::EpochFile,
    keyfile::KeyFile,
    sockets::{Arrival, Sockets},
};
use crate::{
    election::{lease::Beat, machine::Machine, wire},
    kernel::alarm::Alarm,
    model::{ElectionEvent, Problem, Sight},
};
use futures::FutureExt;
use std::{
    collections::BTreeSet,
    io,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

/// Sights that one turn takes.
const SIGHTS: usize = 64;
/// Batches of datagrams that one turn takes from one socket.
const BATCHES: usize = 4;
/// How often the key file and failed sockets are looked at, and counters published.
pub(super) const CHORES_EVERY: Duration = Duration::from_secs(1);
/// How often the packets of watched devices are counted, and the agent's fitness is looked at;
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// and how long the former may wait for a turn that is made anyhow.
const LOOK_PATIENCE: Duration = Duration::from_millis(30);

pub(super) struct Driver<P, L> {
    pub(super) machine: Machine,
    pub(super) alarm: Alarm,
    pub(super) keys: KeyFile,
    pub(super) epoch: EpochFile,
    pub(super) sockets: Sockets,
    pub(super) probes: P,
    pub(super) leases: L,
    pub(super) beat: Beat,
    pub(super) channels: Channels,
    pub(super) sleep: Sleep,
    /// What the machine was told last.
    pub(super) unfit: Vec<String>,
    pub(super) fenced: Option<bool>,
    pub(super) chores_at: Instant,
    pub(super) look_at: Instant,
    /// Devices whose packets are to be counted.
    pub(super) watched: Vec<u32>,
    /// The revision that was published last, and when.
    pub(super) published: (u64, Instant),
    pub(super) probe_error: Option<Problem>,
    pub(super) lease_error: Option<Problem>,
    /// The last event that the log was told.
    pub(super) logged: Option<Arc<ElectionEvent>>,
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

impl<P: ProbeIo, L: LeaseIo> Driver<P, L> {
    /// Ready for its first turn.
    pub(super) fn new(files: Files, probes: P, leases: L, beat: Beat, channels: Channels) -> io::Result<Self> {
        let session = getrandom::u64().map_err(io::Error::other)?;
        let (epoch, highest) = EpochFile::open(files.epoch)?;
        let now = now();
        let mut driver = Self {
            machine: Machine::new(now, session, wall_ms(), highest),
            alarm: Alarm::new()?,
            keys: KeyFile::new(files.key),
            epoch,
            sockets: Sockets::default(),
            probes,
            leases,
            beat,
            channels,
            sleep: Sleep::default(),
            unfit: Vec::new(),
            fenced: None,
            chores_at: now,
            look_at: now,
            watched: Vec::new(),
            published: (0, now),
            probe_error: None,
            lease_error: None,
            logged: None,
        };
        driver.sleep.detected();
        driver.take_input(now);
        driver.take_held();
        Ok(driver)
    }

    /// Waits for something to do and does it; false when it is over.
    pub(super) async fn turn(&mut self) -> io::Result<bool> {
        let wake = self.wait().await?;
        let now = now();
        self.beat.at(now);
        self.take_losses(now);
        match wake {
            Wake::Closed => return Ok(false),
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
        self.take_sights(now);
        self.take_datagrams(now);
        if now >= self.look_at {
            self.look_at = now + LOOK_EVERY;
            self.take_fitness(now);
            self.take_counters(now);
        }
        if now >= self.chores_at {
            self.do_chores(now);
        }
        self.step(now);
        self.publish(now);
        Ok(true)
    }

    async fn wait(&mut self) -> io::Result<Wake> {
        let mut deadline = self.machine.poll_timeout().min(self.chores_at);
        if !self.watched.is_empty() {
            deadline = deadline.min(self.look_at + LOOK_PATIENCE);
        }
        self.alarm.set(now(), deadline)?;
        let Channels { input, held, .. } = &mut self.channels;
        let wake = tokio::select! {
            changed = input.changed() => if changed.is_ok() { Wake::Input } else { Wake::Closed },
            Ok(()) = held.changed() => Wake::Held,
            sight = self.probes.recv() => Wake::Seen(sight),
            () = self.sockets.ready() => Wake::Socket,
            rung = self.alarm.rung() => rung.map(|()| Wake::Time)?,
        };
        Ok(wake)
    }

    /// What this node must not believe any more.
    pub(super) fn take_losses(&mut self, now: Instant) {
        if self.sleep.detected() {
            self.machine.handle_jump(now);
        }
        let lost = self.leases.lost(now);
        if !lost.is_empty() {
            self.machine.handle_lost(now, &lost);
        }
    }

    fn take_fitness(&mut self, now: Instant) {
        let (fenced, unfit) = (self.leases.fenced(), self.leases.unfit(now));
        if self.fenced.replace(fenced) != Some(fenced) {
            self.machine.handle_fenced(fenced);
        }
        if self.unfit != unfit {
            self.unfit.clone_from(&unfit);
            self.machine.handle_unfit(unfit);
        }
    }

    fn take_input(&mut self, now: Instant) {
        let input = self.channels.input.borrow_and_update().clone();
        self.probes.watch(&watched(&input), &input.links);
        self.machine.handle_fronts(now, input.fronts);
        self.machine.handle_desired(now, &input.node, &input.peers, input.candidates, input.macs);
        self.sockets.want(now, &self.machine.local_ends());
        self.watched = self.machine.watched_links();
        self.chores_at = now;
    }

    fn take_held(&mut self) {
        let held = self.channels.held.borrow_and_update().clone();
        self.machine.handle_held(held);
    }

    fn take_sights(&mut self, now: Instant) {
        for _ in 0..SIGHTS {
            let Some(sight) = self.probes.recv().now_or_never() else { return };
            self.machine.handle_sight(now, sight);
        }
    }

    fn take_datagrams(&mut self, now: Instant) {
        let (machine, ring) = (&mut self.machine, self.keys.ring());
        self.sockets.receive(BATCHES, |path, arrival| match arrival {
            Arrival::Datagram(source, bytes) => {
                let packet = ring.ok_or("no_key");
                match packet.and_then(|ring| wire::decode(bytes, ring).map_err(wire::DecodeError::reason)) {
                    // The machine counts what it refuses.
                    Ok(packet) => _ = machine.handle_heartbeat(now, path, packet),
                    Err(reason) => machine.handle_rejected(now, path, source, reason),
                }
            }
            Arrival::Undelivered(remote, error) => {
                machine.handle_rejected(now, path, remote, "icmp_error");
                if error.kind() == io::ErrorKind::ConnectionRefused {
                    machine.handle_hint(now, path, remote);
                }
            }
        });
    }

    fn take_counters(&mut self, now: Instant) {
        let input = self.channels.input.borrow();
        for link in self.watched.iter().copied() {
            // A device that is gone has no counter, and the next input says that it is gone.
            if let Some(Ok(packets)) = input.links.get(&link).map(|link| self.probes.rx_packets(link)) {
                self.machine.handle_rx(now, link, packets);
            }
        }
    }

    fn do_chores(&mut self, now: Instant) {
        self.chores_at = now + CHORES_EVERY;
        self.machine.handle_wall_clock(now, wall_ms());
        self.keys.look();
        self.machine.handle_voice(self.keys.ring().is_some());
        self.sockets.bind(now);
        let lone = self.channels.input.borrow().peers.len() < 2;
        let key_problem = self.keys.problem().filter(|_| !lone);
        let problems = key_problem.cloned().into_iter().chain(self.sockets.problems()).chain(self.epoch.problem());
        let problems: Vec<Problem> = problems.chain(self.probe_error.take()).chain(self.lease_error.take()).collect();
        self.channels.problems.send_if_modified(|old| {
            let changed = *old != problems;
            *old = problems;
            changed
        });
    }
}

/// Every address of which a sight may matter.
pub(super) fn watched(input: &ElectionInput) -> BTreeSet<IpAddr> {
    let each = input.candidates.iter().flat_map(|candidate| {
        let nodes = candidate.node_addresses.values();
        candidate.addresses.iter().chain(&candidate.references).chain(nodes)
    });
    each.copied().collect()
}
