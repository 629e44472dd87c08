//! The sections of [`Status`](super::Status) that say what ownership rests on: the fence, the leases, standby, and how
//! the nodes of a Vip stand.

use super::Timestamp;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// The fence of this node and its leases: what ends its ownership when its agent stops proving it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FenceStatus {
    /// The kernel enforces the leases.
    pub enforced: bool,
    /// Why it does not; empty if it does.
    pub reason: String,
    /// The thread that renews the leases has real-time priority.
    pub realtime: bool,
    /// Why it has not; empty if it has.
    pub not_realtime: String,
    /// Addresses that this node may speak for now.
    pub leased: Vec<IpAddr>,
    /// Addresses for which it may only exchange data: on their way to another node.
    pub draining: Vec<IpAddr>,
    /// Renewals; one is of all leases at once.
    pub renewals: u64,
    /// The worst time by which a renewal came later than it was due.
    pub worst_lateness_seconds: f64,
    /// Renewals that failed for another reason than the end of a lease.
    pub failed_renewals: u64,
    /// The last thing that the kernel refused.
    pub last_error: Option<String>,
    /// Leases that ended although nobody gave them up.
    pub lost: u64,
    /// Parts of the agent that make no progress now: while there are any, nothing is renewed.
    pub stalled: Vec<String>,
    /// Times that the fence was put back after somebody else had removed it.
    pub repairs: u64,
    /// Who removed it last, where that is known.
    pub meddler: Option<String>,
}

/// An operator has taken this node out of service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StandbyStatus {
    /// Since when.
    pub since: Timestamp,
    /// The operator's words; may be empty.
    pub reason: String,
    /// Asked for although no other node was eligible.
    pub forced: bool,
}

/// One node of a Vip as this one sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StandingStatus {
    /// The node.
    pub node: String,
    /// It is this node.
    pub me: bool,
    /// It is heard; this node always is.
    pub heard: bool,
    /// `Active`, `Backup` or `Initialize`; `null` if it is not heard.
    pub role: Option<String>,
    /// Of its last claim, or the highest that it has heard.
    pub epoch: u64,
    /// It has the addresses on a device.
    pub holding: bool,
    /// Nothing speaks against it.
    pub eligible: bool,
    /// What speaks against it; empty if nothing does.
    pub reason: String,
    /// It has run for longer than the failback hold time.
    pub settled: bool,
    /// Its kernel ends its ownership when its agent stops proving it.
    pub fenced: bool,
    /// Its claim rests on proof.
    pub verified: bool,
    /// Its state is the same as this node's as far as the Vip goes.
    pub same_state: bool,
}

impl StandbyStatus {
    /// `kernel update`, or what is to be read where the operator gave no reason.
    pub fn words(&self) -> &str {
        if self.reason.is_empty() { "no reason was given" } else { &self.reason }
    }
}
