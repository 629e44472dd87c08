//! Schedules of planned moves: failback, handover, leaving.

use super::{
    cases::{MS, Outcome, SECOND, ensure, manual, pair},
    claims::cut_all_heartbeats,
    world::{VIP, World},
};
use crate::{
    election::machine::Rules,
    model::{Digest, FailbackMode, Role},
};
use std::time::Duration;

pub(super) fn leaving(rules: Rules) -> Outcome {
    let mut world = pair(rules);
    world.hosts[0].quiet_wait = MS * 50;
    world.run_for(SECOND);
    world.hosts[0].set_leaving(true);
    world.reload(0);
    let took = world.until_served_by(1, SECOND)?;
    ensure(took <= MS * 80, &format!("it took {took:?}"), &world)?;
    world.expect_owner(1, "the other leaves")
}

/// A node whose state differs takes over from a dead one, but does not fail back.
pub(super) fn differing_state(rules: Rules) -> Outcome {
    let mut world = pair(rules);
    world.hosts[0].candidates[0].digest = Digest(2);
    world.reload(0);
    world.run_for(SECOND);
    world.crash(0);
    world.until_served_by(1, SECOND)?;
    world.boot(0);
    world.run_for(SECOND * 3);
    world.expect_owner(1, "no failback to other state")?;
    world.crash(1);
    world.until_served_by(0, SECOND)?;
    world.expect_owner(0, "but takeover")
}

/// Only the asker believes in failback: the owner has the last word.
pub(super) fn owner_does_not_agree(rules: Rules) -> Outcome {
    let mut world = pair(rules);
    world.run_for(SECOND);
    world.crash(0);
    world.until_served_by(1, SECOND)?;
    world.hosts[1].candidates[0].failback.mode = FailbackMode::Manual;
    world.reload(1);
    world.boot(0);
    world.run_for(SECOND * 2);
    world.expect_owner(1, "the owner says manual")
}

pub(super) fn owner_becomes_ineligible(rules: Rules) -> Outcome {
    let mut world = pair(rules);
    manual(&mut world);
    world.run_for(SECOND);
    world.hosts[0].set_eligible(Some("eth1 has no carrier"));
    world.reload(0);
    world.until_served_by(1, MS * 200)?;
    world.expect_owner(1, "the eligible one")?;
    world.hosts[1].set_eligible(Some("eth1 has no carrier"));
    world.reload(1);
    world.run_for(SECOND);
    world.expect_owner(1, "nobody is eligible: comparative")?;
    world.crash(1);
    world.until_served_by(0, SECOND)?;
    world.expect_owner(0, "not eligible, but the only one")
}

/// A failback is about to begin: the second owns, the first has come back.
pub(super) fn failing_back(rules: Rules, wait: u32) -> Result<World, String> {
    let mut world = pair(rules);
    world.hosts[1].quiet_wait = MS * wait;
    world.hosts[1].apply_time = MS * 2;
    world.run_for(SECOND);
    world.crash(0);
    world.until_served_by(1, SECOND)?;
    world.boot(0);
    world.until("a failback begins", SECOND * 10, |world| world.hosts[1].role() != Some(Role::Active))?;
    Ok(world)
}

/// The heir dies at any moment of a handover: the old owner takes back, or never let go.
pub(super) fn heir_dies_in_mid_handover(rules: Rules) -> Outcome {
    for wait in [0, 30] {
        for after in 0..25 {
            let mut world = failing_back(rules, wait)?;
            world.run_for(MS * 3 * after);
            world.crash(0);
            let took = world.until_served_by(1, SECOND * 2)?;
            ensure(took <= MS * 600, &format!("it took {took:?}"), &world)?;
            world.expect_owner(1, "the old owner")?;
        }
    }
    Ok(())
}

/// The heir's agent is killed or stopped at any moment of a handover, and goes on later: never two owners.
pub(super) fn heir_stops_in_mid_handover(rules: Rules) -> Outcome {
    for effects in 0..30 {
        for pause in [MS * 60, MS * 250, SECOND * 2] {
            let mut world = failing_back(rules, 20)?;
            world.hang_after(0, effects);
            world.run_for(pause);
            world.hang(0, false);
            world.run_for(SECOND * 3);
            let owner = world.owner().map_err(|wrong| format!("{wrong}\n{}", world.dump()))?;
            world.expect_owner(owner, "somebody")?;
        }
    }
    Ok(())
}

/// Heartbeats are cut at any moment of a handover, one way or both: the old owner may take back, the heir may take over,
/// but not both.
pub(super) fn heartbeats_cut_in_mid_handover(rules: Rules) -> Outcome {
    for after in 0..20 {
        for way in 0..3 {
            let mut world = failing_back(rules, 20)?;
            world.run_for(MS * 3 * after);
            match way {
                0 => world.net.cut_heartbeats(0, 1),
                1 => world.net.cut_heartbeats(1, 0),
                _ => cut_all_heartbeats(&mut world),
            }
            world.run_for(SECOND * 3);
            ensure(world.speakers(VIP).len() == 1, &format!("one owner, way {way}"), &world)?;
            world.net.heal();
            world.run_for(SECOND * 2);
            let owner = world.owner().map_err(|wrong| format!("{wrong}\n{}", world.dump()))?;
            world.expect_owner(owner, "after the heal")?;
        }
    }
    Ok(())
}

