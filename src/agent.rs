//! The composition root: makes the parts, connects them by channels, and ends them in the right order.
//!
//! Threads: the *control* thread (this one) runs the state watcher, the checks, the reconcile loop and the endpoint on
//! one current-thread runtime; the *election* thread runs nothing but heartbeats and probes, so that neither a slow
//! disk nor a large scrape can make this node look dead; the data plane has a thread per core.
//!
//! ```text
//! watcher ──Snapshot──► reconcile ──ElectionInput, Held──► election
//!    └──► checks ──HealthTable──►│ ◄──────ElectionView────────┘
//!                                └──ProxyConfig──► data plane
//! ```
//!
//! A stop (SIGTERM, SIGINT) is a change of desired state like any other: this node says that it is leaving, the
//! election makes it Backup everywhere, the loop takes the addresses away at a quiet moment, and when none is held any
//! more (or after [`STOP_LIMIT`]) the parts are dropped.

use crate::{
    apply::Applier,
    dataplane::Dataplane,
    desired::{self, Snapshot, StateOptions},
    election::{self, ElectionInput},
    health,
    kernel::{announce::Announcer, instance::InstanceLock, netlink::Netlink, ping::Pinger, probe::Prober},
    model::{ElectionView, Held, Name, Problem},
    reconcile::{Inputs, Outputs, ReconcileView, Reconciler},
    status::{self, Status},
};
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    num::NonZeroUsize,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{Notify, watch},
};

/// How long a stopping agent waits for its addresses to have left.
const STOP_LIMIT: Duration = Duration::from_secs(2);
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
    /// A thread that must not end has ended.
    #[error("the {0} thread has ended, which is a bug; the agent ends too, so that it is started again")]
    ThreadEnded(&'static str),
}

/// Runs the agent until SIGTERM or SIGINT.
pub fn run(options: &Options) -> Result<(), AgentError> {
    let me = node_name(options.node.as_deref())?;
    let _instance = InstanceLock::acquire()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| AgentError::Io("make the control runtime", error))?;
    runtime.block_on(control(options, me))
}

/// `STATE_DIR.last-good/NODE`: outside the state directory, which may be read-only or a symlink that is swapped, and
/// apart from that of any other agent.
pub fn last_good_dir(options: &Options, me: &Name) -> PathBuf {
    options.last_good_dir.clone().unwrap_or_else(|| {
        let mut beside = options.state_dir.clone().into_os_string();
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
