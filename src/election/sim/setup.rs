//! How a world begins, and what can be read off it.

use super::{
    check::Checker,
    host::Host,
    net::Net,
    prng::Rng,
    world::{VIP, World},
};
use crate::{
    election::{key::Keyring, machine::Rules},
    model::{Candidate, Digest, Eligibility, Failback, FailbackMode, Heartbeat, Name, Peer, Role},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

impl World {
    /// `count` hosts, off, with one Vip that prefers them in order.
    pub(super) fn new(seed: u64, count: usize, paths: usize, heartbeat: Heartbeat) -> Self {
        let names = ["lb1", "lb2", "lb3"];
        #[expect(clippy::disallowed_methods, reason = "an Instant has no other origin; only differences matter")]
        let start = Instant::now();
        let address = |host: usize, path: usize| SocketAddr::from(([192, 0, 2 + path as u8, 1 + host as u8], 694));
        let peer = |host: usize| Peer {
            name: Name::new(names[host]).unwrap(),
            addresses: (0..paths).map(|path| address(host, path)).collect(),
            interfaces: BTreeMap::new(),
            heartbeat,
        };
        let mut world = Self {
            now: start,
            start,
            rng: Rng(seed),
            hosts: (0..count).map(|index| Host::new(names[index], index)).collect(),
            net: Net {
                cut: BTreeSet::new(),
                front_cut: BTreeSet::new(),
                loss_percent: 0,
                duplicate_percent: 0,
                longest_delay: Duration::from_millis(1),
            },
            peers: (0..count).map(|host| Arc::new(peer(host))).collect(),
            paths,
            stranger: BTreeSet::new(),
            rules: Rules::default(),
            check: Checker::default(),
            record: None,
            moves: Vec::new(),
            log: Vec::new(),
            keys: Keyring::parse(Path::new("sim"), "k 000102030405060708090a0b0c0d0e0f").unwrap(),
            queue: BTreeMap::new(),
            order: 0,
            agents: 0,
        };
        let candidate = world.candidate("web", &[VIP]);
        for host in &mut world.hosts {
            host.candidates = vec![candidate.clone()];
        }
        world
    }

    pub(super) fn candidate(&self, vip: &str, addresses: &[IpAddr]) -> Candidate {
        Candidate {
            vip: Name::new(vip).unwrap(),
            addresses: addresses.to_vec(),
            nodes: self.hosts.iter().map(|host| host.name.clone()).collect(),
            failback: Failback { mode: FailbackMode::Auto, after: Duration::from_millis(500) },
            digest: Digest(1),
            link: Some(2),
            probed: true,
            eligibility: Eligibility::default(),
            references: Vec::new(),
            node_addresses: BTreeMap::new(),
            trust_probe: true,
        }
    }

    /// Since the beginning.
    pub(super) fn at(&self) -> Duration {
        self.now - self.start
    }

    /// Hosts that are Active, by their agents' word.
    pub(super) fn active(&self) -> Vec<usize> {
        (0..self.hosts.len()).filter(|host| self.hosts[*host].role() == Some(Role::Active)).collect()
    }

    /// Hosts whose kernels have `ip`.
    pub(super) fn holders(&self, ip: IpAddr) -> Vec<usize> {
        (0..self.hosts.len()).filter(|host| self.hosts[*host].addresses.contains(&ip)).collect()
    }

    pub(super) fn dump(&self) -> String {
        let mut text = self.log.join("\n");
        for host in &self.hosts {
            text += &format!("\n{} up={} has {:?}", host.name, host.up, host.addresses);
            let Some(agent) = &host.agent else { continue };
            let view = agent.machine.view(self.now);
            for (name, vip) in &view.vips {
                text += &format!("\n   {name}: {:?} epoch {} because {}", vip.role, vip.epoch, vip.why);
            }
            for event in &view.events {
                text += &format!("\n   {:?} {}: {}", event.at.duration_since(self.start), event.subject, event.message);
            }
        }
        text
    }

    pub(super) fn dead_time(&self) -> Duration {
        self.peers.iter().map(|peer| peer.heartbeat.dead_after.max(peer.heartbeat.interval * 4)).max().unwrap()
    }
}