/// The new owner dies when it has just taken the addresses, the old one being mute or hardly gone: it, or whoever else is
/// left, serves again soon; also when it is about to leave.
pub(super) fn new_owner_dies_while_the_old_is_mute(rules: Rules) -> Outcome {
    for after in 0..20 {
        let mut world = failing_back(rules, 0)?;
        world.until("the heir owns", SECOND, |world| world.hosts[0].role() == Some(Role::Active))?;
        world.run_for(MS * after);
        world.kill_agent(0);
        let took = world.until_served_by(1, SECOND * 2)?;
        ensure(took <= MS * 600, &format!("it took {took:?}"), &world)?;
    }
    Ok(())
}

/// A node leaves, and the one that takes over from it dies at once: it serves again as long as it is there.
pub(super) fn heir_of_a_leaving_node_dies(rules: Rules) -> Outcome {
    for after in [0, 5, 20, 31] {
        let mut world = pair(rules);
        world.hosts[0].quiet_wait = MS * 30;
        world.run_for(SECOND);
        world.hosts[0].set_leaving(true);
        world.reload(0);
        world.run_for(MS * after);
        world.crash(1);
        let took = world.until_served_by(0, SECOND)?;
        ensure(took <= MS * 700, &format!("it took {took:?}"), &world)?;
        world.kill_agent(0);
    }
    Ok(())
}

/// A third node cannot hear the old owner while it hands over to the second: the wire is silent, but it is not vacant.
pub(super) fn third_node_in_mid_handover(rules: Rules) -> Outcome {
    for after in 0..25 {
        let mut world = super::cases::nodes(3, 1, rules);
        world.hosts[1].quiet_wait = MS * 20;
        world.run_for(SECOND);
        world.crash(0);
        world.until_served_by(1, SECOND)?;
        world.boot(0);
        world.until("a failback begins", SECOND * 10, |world| world.hosts[1].role() != Some(Role::Active))?;
        world.run_for(MS * 2 * after);
        world.hang(0, true);
        world.run_for(MS * 90);
        world.hang(0, false);
        world.run_for(SECOND * 3);
        let owner = world.owner().map_err(|wrong| format!("{wrong}\n{}", world.dump()))?;
        world.expect_owner(owner, "somebody")?;
    }
    Ok(())
}

/// A slow release: the heir waits for it, however long it takes within the limit.
pub(super) fn slow_release(rules: Rules) -> Outcome {
    let mut world = pair(rules);
    world.run_for(SECOND);
    world.crash(0);
    world.until_served_by(1, SECOND)?;
    world.hosts[1].quiet_wait = MS * 1800;
    world.hosts[1].apply_time = MS * 1;
    world.boot(0);
    world.run_for(SECOND * 4);
    world.expect_owner(0, "after a slow release")?;
    // Also where the heir would hear nobody on the wire.
    let mut world = failing_back(rules, 1200)?;
    world.net.cut_front(0, 1);
    world.run_for(MS * 1100);
    ensure(world.speakers(VIP) == [1], "the heir waits until the owner has let go", &world)?;
    world.run_for(SECOND);
    ensure(world.speakers(VIP).len() == 1, "one owner", &world)
}

pub(super) fn failbacks_after_crashes(rules: Rules) -> Outcome {
    let mut world = pair(rules);
    world.run_for(SECOND);
    for _ in 0..4 {
        world.crash(0);
        world.until_served_by(1, SECOND)?;
        world.boot(0);
        world.until_served_by(0, SECOND * 10)?;
        world.safe()?;
    }
    ensure(world.moves.len() == 9, "no move but these", &world)?;
    world.expect_owner(0, "at the end")
}

/// Failback twenty times without a crash: the address is never on both, and never long on none.
pub(super) fn twenty_handovers(rules: Rules) -> Outcome {
    let mut world = pair(rules);
    world.run_for(SECOND);
    let mut nowhere = Duration::ZERO;
    for round in 0..40 {
        let (from, to) = (round % 2, 1 - round % 2);
        world.hosts[from].set_eligible(Some("test"));
        world.hosts[to].set_eligible(None);
        world.reload(from);
        world.reload(to);
        let begin = world.now;
        while world.speakers(VIP) != [to] {
            ensure(world.now < begin + SECOND, "the handover ends", &world)?;
            ensure(world.speakers(VIP).len() < 2, "never on both", &world)?;
            nowhere = if world.speakers(VIP).is_empty() { nowhere + MS } else { Duration::ZERO };
            ensure(nowhere < MS * 12, "never long on none", &world)?;
            world.run_for(MS);
        }
    }
    world.safe()
}
