//! One machine against a scripted peer: every transition, and every refusal to make one.

mod behaviour;
mod claiming;
mod handover;
mod owning;
mod transitions;

pub(super) use super::*;
use crate::{
    election::wire::{Claim, Echo},
    model::{Candidate, Digest, Eligibility, Failback, FailbackMode, Peer, Sight, SightKind},
};

const MS: Duration = Duration::from_millis(1);
const VIP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 10));
const PEER_MAC: Mac = Mac([2, 0, 0, 0, 0, 2]);
const STRANGER: Mac = Mac([6; 6]);
const GATEWAY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 1));
const GATEWAY_MAC: Mac = Mac([1; 6]);
/// The peer's own address on the Vip's segment.
const PEER_OWN: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 2));
const MY_MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);

/// The machine is `lb1` or `lb2`; the peer is the other.
struct Bench {
    machine: Machine,
    now: Instant,
    me: Name,
    other: Name,
    candidate: Candidate,
    /// What the peer says; it is silent without.
    says: Option<Claim>,
    hears_us: bool,
    /// Who answers probes.
    answers: Option<Mac>,
    unsendable: bool,
    /// The gateway, a reference, answers.
    gateway: bool,
    /// The peer's own address answers.
    peer_own: bool,
    peer_fenced: bool,
    /// Tickets in the kernel, and until when.
    tickets: BTreeMap<u64, Instant>,
    /// What the kernel leases.
    leases: BTreeSet<IpAddr>,
    /// Whether the last heartbeat before the last revocation said Active; see [`Bench::listen`].
    spoke_late: bool,
    /// Time that a grant takes to get into the kernel.
    grant_takes: Duration,
    /// The peer's interval between heartbeats; it is dead after four of them.
    interval: Duration,
    /// What the peer says of its own addresses, and the path it speaks on.
    fronts: Vec<IpAddr>,
    path: usize,
    /// Paths on which the machine spoke: index, and number on the wire.
    paths: BTreeSet<(usize, u8)>,
    asked: usize,
    /// The round in which the machine asked for the Vip last.
    asked_round: Option<u64>,
    seq: u64,
    /// The last datagram that the peer has heard of the machine.
    heard: Option<(u64, u64)>,
    /// What the machine said last.
    said: Option<Claim>,
    probes: usize,
    steps: usize,
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn peer(text: &str, host: u8) -> Arc<Peer> {
    Arc::new(Peer {
        name: name(text),
        addresses: vec![SocketAddr::from(([192, 0, 2, host], 694))],
        interfaces: BTreeMap::new(),
        heartbeat: Heartbeat::default(),
    })
}

/// A healthy Backup.
fn backup() -> Claim {
    Claim {
        ip: VIP,
        role: Role::Backup,
        epoch: 0,
        digest: Digest(1),
        holding: false,
        asks: false,
        claiming: false,
        eligible: true,
        takes_part: true,
        settled: true,
        verified: true,
        lost: false,
        sees_silence: false,
        has_references: true,
        offer: None,
        reason: String::new(),
    }
}

fn active(epoch: u64) -> Claim {
    Claim { role: Role::Active, epoch, holding: true, ..backup() }
}

impl Bench {
    fn new(me: &str) -> Self {
        #[expect(clippy::disallowed_methods, reason = "an Instant has no other origin; only differences matter")]
        let now = Instant::now();
        let candidate = Candidate {
            vip: name("web"),
            addresses: vec![VIP],
            nodes: vec![name("lb1"), name("lb2")],
            failback: Failback { mode: FailbackMode::Auto, after: MS * 500 },
            digest: Digest(1),
            link: Some(2),
            probed: true,
            eligibility: Eligibility::default(),
            references: vec![GATEWAY],
            node_addresses: [(name(if me == "lb1" { "lb2" } else { "lb1" }), PEER_OWN)].into(),
            trust_probe: true,
        };
        let other = if me == "lb1" { "lb2" } else { "lb1" };
        let mut bench = Self {
            machine: Machine::new(now, 77, 1000, 0),
            now,
            me: name(me),
            other: name(other),
            candidate,
            says: None,
            hears_us: true,
            answers: None,
            unsendable: false,
            gateway: true,
            peer_own: false,
            peer_fenced: true,
            tickets: BTreeMap::new(),
            leases: BTreeSet::new(),
            spoke_late: false,
            grant_takes: Duration::ZERO,
            interval: MS * 25,
            fronts: Vec::new(),
            path: 0,
            paths: BTreeSet::new(),
            asked: 0,
            asked_round: None,
            seq: 0,
            heard: None,
            said: None,
            probes: 0,
            steps: 0,
        };
        bench.reload(|_| {});
        bench
    }

