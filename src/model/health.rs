use super::Name;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// What the checks say, by pool and backend. A backend that is not listed has not been checked yet and counts as up:
/// a balancer that has just started must serve before its first round of checks is over.
pub type HealthTable = BTreeMap<(Name, Name), Health>;

/// What the checks say of one backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// In rotation.
    pub up: bool,
    /// Since when `up` has its value.
    pub since: Instant,
    /// Successes (while down) or failures (while up) in a row that speak against the present state.
    pub against: u32,
    /// The last check, if one has ended.
    pub last: Option<CheckOutcome>,
    /// Checks that ended well since the agent started.
    pub passed: u64,
    /// Checks that ended badly since the agent started.
    pub failed: u64,
    /// How often `up` has changed since the agent started.
    pub transitions: u64,
}

/// How one check ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckOutcome {
    /// The backend answered as expected.
    pub ok: bool,
    /// In words: `"200 OK"`, `"connection refused"`, `"no answer within 1s"`.
    pub detail: String,
    /// From start to end.
    pub took: Duration,
    /// When it ended.
    pub at: Instant,
}
