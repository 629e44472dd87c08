use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// What the reconcile loop has done since the agent started: why each pass ran, and how the last one went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReconcileStats {
    /// Passes by the reason that woke the loop (`"state"`, `"election"`, `"timer"` …): a handful of fixed words.
    pub passes: BTreeMap<&'static str, u64>,
    /// Passes in which something could not be done.
    pub errors: u64,
    /// When the last pass ended.
    pub last_at: Option<Instant>,
    /// From the start of the last pass to its end.
    pub last_took: Duration,
    /// Why the last pass ran; empty before the first.
    pub last_reason: &'static str,
    /// Something could not be done in the last pass. False: the machine is as it is wanted to be.
    pub last_failed: bool,
    /// How often something that another had removed was put back, by what it was (`"address"`). The fence is counted where
    /// it is put back, in [`super::LeaseView::repairs`].
    pub repairs: BTreeMap<&'static str, u64>,
}

impl ReconcileStats {
    /// Records a pass that ran because of `reason` from `started` for as long as it `took`.
    pub fn record(&mut self, reason: &'static str, started: Instant, took: Duration, failed: bool) {
        *self.passes.entry(reason).or_default() += 1;
        self.errors += u64::from(failed);
        self.last_at = Some(started + took);
        self.last_took = took;
        self.last_reason = reason;
        self.last_failed = failed;
    }

    /// Records that `thing` is put back after another had removed it.
    pub fn repaired(&mut self, thing: &'static str) {
        *self.repairs.entry(thing).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn the_last_pass_and_all_passes_are_told_apart() {
        let (mut stats, at) = (ReconcileStats::default(), Instant::now());
        let took = Duration::from_millis(4);
        stats.record("state", at, Duration::from_millis(2), true);
        stats.record("timer", at, Duration::from_millis(1), false);
        stats.record("timer", at, took, false);
        assert_eq!(stats.passes, BTreeMap::from([("state", 1), ("timer", 2)]));
        assert_eq!((stats.errors, stats.last_failed, stats.last_reason), (1, false, "timer"));
        stats.repaired("address");
        stats.repaired("address");
        assert_eq!(stats.repairs, BTreeMap::from([("address", 2)]));
        assert_eq!((stats.last_at, stats.last_took), (Some(at + took), took));
    }
}
