//! What a turn does: decide, and carry it out.

use super::{
    LeaseIo, ProbeIo,
    clocks::now,
    turn::{CHORES_EVERY, Driver},
};
use crate::{
    election::{machine::Transmit, wire},
    model::{ElectionEvent, Name, Problem},
};
use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

/// Steps that one turn makes at most: one after each round of grants.
const STEPS: usize = 8;
/// An agent that was stopped after it had decided what to say must not say it: its leases may be over. A heartbeat that
/// is not sent is one that is lost on the way.
const STALE: Duration = Duration::from_millis(100);

impl<P: ProbeIo, L: LeaseIo> Driver<P, L> {
    /// Decides and carries out, until nothing is left to decide.
    pub(super) fn step(&mut self, mut at: Instant) {
        for _ in 0..STEPS {
            if at < self.machine.poll_timeout() {
                break;
            }
            self.machine.handle_timeout(at);
            let granted = self.carry_out(at);
            self.epoch.keep(self.machine.highest_epoch());
            if !granted {
                break;
            }
            at = now();
            self.take_losses(at);
        }
    }

    /// Does what the machine wants done, in order. Says whether it has to be asked again, because of a grant.
    pub(super) fn carry_out(&mut self, decided_at: Instant) -> bool {
        let mut granted = false;
        while let Some(transmit) = self.machine.poll_transmit() {
            match transmit {
                Transmit::Heartbeat { .. } if now() > decided_at + STALE => {}
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
    pub(super) fn publish(&mut self, now: Instant) {
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
pub(super) fn unlogged<'a>(
    events: &'a [Arc<ElectionEvent>],
    last: Option<&Arc<ElectionEvent>>,
) -> &'a [Arc<ElectionEvent>] {
    let place = last.and_then(|last| events.iter().rposition(|event| Arc::ptr_eq(event, last)));
    place.map_or(events, |place| &events[place + 1..])
}
