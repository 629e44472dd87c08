//! The clock, the queue of what is under way, and the loop.

use super::{
    check::Checker,
    host::{Host, Input},
    net::Net,
    prng::Rng,
};
use crate::{
    election::{
        key::Keyring,
        machine::{Rules, Transmit},
        wire,
    },
    model::{Mac, Name, Peer, Role, Sight, SightKind},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

pub(super) const VIP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 10));
pub(super) const VIP2: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 11));
pub(super) const STRANGER: Mac = Mac([6, 6, 6, 6, 6, 6]);

pub(super) struct World {
    pub(super) now: Instant,
    pub(super) start: Instant,
    pub(super) rng: Rng,
    pub(super) hosts: Vec<Host>,
    pub(super) net: Net,
    pub(super) peers: Vec<Arc<Peer>>,
    pub(super) paths: usize,
    /// Hosts that reach a host which is no peer and has the VIP.
    pub(super) stranger: BTreeSet<usize>,
    pub(super) rules: Rules,
    pub(super) check: Checker,
    /// Every heartbeat that was sent, if recording: receiver, path, bytes.
    pub(super) record: Option<Vec<(usize, usize, Vec<u8>)>>,
    /// Who became Active, in order, and when.
    pub(super) moves: Vec<(Duration, usize)>,
    pub(super) log: Vec<String>,
    pub(super) keys: Keyring,
    pub(super) queue: BTreeMap<(Instant, u64), Event>,
    pub(super) order: u64,
    pub(super) agents: u64,
}

pub(super) enum Event {
    Heartbeat { to: usize, path: usize, bytes: Vec<u8> },
    Question { to: usize, from: usize, ip: IpAddr },
    Answer { to: usize, ip: IpAddr, mac: Mac },
    Apply { host: usize, agent: u64 },
    Held { host: usize, agent: u64 },
}

impl World {
    pub(super) fn start_agent(&mut self, host: usize) {
        self.agents += 1;
        let session = self.rng.next();
        self.hosts[host].start_agent(self.now, self.agents, session, &self.peers);
        if let Some(agent) = &mut self.hosts[host].agent {
            agent.machine.set_rules(self.rules);
        }
    }

    pub(super) fn start_all(&mut self) {
        (0..self.hosts.len()).for_each(|host| self.start_agent(host));
    }

    /// `kill -9`: the kernel keeps the addresses and answers for them.
    pub(super) fn kill_agent(&mut self, host: usize) {
        self.hosts[host].agent = None;
    }

    /// Power off.
    pub(super) fn crash(&mut self, host: usize) {
        self.kill_agent(host);
        self.hosts[host].up = false;
        self.hosts[host].addresses.clear();
    }

    pub(super) fn boot(&mut self, host: usize) {
        self.hosts[host].up = true;
        self.start_agent(host);
    }

    pub(super) fn hang(&mut self, host: usize, hung: bool) {
        let now = self.now;
        let Some(agent) = &mut self.hosts[host].agent else { return };
        agent.hung = hung;
        if !hung {
            let inbox: Vec<Input> = agent.inbox.drain(..).collect();
            inbox.into_iter().for_each(|input| agent.take(now, input));
            agent.timer = now;
        }
    }

    pub(super) fn reload(&mut self, host: usize) {
        self.hosts[host].reload(self.now, &self.peers);
    }

    pub(super) fn replay(&mut self, to: usize, path: usize, bytes: Vec<u8>) {
        self.push(Duration::from_micros(10), Event::Heartbeat { to, path, bytes });
    }

