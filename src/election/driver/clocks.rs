//! The clocks, and whether this machine slept: what was known before is old then, however short a time the monotonic
//! clock shows.

use nix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant, SystemTime};

/// More than this is no error of measurement.
const TOLERANCE: Duration = Duration::from_millis(50);

/// Compares CLOCK_BOOTTIME, which goes on while the machine sleeps, with CLOCK_MONOTONIC, which does not.
#[derive(Debug, Default)]
pub(super) struct Sleep {
    /// By how much the former is ahead, at most; `None` before the first look.
    ahead: Option<Duration>,
}

/// A reading of both clocks: the thread may be kept from running in between.
#[derive(Debug, Clone, Copy)]
struct Reading {
    before: Duration,
    boottime: Duration,
    after: Duration,
}

impl Sleep {
    /// Whether the machine slept since the last look.
    pub(super) fn detected(&mut self) -> bool {
        Reading::take().is_some_and(|reading| self.judge(reading))
    }

    fn judge(&mut self, reading: Reading) -> bool {
        let least = reading.boottime.saturating_sub(reading.after);
        let most = reading.boottime.saturating_sub(reading.before);
        let slept = self.ahead.is_some_and(|ahead| least > ahead + TOLERANCE);
        self.ahead = Some(if slept { most } else { self.ahead.map_or(most, |ahead| ahead.min(most)) });
        slept
    }
}

impl Reading {
    /// `None` where there is no such clock.
    fn take() -> Option<Self> {
        let read = |clock| clock_gettime(clock).ok().map(Duration::from);
        Some(Self {
            before: read(ClockId::CLOCK_MONOTONIC)?,
            boottime: read(ClockId::CLOCK_BOOTTIME)?,
            after: read(ClockId::CLOCK_MONOTONIC)?,
        })
    }
}

#[expect(clippy::disallowed_methods, reason = "the driver is the shell that reads the clock for the machine")]
pub(super) fn now() -> Instant {
    Instant::now()
}

/// Milliseconds since 1970, for epochs; a clock before that counts as 1970.
#[expect(clippy::disallowed_methods, reason = "the driver is the shell that reads the clock for the machine")]
pub(super) fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    since.as_millis().try_into().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: Duration = Duration::from_millis(1);

    /// At `at`, asleep for `slept` in all until then, interrupted for `before` and `after` in the middle.
    fn reading(at: Duration, slept: Duration, before: Duration, after: Duration) -> Reading {
        Reading { before: at, boottime: at + before + slept, after: at + before + after }
    }

    #[test]
    fn a_sleep_is_seen_once() {
        let mut sleep = Sleep::default();
        assert!(!sleep.judge(reading(1000 * MS, 5000 * MS, MS, MS)), "what was before the start is no news");
        assert!(!sleep.judge(reading(2000 * MS, 5000 * MS, MS, MS)));
        assert!(sleep.judge(reading(3000 * MS, 5060 * MS, MS, MS)));
        assert!(!sleep.judge(reading(4000 * MS, 5060 * MS, MS, MS)));
        assert!(!sleep.judge(reading(5000 * MS, 5090 * MS, MS, MS)), "too short to matter");
        assert!(sleep.judge(reading(6000 * MS, 5120 * MS, MS, MS)), "two short ones are a long one");
    }

    #[test]
    fn this_machine_is_awake() {
        let mut sleep = Sleep::default();
        assert!(!sleep.detected());
        assert!(sleep.ahead.is_some(), "this kernel has the clock");
        assert!(!sleep.detected());
    }

    proptest! {
        #[test]
        fn interruptions_are_no_sleep(pauses in prop::collection::vec((0..5000u32, 0..5000u32, 0..5000u32), 1..20)) {
            let (mut sleep, mut at) = (Sleep::default(), 1000 * MS);
            for (run, before, after) in pauses {
                at += run * MS;
                prop_assert!(!sleep.judge(reading(at, 700 * MS, before * MS, after * MS)));
                at += (before + after) * MS;
            }
        }
    }
}
