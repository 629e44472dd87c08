//! A small world for tests: the node `lb1` of a pair, Active for `web`, at a fixed moment.

use super::{Clock, Inputs, ProcessStatus, StateInputs, Status};
use crate::model::{
    Backend, BackendTraffic, Balance, Check, CheckKind, CheckOutcome, Desired, Digest, ElectionEvent, ElectionView,
    Eligibility, Failback, FailbackMode, Health, HealthTable, Heartbeat, Kind, LeaseView, Link, Listener,
    ListenerTraffic, Mac, Name, ObjectRef, ObservedAddress, ObservedNetwork, PathView, Peer, PeerView, Pool,
    PoolTimeouts, PoolTraffic, Position, Problem, Protocol, ReconcileStats, Responses, Role, Serving, Standby,
    Standing, StatusRange, Track, TrafficSnapshot, Vip, VipAddress, VipView,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant, UNIX_EPOCH},
};

const RELEASE: &str = "1.2.3";

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(crate) fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// Everything that [`Inputs`] borrows, free to be altered by a test.
pub(crate) struct World {
    pub(crate) clock: Clock,
    pub(crate) node: Name,
    pub(crate) desired: Desired,
    pub(crate) election: ElectionView,
    pub(crate) eligibility: BTreeMap<Name, Eligibility>,
    pub(crate) lease: LeaseView,
    pub(crate) standby: Option<Standby>,
    pub(crate) health: HealthTable,
    pub(crate) network: ObservedNetwork,
    pub(crate) listeners: BTreeMap<SocketAddr, Result<(), String>>,
    pub(crate) traffic: TrafficSnapshot,
    pub(crate) reconcile: ReconcileStats,
    pub(crate) problems: Vec<Problem>,
    pub(crate) state_problems: Vec<Problem>,
    pub(crate) previous: Option<Status>,
    dir: PathBuf,
}

impl World {
    /// All in good order; the clock shows 2026-11-22T15:00:00Z and the agent is an hour old.
    #[expect(clippy::disallowed_methods, reason = "any instant will do: a status holds none")]
    pub(crate) fn new() -> Self {
        let clock = Clock {
            instant: Instant::now() + Duration::from_secs(7200),
            wall: UNIX_EPOCH + Duration::from_secs(1_795_359_600),
        };
        let mut reconcile = ReconcileStats::default();
        reconcile.record("state", clock.instant - Duration::from_secs(60), Duration::from_millis(3), false);
        let took = Duration::from_micros(1500);
        reconcile.record("timer", clock.instant - Duration::from_secs(1) - took, took, false);
        Self {
            clock,
            node: name("lb1"),
            desired: desired(),
            election: election(clock.instant),
            eligibility: BTreeMap::from([(name("web"), Eligibility::default())]),
            lease: lease(),
            standby: None,
            health: health(clock.instant),
            network: network(),
            listeners: listeners(),
            traffic: traffic(),
            reconcile,
            problems: Vec::new(),
            state_problems: Vec::new(),
            previous: None,
            dir: PathBuf::from("/var/lib/lbagent/state"),
        }
    }

    pub(crate) fn status(&self) -> Status {
        let state = StateInputs {
            dir: &self.dir,
            generation: 4,
            changed_at: Some(self.clock.instant - Duration::from_secs(60)),
            problems: &self.state_problems,
        };
        let mut status = Status::build(&Inputs {
            clock: self.clock,
            started: self.clock.instant - Duration::from_secs(3600),
            node: &self.node,
            state,
            desired: &self.desired,
            election: &self.election,
            eligibility: &self.eligibility,
            lease: &self.lease,
            standby: self.standby.as_ref(),
            health: &self.health,
            network: &self.network,
            listeners: &self.listeners,
            traffic: &self.traffic,
            reconcile: &self.reconcile,
            problems: &self.problems,
            process: ProcessStatus {
                resident_bytes: 12_345_678,
                cpu_seconds: 1.25,
                open_fds: 42,
                max_fds: 65536,
                log_dropped: 0,
            },
            previous: self.previous.as_ref(),
        });
        // What is compared with golden files must not change with every release.
        status.version = RELEASE.to_owned();
        status.peers.iter_mut().filter(|peer| peer.me).for_each(|peer| peer.version = RELEASE.to_owned());
        status
    }

    pub(crate) fn vip(&mut self) -> &mut VipView {
        self.election.vips.get_mut("web").unwrap()
    }

    pub(crate) fn peer(&mut self) -> &mut PeerView {
        self.election.peers.get_mut("lb2").unwrap()
    }

    /// What this node, or another, is seen to be.
    pub(crate) fn standing(&mut self, node: &str) -> &mut Standing {
        self.vip().standings.iter_mut().find(|standing| *standing.node == *node).unwrap()
    }

