use std::{collections::BTreeSet, net::IpAddr, time::Duration};

/// How the lease keeper fares: published on every change, read by status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseView {
    /// Whether the kernel enforces the leases; if not, why, in words.
    pub fenced: Result<(), String>,
    /// The thread that renews the leases has real-time priority.
    pub realtime: bool,
    /// Renewals since the agent started.
    pub renewals: u64,
    /// The worst time by which a renewal came later than it was due.
    pub worst_lateness: Duration,
    /// Leases that ended although nobody revoked them.
    pub lost: u64,
    /// Times that the fence or the leases' own table was put back after somebody else had removed it.
    pub repairs: u64,
    /// Who removed it last, as far as the kernel tells: a process, or a netlink port.
    pub meddler: Option<String>,
    /// Addresses that the kernel lets this node speak for now.
    pub leased: BTreeSet<IpAddr>,
}

impl Default for LeaseView {
    /// Before there is a lease keeper: nothing is enforced.
    fn default() -> Self {
        Self {
            fenced: Err("the lease keeper has not started".to_owned()),
            realtime: false,
            renewals: 0,
            worst_lateness: Duration::ZERO,
            lost: 0,
            repairs: 0,
            meddler: None,
            leased: BTreeSet::new(),
        }
    }
}
