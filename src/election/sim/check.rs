//! What must hold whatever happens: looked at after every step.

use super::{net::GATEWAY, world::World};
use crate::model::Role;
use std::{
    collections::BTreeMap,
    net::IpAddr,
    time::{Duration, Instant},
};

const MS: Duration = Duration::from_millis(1);
/// Two owners find each other within this of the moment in which the first frame or heartbeat makes the round trip: two
/// rounds of probes or heartbeats, and the time to let go.
const MEET: Duration = Duration::from_millis(60);
/// Where one of them is stopped, its lease has to end.
const EXPIRE: Duration = Duration::from_millis(310);
/// Where one cannot fence, the other does not wait for its answers to end for ever, and then the two may insist.
const INSIST: Duration = Duration::from_millis(600);
/// How long nobody may own an address while a healthy node is there.
const VACANT: Duration = Duration::from_millis(1200);

/// An agent that was stopped cannot know when what it finds in its backlog arrived: a frame of a peer that cannot be asked
/// counts from then, and holds a claim up for so much longer than the time that is allowed.
const BACKLOG: Duration = Duration::from_millis(400);

pub(super) struct Checker {
    /// Since when something makes the round trip between two hosts.
    connected: BTreeMap<(usize, usize), Instant>,
    /// Since when a host could own: it runs, is eligible, and the front is there.
    healthy: BTreeMap<usize, Instant>,
    /// Since when nobody speaks for an address.
    vacant: BTreeMap<IpAddr, Instant>,
    /// Who speaks for each address.
    speakers: BTreeMap<IpAddr, Vec<usize>>,
    /// Since when.
    speaks_since: BTreeMap<(IpAddr, usize), Instant>,
    /// Added to the time in which two owners must find each other, where heartbeats and frames are lost or late.
    pub(super) tolerance: Duration,
    /// Added to the time in which nobody may own an address, likewise.
    pub(super) patience: Duration,
    /// How often and how long two hosts have spoken for an address in the time that is allowed.
    pub(super) overlaps: Vec<Duration>,
    overlap: Option<Instant>,
    /// The first violation, in words.
    pub(super) violation: Option<String>,
}

impl Default for Checker {
    fn default() -> Self {
        Self {
            connected: BTreeMap::new(),
            healthy: BTreeMap::new(),
            vacant: BTreeMap::new(),
            speakers: BTreeMap::new(),
            speaks_since: BTreeMap::new(),
            tolerance: Duration::ZERO,
            patience: Duration::ZERO,
            overlaps: Vec::new(),
            overlap: None,
            violation: None,
        }
    }
}

impl Checker {
    pub(super) fn look(&mut self, world: &mut World) {
        self.look_at_links(world);
        self.look_at_health(world);
        let mut both = false;
        for at in 0..world.vips.len() {
            let ip = world.vips[at];
            let speakers = world.speakers(ip);
            if speakers.len() > 1 {
                both = true;
                self.overlap.get_or_insert(world.now);
            }
            self.speaks_since.retain(|(of, host), _| *of != ip || speakers.contains(host));
            for host in &speakers {
                self.speaks_since.entry((ip, *host)).or_insert(world.now);
            }
            self.two_owners(world, ip, &speakers);
            self.no_owner(world, ip, &speakers);
            self.tell(world, ip, speakers);
        }
        if let Some(since) = self.overlap.take_if(|_| !both) {
            self.overlaps.push(world.now - since);
        }
    }

    fn look_at_links(&mut self, world: &World) {
        for a in 0..world.hosts.len() {
            for b in a + 1..world.hosts.len() {
                if world.connected(a, b) {
                    self.connected.entry((a, b)).or_insert(world.now);
                } else {
                    self.connected.remove(&(a, b));
                }
            }
        }
    }

    fn look_at_health(&mut self, world: &World) {
        for host in 0..world.hosts.len() {
            if world.healthy(host) {
                let went_on = world.hosts[host].agent.as_ref().and_then(|agent| agent.went_on);
                let since = went_on.map_or(world.now, |at| world.now.max(at + BACKLOG));
                self.healthy.entry(host).or_insert(since);
            } else {
                self.healthy.remove(&host);
            }
        }
    }