    /// Takes the addresses of the Vip from this machine's devices.
    pub(crate) fn release(&mut self) {
        self.lease.running.clear();
        self.network.addresses.clear();
    }

    /// lb2 owns the Vip, and all is well.
    pub(crate) fn backup(mut self) -> Self {
        self.release();
        for (node, role) in [("lb1", Role::Backup), ("lb2", Role::Active)] {
            let standing = self.standing(node);
            (standing.role, standing.holding, standing.verified) =
                (Some(role), role == Role::Active, role == Role::Active);
        }
        let vip = self.vip();
        (vip.leased, vip.verified) = (false, false);
        (vip.role, vip.owner, vip.why) = (Role::Backup, Some(name("lb2")), "lb2 is preferred and eligible".into());
        self
    }

    /// The checks have taken these backends out.
    pub(crate) fn down(mut self, backends: &[&str]) -> Self {
        for backend in backends {
            let health = self.health.get_mut(&(name("web"), name(backend))).unwrap();
            let at = self.clock.instant - Duration::from_secs(5);
            let last = CheckOutcome { ok: false, detail: "connection refused".into(), took: Duration::ZERO, at };
            (health.up, health.since, health.last) = (false, at, Some(last));
        }
        self
    }

    pub(crate) fn bad_file(mut self) -> Self {
        let object = ObjectRef { kind: Kind::Vip, name: name("web") };
        let position = Some(Position { file: "vip-web.json".into(), line: 9, column: 16 });
        let problem = Problem::error("UnknownValue", "unknown balance \"round-robin\"").about(object);
        self.state_problems.push(Problem { position, ..problem });
        self
    }
}

fn desired() -> Desired {
    let object = |kind, text| ObjectRef { kind, name: name(text) };
    let peers = [("lb1", "192.0.2.1:694"), ("lb2", "192.0.2.2:694")].map(|(text, address)| {
        let peer = Peer {
            name: name(text),
            addresses: vec![at(address)],
            interfaces: BTreeMap::new(),
            heartbeat: Heartbeat::default(),
        };
        (name(text), Arc::new(peer))
    });
    Desired {
        vips: BTreeMap::from([(name("web"), Arc::new(vip()))]),
        pools: BTreeMap::from([(name("web"), Arc::new(pool()))]),
        peers: BTreeMap::from(peers),
        digests: BTreeMap::from([
            (object(Kind::Vip, "web"), Digest(1)),
            (object(Kind::Pool, "web"), Digest(2)),
            (object(Kind::Peer, "lb1"), Digest(3)),
            (object(Kind::Peer, "lb2"), Digest(0xfeed_beef)),
        ]),
        vip_digests: BTreeMap::from([(name("web"), Digest(9))]),
    }
}

fn vip() -> Vip {
    let listener = |port, protocol| Listener::new(port, protocol, Some(name("web")));
    Vip {
        name: name("web"),
        addresses: vec![VipAddress::host(ip("198.51.100.10")), VipAddress::host(ip("2001:db8::10"))],
        interface: Some("eth0".to_owned()),
        nodes: vec![name("lb1"), name("lb2")],
        failback: Failback { mode: FailbackMode::Auto, after: Duration::from_secs(5) },
        track: Track::default(),
        trust_probe: true,
        listeners: vec![listener(80, Protocol::Http), listener(25, Protocol::Tcp)],
    }
}

fn pool() -> Pool {
    let backend = |text, address, weight, backup| Backend { weight, backup, ..Backend::new(name(text), at(address)) };
    let expect = vec![StatusRange { first: 200, last: 399 }];
    Pool {
        name: name("web"),
        balance: Balance::RoundRobin,
        sticky: None,
        check: Check { kind: CheckKind::Http { path: "/check.txt".into(), host: None, expect }, ..Check::default() },
        backends: vec![
            backend("webA", "192.0.2.102:80", 2, false),
            backend("webB", "192.0.2.103:80", 1, false),
            backend("sorry", "192.0.2.110:80", 1, true),
        ],
        timeouts: PoolTimeouts::default(),
        serving: Serving::default(),
    }
}

