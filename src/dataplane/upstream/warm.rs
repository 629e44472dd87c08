//! Slow start: a backend that has just come into rotation has cold caches, and its full share at once may throw it out
//! again.

use std::time::Duration;

/// In percent: what it begins with, so that it gets something to warm up by.
const LEAST: u32 = 5;

/// In percent of its weight, in a straight line from next to nothing to all of it.
pub(super) fn share(in_rotation: Duration, slow_start: Duration) -> u32 {
    if in_rotation >= slow_start {
        return 100;
    }
    let share = in_rotation.as_micros() * 100 / slow_start.as_micros();
    u32::try_from(share).unwrap_or(100).max(LEAST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn it_grows_in_a_straight_line() {
        let at = |seconds| share(Duration::from_secs(seconds), Duration::from_secs(20));
        assert_eq!([0, 1, 2, 5, 10, 19, 20, 1000].map(at), [5, 5, 10, 25, 50, 95, 100, 100]);
    }

    proptest! {
        #[test]
        fn it_never_shrinks_and_ends_at_all(slow in 1u64..86_400_000_000, a in 0u64..86_400_000_000, more in 0u64..1_000_000) {
            let share = |micros| share(Duration::from_micros(micros), Duration::from_micros(slow));
            prop_assert!(share(a) <= share(a + more));
            prop_assert!((LEAST..=100).contains(&share(a)));
            prop_assert_eq!(share(slow), 100);
        }
    }
}