    fn reload(&mut self, change: impl FnOnce(&mut Candidate)) {
        change(&mut self.candidate);
        let peers = [peer("lb1", 1), peer("lb2", 2)];
        let macs = vec![MY_MAC];
        self.machine.handle_desired(self.now, &self.me, &peers, vec![self.candidate.clone()], macs);
    }

    fn hold(&mut self, holds: bool) {
        let held = if holds { [VIP].into() } else { Held::new() };
        let acted_on = Arc::new(self.machine.view(self.now));
        self.machine.handle_held(HeldReport { held, acted_on });
    }

    /// Lets `ms` milliseconds pass, with a heartbeat of the peer every 20 ms while it speaks.
    fn run(&mut self, ms: u64) -> &mut Self {
        for _ in 0..ms {
            if self.seq.is_multiple_of(20) {
                self.speak();
            }
            self.seq += 1;
            self.step();
            self.now += MS;
        }
        self
    }

    fn says(&mut self, claim: Claim) -> &mut Self {
        self.says = Some(claim);
        self.speak();
        self.step();
        self
    }

    fn speak(&mut self) {
        let Some(claim) = self.says.clone() else { return };
        self.seq += 1;
        let echo = self.heard.map(|(session, seq)| Echo { session, seq, hold: MS, hears_you: self.hears_us });
        let packet = Packet {
            sender: self.other.clone(),
            destination: self.me.clone(),
            path: if self.path == 0 { 0 } else { 128 },
            session: 88,
            seq: self.seq,
            round: self.seq,
            slice: 0,
            slices: 1,
            interval: self.interval,
            dead_after: self.interval * 4,
            echo,
            version: "9.9".into(),
            macs: vec![PEER_MAC],
            fenced: self.peer_fenced,
            fronts: self.fronts.clone(),
            claims: vec![claim],
        };
        let _ = self.machine.handle_heartbeat(self.now, self.path, packet);
        self.step();
    }

    fn step(&mut self) {
        for _ in 0..10 {
            let due = self.machine.poll_timeout() <= self.now;
            if due {
                self.machine.handle_timeout(self.now);
                self.steps += 1;
            }
            if !self.listen() && !due {
                return;
            }
        }
        panic!("the machine spins: {:#?}", self.vip());
    }

    /// Carries out what the machine wants, in its order; whether there was a grant.
    fn listen(&mut self) -> bool {
        let mut granted = false;
        while let Some(transmit) = self.machine.poll_transmit() {
            match transmit {
                Transmit::Heartbeat { packet, path, .. } => {
                    self.paths.insert((path, packet.path));
                    if path != self.path || packet.destination != self.other {
                        continue;
                    }
                    self.heard = Some((packet.session, packet.seq));
                    self.said = packet.claims.first().cloned();
                    if self.said.as_ref().is_some_and(|claim| claim.asks) {
                        self.asked_round = Some(packet.round);
                    }
                    let active = packet.claims.iter().filter(|claim| claim.role == Role::Active);
                    self.spoke_late |= active.into_iter().any(|claim| !self.leases.contains(&claim.ip));
                }
                Transmit::Ticket { id, ttl } => {
                    let old = self.tickets.insert(id, self.now + ttl);
                    assert!(old.is_none(), "ticket {id} was used before");
                }
                Transmit::Grant { vip, ticket, ips } => {
                    let done = self.now + self.grant_takes;
                    let valid = self.tickets.remove(&ticket).is_some_and(|until| done < until);
                    if valid {
                        self.leases.extend(ips);
                    }
                    self.machine.handle_grant(self.now, &vip, valid);
                    granted = true;
                }
                Transmit::Revoke { ips } => self.leases.retain(|ip| !ips.contains(ip)),
                Transmit::Probe { link, ip } => self.answer(link, ip),
            }
        }
        granted
    }

