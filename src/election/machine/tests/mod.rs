//! One machine against a scripted peer: every transition, and every refusal to make one.

mod behaviour;
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
            references: Vec::new(),
            node_addresses: BTreeMap::new(),
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
        let macs = vec![Mac([2, 0, 0, 0, 0, 1])];
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
            path: 0,
            session: 88,
            seq: self.seq,
            round: self.seq,
            slice: 0,
            slices: 1,
            interval: MS * 25,
            dead_after: MS * 100,
            echo,
            version: "9.9".into(),
            macs: vec![PEER_MAC],
            fenced: true,
            fronts: Vec::new(),
            claims: vec![claim],
        };
        let _ = self.machine.handle_heartbeat(self.now, 0, packet);
        self.listen();
    }

    fn step(&mut self) {
        if self.machine.poll_timeout() <= self.now {
            self.machine.handle_timeout(self.now);
            self.steps += 1;
        }
        self.listen();
    }

    fn listen(&mut self) {
        while let Some(transmit) = self.machine.poll_transmit() {
            match transmit {
                Transmit::Heartbeat { packet, .. } => {
                    self.heard = Some((packet.session, packet.seq));
                    self.said = packet.claims.first().cloned();
                }
                Transmit::Ticket { .. } | Transmit::Grant { .. } | Transmit::Revoke { .. } => {}
                Transmit::Probe { link, ip } => {
                    self.probes += 1;
                    if self.unsendable {
                        self.machine.handle_probe_failed(ip);
                    }
                    if let Some(mac) = self.answers {
                        self.machine.handle_sight(self.now, Sight { link, ip, mac, kind: SightKind::Has });
                    }
                }
            }
        }
    }

    fn vip(&self) -> crate::model::VipView {
        self.machine.view(self.now).vips["web"].clone()
    }

    #[track_caller]
    fn expect(&self, role: Role, why: &str) {
        let vip = self.vip();
        assert!(vip.role == role && vip.why.contains(why), "{role:?} because {why}, but it is {vip:#?}");
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