    pub(super) fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        let mut same = 0;
        while let Some(next) = self.next_time().filter(|next| *next <= end) {
            same = if next > self.now { 0 } else { same + 1 };
            assert!(same < 10_000, "an agent spins at {:?}: {}", self.at(), self.dump());
            self.now = self.now.max(next);
            self.turn();
            self.observe();
        }
        self.now = end;
    }

    fn push(&mut self, delay: Duration, event: Event) {
        self.order += 1;
        self.queue.insert((self.now + delay, self.order), event);
    }

    fn next_time(&self) -> Option<Instant> {
        let timers = self.hosts.iter().filter(|host| host.alive()).filter_map(|host| host.agent.as_ref());
        let queued = self.queue.first_key_value().map(|((at, _), _)| *at);
        timers.map(|agent| agent.timer).chain(queued).min()
    }

    fn turn(&mut self) {
        while let Some(entry) = self.queue.first_entry() {
            if entry.key().0 > self.now {
                break;
            }
            let event = entry.remove();
            self.deliver(event);
        }
        for host in 0..self.hosts.len() {
            let due = self.hosts[host].agent.as_ref().is_some_and(|agent| agent.timer <= self.now);
            if due && self.hosts[host].alive() {
                self.step(host);
            }
        }
    }

    fn deliver(&mut self, event: Event) {
        match event {
            Event::Heartbeat { to, path, bytes } => {
                if let Ok(packet) = wire::decode(&bytes, &self.keys) {
                    self.hand(to, Input::Heartbeat { path, packet });
                }
            }
            Event::Question { to, from, ip } => {
                if self.hosts[to].up
                    && self.hosts[to].addresses.contains(&ip)
                    && let Some(delay) = self.net.frame(&mut self.rng, to, from)
                {
                    let mac = self.hosts[to].mac;
                    self.push(delay, Event::Answer { to: from, ip, mac });
                }
            }
            Event::Answer { to, ip, mac } => {
                self.hand(to, Input::Seen(Sight { link: 2, ip, mac, kind: SightKind::Has }))
            }
            Event::Apply { host, agent } if self.is_agent(host, agent) => {
                if self.hosts[host].alive() {
                    self.hosts[host].apply(self.now);
                    let delay = self.rng.between(Duration::from_micros(10), Duration::from_millis(1));
                    self.push(delay, Event::Held { host, agent });
                    if self.hosts[host].wants_more() {
                        self.push(Duration::from_millis(200), Event::Apply { host, agent });
                    }
                } else {
                    self.push(Duration::from_millis(1), Event::Apply { host, agent });
                }
            }
            Event::Held { host, agent } if self.is_agent(host, agent) => {
                let report = self.hosts[host].report();
                self.hand(host, Input::Held(report));
            }
            Event::Apply { .. } | Event::Held { .. } => {}
        }
    }

    fn is_agent(&self, host: usize, id: u64) -> bool {
        self.hosts[host].up && self.hosts[host].agent.as_ref().is_some_and(|agent| agent.id == id)
    }

    fn hand(&mut self, host: usize, input: Input) {
        let now = self.now;
        let Some(agent) = self.hosts[host].agent.as_mut() else { return };
        if agent.hung {
            // As a socket's buffer: what does not fit is lost.
            if agent.inbox.len() < 300 {
                agent.inbox.push_back(input);
            }
            return;
        }
        agent.take(now, input);
        agent.timer = agent.timer.min(agent.machine.poll_timeout().max(now));
    }

    fn step(&mut self, host: usize) {
        let now = self.now;
        let jitter = self.rng.between(Duration::ZERO, Duration::from_millis(1));
        let Some(agent) = self.hosts[host].agent.as_mut() else { return };
        agent.machine.handle_timeout(now);
        agent.timer = agent.machine.poll_timeout().max(now) + jitter;
        let mut out = Vec::new();
        while let Some(transmit) = agent.machine.poll_transmit() {
            out.push(transmit);
        }
        for transmit in out {
            self.transmit(host, transmit);
        }
        self.reconcile(host);
    }

    fn transmit(&mut self, from: usize, transmit: Transmit) {
        match transmit {
            Transmit::Heartbeat { peer, path, packet } => {
                let to = self.hosts.iter().position(|host| host.name == peer).unwrap();
                let bytes = wire::encode(&packet, &self.keys);
                if let Some(record) = &mut self.record {
                    record.push((to, path, bytes.clone()));
                }
                for delay in self.net.heartbeat(&mut self.rng, from, to, path) {
                    self.push(delay, Event::Heartbeat { to, path, bytes: bytes.clone() });
                }
            }
            Transmit::Ticket { .. } | Transmit::Grant { .. } | Transmit::Revoke { .. } => {}
            Transmit::Probe { ip, .. } => {
                for to in (0..self.hosts.len()).filter(|to| *to != from) {
                    if let Some(delay) = self.net.frame(&mut self.rng, from, to) {
                        self.push(delay, Event::Question { to, from, ip });
                    }
                }
                if self.stranger.contains(&from) {
                    self.push(Duration::from_micros(300), Event::Answer { to: from, ip, mac: STRANGER });
                }
            }
        }
    }

    /// Starts the model reconcile loop if a role has changed.
    fn reconcile(&mut self, index: usize) {
        let now = self.at();
        let host = &mut self.hosts[index];
        let Some(agent) = host.agent.as_mut() else { return };
        let names = host.candidates.iter().map(|candidate| &candidate.vip);
        let roles: Vec<(Name, Role)> = names.filter_map(|vip| Some((vip.clone(), agent.machine.role(vip)?))).collect();
        if roles == agent.roles {
            return;
        }
        let was = std::mem::replace(&mut agent.roles, roles);
        let is_active = |roles: &[(Name, Role)]| roles.iter().any(|(_, role)| *role == Role::Active);
        if is_active(&agent.roles) && !is_active(&was) {
            self.moves.push((now, index));
        }
        let quiet = if is_active(&agent.roles) { Duration::ZERO } else { host.quiet_wait };
        let (id, delay) = (agent.id, quiet + self.rng.between(host.apply_time / 4, host.apply_time));
        self.push(delay, Event::Apply { host: index, agent: id });
    }

    fn observe(&mut self) {
        let mut check = std::mem::take(&mut self.check);
        check.look(self);
        self.check = check;
    }
}