    fn two_owners(&mut self, world: &World, ip: IpAddr, speakers: &[usize]) {
        let (Some(a), Some(b)) = (speakers.first(), speakers.get(1)) else { return };
        let Some(connected) = self.connected.get(&(*a, *b)) else { return };
        if !world.meet_on_front(*a, *b) && !self.knows(world, ip, *a, *b) {
            return;
        }
        let unfenced = [a, b].iter().any(|host| !world.hosts[**host].fences);
        let stopped = [a, b].iter().any(|host| !world.hosts[**host].alive());
        let limit = MEET + self.tolerance + if stopped { EXPIRE } else { Duration::ZERO };
        let limit = if unfenced { limit + INSIST } else { limit };
        // A claim without proof is no owner to others, so they meet when one of them has it.
        let unproven = [a, b].iter().any(|host| world.unproven(**host));
        let overlap = self.overlap.filter(|_| unproven || unfenced).unwrap_or(*connected);
        let since = overlap.max(*connected);
        if world.now > since + limit {
            let (a, b) = (&world.hosts[*a].name, &world.hosts[*b].name);
            let since = world.now - *connected;
            self.violate(world, format!("{a} and {b}, connected for {since:?}, both speak for {ip}"));
        }
    }

    /// The one that began later has heard the other since that one began.
    fn knows(&self, world: &World, ip: IpAddr, a: usize, b: usize) -> bool {
        let since = |host| self.speaks_since.get(&(ip, host)).copied().unwrap_or(world.now);
        let (first, later) = if since(a) <= since(b) { (a, b) } else { (b, a) };
        world.heard_at.get(&(first, later)).is_some_and(|at| *at >= since(first))
    }

    fn no_owner(&mut self, world: &World, ip: IpAddr, speakers: &[usize]) {
        if !speakers.is_empty() || world.hosts.iter().any(|host| host.broken && host.up) {
            self.vacant.remove(&ip);
            return;
        }
        let since = *self.vacant.entry(ip).or_insert(world.now);
        let limit = VACANT + self.patience;
        let could = self.healthy.iter().find(|(_, healthy)| world.now > since.max(**healthy) + limit);
        if let Some((host, _)) = could {
            let name = &world.hosts[*host].name;
            self.violate(world, format!("nobody speaks for {ip} for {:?}, although {name} could", world.now - since));
        }
    }

    /// For the story: who speaks for what.
    fn tell(&mut self, world: &mut World, ip: IpAddr, speakers: Vec<usize>) {
        if world.story.is_none() || self.speakers.get(&ip).unwrap_or(&Vec::new()) == &speakers {
            return;
        }
        let names: Vec<&str> = speakers.iter().map(|host| &*world.hosts[*host].name).collect();
        let text = match names.is_empty() {
            true => format!("nobody speaks for {ip}"),
            false => format!("{ip} is spoken for by {}", names.join(" AND ")),
        };
        self.speakers.insert(ip, speakers);
        world.tell(|_| text);
    }

    fn violate(&mut self, world: &World, what: String) {
        if self.violation.is_none() {
            self.violation = Some(format!("{what} at {:?}", world.at()));
        }
    }
}

impl World {
    /// Hosts that speak for `ip`.
    pub(super) fn speakers(&self, ip: IpAddr) -> Vec<usize> {
        (0..self.hosts.len()).filter(|host| self.hosts[*host].speaks(self.now, &ip)).collect()
    }

    /// A probe makes the round trip between two hosts, or heartbeats between their agents: on a path that is whole, and
    /// not all of them are lost for as long as makes the one take the other for dead.
    fn connected(&self, a: usize, b: usize) -> bool {
        let dead = self.peers.iter().map(|peer| peer.heartbeat.dead_after.max(peer.heartbeat.interval * 4)).max();
        let heard = |from, to| self.heard_at.get(&(from, to)).is_some_and(|at| Some(self.now - *at) < dead);
        self.meet_on_front(a, b) || (self.agents_alive(a, b) && self.net.round_trip(a, b) && heard(a, b) && heard(b, a))
    }

