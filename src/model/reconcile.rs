use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// What the reconcile loop has done since the agent started: why each pass ran, and how the last one went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReconcileStats {
    /// Passes by the reason that woke the loop (`"state"`, `"election"`, `"timer"` …): a handful of fixed words.
    pub passes: BTreeMap<&'static str, u64>,
    /// Steps that failed, over all passes.
    pub errors: u64,
    /// When the last pass ended.
    pub last_at: Option<Instant>,
    /// From the start of the last pass to its end.
    pub last_took: Duration,
    /// Why the last pass ran; empty before the first.
    pub last_reason: &'static str,
    /// Steps that failed in the last pass. 0: the machine is as it is wanted to be.
    pub last_errors: u64,
}

impl ReconcileStats {
    /// Records a pass that ran because of `reason`, ended `at`, and in which `errors` steps failed.
    pub fn record(&mut self, reason: &'static str, took: Duration, at: Instant, errors: u64) {
        *self.passes.entry(reason).or_default() += 1;
        self.errors += errors;
        self.last_at = Some(at);
        self.last_took = took;
        self.last_reason = reason;
        self.last_errors = errors;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn the_last_pass_and_all_passes_are_told_apart() {
        let (mut stats, at) = (ReconcileStats::default(), Instant::now());
        stats.record("state", Duration::from_millis(2), at, 3);
        stats.record("timer", Duration::from_millis(1), at, 0);
        stats.record("timer", Duration::from_millis(4), at, 0);
        assert_eq!(stats.passes, BTreeMap::from([("state", 1), ("timer", 2)]));
        assert_eq!((stats.errors, stats.last_errors, stats.last_reason), (3, 0, "timer"));
        assert_eq!((stats.last_at, stats.last_took), (Some(at), Duration::from_millis(4)));
    }
}
