use super::*;
use crate::{
    kernel::netns::NetNs,
    model::{Digest, Eligibility, Failback, FailbackMode, Heartbeat, PeerView, Role},
};
use std::{
    net::{SocketAddr, UdpSocket},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Command,
    sync::{Mutex, mpsc},
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

const KEY: &str = "k1 000102030405060708090a0b0c0d0e0f";
const VIP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 10));
/// Far more than anything here takes; only a broken driver waits so long.
const LONG: Duration = Duration::from_secs(20);

/// A wire on which hosts have addresses: what the probes of all drivers of one test see.
#[derive(Clone, Default)]
struct Wire(Arc<Mutex<BTreeMap<IpAddr, Mac>>>);

struct FakeProbe {
    wire: Wire,
    answers: (UnboundedSender<(IpAddr, Mac)>, tokio::sync::Mutex<UnboundedReceiver<(IpAddr, Mac)>>),
}

impl FakeProbe {
    fn new(wire: Wire) -> Self {
        let (sender, receiver) = unbounded_channel();
        Self { wire, answers: (sender, tokio::sync::Mutex::new(receiver)) }
    }
}

impl ProbeIo for FakeProbe {
    fn send(&self, _: &Link, ip: IpAddr) -> io::Result<()> {
        if let Some(mac) = self.wire.0.lock().unwrap().get(&ip) {
            let _ = self.answers.0.send((ip, *mac));
        }
        Ok(())
    }

    async fn recv(&self) -> (IpAddr, Mac) {
        match self.answers.1.lock().await.recv().await {
            Some(answer) => answer,
            None => std::future::pending().await,
        }
    }
}

/// A driver on a thread of its own, and the model reconcile loop beside it: what it is told to have, it has.
struct Node {
    input: watch::Sender<ElectionInput>,
    view: watch::Receiver<Arc<ElectionView>>,
    problems: watch::Receiver<Vec<Problem>>,
    ended: mpsc::Receiver<io::Result<()>>,
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
    };
    ElectionInput {
        node: name(&format!("lb{node}")),
        peers,
        candidates: vec![candidate],
        macs: vec![mac(node)],
        links: [(2, link)].into(),
    }
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
    let mut up = Command::new("ip");
    up.args(["link", "set", "lo", "up"]);
    assert!(namespace.run(|| up.status().is_ok_and(|status| status.success())).unwrap());
    namespace
}