    fn agents_alive(&self, a: usize, b: usize) -> bool {
        self.hosts[a].alive() && self.hosts[b].alive()
    }

    /// A probe makes the round trip between two hosts.
    fn meet_on_front(&self, a: usize, b: usize) -> bool {
        let running = self.hosts[a].running() && self.hosts[b].running();
        // Without a fence the kernel of an agent that does not run answers until the addresses' lifetime ends.
        let answers = self.agents_alive(a, b) || (self.hosts[a].fences && self.hosts[b].fences);
        running && answers && self.net.front(a, b) && self.net.front(b, a)
    }

    /// The claim of this host's agent is without proof, by its own word.
    fn unproven(&self, host: usize) -> bool {
        let agent = self.hosts[host].agent.as_ref();
        agent.is_some_and(|agent| agent.published.1.vips.values().any(|vip| vip.role == Role::Active && !vip.verified))
    }

    /// Nothing keeps this host from owning the addresses.
    fn healthy(&self, host: usize) -> bool {
        let this = &self.hosts[host];
        let able = this.alive() && this.stalled.is_none() && !self.stranger.contains(&host);
        able && this.candidates.iter().all(|candidate| candidate.eligibility.is_eligible()) && self.on_front(host)
    }

    /// Nothing is wrong with this host's front, as far as it can know.
    fn on_front(&self, host: usize) -> bool {
        let reaches = |at: usize| self.net.front(host, at) && self.net.front(at, host);
        let others = (0..self.hosts.len()).filter(|other| *other != host);
        let whole = self.stations.iter().all(|station| reaches(station.at)) && others.clone().all(reaches);
        // Where those who used to answer are gone, silence proves nothing.
        let gateway = self.stations.iter().find(|station| station.at == GATEWAY);
        let answers =
            gateway.is_some_and(|gateway| gateway.up) || others.clone().any(|other| self.hosts[other].running());
        whole && (answers || (gateway.is_none() && self.hosts.len() < 3))
    }

    /// Nothing forbidden has happened so far.
    pub(super) fn safe(&self) -> Result<(), String> {
        self.check.violation.clone().map_or(Ok(()), Err)
    }

    /// Exactly one host owns every address, and nothing changes for `time`.
    pub(super) fn settled_for(&mut self, time: Duration) -> Result<usize, String> {
        let end = self.now + time;
        let owner = self.owner()?;
        let moves = self.moves.len();
        while self.now < end {
            self.run_for(MS * 50);
            let now = self.owner()?;
            if now != owner || self.moves.len() != moves {
                return Err(format!("the addresses moved at {:?} although all was quiet", self.at()));
            }
        }
        self.safe()?;
        Ok(owner)
    }

    /// The one host that is Active and speaks for all addresses, no other speaking for any.
    pub(super) fn owner(&self) -> Result<usize, String> {
        let active = self.active();
        let [owner] = active[..] else {
            return Err(format!("{} owners at {:?}", active.len(), self.at()));
        };
        for ip in self.hosts[owner].candidates.iter().flat_map(|candidate| &candidate.addresses) {
            let speakers = self.speakers(*ip);
            if speakers != [owner] {
                return Err(format!("hosts {speakers:?} speak for {ip} at {:?}, not {owner} alone", self.at()));
            }
        }
        Ok(owner)
    }

    /// Every cache of the gateway and the client points at `owner`.
    pub(super) fn caches_point_at(&self, owner: usize) -> Result<(), String> {
        let mac = self.hosts[owner].mac;
        for station in self.stations.iter().filter(|station| station.up) {
            if let Some((ip, wrong)) = station.cache.iter().find(|(_, cached)| **cached != mac) {
                let who = station.at;
                return Err(format!("station {who} still sends {ip} to {wrong} at {:?}, not to {mac}", self.at()));
            }
        }
        Ok(())
    }
}
