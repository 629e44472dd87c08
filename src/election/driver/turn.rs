//! One turn of the loop.

use super::{
    Channels, ElectionInput, LeaseIo, ProbeIo,
    clocks::{Sleep, now, wall_ms},
    epoch::EpochFile,
    keyfile::KeyFile,
    sockets::{Arrival, Sockets},
};
use crate::{
    election::{
        lease::Beat,
        machine::{Machine, Transmit},
        wire,
    },
    kernel::alarm::Alarm,
    model::{ElectionEvent, Name, Problem, Sight},
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
/// Steps that one turn makes at most: one after each round of grants.
const STEPS: usize = 8;
/// How often the key file and failed sockets are looked at, and counters published.
const CHORES_EVERY: Duration = Duration::from_secs(1);
/// How often the packets of watched devices are counted,
const RX_EVERY: Duration = Duration::from_millis(100);
/// and how long that may wait for a turn that is made anyhow.
const RX_PATIENCE: Duration = Duration::from_millis(30);

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
    pub(super) rx_at: Instant,
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
    /// Before the first turn.
    pub(super) fn start(&mut self, now: Instant) {
        self.sleep.detected();
        self.take_input(now);
        self.take_held();
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
        self.take_fitness(now);
        self.take_counters(now);
        if now >= self.chores_at {
            self.do_chores(now);
        }
        self.step(now);
        self.publish(now);
        Ok(true)
    }

    async fn wait(&mut self) -> io::Result<Wake> {
        let mut deadline = self.machine.poll_timeout().min(self.chores_at);
        if !self.machine.watched_links().is_empty() {
            deadline = deadline.min(self.rx_at + RX_PATIENCE);
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
    fn take_losses(&mut self, now: Instant) {
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
        if now < self.rx_at {
            return;
        }
        self.rx_at = now + RX_EVERY;
        let input = self.channels.input.borrow();
        for link in self.machine.watched_links() {
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

    /// Decides and carries out, until nothing is left to decide.
    fn step(&mut self, mut at: Instant) {
        for _ in 0..STEPS {
            if at < self.machine.poll_timeout() {
                break;
            }
            self.machine.handle_timeout(at);
            let granted = self.carry_out();
            self.epoch.keep(self.machine.highest_epoch());
            if !granted {
                break;
            }
            at = now();
            self.take_losses(at);
        }
    }

    /// Does what the machine wants done, in order. Says whether it has to be asked again, because of a grant.
    fn carry_out(&mut self) -> bool {
        let mut granted = false;
        while let Some(transmit) = self.machine.poll_transmit() {
            match transmit {
                Transmit::Heartbeat { peer, path, packet } => {
                    let Some(ring) = self.keys.ring() else { continue };
                    let Some(remote) = self.machine.remote(&peer, path) else { continue };
                    self.sockets.send(path, remote, &wire::encode(&packet, ring));
                }
                Transmit::Probe { link, ip } => self.probe(link, ip),
                Transmit::Ticket { id, ttl } => {
                    // The grant will fail for want of it.
                    self.leases.ticket(id, ttl).unwrap_or_else(|error| self.refused(&error));
                }
                Transmit::Grant { vip, ticket, ips } => {
                    self.grant(&vip, ticket, &ips);
                    granted = true;
                }
                Transmit::Revoke { ips } => self.leases.revoke(&ips),
            }
        }
        granted
    }

    fn grant(&mut self, vip: &Name, ticket: u64, ips: &[IpAddr]) {
        let granted = self.leases.grant(ticket, ips).unwrap_or_else(|error| {
            self.refused(&error);
            false
        });
        self.machine.handle_grant(now(), vip, granted);
    }

    fn refused(&mut self, error: &str) {
        let message = format!("{error}; without a lease no address is claimed");
        self.lease_error = Some(Problem::error("LeaseRefused", message));
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

    /// What was decided at once, counters once a second.
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

/// Every address of which a sight may matter.
pub(super) fn watched(input: &ElectionInput) -> BTreeSet<IpAddr> {
    let each = input.candidates.iter().flat_map(|candidate| {
        let nodes = candidate.node_addresses.values();
        candidate.addresses.iter().chain(&candidate.references).chain(nodes)
    });
    each.copied().collect()
}

/// The events after `last`; all of them if it has been forgotten meanwhile.
pub(super) fn unlogged<'a>(
    events: &'a [Arc<ElectionEvent>],
    last: Option<&Arc<ElectionEvent>>,
) -> &'a [Arc<ElectionEvent>] {
    let place = last.and_then(|last| events.iter().rposition(|event| Arc::ptr_eq(event, last)));
    place.map_or(events, |place| &events[place + 1..])
}
