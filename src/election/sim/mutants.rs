//! Every named schedule as a test, and the proof that the tests can fail: each rule is switched off in turn, and a
//! schedule must notice.

use super::{cases::*, moves::*, storm, vips::*};
use crate::election::machine::{Rule, Rules};

macro_rules! schedules {
    ($($name:ident)*) => {
        mod schedule {
            use super::*;
            $(#[test]
            fn $name() {
                if let Err(failure) = super::$name(Rules::default()) {
                    panic!("{failure}");
                }
            })*
        }
    };
}

schedules! {
    both_boot_together lone_node lone_node_on_loopback crash_return_and_failback
    manual_failback_never_happens_by_itself quick_restart_of_the_owner killed_agent stopped_owner_resumes
    restart_forgets device_fails heartbeats_cut_and_healed one_path_cut stranger_has_the_vip
    preferred_node_cannot_claim leaving differing_state owner_does_not_agree owner_becomes_ineligible
    heir_dies_in_mid_handover slow_release stopped_backup_resumes twenty_failbacks twenty_handovers
    replayed_recording three_nodes one_way
    renamed_on_one_node split_on_one_node merged_on_one_node dropped_by_its_owner address_added
}

#[test]
fn each_broken_rule_is_noticed() {
    type Schedule = fn(Rules) -> Outcome;
    let table: [(Rule, Schedule); 11] = [
        (Rule::SilentProbes, stranger_has_the_vip),
        (Rule::ConflictEnds, heartbeats_cut_and_healed),
        (Rule::EpochGrows, stopped_owner_resumes),
        (Rule::WaitForRelease, slow_release),
        (Rule::TakeBack, heir_dies_in_mid_handover),
        (Rule::DeferEnds, preferred_node_cannot_claim),
        (Rule::ForeignRespected, stranger_has_the_vip),
        (Rule::Entitled, owner_does_not_agree),
        (Rule::AnnounceAfterHeal, heartbeats_cut_and_healed),
        (Rule::ForgiveSleep, stopped_backup_resumes),
        (Rule::AnswerPatience, killed_agent),
    ];
    for (rule, schedule) in table {
        assert!(schedule(Rules::without(rule)).is_err(), "nothing noticed that {rule:?} was broken");
    }
}

#[test]
fn random_schedules_notice_broken_rules() {
    for rule in [Rule::ConflictEnds, Rule::AnswerPatience] {
        assert!(storm(0..500, Rules::without(rule)).is_err(), "nothing noticed that {rule:?} was broken");
    }
}
