//! The composition root: makes the parts, connects them by channels, and ends them in the right order.
//!
//! Threads: the *control* thread (this one) runs the state watcher, the checks, the reconcile loop and the endpoint on
//! one current-thread runtime; the *election* thread runs nothing but heartbeats and probes, so that neither a slow
//! disk nor a large scrape can make this node look dead; the data plane has a thread per core.
//!
//! ```text
//! watcher ──Snapshot──► reconcile ──ElectionInput, Held──► election
//!    ├──► names ───NameTable────►│                            │
//!    └──► checks ──HealthTable──►│ ◄──────ElectionView────────┘
//!                                └──ProxyConfig──► data plane
//! ```
//!
//! A stop (SIGTERM, SIGINT) is a change of desired state like any other: this node says that it is leaving, the
//! election makes it Backup everywhere, the loop takes the addresses away at a quiet moment, and when none is held any
//! more (or after [`STOP_LIMIT`]) the parts are dropped.

mod election;
mod leave;
mod parts;
mod report;
mod standby;

use crate::{
    apply::Applier,
    dataplane::Dataplane,
    desired::{self, Snapshot, StateOptions},
    election::{
        driver::{ElectionInput, Files},
        lease::{Leases, Progress},
        machine::HeldReport,
    },
    health::{checker, resolve, track},
    kernel::{announce::Announcer, instance::InstanceLock, limits, netlink::Netlink, ping::Pinger},
    model::{Desired, Name},
    reconcile::{Hands, Inputs, Outputs, ReconcileView, Reconciler},
    status::server,
};
use election::Election;
use parts::Parts;
use report::Reporter;
use standby::Operator;
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{Notify, watch},
};

/// How long a stopping agent waits for its addresses to have left.
const STOP_LIMIT: Duration = Duration::from_secs(2);
/// As [`AgentError::ThreadEnded`] names it.
const ELECTION: &str = "election";
/// How long exchanges that are under way at the end of the agent may take.
const DRAIN: Duration = Duration::from_millis(500);

/// What `lbagent run` was told.
#[derive(Debug, Clone)]
pub struct Options {
    /// Directory of the JSON files.
    pub state_dir: PathBuf,
    /// Where last good objects are kept. `None`: beside the state directory, see [`last_good_dir`].
    pub last_good_dir: Option<PathBuf>,
    /// Which Peer this node is. `None`: the host name.
    pub node: Option<String>,
    /// Keys of the heartbeats.
    pub key_file: PathBuf,
    /// The read-only HTTP endpoint.
    pub http: SocketAddr,
    /// The control socket.
    pub socket: PathBuf,
    /// Data-plane threads. `None`: one per core.
    pub workers: Option<NonZeroUsize>,
}