    /// What the wire answers to a probe.
    fn answer(&mut self, link: u32, ip: IpAddr) {
        let host = match ip {
            GATEWAY => {
                self.asked += 1;
                self.gateway.then_some(GATEWAY_MAC)
            }
            PEER_OWN => self.peer_own.then_some(PEER_MAC),
            _ => {
                self.probes += 1;
                self.answers
            }
        };
        if self.unsendable {
            return self.machine.handle_probe_failed(ip);
        }
        if let Some(mac) = host {
            self.sees(link, ip, mac, SightKind::Has);
        }
    }

    fn sees(&mut self, link: u32, ip: IpAddr, mac: Mac, kind: SightKind) {
        self.machine.handle_sight(self.now, Sight { link, ip, mac, kind });
    }

    fn vip(&self) -> crate::model::VipView {
        self.machine.view(self.now).vips["web"].clone()
    }

    #[track_caller]
    fn expect(&self, role: Role, why: &str) {
        let vip = self.vip();
        assert!(vip.role == role && vip.why.contains(why), "{role:?} because {why}, but it is {vip:#?}");
    }

    /// The peer, an owner, lets go in favour of the machine and answers its question.
    fn offered(&mut self) {
        let me = self.me.clone();
        self.says(Claim { offer: Some((me.clone(), 0)), ..backup() }).run(1);
        let round = self.asked_round.expect("the heir asks");
        self.says(Claim { offer: Some((me, round)), ..backup() }).run(1);
    }

    /// A machine that is Active, with the address, and a mutual Backup peer.
    fn owner(me: &str) -> Self {
        let mut bench = Self::new(me);
        bench.says(Claim { takes_part: false, eligible: false, ..backup() }).run(300);
        bench.hold(true);
        bench.says(backup()).run(100);
        bench.expect(Role::Active, "");
        bench
    }

    /// A machine that is Backup to an Active peer of epoch 5000.
    fn follower(me: &str) -> Self {
        let mut bench = Self::new(me);
        bench.says(active(5000)).run(100);
        bench.expect(Role::Backup, "is Active (epoch 5000)");
        bench
    }
}

/// A Backup whose owner dies together with every reference that once answered.
fn blind(ms: u64) -> Bench {
    let mut bench = Bench::follower("lb2");
    bench.gateway = false;
    silent(bench, ms)
}

fn ran(mut bench: Bench, ms: u64) -> Bench {
    bench.run(ms);
    bench
}

fn said(mut bench: Bench, claim: Claim, ms: u64) -> Bench {
    bench.says(claim).run(ms);
    bench
}

fn changed(mut bench: Bench, change: impl FnOnce(&mut Candidate), ms: u64) -> Bench {
    bench.reload(change);
    bench.run(ms);
    bench
}

fn silent(mut bench: Bench, ms: u64) -> Bench {
    bench.says = None;
    bench.run(ms);
    bench
}

fn asks() -> Claim {
    Claim { asks: true, ..backup() }
}

fn same_epoch(me: &str, digest: u64) -> Bench {
    let bench = Bench::owner(me);
    let epoch = bench.vip().epoch;
    said(bench, Claim { digest: Digest(digest), ..active(epoch) }, 1)
}
