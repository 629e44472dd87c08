//! The clock, the queue of what is under way, and the loop.

use super::{
    check::Checker,
    front::{Frame, Station},
    host::{Host, Input},
    net::Net,
    prng::Rng,
};
use crate::{
    election::{key::Keyring, machine::Rules, wire},
    model::{Mac, Name, Peer},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

pub(super) const VIP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 10));
pub(super) const VIP2: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 11));
pub(super) const VIP6: IpAddr = IpAddr::V6(std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x110));
pub(super) const STRANGER: Mac = Mac([6, 6, 6, 6, 6, 6]);

pub(super) struct World {
    pub(super) now: Instant,
    pub(super) start: Instant,
    pub(super) rng: Rng,
    pub(super) hosts: Vec<Host>,
    pub(super) net: Net,
    pub(super) peers: Vec<Arc<Peer>>,
    /// The gateway and the client, whose ARP caches are watched.
    pub(super) stations: Vec<Station>,
    /// Whether the nodes know hosts on the front that should answer.
    pub(super) references: bool,
    /// All addresses that any node's Vips name.
    pub(super) vips: Vec<IpAddr>,
    /// Hosts that reach a host which is no peer and has the VIP.
    pub(super) stranger: BTreeSet<usize>,
    pub(super) rules: Rules,
    pub(super) check: Checker,
    /// Heartbeats are encoded, signed and decoded; otherwise handed over as they are, which is quicker.
    pub(super) encoded: bool,
    /// When a heartbeat from one host last arrived at the agent of another.
    pub(super) heard_at: BTreeMap<(usize, usize), Instant>,
    /// Every heartbeat that was sent, if recording.
    pub(super) record: Option<Vec<Recorded>>,
    /// Who became Active, in order, and when.
    pub(super) moves: Vec<(Duration, usize)>,
    /// How many announcements were sent.
    pub(super) announcements: u64,
    /// The story so far, if it is wanted.
    pub(super) story: Option<Vec<String>>,
    pub(super) keys: Keyring,
    pub(super) queue: BTreeMap<(Instant, u64), Event>,
    pub(super) order: u64,
    pub(super) agents: u64,
}

/// A heartbeat on the wire.
#[derive(Clone)]
pub(super) struct Recorded {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) path: usize,
    pub(super) load: Load,
}

#[derive(Clone)]
pub(super) enum Load {
    Bytes(Vec<u8>),
    Packet(Box<wire::Packet>),
}

pub(super) enum Event {
    Heartbeat(Recorded),
    /// Nobody listens for the heartbeats of `to` at `from`.
    Refused {
        to: usize,
        from: usize,
        path: usize,
    },
    Frame(Frame),
    Announcement {
        from: usize,
        ip: IpAddr,
    },
    /// The gateway or the client has something to send.
    Traffic,
    Apply {
        host: usize,
        agent: u64,
    },
    Held {
        host: usize,
        agent: u64,
    },
    Quiet {
        host: usize,
        agent: u64,
        vip: Name,
    },
    Retry {
        host: usize,
        agent: u64,
    },
    Disk {
        host: usize,
        agent: u64,
        epoch: u64,
    },
}

impl Event {
    /// The agent whose doing it is.
    fn agent(&self) -> Option<(usize, u64)> {
        match self {
            Self::Apply { host, agent }
            | Self::Held { host, agent }
            | Self::Quiet { host, agent, .. }
            | Self::Retry { host, agent }
            | Self::Disk { host, agent, .. } => Some((*host, *agent)),
            _ => None,
        }
    }
}

impl World {
    pub(super) fn replay(&mut self, recorded: &Recorded) {
        self.push(Duration::from_micros(10), Event::Heartbeat(recorded.clone()));
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
        self.observe();
    }

    pub(super) fn push(&mut self, delay: Duration, event: Event) {
        self.order += 1;
        self.queue.insert((self.now + delay, self.order), event);
    }

    fn next_time(&self) -> Option<Instant> {
        let alive = self.hosts.iter().filter(|host| host.alive());
        let timers = alive.filter_map(|host| Some(host.agent.as_ref()?.next(host.kernel.has_leases()) + host.slept));
        let queued = self.queue.first_key_value().map(|((at, _), _)| *at);
        timers.chain(queued).min()
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
            if self.hosts[host].alive() {
                self.run_agent(host);
            }
        }
    }

    fn deliver(&mut self, event: Event) {
        if let Some((host, agent)) = event.agent() {
            return self.run_event(host, agent, event);
        }
        match event {
            Event::Heartbeat(heartbeat) => self.heartbeat(heartbeat),
            Event::Refused { to, from, path } => self.refused(to, from, path),
            Event::Frame(frame) => self.frame(frame),
            Event::Announcement { from, ip } => self.announced(from, ip),
            Event::Traffic => self.traffic(),
            _ => {}
        }
    }

    /// What an agent does later than its turn: put off while it does not run, void when it is gone.
    fn run_event(&mut self, host: usize, id: u64, event: Event) {
        let alive = self.hosts[host].alive();
        let Some(agent) = self.hosts[host].agent.as_mut().filter(|agent| agent.id == id) else { return };
        if !alive {
            return agent.late.push(event);
        }
        match event {
            Event::Apply { .. } => self.apply(host),
            Event::Held { .. } => self.end_pass(host),
            Event::Quiet { vip, .. } => self.quiet_moment(host, vip),
            Event::Retry { .. } => self.pass_again(host),
            Event::Disk { epoch, .. } => self.hosts[host].disk = epoch,
            _ => {}
        }
    }

    fn heartbeat(&mut self, heartbeat: Recorded) {
        let Recorded { from, to, path, load } = heartbeat;
        if !self.hosts[to].running() {
            return;
        }
        self.hosts[to].rx += u64::from(path >= self.net.paths);
        if self.hosts[to].agent.is_none() {
            return self.refuse(from, to, path);
        }
        let packet = match load {
            Load::Packet(packet) => *packet,
            Load::Bytes(bytes) => match wire::decode(&bytes, &self.keys) {
                Ok(packet) => packet,
                Err(_) => return,
            },
        };
        self.heard_at.insert((from, to), self.now);
        self.hand(to, Input::Heartbeat { path, packet });
    }

    /// Port unreachable: a burst of six, then one each second.
    fn refuse(&mut self, from: usize, to: usize, path: usize) {
        let (now, host) = (self.now, &mut self.hosts[to]);
        let refill = (now - host.refusals.1).as_secs() as u32;
        if refill > 0 {
            host.refusals = ((host.refusals.0 + refill).min(6), now);
        }
        if host.refusals.0 > 0 && self.net.carries(to, from, path) {
            self.hosts[to].refusals.0 -= 1;
            self.push(Duration::from_micros(100), Event::Refused { to: from, from: to, path });
        }
    }

    fn refused(&mut self, to: usize, from: usize, path: usize) {
        let name = self.hosts[from].name.clone();
        let agent = self.hosts[to].agent.as_ref();
        let Some(source) = agent.and_then(|agent| agent.machine.remote(&name, path)) else { return };
        self.hand(to, Input::Refused { path, source });
    }

    pub(super) fn hand(&mut self, host: usize, input: Input) {
        let host = &mut self.hosts[host];
        let now = host.local(self.now);
        if let Some(agent) = host.agent.as_mut().filter(|_| host.up && host.paused.is_none()) {
            agent.push(input);
            agent.timer = agent.timer.min(now);
        }
    }

    fn observe(&mut self) {
        let mut check = std::mem::take(&mut self.check);
        check.look(self);
        self.check = check;
    }
}
