//! How a world begins, and what can be read off it.

use super::{
    check::Checker,
    front::Station,
    host::{Host, front_ips},
    net::{CLIENT, GATEWAY, Net},
    prng::Rng,
    world::{Event, VIP, World},
};
use crate::{
    election::{key::Keyring, machine::Rules},
    model::{Candidate, Digest, ElectionView, Eligibility, Failback, FailbackMode, Heartbeat, Name, Peer, Role},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

const NAMES: [&str; 3] = ["lb1", "lb2", "lb3"];

impl World {
    /// `count` hosts without agents, with one Vip that prefers them in order, a gateway and a client.
    pub(super) fn new(seed: u64, count: usize, paths: usize, heartbeat: Heartbeat) -> Self {
        #[expect(clippy::disallowed_methods, reason = "an Instant has no other origin; only differences matter")]
        let start = Instant::now() + Duration::from_secs(3600);
        let address = |host: usize, path: usize| SocketAddr::from(([192, 0, 2 + path as u8, 1 + host as u8], 694));
        let peer = |host: usize| Peer {
            name: Name::new(NAMES[host]).unwrap(),
            addresses: (0..paths).map(|path| address(host, path)).collect(),
            interfaces: BTreeMap::new(),
            heartbeat,
        };
        let mut world = Self {
            now: start,
            start,
            rng: Rng(seed),
            hosts: (0..count).map(|index| Host::new(NAMES[index], index, start)).collect(),
            net: Net { longest_delay: Duration::from_millis(1), paths, ..Net::default() },
            peers: (0..count).map(|host| Arc::new(peer(host))).collect(),
            stations: [GATEWAY, CLIENT].map(|at| Station::new(at, front_ips(at))).into(),
            references: true,
            vips: Vec::new(),
            stranger: BTreeSet::new(),
            rules: Rules::default(),
            check: Checker::default(),
            encoded: true,
            heard_at: BTreeMap::new(),
            record: None,
            moves: Vec::new(),
            announcements: 0,
            story: Some(Vec::new()),
            keys: Keyring::parse(Path::new("sim"), "k 000102030405060708090a0b0c0d0e0f").unwrap(),
            queue: BTreeMap::new(),
            order: 0,
            agents: 0,
        };
        let candidate = world.candidate("web", &[VIP]);
        for host in &mut world.hosts {
            host.candidates = vec![candidate.clone()];
        }
        world.find_vips();
        world.push(Duration::ZERO, Event::Traffic);
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

    /// The candidates of one host, with what it knows of the front.
    pub(super) fn localized(&mut self, host: usize) -> Vec<Candidate> {
        self.find_vips();
        let others = || self.hosts.iter().enumerate().filter(|(other, _)| *other != host).map(|(_, other)| other);
        let mut candidates = self.hosts[host].candidates.clone();
        for candidate in candidates.iter_mut().filter(|candidate| self.references && candidate.probed) {
            candidate.node_addresses = others().map(|other| (other.name.clone(), other.ips[0])).collect();
            let families = candidate.addresses.iter().map(|ip| usize::from(ip.is_ipv6())).collect::<BTreeSet<_>>();
            for family in families {
                candidate.references.push(front_ips(GATEWAY)[family]);
            }
            // As the plan does: of each other node only the one address that is known to be its own.
            candidate.references.extend(candidate.node_addresses.values());
        }
        candidates
    }

    fn find_vips(&mut self) {
        let candidates = self.hosts.iter().flat_map(|host| &host.candidates);
        let found: BTreeSet<IpAddr> = candidates.flat_map(|candidate| &candidate.addresses).copied().collect();
        self.vips.extend(found.into_iter().filter(|ip| !self.vips.contains(ip)).collect::<Vec<_>>());
    }

    /// Since the beginning.
    pub(super) fn at(&self) -> Duration {
        self.now - self.start
    }

    /// Hosts that are Active, by their agents' word.
    pub(super) fn active(&self) -> Vec<usize> {
        (0..self.hosts.len()).filter(|host| self.hosts[*host].role() == Some(Role::Active)).collect()
    }

    /// Adds to the story, if one is wanted.
    pub(super) fn tell(&mut self, text: impl FnOnce(&Self) -> String) {
        if self.story.is_some() {
            let line = format!("{:>12.3} ms  {}", self.at().as_secs_f64() * 1000.0, text(self));
            self.story.iter_mut().for_each(|story| story.push(line.clone()));
        }
    }

    /// Tells what a node's view says that its last one did not.
    pub(super) fn tell_events(&mut self, host: usize, before: &ElectionView, view: &ElectionView) {
        if self.story.is_none() {
            return;
        }
        let last = before.events.last();
        let known = last.and_then(|last| view.events.iter().rposition(|event| Arc::ptr_eq(event, last)));
        let new: Vec<_> = view.events[known.map_or(0, |known| known + 1)..].to_vec();
        for event in new {
            self.tell(|world| format!("   {}: {}: {}", world.hosts[host].name, event.subject, event.message));
        }
    }

    /// The story, and how things stand.
    pub(super) fn dump(&self) -> String {
        let mut text = self.story.as_ref().map(|story| story.join("\n")).unwrap_or_default();
        for host in &self.hosts {
            let now = host.local(self.now);
            text += &format!("\n{} up={} alive={} has {:?}", host.name, host.up, host.alive(), host.kernel.held(now));
            let leased: Vec<_> = self.vips.iter().filter(|ip| host.kernel.leased(now, ip)).collect();
            text += &format!(" leased {leased:?}");
            let Some(agent) = &host.agent else { continue };
            let view = agent.machine.view(now);
            for (name, vip) in &view.vips {
                text += &format!("\n   {name}: {:?} epoch {} because {}", vip.role, vip.epoch, vip.why);
            }
        }
        text
    }
}