fn election(now: Instant) -> ElectionView {
    let vip = VipView {
        role: Role::Active,
        since: now - Duration::from_secs(1800),
        epoch: 7,
        why: "lb1 is the first node of the list that is eligible".into(),
        owner: Some(name("lb1")),
        owner_holds: true,
        announcement: 0,
        graceful: false,
        foreign: None,
        became_active: 2,
        dual_owner: Duration::ZERO,
        verified: true,
        leased: true,
        unleased: BTreeSet::new(),
        standings: vec![standing("lb1", Role::Active), standing("lb2", Role::Backup)],
        rules: vec![
            "no host that is no peer answers for the addresses".into(),
            "lb1 and lb2 are eligible and settled".into(),
            "lb1 is the first of them in the order of preference".into(),
        ],
    };
    let path = PathView {
        local: at("192.0.2.1:694"),
        remote: at("192.0.2.2:694"),
        up: true,
        rtt: Some(Duration::from_micros(400)),
        received: 990,
        sent: 1000,
        lost: 10,
        loss_permille: 10,
        front: false,
        rejected: BTreeMap::from([("mac", 3)]),
    };
    let peer = PeerView {
        heard: true,
        hears_us: true,
        since: now - Duration::from_secs(600),
        paths: vec![path],
        macs: vec![Mac([2, 0, 0, 0, 0, 2])],
        roles: BTreeMap::from([(ip("198.51.100.10"), Role::Backup)]),
        differs: BTreeSet::new(),
        version: RELEASE.into(),
        fenced: true,
        vanished: 0,
    };
    let event = ElectionEvent {
        at: now - Duration::from_secs(1800),
        subject: "web".into(),
        message: "Active: lb1 is the first node of the list that is eligible".into(),
    };
    ElectionView {
        vips: BTreeMap::from([(name("web"), vip)]),
        peers: BTreeMap::from([(name("lb2"), peer)]),
        events: vec![Arc::new(event)],
    }
}

fn standing(node: &str, role: Role) -> Standing {
    Standing {
        node: name(node),
        me: node == "lb1",
        heard: true,
        role: Some(role),
        epoch: 7,
        holding: role == Role::Active,
        eligible: true,
        reason: String::new(),
        settled: true,
        fenced: true,
        verified: role == Role::Active,
        same_state: true,
    }
}

fn lease() -> LeaseView {
    LeaseView {
        fenced: Ok(()),
        realtime: Ok(()),
        renewals: 24_000,
        worst_lateness: Duration::from_micros(11_600),
        running: BTreeMap::from([(ip("198.51.100.10"), true), (ip("2001:db8::10"), true)]),
        ..LeaseView::default()
    }
}

fn health(now: Instant) -> HealthTable {
    let each = ["webA", "webB", "sorry"].map(|backend| {
        let last = CheckOutcome {
            ok: true,
            detail: "200 OK".into(),
            took: Duration::from_micros(1200),
            at: now - Duration::from_secs(1),
        };
        let since = now - Duration::from_secs(3600);
        let health = Health { up: true, since, against: 0, last: Some(last), passed: 1800, failed: 2, transitions: 0 };
        ((name("web"), name(backend)), health)
    });
    BTreeMap::from(each)
}

fn network() -> ObservedNetwork {
    let link =
        Link { index: 2, name: "eth0".into(), mac: Some(Mac([2, 0, 0, 0, 0, 1])), loopback: false, running: true };
    let address = |text, prefix_len| ObservedAddress { link: 2, ip: ip(text), prefix_len, ours: true, valid_for: None };
    ObservedNetwork {
        links: BTreeMap::from([(2, link)]),
        addresses: vec![address("198.51.100.10", 32), address("2001:db8::10", 128)],
        ..ObservedNetwork::default()
    }
}

fn listeners() -> BTreeMap<SocketAddr, Result<(), String>> {
    let all = ["198.51.100.10:80", "[2001:db8::10]:80", "198.51.100.10:25", "[2001:db8::10]:25"];
    all.map(|address| (at(address), Ok(()))).into()
}

fn traffic() -> TrafficSnapshot {
    let responses = Responses([0, 480, 10, 9, 1]);
    let listener = ListenerTraffic {
        accepted: 100,
        active: 5,
        requests: 500,
        responses,
        bytes_in: 50_000,
        bytes_out: 5_000_000,
        refused: 1,
        limited: 14,
        proxy_refused: 0,
    };
    let backend = BackendTraffic {
        active: 2,
        idle: 4,
        connections: 20,
        requests: 250,
        connect_errors: 1,
        port_exhausted: 12,
        responses,
        bytes_in: 25_000,
        bytes_out: 2_500_000,
        retries: 1,
        redispatches: 3,
        failures: 6,
        ejections: 2,
    };
    let queue = PoolTraffic { queued: 3, queued_total: 40, queue_timeouts: 8, queue_refused: 9 };
    TrafficSnapshot {
        listeners: BTreeMap::from([(at("198.51.100.10:80"), listener)]),
        backends: BTreeMap::from([((name("web"), name("webA")), backend)]),
        pools: BTreeMap::from([(name("web"), queue)]),
        ejected: BTreeSet::new(),
        accept_failures: 7,
        access_log_dropped: 11,
        connections: 5,
        parked: 3,
        max_connections: 4000,
    }
}
