//! Every named schedule as a test, and the proof that the tests can fail: each rule is switched off in turn, and a
//! schedule must notice.

use super::{
    cases::Outcome, claims::*, heals::*, moves::*, offers::*, owners::*, proof::*, starts::*, storm, told::*, vips::*,
};
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
    both_boot_together lone_node lone_node_without_references lone_node_on_loopback crash_return_and_failback
    crash_where_no_reference_ever_answered manual_failback_never_happens_by_itself quick_restart_of_the_owner crash_loop restarted_every_three_seconds
    killed_agent killed_agent_without_a_fence restarted_without_a_fence stopped_owner_resumes short_stop_of_the_owner
    stopped_owner_resumes_unheard stopped_backup_resumes paused_owner_resumes paused_owner_finds_its_clock_stepped
    both_boot_with_heartbeats_cut claimer_stopped_before_the_grant silence_through_a_broken_link questions_that_nobody_hears heard_but_not_asked claim_without_proof lossy_front
    stranger_has_the_vip preferred_node_cannot_claim device_fails crashes_are_taken_over_in_time restart_forgets
    partition_with_a_restart fabric_that_answers_for_the_dead restart_adopts_nothing same_name_twice gateway_dies
    former_agent_is_heard_late claim_after_the_last_answer partition_heals only_heartbeats_heal heal_in_silence heartbeats_heal_one_way probers_that_hear_one_way survivor_that_was_deaf
    claims_after_a_long_wait heartbeats_cut owner_loses_the_front both_lose_the_front front_carries_heartbeats
    loser_has_told_everybody owner_between_two_heartbeats
    one_path_cut one_way loss doubled_and_reordered replayed_recording stalled_data_plane wall_clock_steps
    both_families survivor_without_references three_nodes
    leaving differing_state owner_does_not_agree owner_becomes_ineligible
    heir_dies_in_mid_handover heir_stops_in_mid_handover heartbeats_cut_in_mid_handover
    new_owner_dies_while_the_old_is_mute heir_of_a_leaving_node_dies third_node_in_mid_handover heir_wakes_to_an_old_offer heir_is_given_up_too_soon third_node_does_not_hear_the_heir offer_of_one_of_two_owners slow_release failbacks_after_crashes twenty_handovers
    renamed_on_one_node split_on_one_node merged_on_one_node dropped_by_its_owner address_added
}

type Schedule = fn(Rules) -> Outcome;

/// Which schedule notices that a rule is broken.
fn witnesses() -> Vec<(Rule, Schedule)> {
    use Rule::*;
    vec![
        (SilentProbes, stranger_has_the_vip),
        (References, questions_that_nobody_hears),
        (LossNeedsMore, lossy_front),
        (BlindWaits, questions_that_nobody_hears),
        (LearnsReferences, gateway_dies),
        (TwoProbers, both_boot_with_heartbeats_cut),
        (HeardHaving, heard_but_not_asked),
        (CheckThenAct, claimer_stopped_before_the_grant),
        (FencedBlocks, heartbeats_cut),
        (AnswerPatience, killed_agent_without_a_fence),
        (ForeignRespected, stranger_has_the_vip),
        (ConflictEnds, only_heartbeats_heal),
        (EpochGrows, only_heartbeats_heal),
        (EpochRemembered, restart_forgets),
        (OwnerAudits, paused_owner_resumes),
        (UnheardYields, heartbeats_heal_one_way),
        (UnverifiedLoses, claim_without_proof),
        (DeafLeaves, owner_loses_the_front),
        (SilentOwnerYields, owner_loses_the_front),
        (LostLeaseLeaves, stopped_owner_resumes_unheard),
        (JumpStartsAnew, paused_owner_resumes),
        (FreshNonces, paused_owner_finds_its_clock_stepped),
        (UnfitYields, stalled_data_plane),
        (DeferEnds, preferred_node_cannot_claim),
        (StartYields, restarted_without_a_fence),
        (UnsettledLast, crash_loop),
        (AnnounceAfterHeal, loser_has_told_everybody),
        (LostIsSaid, owner_between_two_heartbeats),
        (ForgiveSleep, stopped_backup_resumes),
        (WaitForRelease, slow_release),
        (TakeBack, heir_dies_in_mid_handover),
        (LastResort, heir_of_a_leaving_node_dies),
        (OfferExpires, heir_wakes_to_an_old_offer),
        (WithdrawnOfferWaits, heir_is_given_up_too_soon),
        (OfferOccupies, third_node_does_not_hear_the_heir),
        (OfferIsNoProof, offer_of_one_of_two_owners),
        (Entitled, owner_does_not_agree),
        (Damping, restarted_every_three_seconds),
        (FrontPath, front_carries_heartbeats),
    ]
}

#[test]
fn each_broken_rule_is_noticed() {
    let unnoticed: Vec<Rule> = witnesses()
        .into_iter()
        .filter(|(rule, schedule)| schedule(Rules::without(*rule)).is_ok())
        .map(|(rule, _)| rule)
        .collect();
    assert!(unnoticed.is_empty(), "nothing noticed that these were broken: {unnoticed:?}");
}

#[test]
fn random_schedules_notice_broken_rules() {
    for rule in [Rule::SilentProbes, Rule::ConflictEnds, Rule::LostLeaseLeaves] {
        assert!(storm(0..500, Rules::without(rule), 1).is_err(), "nothing noticed that {rule:?} was broken");
    }
}
