//! Schedules about what is cut and comes back: two owners meet again, with heartbeats or without, in both directions or in
//! one; and a node that was cut off is left alone.

use super::{
    cases::{MS, Outcome, SECOND, cold, ensure, manual, nodes, steady},
    claims::cut_all_heartbeats,
    net::GATEWAY,
    world::{VIP, World},
};
use crate::election::machine::Rules;

/// A true partition of the front with heartbeats cut: an owner on each side. At the heal, with heartbeats or without,
/// one leaves at once and the neighbours are told.
pub(super) fn partition_heals(rules: Rules) -> Outcome {
    for heartbeats in [true, false] {
        let mut world = split(rules)?;
        world.net.front_cut.clear();
        if heartbeats {
            world.net.heal();
        }
        world.run_for(MS * 100);
        ensure(world.speakers(VIP).len() == 1, "the conflict ends", &world)?;
        world.run_for(MS * 700);
        let owner = world.owner()?;
        world.caches_point_at(owner).map_err(|wrong| format!("{wrong}\n{}", world.dump()))?;
        world.net.heal();
        world.expect_owner(owner, "after the heal")?;
    }
    Ok(())
}

/// Only heartbeats heal: the newer claim stays, preferred or not, and the neighbours are told.
pub(super) fn only_heartbeats_heal(rules: Rules) -> Outcome {
    let mut world = split(rules)?;
    world.net.cut.clear();
    world.run_for(MS * 100);
    ensure(world.active() == [1], "the newer claim stays", &world)?;
    world.net.heal();
    world.expect_owner(1, "after the heal")
}

/// The front heals first: the loser leaves by what it sees on the wire, before the winner has heard of any conflict.
/// The winner must announce all the same.
pub(super) fn heal_in_silence(rules: Rules) -> Outcome {
    for seed in 0..10 {
        let mut world = steady(rules);
        world.run_for(MS * 7 * seed);
        cut_all_heartbeats(&mut world);
        world.net.cut_front(0, 1);
        world.run_for(SECOND * 2);
        world.net.front_cut.clear();
        world.run_for(MS * (10 + 15 * seed));
        world.net.heal();
        world.run_for(MS * 700);
        let owner = world.owner().map_err(|wrong| format!("{wrong}\n{}", world.dump()))?;
        world.caches_point_at(owner).map_err(|wrong| format!("{wrong}\n{}", world.dump()))?;
        world.expect_owner(owner, "after the heal")?;
    }
    Ok(())
}

/// Heartbeats come back in one direction only, so the owner with the higher epoch knows of the other and cannot tell it.
/// The preferred one stays, as where neither hears the other.
pub(super) fn heartbeats_heal_one_way(rules: Rules) -> Outcome {
    for front in [true, false] {
        let mut world = split(rules)?;
        if front {
            world.net.front_cut.clear();
        }
        world.net.cut.retain(|(from, _, _)| *from == 1);
        world.run_for(MS * 110);
        ensure(world.speakers(VIP) == [0], &format!("the preferred one stays (front {front})"), &world)?;
        world.net.heal();
        world.run_for(SECOND);
        world.expect_owner(0, "after the heal")?;
    }
    Ok(())
}

/// An owner leaves while it cannot hear its heir, which hears it and thinks to come first for that. Both probe at once.
pub(super) fn probers_that_hear_one_way(rules: Rules) -> Outcome {
    for seed in 0..10 {
        let mut world = steady(rules);
        world.run_for(MS * 7 * seed);
        world.net.cut_heartbeats(1, 0);
        world.run_for(MS * 60);
        world.hosts[0].set_leaving(true);
        world.reload(0);
        world.run_for(SECOND);
        ensure(world.speakers(VIP).len() == 1, "one of them serves", &world)?;
    }
    Ok(())
}

/// A Backup is cut off from the front, its only peer dies, and its own cable is mended: nobody is left to be heard on the
/// segment, which is no reason to let nobody serve.
pub(super) fn survivor_that_was_deaf(rules: Rules) -> Outcome {
    let mut world = cold(2, 1, rules);
    world.stations.retain(|station| station.at != GATEWAY);
    world.start_all();
    manual(&mut world);
    world.run_for(SECOND);
    world.net.deafen(1);
    world.run_for(SECOND);
    world.crash(0);
    world.run_for(MS * 300);
    world.net.heal();
    world.until_served_by(1, MS * 1500)?;
    world.expect_owner(1, "alone")
}

/// Two nodes wait for a stranger to give the addresses up, longer than any claim lasts. When it goes, the one that comes
/// first can be heard only by heartbeats.
pub(super) fn claims_after_a_long_wait(rules: Rules) -> Outcome {
    for seed in 0..10 {
        let mut world = nodes(3, 1, rules);
        manual(&mut world);
        world.run_for(SECOND + MS * 3 * seed);
        world.stranger.extend(0..3);
        world.crash(0);
        world.run_for(SECOND * 3);
        ensure(world.speakers(VIP).is_empty(), "nobody takes what a stranger has", &world)?;
        world.net.silence(1);
        world.stranger.clear();
        world.run_for(SECOND * 2);
        ensure(world.speakers(VIP).len() == 1, "one of them serves", &world)?;
    }
    Ok(())
}

/// The lease of a stopped owner ends, and the second, which has never heard it, claims as soon as the wire is silent. The
/// first goes on behind a front that is parted, and claims on its side. At the heal it is still the preferred one that
/// stays: the second has waited for silence, and so may not insist as one does that has claimed in spite of answers.
pub(super) fn claim_after_the_last_answer(rules: Rules) -> Outcome {
    let mut world = steady(rules);
    cut_all_heartbeats(&mut world);
    world.kill_agent(1);
    world.start_agent(1);
    world.run_for(MS * 300);
    world.hang(0, true);
    world.until_served_by(1, SECOND)?;
    world.net.cut_front(0, 1);
    world.hang(0, false);
    world.run_for(SECOND * 2);
    ensure(world.active() == [0, 1], "an owner on each side", &world)?;
    world.net.front_cut.clear();
    world.run_for(MS * 60);
    ensure(world.speakers(VIP) == [0], "the preferred one stays", &world)?;
    world.net.heal();
    world.run_for(SECOND);
    world.expect_owner(0, "after the heal")
}

/// A pair that is split in two, with an owner on each side.
fn split(rules: Rules) -> Result<World, String> {
    let mut world = steady(rules);
    cut_all_heartbeats(&mut world);
    world.net.cut_front(0, 1);
    world.run_for(SECOND * 2);
    ensure(world.active() == [0, 1], "an owner on each side", &world)?;
    Ok(world)
}
