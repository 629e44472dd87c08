//! When answers change a backend's state: pure, the outcome of each check carries its own time.
//!
//! ```text
//!                 first answer good            first answer bad
//!               ┌──────────────────  unknown  ──────────────────┐
//!               ▼                                               ▼
//!              up ───────── `fall` bad ones in a row ────────► down
//!              up ◄──────── `rise` good ones in a row ──────── down
//! ```
//!
//! Unknown counts as up, so that a balancer that has just started serves at once. But a *first* answer is better than
//! none: waiting for `fall` of them would send clients to a dead server for several intervals after every start
//! (HAProxy starts its servers the same way: up, and one failure away from down).

use crate::model::{CheckOutcome, Health};

/// A backend's state after the first answer ever.
pub fn first(outcome: CheckOutcome) -> Health {
    let (passed, failed) = (u64::from(outcome.ok), u64::from(!outcome.ok));
    Health { up: outcome.ok, since: outcome.at, against: 0, last: Some(outcome), passed, failed, transitions: 0 }
}

/// A backend's state after one more answer. `rise` and `fall` count from 1; 0 is taken for 1.
pub fn next(before: &Health, outcome: CheckOutcome, rise: u32, fall: u32) -> Health {
    let against = if outcome.ok == before.up { 0 } else { before.against.saturating_add(1) };
    let needed = if before.up { fall } else { rise };
    settle(before, outcome, against, needed)
}

/// A backend's state after the first answer to a new question (its check was edited): it decides at once, and until
/// then the old state holds, so that an edit brings no dead backend into rotation.
pub fn restart(before: &Health, outcome: CheckOutcome) -> Health {
    let against = u32::from(outcome.ok != before.up);
    settle(before, outcome, against, 1)
}

fn settle(before: &Health, outcome: CheckOutcome, against: u32, needed: u32) -> Health {
    let turned = against >= needed.max(1);
    Health {
        up: before.up != turned,
        since: if turned { outcome.at } else { before.since },
        against: if turned { 0 } else { against },
        passed: before.passed + u64::from(outcome.ok),
        failed: before.failed + u64::from(!outcome.ok),
        transitions: before.transitions + u64::from(turned),
        last: Some(outcome),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::{Duration, Instant};

    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn outcome(ok: bool, second: u64) -> CheckOutcome {
        static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
        let at = *START + Duration::from_secs(second);
        CheckOutcome { ok, detail: String::new(), took: Duration::ZERO, at }
    }

    fn run(results: &[bool], rise: u32, fall: u32) -> Health {
        let mut all = results.iter().enumerate().map(|(second, ok)| outcome(*ok, second as u64));
        let start = first(all.next().unwrap());
        all.fold(start, |health, outcome| next(&health, outcome, rise, fall))
    }

    /// The same rule, told otherwise: look for the latest run of equal results that was long enough.
    fn reference_up(results: &[bool], rise: usize, fall: usize) -> bool {
        (1..=results.len())
            .rev()
            .find_map(|end| {
                let seen = &results[..end];
                let good = seen.iter().rev().take_while(|ok| **ok).count();
                let bad = seen.iter().rev().take_while(|ok| !**ok).count();
                if good >= rise {
                    Some(true)
                } else if bad >= fall {
                    Some(false)
                } else {
                    None
                }
            })
            .unwrap_or(results[0])
    }

    #[test]
    fn the_first_answer_decides() {
        assert!(run(&[true], 2, 3).up);
        assert!(!run(&[false], 2, 3).up);
        assert_eq!(run(&[false], 2, 3).transitions, 0);
    }

    #[test]
    fn fall_failures_in_a_row_take_out_and_rise_successes_bring_back() {
        assert!(run(&[true, false, false], 2, 3).up);
        assert!(run(&[true, false, false, true, false, false], 2, 3).up);
        let down = run(&[true, false, false, false], 2, 3);
        assert!(!down.up);
        assert_eq!((down.since, down.against, down.transitions), (outcome(true, 3).at, 0, 1));
        assert!(!run(&[true, false, false, false, true], 2, 3).up);
        let back = run(&[true, false, false, false, true, true], 2, 3);
        assert!(back.up);
        assert_eq!((back.passed, back.failed, back.transitions), (3, 3, 2));
    }

    #[test]
    fn a_lower_fall_counts_what_was_already_seen() {
        let wavering = run(&[true, false], 2, 3);
        assert_eq!(wavering.against, 1);
        assert!(!next(&wavering, outcome(false, 9), 2, 2).up);
    }

    #[test]
    fn a_new_question_decides_at_once_and_keeps_the_record() {
        let down = run(&[true, false, false, false], 2, 3);
        let back = restart(&down, outcome(true, 9));
        assert!(back.up);
        assert_eq!((back.since, back.transitions, back.failed), (outcome(true, 9).at, 2, 3));
        let same = restart(&down, outcome(false, 9));
        assert_eq!((same.up, same.since, same.transitions), (false, down.since, 1));
    }

    proptest! {
        #[test]
        fn agrees_with_the_reference(
            results in proptest::collection::vec(any::<bool>(), 1..60), rise in 1u32..5, fall in 1u32..5,
        ) {
            let health = run(&results, rise, fall);
            prop_assert_eq!(health.up, reference_up(&results, rise as usize, fall as usize));
        }

        #[test]
        fn the_books_balance(
            results in proptest::collection::vec(any::<bool>(), 1..60), rise in 0u32..5, fall in 0u32..5,
        ) {
            let health = run(&results, rise, fall);
            prop_assert_eq!(health.passed + health.failed, results.len() as u64);
            let needed = if health.up { fall } else { rise };
            prop_assert!(health.against < needed.max(1));
            prop_assert_eq!(health.up == results[0], health.transitions.is_multiple_of(2));
            prop_assert!(health.since <= health.last.unwrap().at);
        }
    }
}
