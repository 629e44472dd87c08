//! Drivers over the loopback of a namespace of their own, with a fake wire to probe and a model reconcile loop.

mod fakes;
mod leases;
mod schedules;

use super::{act::unlogged, *};
use crate::{
    election::{lease::Progress, wire},
    kernel::netns::NetNs,
    model::{Digest, ElectionEvent, Eligibility, Failback, FailbackMode, Heartbeat, PeerView, Role},
};
use fakes::{FakeLeases, FakeProbe, Wire};
use std::{
    net::{SocketAddr, UdpSocket},
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::mpsc,
};

const KEY: &str = "k1 000102030405060708090a0b0c0d0e0f";
const VIP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 10));
/// Far more than anything here takes; only a broken driver waits so long.
const LONG: Duration = Duration::from_secs(20);

/// A driver on a thread of its own, and the model reconcile loop beside it: what it is told to have, it has.
struct Node {
    input: watch::Sender<ElectionInput>,
    view: watch::Receiver<Arc<ElectionView>>,
    problems: watch::Receiver<Vec<Problem>>,
    ended: mpsc::Receiver<io::Result<()>>,
    leases: FakeLeases,
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn address(node: u8, path: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, node], 694 + path))
}

fn peers(paths: u16) -> Vec<Arc<Peer>> {
    // Slow enough for a loaded machine: nothing here is about speed.
    let heartbeat = Heartbeat { interval: Duration::from_millis(50), dead_after: Duration::from_millis(500) };
    let peer = |node: u8| Peer {
        name: name(&format!("lb{node}")),
        addresses: (0..paths).map(|path| address(node, path)).collect(),
        interfaces: BTreeMap::new(),
        heartbeat,
    };
    vec![Arc::new(peer(1)), Arc::new(peer(2))]
}

fn input(node: u8, peers: Vec<Arc<Peer>>) -> ElectionInput {
    let link = Link { index: 2, name: "eth0".into(), mac: Some(mac(node)), loopback: false, running: true };
    let candidate = Candidate {
        vip: name("web"),
        addresses: vec![VIP],
        nodes: peers.iter().map(|peer| peer.name.clone()).collect(),
        failback: Failback { mode: FailbackMode::Manual, after: Duration::from_millis(300) },
        digest: Digest(1),
        link: Some(2),
        probed: true,
        eligibility: Eligibility::default(),
        references: Vec::new(),
        node_addresses: BTreeMap::new(),
        trust_probe: true,
    };
    ElectionInput {
        node: name(&format!("lb{node}")),
        peers,
        candidates: vec![candidate],
        macs: vec![mac(node)],
        links: [(2, link)].into(),
        fronts: Vec::new(),
    }
}

fn beat() -> Beat {
    Progress::default().part("the heartbeat driver")
}

fn mac(node: u8) -> Mac {
    Mac([2, 0, 0, 0, 0, node])
}

fn write_key(dir: &Path, text: &str) -> PathBuf {
    let path = dir.join("auth.key");
    let temporary = dir.join("new.key");
    std::fs::write(&temporary, text).unwrap();
    std::fs::set_permissions(&temporary, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::rename(&temporary, &path).unwrap();
    path
}

/// A namespace with `lo` up, so that tests do not share ports.
fn namespace() -> NetNs {
    let namespace = NetNs::new().unwrap();
    let up = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (connection, handle, _) = rtnetlink::new_connection().unwrap();
            tokio::spawn(connection);
            handle.link().set(rtnetlink::LinkUnspec::new_with_index(1).up().build()).execute().await.unwrap();
        });
    };
    namespace.run(up).unwrap();
    namespace
}

impl Node {
    fn start(namespace: &NetNs, key: &Path, wire: &Wire, input: ElectionInput) -> Self {
        Self::start_on(namespace, key, wire, FakeLeases::default(), input)
    }

    fn start_on(namespace: &NetNs, key: &Path, wire: &Wire, leases: FakeLeases, input: ElectionInput) -> Self {
        let (view_sender, view) = watch::channel(Arc::default());
        let (problem_sender, problems) = watch::channel(Vec::new());
        let (end, ended) = mpsc::channel();
        let (key, wire, namespace) = (key.to_owned(), wire.clone(), namespace.clone());
        let (input, input_receiver) = watch::channel(input);
        let theirs = leases.clone();
        std::thread::spawn(move || {
            namespace.enter().unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let (held_sender, held) = watch::channel(HeldReport::default());
            let node = input_receiver.borrow().node.clone();
            let files = Files { epoch: key.with_file_name(format!("epoch-{node}")), key };
            let mac = input_receiver.borrow().macs[0];
            let channels = Channels { input: input_receiver, held, view: view_sender, problems: problem_sender };
            let views = channels.view.subscribe();
            let result = runtime.block_on(async {
                tokio::select! {
                    result = run(files, FakeProbe::new(wire.clone()), theirs, beat(), channels) => result,
                    () = reconcile(views, held_sender, wire, mac) => Ok(()),
                }
            });
            let _ = end.send(result);
        });
        Self { input, view, problems, ended, leases }
    }

