//! Waiting: for something to become true, and to see that it stays so. No case sleeps for a fixed time.

use super::{Failure, Outcome};
pub(crate) use lbagent::drill::lab::clock::now;
use std::time::Duration;

/// Between two looks.
const POLL: Duration = Duration::from_millis(10);

/// Waits until `condition` holds, at most `limit`. `what` says what is waited for.
pub(crate) fn eventually(limit: Duration, what: &str, mut condition: impl FnMut() -> Result<bool, Failure>) -> Outcome {
    let start = now();
    loop {
        if condition()? {
            return Ok(());
        }
        if start.elapsed() >= limit {
            return Err(format!("not within {limit:?}: {what}").into());
        }
        std::thread::sleep(POLL);
    }
}

/// Looks again and again for `duration`; `condition` must hold each time.
pub(crate) fn stays(duration: Duration, what: &str, mut condition: impl FnMut() -> Result<bool, Failure>) -> Outcome {
    let start = now();
    while start.elapsed() < duration {
        if !condition()? {
            return Err(format!("held no longer after {:?}: {what}", start.elapsed()).into());
        }
        std::thread::sleep(POLL);
    }
    Ok(())
}