/// Why the agent did not start, or had to end.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The host name (or `--node`) is no name.
    #[error("this node's name {0:?}: {1}; start the agent with --node NAME, the name of one of the Peers")]
    Node(String, #[source] crate::model::NameError),
    /// Another agent runs here.
    #[error(transparent)]
    Instance(#[from] crate::kernel::instance::InstanceError),
    /// The kernel refuses what the agent cannot do without.
    #[error(transparent)]
    Kernel(#[from] crate::kernel::KernelError),
    /// Threads, runtimes, signals.
    #[error("cannot {0}: {1}")]
    Io(&'static str, #[source] std::io::Error),
    /// A part that must not end has ended, which only a panic can have done.
    #[error("the {0} has ended, which is a bug; the agent ends too, so that it is started again")]
    ThreadEnded(&'static str),
}

/// Runs the agent until SIGTERM or SIGINT.
pub fn run(options: &Options) -> Result<(), AgentError> {
    let me = node_name(options.node.as_deref())?;
    let _instance = InstanceLock::acquire()?;
    // Before the data plane starts: it counts on what it finds.
    if let Err(error) = limits::raise_open_files() {
        tracing::warn!("cannot raise the limit of open files: {error}; fewer connections fit");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| AgentError::Io("make the control runtime", error))?;
    let ended = runtime.block_on(control(options, me));
    // A read that hangs (a dead file server) must not keep a process alive that has given everything up.
    runtime.shutdown_timeout(DRAIN);
    ended
}

/// `STATE_DIR.last-good/NODE`: outside the state directory, which may be read-only or a symlink that is swapped, and
/// apart from that of any other agent.
pub fn last_good_dir(options: &Options, me: &Name) -> PathBuf {
    options.last_good_dir.clone().unwrap_or_else(|| {
        // `components` drops a slash at the end.
        let mut beside = options.state_dir.components().as_path().as_os_str().to_owned();
        beside.push(".last-good");
        PathBuf::from(beside).join(me.as_str())
    })
}

fn node_name(given: Option<&str>) -> Result<Name, AgentError> {
    let text = match given {
        Some(text) => text.to_owned(),
        None => hostname()?,
    };
    Name::new(&text).map_err(|error| AgentError::Node(text, error))
}

fn hostname() -> Result<String, AgentError> {
    let name = nix::unistd::gethostname().map_err(|error| AgentError::Io("read the host name", error.into()))?;
    Ok(name.to_string_lossy().into_owned())
}

/// The parts, connected.
struct Agent {
    netlink: Netlink,
    dataplane: Dataplane,
    rescan: Arc<Notify>,
    election: Election,
    operator: Operator,
    leases: Leases,
    reconcile: tokio::task::JoinHandle<()>,
    parts: Parts,
    view: watch::Receiver<Arc<ReconcileView>>,
    leaving: watch::Sender<bool>,
    server: server::Server,
}

async fn control(options: &Options, me: Name) -> Result<(), AgentError> {
    let mut signals = Signals::new()?;
    let mut agent = Agent::start(options, me).await?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "started");
    let ended = agent.run(&mut signals).await;
    // Without an election nobody will say that the addresses are to leave.
    let patience = if matches!(ended, Err(AgentError::ThreadEnded(ELECTION))) { Duration::ZERO } else { STOP_LIMIT };
    agent.stop(patience).await;
    ended
}

impl Agent {
    async fn start(options: &Options, me: Name) -> Result<Self, AgentError> {
        let netlink = Netlink::connect(address_record(&options.socket))?;
        let kernel = netlink.events()?;
        let applier = Applier::new(netlink.clone(), Announcer::new()?);
        let pinger = Ping(Pinger::new()?);
        let workers = options.workers.or_else(|| std::thread::available_parallelism().ok());
        let dataplane = Dataplane::start(workers.unwrap_or(NonZeroUsize::MIN))
            .map_err(|error| AgentError::Io("start the data plane's threads", error))?;
        let mut progress = Progress::default();
        let (passes, turns) = (progress.part("the reconcile loop"), progress.part("the heartbeat driver"));
        let workers = dataplane.clone();
        progress.follow("a thread of the data plane", move || workers.progress().into_iter().max().unwrap_or_default());
        let leases = Leases::start(progress).map_err(|error| AgentError::Io("start the lease keeper", error))?;
        let last_good_dir = last_good_dir(options, &me);
        let files = Files { key: options.key_file.clone(), epoch: last_good_dir.join("epoch") };
        let rescan = Arc::new(Notify::new());
        let state = StateOptions {
            dir: options.state_dir.clone(),
            last_good_dir: last_good_dir.clone(),
            rescan: rescan.clone(),
        };
        // The follower lives as long as somebody receives from it.
        let (snapshots, _) = desired::start(state).await;

        let wanted = only_desired(snapshots.clone());
        let names = resolve::start(wanted.clone(), resolve::System);
        let health = checker::start(resolve::resolved(wanted.clone(), names.clone()));
        let pings = track::start(wanted, pinger);
        let (leaving, leaving_out) = watch::channel(false);
        let remembered = standby::remembered(last_good_dir.clone(), report::now()).await;
        let (standby, standby_out) = watch::channel(remembered);
        let nothing = ElectionInput {
            node: me.clone(),
            peers: Vec::new(),
            candidates: Vec::new(),
            macs: Vec::new(),
            fronts: Vec::new(),
            links: BTreeMap::new(),
        };
        let (candidates, candidates_out) = watch::channel(nothing);
        let (held, held_out) = watch::channel(HeldReport::default());
        let (view, view_out) = watch::channel(Arc::default());
        let election = Election::start(files, (leases.clone(), turns), candidates_out.clone(), held_out)?;

        let operator = Operator::new(last_good_dir, standby, election.view.clone(), candidates_out.clone());
        let reporter = Reporter {
            me: me.clone(),
            started: report::now(),
            dir: options.state_dir.clone(),
            state: snapshots.clone(),
            candidates: candidates_out,
            election: election.view.clone(),
            election_problems: election.problems.clone(),
            leases: leases.clone(),
            standby: standby_out.clone(),
            health: health.clone(),
            names: names.clone(),
            view: view_out.clone(),
            dataplane: dataplane.clone(),
        };
        let endpoint =
            server::Options { http: Some(options.http), socket: Some(options.socket.clone()), hostname: hostname()? };
        let server = reporter.serve(endpoint);
        let mut parts = Parts::default();
        parts.watch("state watcher", snapshots.clone());
        parts.watch("health checker", health.clone());
        parts.watch("resolver", names.clone());
        parts.watch("pinger of tracked addresses", pings.clone());
        parts.watch("HTTP endpoint", server.http.clone());
        parts.watch("lease keeper", leases.keeper());
        let inputs = Inputs {
            desired: snapshots,
            election: election.view.clone(),
            health,
            names,
            pings,
            leaving: leaving_out,
            standby: standby_out,
            kernel,
            fence: leases.events()?,
        };
        let outputs = Outputs { election: candidates, held, view, beat: passes };
        let hands = Hands { netlink: netlink.clone(), applier, dataplane: dataplane.clone(), leases: leases.clone() };
        let reconciler = Reconciler::new(me, hands, inputs, outputs);
        let reconcile = tokio::spawn(reconciler.run());
        Ok(Self {
            netlink,
            dataplane,
            rescan,
            election,
            leases,
            operator,
            reconcile,
            parts,
            view: view_out,
            leaving,
            server,
        })
    }

    /// Until a signal asks for the end, or a part that must not end has ended.
    async fn run(&mut self, signals: &mut Signals) -> Result<(), AgentError> {
        loop {
            tokio::select! {
                _ = signals.hangup.recv() => self.rescan.notify_one(),
                _ = signals.terminate.recv() => return Ok(()),
                _ = signals.interrupt.recv() => return Ok(()),
                Some(ask) = self.server.actions.recv() => self.operator.answer(ask, report::now()).await,
                _ = &mut self.reconcile => return Err(AgentError::ThreadEnded("reconcile loop")),
                () = self.election.ended() => return Err(AgentError::ThreadEnded(ELECTION)),
                () = self.dataplane.ended() => return Err(AgentError::ThreadEnded("data plane")),
                part = self.parts.ended() => return Err(AgentError::ThreadEnded(part)),
            }
        }
    }

    /// First the addresses, so that a peer can take them; then everything else.
    async fn stop(self, patience: Duration) {
        tracing::info!("leaving: giving up the addresses");
        self.leaving.send_replace(true);
        leave::give_up(&self.netlink, self.view, self.reconcile, patience).await;
        if let Err(error) = self.leases.close() {
            tracing::error!("{error}");
        }
        self.server.stop().await;
        let dataplane = self.dataplane;
        // Blocks its thread while exchanges come to their end.
        let _ = tokio::task::spawn_blocking(move || dataplane.shutdown(DRAIN)).await;
        tracing::info!("stopped");
    }
}

/// Where the agent with this control socket keeps the record of its addresses, on kernels that do not mark them:
/// `addresses` beside it, /run/lbagent/addresses.
pub fn address_record(socket: &Path) -> PathBuf {
    socket.with_file_name("addresses")
}

/// The objects without what is known about their files, for those who must not be woken by a mere problem.
fn only_desired(mut snapshots: watch::Receiver<Arc<Snapshot>>) -> watch::Receiver<Arc<Desired>> {
    let (sender, receiver) = watch::channel(snapshots.borrow_and_update().desired.clone());
    tokio::spawn(async move {
        while snapshots.changed().await.is_ok() {
            let desired = snapshots.borrow_and_update().desired.clone();
            sender.send_if_modified(|old| std::mem::replace(old, desired.clone()) != desired);
        }
    });
    receiver
}

/// The kernel's pings, for the trackers.
struct Ping(Pinger);

impl track::PingIo for Ping {
    async fn ping(&self, target: IpAddr, timeout: Duration) -> Result<Duration, String> {
        self.0.ping(target, timeout).await.map_err(|error| error.to_string())
    }
}

struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self, AgentError> {
        let listen = |kind| signal(kind).map_err(|error| AgentError::Io("listen for signals", error));
        Ok(Self {
            hangup: listen(SignalKind::hangup())?,
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(state_dir: &str) -> Options {
        Options {
            state_dir: state_dir.into(),
            last_good_dir: None,
            node: None,
            key_file: "/nonexistent".into(),
            http: "127.0.0.1:0".parse().unwrap(),
            socket: "/run/lbagent/lbagent.sock".into(),
            workers: None,
        }
    }

    #[test]
    fn last_good_objects_lie_beside_the_state_each_node_apart() {
        let me = Name::new("lb1").unwrap();
        let dir = |state_dir| last_good_dir(&options(state_dir), &me);
        assert_eq!(dir("/var/lib/lbagent/state"), Path::new("/var/lib/lbagent/state.last-good/lb1"));
        assert_eq!(dir("/var/lib/lbagent/state/"), Path::new("/var/lib/lbagent/state.last-good/lb1"));
        let given = Options { last_good_dir: Some("/x".into()), ..options("/var/lib/lbagent/state") };
        assert_eq!(last_good_dir(&given, &me), Path::new("/x"));
    }

    #[test]
    fn a_host_name_that_is_no_name_says_what_to_do() {
        let error = node_name(Some("lb 1")).unwrap_err().to_string();
        assert!(error.contains("\"lb 1\"") && error.contains("--node"), "{error}");
    }
}
