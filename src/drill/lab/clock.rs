//! The lab watches a real kernel in real time: the one place of it that reads the clock, and how it waits.

use std::time::{Duration, Instant};

/// Between two looks.
const POLL: Duration = Duration::from_millis(10);

/// The present.
#[expect(clippy::disallowed_methods, reason = "a shell: stamps what clients see and bounds waits")]
pub fn now() -> Instant {
    Instant::now()
}

/// Looks until `condition` holds, at most `limit`; whether it came to hold.
pub fn wait_until(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let start = now();
    loop {
        if condition() {
            return true;
        }
        if start.elapsed() >= limit {
            return false;
        }
        std::thread::sleep(POLL);
    }
}
