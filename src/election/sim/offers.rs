//! Schedules about open offers: an heir that is stopped with an offer in its hands, while others take it for dead.

use super::{
    cases::{MS, Outcome, SECOND, alone, cold, ensure, manual, nodes},
    claims::cut_all_heartbeats,
    moves::failing_back,
    world::World,
};
use crate::{
    election::machine::Rules,
    model::{Heartbeat, Role},
};
use std::sync::Arc;

/// The heir is stopped when the offer arrives, and heartbeats are cut. The old owner takes back; when the heir goes on,
/// the offer is the last that it has heard.
pub(super) fn heir_wakes_to_an_old_offer(rules: Rules) -> Outcome {
    for after in [40, 50, 60, 70] {
        let mut world = failing_back(rules, 20)?;
        world.hosts[0].apply_time = MS / 5;
        world.hang(0, true);
        world.run_for(MS * after);
        cut_all_heartbeats(&mut world);
        world.until_served_by(1, SECOND)?;
        let moves = world.moves.len();
        world.hang(0, false);
        world.run_for(SECOND);
        ensure(world.active() == [1] && world.moves.len() == moves, "the old owner has taken back", &world)?;
        alone(&world)?;
    }
    Ok(())
}

/// The heir is stopped before it can take the offer, for longer than the old owner waits for heartbeats, but not for
/// longer than the offer stands; and the wire is not asked. So the old owner must wait for the offer too.
pub(super) fn heir_is_given_up_too_soon(rules: Rules) -> Outcome {
    for (effects, stop) in (0..12).flat_map(|effects| [66, 70, 74].map(|stop| (effects, stop))) {
        let mut world = impatient(rules)?;
        world.hang_after(0, effects);
        world.run_for(MS * stop);
        if world.hosts[0].kernel.has_leases() {
            // It was stopped only after it had taken it.
            continue;
        }
        world.hang(0, false);
        world.run_for(SECOND);
        alone(&world)?;
        ensure(world.active().len() == 1, "one owner", &world)?;
    }
    Ok(())
}

/// The second and the third are cut off from each other, and both own. The first hears the third only, which cannot serve
/// any more, or leaves, and would hand over to it; but the wire shows it the second.
pub(super) fn offer_of_one_of_two_owners(rules: Rules) -> Outcome {
    for leaves in [false, true] {
        let mut world = two_of_three_own(rules)?;
        world.hosts[2].set_eligible(Some("eth1 has no carrier"));
        world.hosts[2].set_leaving(leaves);
        world.reload(2);
        world.run_for(SECOND * 2);
        ensure(world.active().contains(&1), "the second serves on", &world)?;
        ensure(world.moves.iter().all(|(_, host)| *host != 0), "the first takes nothing", &world)?;
        world.net.heal();
        world.run_for(SECOND);
        world.expect_owner(1, "after the heal")?;
    }
    Ok(())
}

fn two_of_three_own(rules: Rules) -> Result<World, String> {
    let mut world = cold(3, 1, rules);
    manual(&mut world);
    world.start_agent(2);
    world.until_served_by(2, SECOND)?;
    world.start_agent(1);
    world.run_for(SECOND);
    world.net.cut_front(1, 2);
    cut_all_heartbeats(&mut world);
    world.until("an owner on each side", SECOND, |world| world.active() == [1, 2])?;
    world.net.cut.retain(|(from, to, _)| *from != 0 && *to != 0);
    world.net.cut_heartbeats(0, 1);
    world.net.cut_heartbeats(1, 0);
    world.start_agent(0);
    world.run_for(SECOND);
    ensure(world.active() == [1, 2] && world.hears(0, "lb3"), "the first hears the third", &world)?;
    Ok(world)
}

/// A failback is about to begin between nodes that take each other for dead soon and do not trust the wire.
fn impatient(rules: Rules) -> Result<World, String> {
    let mut world = cold(2, 1, rules);
    for host in 0..2 {
        Arc::make_mut(&mut world.peers[host]).heartbeat = Heartbeat { interval: MS * 10, dead_after: MS * 40 };
        world.hosts[host].candidates[0].trust_probe = false;
        world.hosts[host].apply_time = MS / 5;
    }
    world.net.longest_delay = MS * 4;
    world.start_all();
    world.run_for(SECOND);
    world.crash(0);
    world.until_served_by(1, SECOND)?;
    world.boot(0);
    world.until("a failback begins", SECOND * 10, |world| world.hosts[1].role() != Some(Role::Active))?;
    Ok(world)
}

/// A node leaves and offers the addresses to the first, which is stopped between getting the lease and using it. The third
/// and the first do not hear each other, and nobody answers on the wire: but the addresses are not to be had.
pub(super) fn third_node_does_not_hear_the_heir(rules: Rules) -> Outcome {
    for (effects, stop) in (0..24).flat_map(|effects| [84, 88, 92, 96].map(|stop| (effects, stop))) {
        let mut world = nodes(3, 1, rules);
        world.hosts.iter_mut().for_each(|host| host.apply_time = MS / 5);
        manual(&mut world);
        world.run_for(SECOND);
        world.crash(0);
        world.until_served_by(1, SECOND)?;
        world.boot(0);
        world.run_for(SECOND);
        world.net.cut_heartbeats(0, 2);
        world.net.cut_heartbeats(2, 0);
        world.run_for(MS * 150);
        world.hosts[1].set_leaving(true);
        world.reload(1);
        world.hang_after(0, effects);
        world.run_for(MS * stop);
        if world.hosts[0].role() == Some(Role::Active) {
            // It was stopped only after it had told the old owner, or not at all.
            continue;
        }
        world.hang(0, false);
        world.run_for(SECOND);
        alone(&world)?;
        ensure(world.active().len() == 1, "one owner", &world)?;
    }
    Ok(())
}
