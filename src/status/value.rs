//! The shape of [`Status`]: what `GET /status` sends and `lbagent status -o json` prints.
//!
//! Field names are camelCase, moments RFC 3339 in UTC, durations seconds as numbers, counters since the agent
//! started. Fields are only ever added. A reader takes what it does not know as absent and what is absent as the
//! default, so that `lbagent status` of one release reads an agent of another.

use super::{FenceStatus, PeerStatus, PoolStatus, StandbyStatus, Timestamp, VipStatus};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// All that the agent tells of itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    /// The name of this node; `null` if it finds itself in no Peer.
    pub node: Option<String>,
    /// The release of lbagent.
    pub version: String,
    /// When the agent started.
    pub started_at: Timestamp,
    /// When this value was made. A reader that finds it old has not reached a working agent.
    pub now: Timestamp,
    /// The state of the whole in a few words, as Kubernetes writes it.
    pub conditions: Vec<Condition>,
    /// Set while an operator has taken this node out of service.
    pub standby: Option<StandbyStatus>,
    /// What ends this node's ownership when its agent stops proving it.
    pub fence: FenceStatus,
    /// In order of name.
    pub vips: Vec<VipStatus>,
    /// In order of name, this node included.
    pub peers: Vec<PeerStatus>,
    /// In order of name.
    pub pools: Vec<PoolStatus>,
    /// The data plane as a whole.
    pub proxy: ProxyStatus,
    /// The files.
    pub state: StateStatus,
    /// The loop.
    pub reconcile: ReconcileStatus,
    /// What is wrong now, apart from the files: those are at `state.problems`.
    pub problems: Vec<ProblemStatus>,
    /// What happened lately, oldest first, bounded.
    pub events: Vec<EventStatus>,
    /// The agent as a process.
    pub process: ProcessStatus,
}

/// One aspect of the whole, in the shape of a Kubernetes condition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Condition {
    /// `Ready`, `StateValid`, `Fenced`, `Listening`, `PeersHeard`, `VipsOwned` or `PoolsServing`; of a Vip: `Fenced`.
    pub r#type: String,
    /// `True` is good.
    pub status: ConditionStatus,
    /// One word in CamelCase, stable from release to release.
    pub reason: String,
    /// For people.
    pub message: String,
    /// When `status` got its value.
    pub last_transition_time: Timestamp,
}

/// As in Kubernetes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConditionStatus {
    /// All is well.
    True,
    /// Something is not.
    False,
    /// It cannot be told (yet).
    #[default]
    Unknown,
}

/// The data plane as a whole; what it carried is said at each listener and backend.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyStatus {
    /// Client connections open now.
    pub connections: u64,
    /// Those of them that have been idle for a second or more.
    pub parked: u64,
    /// How many there may be; more wait in the kernel's queues.
    pub max_connections: u64,
    /// Times that no connection could be accepted for want of descriptors or memory.
    pub accept_failures: u64,
    /// Lines that never reached an access log because its target failed or was too slow.
    pub access_log_dropped: u64,
}

/// The state directory and what is in force.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StateStatus {
    /// The directory that is watched.
    pub dir: String,
    /// Grows by one with each change that took effect.
    pub generation: u64,
    /// When the last change took effect.
    pub changed_at: Option<Timestamp>,
    /// Each object in force.
    pub objects: Vec<ObjectStatus>,
    /// What is wrong with the files.
    pub problems: Vec<ProblemStatus>,
}

/// An object in force.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectStatus {
    /// `Vip`, `Pool` or `Peer`.
    pub kind: String,
    /// `metadata.name`.
    pub name: String,
    /// Equal digests mean equal objects.
    pub digest: String,
}

/// What the reconcile loop did.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ReconcileStatus {
    /// Passes by the reason that woke the loop.
    pub passes: BTreeMap<String, u64>,
    /// Passes in which something could not be done.
    pub errors: u64,
    /// When the last pass ended; `null` before the first.
    pub last_at: Option<Timestamp>,
    /// Why the last pass ran.
    pub last_reason: String,
    /// How long it took.
    pub last_seconds: f64,
    /// Something could not be done in it; `problems` says what.
    pub last_failed: bool,
    /// Times that something which somebody else had removed was put back, by what it was.
    pub repairs: BTreeMap<String, u64>,
}

/// Something that is wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProblemStatus {
    /// `Warning` or `Error`.
    pub severity: String,
    /// One word in CamelCase.
    pub reason: String,
    /// What it concerns, as `Vip/web`.
    pub object: Option<String>,
    /// The file, for problems of the state.
    pub file: Option<String>,
    /// From 1; 0 where it is the file as a whole.
    pub line: usize,
    /// From 1, in characters; 0 where it is the file as a whole.
    pub column: usize,
    /// For people.
    pub message: String,
}

/// Something that happened.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EventStatus {
    /// When.
    pub at: Timestamp,
    /// The Vip or the peer.
    pub subject: String,
    /// What and why.
    pub message: String,
}

/// The agent as a process, from /proc/self.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProcessStatus {
    /// Memory in use (RSS).
    pub resident_bytes: u64,
    /// User and system time of all threads.
    pub cpu_seconds: f64,
    /// Open file descriptors.
    pub open_fds: u64,
    /// The limit on those.
    pub max_fds: u64,
    /// Lines that never reached the log because whoever reads it was too slow.
    pub log_dropped: u64,
}

impl Status {
    /// The condition of this type.
    pub fn condition(&self, r#type: &str) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.r#type == r#type)
    }

    /// Whether the agent does its work: what `/healthz` says.
    pub fn is_ready(&self) -> bool {
        self.condition("Ready").is_some_and(Condition::is_true)
    }
}

impl Condition {
    /// All is well.
    pub fn is_true(&self) -> bool {
        self.status == ConditionStatus::True
    }
}

impl ConditionStatus {
    /// The word that JSON uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl ProblemStatus {
    /// Whether anything is held back because of it.
    pub fn is_error(&self) -> bool {
        self.severity == "Error"
    }

    /// `vip-web.json:9:16: `, as far as it is known; empty if not.
    pub fn place(&self) -> String {
        match (&self.file, self.line) {
            (None, _) => String::new(),
            (Some(file), 0) => format!("{file}: "),
            (Some(file), line) => format!("{file}:{line}:{}: ", self.column),
        }
    }
}
