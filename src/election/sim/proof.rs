//! Schedules about what a claim rests on: silence that proves nothing, and proof that has grown old before the deed.

use super::{
    cases::{MS, Outcome, SECOND, alone, cold, ensure, manual, second_owns, steady},
    claims::cut_all_heartbeats,
    world::{VIP, World},
};
use crate::election::machine::Rules;

/// A claimer is stopped between its last look at the wire and the deed, while another claims: its ticket expires. The
/// preferred one would win by insisting, so it is the one that must not.
pub(super) fn claimer_stopped_before_the_grant(rules: Rules) -> Outcome {
    for effects in 20..80 {
        let mut world = second_owns(rules)?;
        world.hosts[0].apply_time = MS / 5;
        cut_all_heartbeats(&mut world);
        world.run_for(MS * 300);
        // The first has been asking for long; it will find the wire silent now.
        world.kill_agent(1);
        world.hang_after(0, effects);
        world.run_for(MS * 40);
        world.start_agent(1);
        world.run_for(SECOND);
        // If it was stopped only after the deed, that becomes known now.
        let acted = world.hosts[0].kernel.has_leases();
        // What came in meanwhile has overflowed.
        world.hosts[0].agent.as_mut().unwrap().inbox.clear();
        let (owners, moves) = (world.speakers(VIP), world.moves.len());
        world.hang(0, false);
        world.run_for(SECOND);
        let moved = world.moves.len() > moves && !acted;
        ensure(world.active() == owners && !moved, "whoever serves goes on", &world)?;
        alone(&world)?;
    }
    Ok(())
}

/// A node behind a blocked switch port hears silence, as always: it must not win at the heal.
pub(super) fn silence_through_a_broken_link(rules: Rules) -> Outcome {
    for (heartbeats, references) in [(true, true), (false, true), (true, false), (false, false)] {
        let mut world = cold(2, 1, rules);
        world.references = references;
        world.start_all();
        manual(&mut world);
        world.run_for(SECOND);
        world.net.deafen(1);
        world.net.silence(1);
        world.net.cut_back(0, 1);
        world.run_for(SECOND * 3);
        ensure(world.speakers(VIP) == [0], "the owner serves on, alone on the wire", &world)?;
        world.net.heal();
        if !heartbeats {
            cut_all_heartbeats(&mut world);
        }
        world.run_for(SECOND);
        ensure(world.speakers(VIP) == [0], "the owner stays", &world)?;
        world.net.heal();
        world.expect_owner(0, "after the heal")?;
    }
    Ok(())
}

/// A node is heard by nobody on the segment, and itself hears others but not the owner: so it is not deaf, and its
/// questions stay without any answer. With heartbeats or without, it must not win at the heal.
pub(super) fn questions_that_nobody_hears(rules: Rules) -> Outcome {
    for (owner, heartbeats) in [(0, true), (1, true), (0, false), (1, false)] {
        let mut world = if owner == 0 { steady(rules) } else { second_owns(rules)? };
        let moves = world.moves.len();
        let other = 1 - owner;
        world.net.silence(other);
        world.net.front_cut.insert((owner, other));
        cut_all_heartbeats(&mut world);
        world.run_for(SECOND * 3);
        world.net.front_cut.clear();
        if heartbeats {
            world.net.heal();
        }
        world.run_for(SECOND);
        ensure(world.active() == [owner], "the owner stays", &world)?;
        world.net.heal();
        world.expect_owner(owner, "after the heal")?;
        ensure(world.moves.len() == moves, "nobody else has claimed", &world)?;
    }
    Ok(())
}

/// Where no reference has ever answered, a node that is cut off claims without proof. A heartbeat that gets through is
/// enough to end that, whatever the epochs, whether or not that node hears the segment again too.
pub(super) fn claim_without_proof(rules: Rules) -> Outcome {
    for front in [false, true] {
        let mut world = claimed_without_proof(rules)?;
        if front {
            world.net.front_cut.retain(|(from, _)| *from == 0);
        }
        world.net.cut.clear();
        world.run_for(SECOND);
        ensure(world.active() == [1], "the proven claim stands", &world)?;
        ensure(world.moves.len() == 2, "all the time", &world)?;
        world.net.heal();
        world.expect_owner(1, "after the heal")?;
    }
    Ok(())
}

/// The second owns, as the first knows by its heartbeats; then the first is cut off, and claims.
fn claimed_without_proof(rules: Rules) -> Result<World, String> {
    let mut world = cold(2, 1, rules);
    world.references = false;
    world.start_agent(1);
    world.run_for(SECOND);
    world.start_agent(0);
    manual(&mut world);
    world.run_for(SECOND);
    ensure(world.active() == [1], "the second was there first", &world)?;
    world.net.deafen(0);
    world.net.silence(0);
    world.net.cut_back(0, 1);
    world.until("the first claims", SECOND * 3, |world| world.active() == [0, 1])?;
    Ok(world)
}