    fn role(&self) -> Option<Role> {
        self.view.borrow().vips.get("web").map(|vip| vip.role)
    }

    fn peer(&self) -> Option<PeerView> {
        self.view.borrow().peers.values().next().cloned()
    }

    fn rejected(&self, reason: &str) -> u64 {
        let paths = self.peer().map(|peer| peer.paths).unwrap_or_default();
        paths.iter().filter_map(|path| path.rejected.get(reason)).sum()
    }

    /// Ends the driver as a crash of its host would: nothing is said, and the addresses are gone.
    fn crash(self, wire: &Wire) {
        drop(self.input);
        self.ended.recv_timeout(LONG).unwrap().unwrap();
        wire.0.lock().unwrap().clear();
    }
}

async fn reconcile(
    mut views: watch::Receiver<Arc<ElectionView>>,
    held: watch::Sender<HeldReport>,
    wire: Wire,
    mac: Mac,
) {
    while views.changed().await.is_ok() {
        let view = views.borrow_and_update().clone();
        let role = view.vips.get("web").map(|vip| vip.role);
        let mut report = HeldReport { acted_on: view, ..HeldReport::default() };
        {
            let mut wire = wire.0.lock().unwrap();
            match role {
                Some(Role::Active) => _ = wire.insert(VIP, mac),
                _ if wire.get(&VIP) == Some(&mac) => _ = wire.remove(&VIP),
                _ => {}
            }
            if wire.get(&VIP) == Some(&mac) {
                report.held.insert(VIP);
            }
        }
        held.send_replace(report);
    }
}

#[track_caller]
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = clocks::now();
    while !holds() {
        assert!(clocks::now() < begin + LONG, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Holds now and for a while.
#[track_caller]
fn stays(what: &str, time: Duration, mut holds: impl FnMut() -> bool) {
    let begin = clocks::now();
    while clocks::now() < begin + time {
        assert!(holds(), "does not stay: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

struct Pair {
    namespace: NetNs,
    dir: tempfile::TempDir,
    wire: Wire,
    one: Node,
    two: Node,
}

fn pair(paths: u16) -> Pair {
    let (namespace, dir, wire) = (namespace(), tempfile::tempdir().unwrap(), Wire::default());
    let key = write_key(dir.path(), KEY);
    let one = Node::start(&namespace, &key, &wire, input(1, peers(paths)));
    let two = Node::start(&namespace, &key, &wire, input(2, peers(paths)));
    eventually("one owner", || one.role() == Some(Role::Active) && two.role() == Some(Role::Backup));
    Pair { namespace, dir, wire, one, two }
}

#[test]
fn the_log_is_told_each_event_once() {
    let at = clocks::now();
    let event = |text: &str| Arc::new(ElectionEvent { at, subject: "web".into(), message: text.into() });
    let events: Vec<_> = ["a", "b", "c"].map(event).into();
    let words = |last| unlogged(&events, last).iter().map(|event| event.message.as_str()).collect::<String>();
    assert_eq!(words(None), "abc");
    assert_eq!(words(Some(&events[0])), "bc");
    assert_eq!(words(Some(&events[2])), "");
    assert_eq!(words(Some(&event("a"))), "abc", "one that has been dropped from the ring");
}

/// What is held is told before what for, but both may be news by the time the driver looks.
#[test]
fn a_new_agent_knows_what_it_has_before_it_decides_what_for() {
    for _ in 0..20 {
        let dir = tempfile::tempdir().unwrap();
        let files = Files { key: "/nonexistent/auth.key".into(), epoch: dir.path().join("epoch") };
        let whole = input(1, peers(1).into_iter().take(1).collect());
        let mut lone = whole.candidates[0].clone();
        lone.nodes.truncate(1);
        let nothing = ElectionInput { candidates: Vec::new(), ..whole.clone() };
        let (input, input_receiver) = watch::channel(nothing);
        let (held, held_receiver) = watch::channel(HeldReport::default());
        let (view, mut views) = watch::channel(Arc::default());
        let channels =
            Channels { input: input_receiver, held: held_receiver, view, problems: watch::channel(Vec::new()).0 };
        let told = async {
            views.changed().await.unwrap();
            held.send_replace(HeldReport { held: [VIP].into(), ..HeldReport::default() });
            input.send_replace(ElectionInput { candidates: vec![lone], ..whole });
            loop {
                views.changed().await.unwrap();
                let view = views.borrow_and_update().clone();
                let role = view.vips.get("web").map(|vip| vip.role);
                assert_ne!(role, Some(Role::Backup), "it gave up what it had");
                if role == Some(Role::Active) {
                    return;
                }
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            tokio::select! {
                result = run(files, FakeProbe::new(Wire::default()), FakeLeases::default(), beat(), channels) => result.unwrap(),
                () = told => {}
            }
        });
    }
}
