//! The model driver: turns of an agent, in the order that the real one keeps. Lost leases are reported before anything
//! else, inputs before any decision, and effects are carried out one by one, so that an agent can be stopped between
//! any two of them.

use super::{
    front::Frame,
    host::{Agent, Input},
    kernel::{Kernel, RENEW_EVERY},
    world::{Event, Load, Recorded, World},
};
use crate::{
    election::{machine::Transmit, wire},
    model::{Name, Role},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

const CHORES_EVERY: Duration = Duration::from_millis(100);
/// A data plane that makes no progress for so long costs the lease.
const PROGRESS_LIMIT: Duration = Duration::from_secs(2);

impl World {
    /// Whatever is due of an agent that runs.
    pub(super) fn run_agent(&mut self, host: usize) {
        let now = self.hosts[host].local(self.now);
        let this = &mut self.hosts[host];
        let unfit = this.stalled.is_some_and(|since| now >= since + PROGRESS_LIMIT);
        let Some(agent) = &mut this.agent else { return };
        // A thread of its own.
        if agent.renew_at <= now {
            agent.renew_at = now + RENEW_EVERY;
            if !unfit {
                this.kernel.renew(now);
            }
        }
        let announce = agent.reconcile.announce_at().is_some_and(|at| at <= now);
        let turn = agent.timer <= now || agent.chores_at <= now;
        if announce {
            self.announce(host);
        }
        if turn {
            self.step(host, now, unfit);
        }
    }

    fn step(&mut self, host: usize, now: Instant, unfit: bool) {
        let this = &mut self.hosts[host];
        let Some(agent) = &mut this.agent else { return };
        if !agent.mid_turn {
            take_losses(&mut this.kernel, agent, now);
            if std::mem::take(&mut agent.jumped) {
                agent.machine.handle_jump(now);
            }
            while let Some(input) = agent.inbox.pop_front() {
                match input {
                    Input::Heartbeat { path, packet } => _ = agent.machine.handle_heartbeat(now, path, packet),
                    Input::Seen(sight) => agent.machine.handle_sight(now, sight),
                    Input::Held(report) => agent.machine.handle_held(report),
                    Input::Refused { path, source } => agent.machine.handle_hint(now, path, source),
                }
            }
            self.chores(host, now, unfit);
            self.notice_expiry(host);
            let Some(agent) = &mut self.hosts[host].agent else { return };
            if agent.machine.poll_timeout() <= now {
                agent.machine.handle_timeout(now);
            }
        }
        self.carry_out(host, now);
    }

    fn chores(&mut self, host: usize, now: Instant, unfit: bool) {
        let this = &mut self.hosts[host];
        let Some(agent) = this.agent.as_mut().filter(|agent| agent.chores_at <= now) else { return };
        agent.chores_at = now + CHORES_EVERY;
        if agent.unfit != unfit {
            agent.unfit = unfit;
            let reasons = unfit.then(|| "a thread of the data plane makes no progress".to_owned());
            agent.machine.handle_unfit(reasons.into_iter().collect());
        }
        let watched = agent.machine.watched_links();
        if watched.is_empty() {
            return;
        }
        let rx = self.received(host);
        if let Some(agent) = &mut self.hosts[host].agent {
            watched.into_iter().for_each(|link| agent.machine.handle_rx(now, link, rx));
        }
    }

    /// The effects of a turn; an agent that is stopped among them carries out the rest when it goes on.
    fn carry_out(&mut self, host: usize, now: Instant) {
        for _ in 0..8 {
            let mut granted = false;
            while let Some(transmit) = self.next_effect(host) {
                granted |= matches!(transmit, Transmit::Grant { .. });
                self.transmit(host, now, transmit);
            }
            let this = &mut self.hosts[host];
            let Some(agent) = &mut this.agent else { return };
            if agent.hung {
                return;
            }
            take_losses(&mut this.kernel, agent, now);
            if !granted || agent.machine.poll_timeout() > now {
                break;
            }
            agent.machine.handle_timeout(now);
        }
        self.end_turn(host, now);
    }

    fn next_effect(&mut self, host: usize) -> Option<Transmit> {
        let agent = self.hosts[host].agent.as_mut()?;
        if agent.hang_after == Some(0) {
            agent.mid_turn = true;
            self.hang(host, true);
            return None;
        }
        let transmit = agent.machine.poll_transmit()?;
        agent.hang_after = agent.hang_after.map(|effects| effects - 1);
        Some(transmit)
    }

    fn end_turn(&mut self, host: usize, now: Instant) {
        let jitter = self.rng.between(Duration::ZERO, Duration::from_millis(1));
        let this = &mut self.hosts[host];
        let Some(agent) = &mut this.agent else { return };
        agent.mid_turn = false;
        agent.timer = agent.machine.poll_timeout().max(now) + jitter;
        let epoch = agent.machine.highest_epoch();
        let write = epoch != agent.writing;
        agent.writing = epoch;
        let id = agent.id;
        if write {
            let delay = self.rng.between(Duration::from_millis(1), Duration::from_millis(30));
            self.push(delay, Event::Disk { host, agent: id, epoch });
        }
        self.publish(host, now);
    }

    fn publish(&mut self, host: usize, now: Instant) {
        let this = &mut self.hosts[host];
        let Some(agent) = &mut this.agent else { return };
        if agent.published.0 == agent.machine.revision() {
            return;
        }
        let before =
            std::mem::replace(&mut agent.published, (agent.machine.revision(), Arc::new(agent.machine.view(now))));
        let names = this.candidates.iter().map(|candidate| &candidate.vip);
        let roles: Vec<(Name, Role)> = names.filter_map(|vip| Some((vip.clone(), agent.machine.role(vip)?))).collect();
        let is_active = |roles: &[(Name, Role)]| roles.iter().any(|(_, role)| *role == Role::Active);
        let moved = is_active(&roles) && !is_active(&agent.roles);
        agent.roles = roles;
        let view = agent.published.1.clone();
        if moved {
            self.moves.push((self.at(), host));
        }
        self.tell_events(host, &before.1, &view);
        self.reconcile(host);
    }

    fn transmit(&mut self, from: usize, now: Instant, transmit: Transmit) {
        match transmit {
            Transmit::Heartbeat { peer, path, packet } => self.send_heartbeat(from, &peer, path, packet),
            Transmit::Ticket { id, ttl } => self.hosts[from].kernel.ticket(now, id, ttl),
            Transmit::Grant { vip, ticket, ips } => {
                let granted = self.hosts[from].kernel.grant(now, ticket, &ips);
                let name = self.hosts[from].name.clone();
                self.tell(|_| format!("{name}: lease of {ips:?} {}", if granted { "granted" } else { "refused" }));
                if let Some(agent) = &mut self.hosts[from].agent {
                    agent.machine.handle_grant(now, &vip, granted);
                }
            }
            Transmit::Revoke { ips } => self.hosts[from].kernel.revoke(&ips),
            Transmit::Probe { ip, .. } => self.send_frame(Frame::Question { from, ip, asker: None }),
        }
    }

    fn send_heartbeat(&mut self, from: usize, peer: &Name, path: usize, packet: Box<wire::Packet>) {
        let Some(to) = self.hosts.iter().position(|host| host.name == *peer) else { return };
        let encoded = self.encoded || self.record.is_some();
        let delays = self.net.heartbeat(&mut self.rng, from, to, path);
        if delays.is_empty() && self.record.is_none() {
            return;
        }
        let load = if encoded { Load::Bytes(wire::encode(&packet, &self.keys)) } else { Load::Packet(packet) };
        let heartbeat = Recorded { from, to, path, load };
        if let Some(record) = &mut self.record {
            record.push(heartbeat.clone());
        }
        // Nearly all are sent once: those are handed over, not copied.
        let mut delays = delays.into_iter();
        let Some(first) = delays.next() else { return };
        for delay in delays {
            self.push(delay, Event::Heartbeat(heartbeat.clone()));
        }
        self.push(first, Event::Heartbeat(heartbeat));
    }
}

fn take_losses(kernel: &mut Kernel, agent: &mut Agent, now: Instant) {
    let lost = kernel.lost(now);
    if !lost.is_empty() {
        agent.machine.handle_lost(now, &lost);
    }
}
