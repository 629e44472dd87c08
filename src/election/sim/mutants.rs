//! A check that has never failed proves nothing: each rule is switched off in turn, and the simulation must notice.

use super::storm;
use crate::election::machine::{Rule, Rules};

/// Schedules within which each broken rule must be caught.
const SEEDS: u64 = 400;

#[test]
fn random_schedules_notice_a_broken_rule() {
    let rules = [
        Rule::SilentProbes,
        Rule::ConflictEnds,
        Rule::EpochGrows,
        Rule::WaitForRelease,
        Rule::TakeBack,
        Rule::DeferEnds,
        Rule::ForeignRespected,
        Rule::Entitled,
        Rule::AnswerPatience,
        Rule::ForgiveSleep,
    ];
    for rule in rules {
        eprintln!(
            "{rule:?} {:?}",
            storm(0..SEEDS, Rules::without(rule)).map_err(|e| e.lines().next().unwrap().to_owned())
        );
    }
}