impl Node {
    fn start(namespace: &NetNs, key: &Path, wire: &Wire, input: ElectionInput) -> Self {
        let (view_sender, view) = watch::channel(Arc::default());
        let (problem_sender, problems) = watch::channel(Vec::new());
        let (end, ended) = mpsc::channel();
        let (key, wire, namespace) = (key.to_owned(), wire.clone(), namespace.clone());
        let (input, input_receiver) = watch::channel(input);
        std::thread::spawn(move || {
            namespace.enter().unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let (held_sender, held) = watch::channel(HeldReport::default());
            let mac = input_receiver.borrow().macs[0];
            let channels = Channels { input: input_receiver, held, view: view_sender, problems: problem_sender };
            let views = channels.view.subscribe();
            let result = runtime.block_on(async {
                tokio::select! {
                    result = run(key, FakeProbe::new(wire.clone()), channels) => result,
                    () = reconcile(views, held_sender, wire, mac) => Ok(()),
                }
            });
            let _ = end.send(result);
        });
        Self { input, view, problems, ended }
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
    let begin = super::now();
    while !holds() {
        assert!(super::now() < begin + LONG, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Holds now and for a while.
#[track_caller]
fn stays(what: &str, time: Duration, mut holds: impl FnMut() -> bool) {
    let begin = super::now();
    while super::now() < begin + time {
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
fn a_pair_elects_and_the_second_takes_over() {
    let Pair { namespace, dir, wire, one, two } = pair(2);
    eventually("both hear each other", || {
        [&one, &two].iter().all(|node| node.peer().is_some_and(|peer| peer.heard && peer.hears_us))
    });
    let paths = two.peer().unwrap().paths;
    assert_eq!(paths.len(), 2);
    one.crash(&wire);
    eventually("the second takes over", || two.role() == Some(Role::Active));
    let one = Node::start(&namespace, &dir.path().join("auth.key"), &wire, input(1, peers(2)));
    eventually("the first is back", || one.role() == Some(Role::Backup));
    stays("manual failback", Duration::from_millis(600), || two.role() == Some(Role::Active));
}

#[test]
fn failback_begins_when_the_files_say_so() {
    let Pair { namespace, dir, wire, one, two } = pair(1);
    one.crash(&wire);
    eventually("takeover", || two.role() == Some(Role::Active));
    let one = Node::start(&namespace, &dir.path().join("auth.key"), &wire, input(1, peers(1)));
    eventually("return", || one.role() == Some(Role::Backup));
    for node in [&one, &two] {
        node.input.send_modify(|input| input.candidates[0].failback.mode = FailbackMode::Auto);
    }
    eventually("failback", || one.role() == Some(Role::Active) && two.role() == Some(Role::Backup));
}

#[test]
fn what_is_not_authentic_is_counted_and_changes_nothing() {
    let Pair { namespace, one, two, .. } = pair(1);
    let stranger = namespace.run(|| UdpSocket::bind(("127.0.0.2", 0)).unwrap()).unwrap();
    let forged = wire::Packet {
        sender: name("lb2"),
        destination: name("lb1"),
        path: 0,
        session: 1,
        seq: 1,
        round: 1,
        slice: 0,
        slices: 1,
        interval: Duration::from_secs(1),
        dead_after: Duration::from_secs(4),
        echo: None,
        version: String::new(),
        macs: Vec::new(),
        claims: Vec::new(),
    };
    let keys = |text: &str| crate::election::key::Keyring::parse(Path::new("test"), text).unwrap();
    let wrong = wire::encode(&forged, &keys("k1 ffffffffffffffffffffffffffffffff"));
    let own = wire::Packet { sender: name("lb1"), destination: name("lb2"), ..forged.clone() };
    for (bytes, reason) in [
        (wrong.clone(), "wrong_key"),
        (wrong[..20].to_vec(), "truncated"),
        (vec![7; 3000], "oversized"),
        (b"hello".to_vec(), "not_heartbeat"),
        (wire::encode(&forged, &keys(KEY)), "stale_session"),
    ] {
        stranger.send_to(&bytes, address(1, 0)).unwrap();
        eventually(reason, || one.rejected(reason) > 0);
    }
    stranger.send_to(&wire::encode(&own, &keys(KEY)), address(1, 0)).unwrap();
    let reflected = || one.view.borrow().events.iter().any(|event| event.message.contains("reflected"));
    eventually("a reflection is refused", reflected);
    stays("the pair", Duration::from_millis(700), || {
        one.role() == Some(Role::Active) && two.role() == Some(Role::Backup)
    });
}

#[test]
fn a_flood_of_garbage_does_not_disturb() {
    let Pair { namespace, one, two, .. } = pair(1);
    let became = |node: &Node| node.view.borrow().vips["web"].became_active;
    let before = (became(&one), became(&two));
    let flood = namespace.run(|| UdpSocket::bind(("127.0.0.9", 0)).unwrap()).unwrap();
    for count in 0..50_000u32 {
        // A full socket buffer drops; that is the flood's loss.
        let _ = flood.send_to(&[b"LBHB", count.to_be_bytes().as_slice(), &[0; 60]].concat(), address(2, 0));
    }
    eventually("both still hear each other", || {
        [&one, &two].iter().all(|node| node.peer().is_some_and(|peer| peer.heard && peer.hears_us))
    });
    assert_eq!((one.role(), two.role()), (Some(Role::Active), Some(Role::Backup)));
    assert_eq!((became(&one), became(&two)), before, "no move");
}

#[test]
fn keys_rotate_without_a_gap_and_a_bad_file_changes_nothing() {
    let Pair { dir, one, two, .. } = pair(1);
    let both = |node: &Node| node.peer().is_some_and(|peer| peer.heard);
    std::fs::write(dir.path().join("auth.key"), "nonsense").unwrap();
    for node in [&one, &two] {
        eventually("the bad file is told", || node.problems.borrow().iter().any(|p| p.reason == "KeyFileRefused"));
    }
    write_key(dir.path(), &format!("k2 ffeeddccbbaa99887766554433221100\n{KEY}"));
    for node in [&one, &two] {
        eventually("the good file is read", || node.problems.borrow().is_empty());
    }
    stays("both hear each other", Duration::from_millis(700), || both(&one) && both(&two));
    assert_eq!(one.rejected("wrong_key") + two.rejected("wrong_key"), 0);
}

#[test]
fn without_a_key_nothing_is_claimed_and_nothing_is_given_up() {
    let (namespace, dir, wire) = (namespace(), tempfile::tempdir().unwrap(), Wire::default());
    let key = dir.path().join("auth.key");
    let node = Node::start(&namespace, &key, &wire, input(1, peers(1)));
    eventually("the problem is told", || node.problems.borrow().iter().any(|p| p.reason == "KeyFileRefused"));
    stays("Initialize", Duration::from_millis(900), || node.role() == Some(Role::Initialize));
    write_key(dir.path(), KEY);
    eventually("with a key it claims", || node.role() == Some(Role::Active));
    assert!(node.problems.borrow().is_empty());
}

#[test]
fn a_lone_node_needs_no_key() {
    let (namespace, dir, wire) = (namespace(), tempfile::tempdir().unwrap(), Wire::default());
    let alone = vec![peers(1)[0].clone()];
    let node = Node::start(&namespace, &dir.path().join("auth.key"), &wire, input(1, alone));
    eventually("Active", || node.role() == Some(Role::Active));
    assert!(node.problems.borrow().is_empty());
}

#[test]
fn a_port_in_use_is_told_and_tried_again() {
    let (namespace, dir, wire) = (namespace(), tempfile::tempdir().unwrap(), Wire::default());
    let key = write_key(dir.path(), KEY);
    let taken = namespace.run(|| UdpSocket::bind(address(1, 0)).unwrap()).unwrap();
    let one = Node::start(&namespace, &key, &wire, input(1, peers(1)));
    eventually("told", || one.problems.borrow().iter().any(|p| p.reason == "HeartbeatAddress"));
    drop(taken);
    let two = Node::start(&namespace, &key, &wire, input(2, peers(1)));
    eventually("heard", || [&one, &two].iter().all(|node| node.peer().is_some_and(|peer| peer.heard)));
    eventually("mended", || one.problems.borrow().is_empty());
}

#[test]
fn an_address_that_is_not_up_yet_can_be_bound_and_peers_can_move() {
    let Pair { one, two, .. } = pair(1);
    let mut moved = peers(2);
    Arc::make_mut(&mut moved[0]).addresses[0] = SocketAddr::from(([192, 0, 2, 1], 694));
    Arc::make_mut(&mut moved[0]).addresses[1] = address(1, 1);
    for node in [&one, &two] {
        node.input.send_modify(|input| input.peers = moved.clone());
    }
    eventually("heard on the second path only", || {
        [&one, &two].iter().all(|node| {
            let paths = node.peer().map(|peer| peer.paths).unwrap_or_default();
            paths.len() == 2 && !paths[0].up && paths[1].up
        })
    });
    assert!(one.problems.borrow().iter().all(|problem| problem.reason != "HeartbeatAddress"));
    assert_eq!((one.role(), two.role()), (Some(Role::Active), Some(Role::Backup)));
}
