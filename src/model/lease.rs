use std::{collections::BTreeMap, net::IpAddr, time::Duration};

/// How the keeping of leases fares: the permissions to use addresses, which end by themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseView {
    /// Whether the kernel itself enforces the leases; if not, why. Then a hung or killed agent leaves its addresses
    /// answered for.
    pub fenced: Result<(), String>,
    /// Whether the keeper's thread has real-time priority; if not, why.
    pub realtime: Result<(), String>,
    /// Each running lease, and whether it lets its address be asked for too (or only exchange data).
    pub running: BTreeMap<IpAddr, bool>,
    /// Renewals since the start; one is of all leases at once.
    pub renewals: u64,
    /// How late the latest of them began.
    pub worst_lateness: Duration,
    /// Renewals that failed for another reason than the end of a lease.
    pub failed_renewals: u64,
    /// The last thing that the kernel refused, in words.
    pub last_error: Option<String>,
    /// Leases that ended without having been given up, since the start.
    pub lost: u64,
    /// How often somebody else changed the fence and it was repaired.
    pub repairs: u64,
    /// Who seems to have done that last, if it is known.
    pub last_meddler: Option<String>,
    /// Parts of the agent that make no progress now, in words: while there are any, nothing is renewed.
    pub stalled: Vec<String>,
}

impl Default for LeaseView {
    fn default() -> Self {
        let not_yet = || Err("not started yet".to_owned());
        Self {
            fenced: not_yet(),
            realtime: not_yet(),
            running: BTreeMap::new(),
            renewals: 0,
            worst_lateness: Duration::ZERO,
            failed_renewals: 0,
            last_error: None,
            lost: 0,
            repairs: 0,
            last_meddler: None,
            stalled: Vec::new(),
        }
    }
}
