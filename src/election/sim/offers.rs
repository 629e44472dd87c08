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
