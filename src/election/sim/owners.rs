//! Schedules about owning: cut wires, deafness, overload; who stays, who leaves, and who tells the neighbours.

use super::{
    cases::{MS, Outcome, SECOND, edit, ensure, nodes, pair, second_owns, steady},
    claims::cut_all_heartbeats,
    net::CLIENT,
    world::{VIP, VIP6, World},
};
use crate::election::machine::Rules;

/// Heartbeats are cut, the front is whole: nothing moves, for as long as it lasts.
pub(super) fn heartbeats_cut(rules: Rules) -> Outcome {
    for owner in [0, 1] {
        let mut world = if owner == 0 { steady(rules) } else { second_owns(rules)? };
        let moves = world.moves.len();
        cut_all_heartbeats(&mut world);
        world.run_for(SECOND * 10);
        ensure(world.active() == [owner], "nobody claims what is answered", &world)?;
        world.net.heal();
        world.expect_owner(owner, "after the heal")?;
        ensure(world.moves.len() == moves, "no move", &world)?;
    }
    Ok(())
}

/// The owner's front is cut in one or both directions, heartbeats get through elsewhere: the other takes over.
pub(super) fn owner_loses_the_front(rules: Rules) -> Outcome {
    for (deaf, dumb, limit) in [(true, true, 1200), (true, false, 3500), (false, true, 3500)] {
        let mut world = steady(rules);
        if deaf {
            world.net.deafen(0);
        }
        if dumb {
            world.net.silence(0);
        }
        let took = world.until_served_by(1, MS * limit)?;
        world.run_for(SECOND * 2);
        ensure(world.speakers(VIP) == [1], &format!("deaf {deaf}, dumb {dumb}: stays ({took:?})"), &world)?;
        let moves = world.moves.len();
        world.net.heal();
        world.run_for(SECOND * 3);
        ensure(world.moves.len() == moves, "no move back", &world)?;
        world.expect_owner(1, "after the heal")?;
    }
    Ok(())
}

/// Both fronts are cut: nobody can do better, and once one heals it serves.
pub(super) fn both_lose_the_front(rules: Rules) -> Outcome {
    for first in [0, 1] {
        let mut world = steady(rules);
        for host in 0..2 {
            world.net.deafen(host);
            world.net.silence(host);
        }
        world.run_for(SECOND * 3);
        let other = 1 - first;
        world.net.front_cut.retain(|(from, to)| *from == other || *to == other);
        let mut limit = SECOND * 3;
        while world.speakers(VIP) != [first] {
            world.run_for(MS * 10);
            ensure(limit > MS * 10, &format!("host {first}, whose front is back, serves"), &world)?;
            limit -= MS * 10;
        }
        world.net.heal();
        world.run_for(SECOND * 2);
        let owner = world.owner().map_err(|wrong| format!("{wrong}\n{}", world.dump()))?;
        world.expect_owner(owner, "after the heal")?;
    }
    Ok(())
}

/// The Vip's own device is a heartbeat path, whatever the files list: with all configured paths cut, each still hears the
/// other there, and knows what it does.
pub(super) fn front_carries_heartbeats(rules: Rules) -> Outcome {
    let mut world = steady(rules);
    world.net.cut_back(0, 1);
    world.run_for(SECOND);
    ensure(world.hears(0, "lb2") && world.hears(1, "lb1"), "heard on the front", &world)?;
    ensure(world.moves.len() == 1, "no move", &world)?;
    world.expect_owner(0, "with the configured paths cut")
}

/// One of two heartbeat paths is cut: nothing happens.
pub(super) fn one_path_cut(rules: Rules) -> Outcome {
    let mut world = nodes(2, 2, rules);
    world.run_for(SECOND);
    world.net.cut.extend([(0, 1, 0), (1, 0, 0)]);
    world.run_for(SECOND);
    ensure(world.moves.len() == 1 && world.hears(0, "lb2"), "heard", &world)?;
    world.expect_owner(0, "on one path")
}

/// Heartbeats get through in one direction only: the owner answers on the wire, so nothing moves.
pub(super) fn one_way(rules: Rules) -> Outcome {
    for (from, to) in [(0, 1), (1, 0)] {
        let mut world = steady(rules);
        world.net.cut_heartbeats(from, to);
        world.run_for(SECOND * 3);
        ensure(world.active() == [0], "nobody claims what is answered", &world)?;
        world.net.heal();
        world.expect_owner(0, "after the heal")?;
        ensure(world.moves.len() == 1, "no move", &world)?;
    }
    Ok(())
}

/// A fifth of all heartbeats and frames is lost, or a third on one of two paths, for a minute: no move. Half of all: never
/// two owners.
pub(super) fn loss(rules: Rules) -> Outcome {
    for (all, first) in [(20, 20), (0, 30), (50, 50)] {
        let mut world = nodes(2, 2, rules);
        world.check.tolerance = if all < 50 { MS * 100 } else { MS * 400 };
        world.check.patience = if all < 50 { SECOND / 2 } else { SECOND * 3 };
        world.run_for(SECOND * 2);
        world.net.loss_percent = all;
        world.net.path_loss.insert(0, first);
        world.net.front_loss = all;
        world.run_for(SECOND * 60);
        ensure(all == 50 || world.moves.len() == 1, &format!("no move at {all}/{first} %"), &world)?;
        world.net.loss_percent = 0;
        world.net.front_loss = 0;
        world.net.path_loss.clear();
        world.run_for(SECOND * 4);
        world.expect_owner(0, "afterwards")?;
    }
    Ok(())
}

/// Heartbeats and frames are doubled and overtake one another: no effect.
pub(super) fn doubled_and_reordered(rules: Rules) -> Outcome {
    let mut world = nodes(2, 2, rules);
    world.run_for(SECOND);
    world.net.duplicate_percent = 50;
    world.net.longest_delay = MS * 60;
    world.run_for(SECOND * 20);
    ensure(world.moves.len() == 1, "no move", &world)?;
    world.expect_owner(0, "all the time")
}

/// Sixty seconds of everybody's heartbeats, played back at once and after restarts: no effect.
pub(super) fn replayed_recording(rules: Rules) -> Outcome {
    let mut world = pair(rules);
    world.record = Some(Vec::new());
    world.run_for(SECOND * 60);
    let record = world.record.take().unwrap_or_default();
    ensure(record.len() > 4000, "a full recording", &world)?;
    for restarted in [None, Some(0), Some(1)] {
        if let Some(host) = restarted {
            world.crash(host);
            world.run_for(SECOND);
            world.boot(host);
            world.run_for(SECOND * 3);
        }
        world.expect_owner(0, "before the replay")?;
        let moves = world.moves.len();
        for chunk in record.chunks(64) {
            chunk.iter().for_each(|recorded| world.replay(recorded));
            world.run_for(MS * 20);
        }
        ensure(world.moves.len() == moves, "nothing moves", &world)?;
        ensure(world.hears(0, "lb2") && world.hears(1, "lb1"), "both are heard", &world)?;
    }
    // A recording does not keep a dead node alive.
    world.crash(0);
    for chunk in record.chunks(64).take(20) {
        chunk.iter().for_each(|recorded| world.replay(recorded));
        world.run_for(MS * 20);
    }
    world.expect_owner(1, "the dead stay dead")
}

/// Part of the owner's data plane hangs: its lease ends, the other serves. Stalls shorter than the limit move nothing.
pub(super) fn stalled_data_plane(rules: Rules) -> Outcome {
    let mut world = steady(rules);
    for _ in 0..5 {
        world.stall(0, true);
        world.run_for(MS * 1500);
        world.stall(0, false);
        world.run_for(MS * 500);
    }
    ensure(world.moves.len() == 1, "a busy data plane is no reason to move", &world)?;
    // Nor does a quiet moment come then, in which the addresses could go gracefully.
    world.hosts[0].quiet_wait = SECOND;
    world.stall(0, true);
    let took = world.until_served_by(1, SECOND * 3)?;
    ensure(took <= MS * 2200, &format!("it says so before its lease ends, but it took {took:?}"), &world)?;
    world.run_for(SECOND * 2);
    world.expect_owner(1, "while it hangs")?;
    world.stall(0, false);
    world.expect_owner(1, "and afterwards")
}

/// Somebody sets the clocks, forward and back: nothing moves.
pub(super) fn wall_clock_steps(rules: Rules) -> Outcome {
    let mut world = pair(rules);
    world.run_for(SECOND);
    for (host, by) in [(0, 3_600_000), (1, 86_400_000), (0, -86_400_000), (1, -1_000_000_000)] {
        world.step_wall_clock(host, by);
        world.run_for(SECOND);
        ensure(world.moves.len() == 1, "no move", &world)?;
    }
    world.crash(0);
    world.until_served_by(1, SECOND)?;
    world.boot(0);
    world.until_served_by(0, SECOND * 3)?;
    world.expect_owner(0, "after failback")
}

/// IPv4 and IPv6 in one Vip move as one unit.
pub(super) fn both_families(rules: Rules) -> Outcome {
    let mut world = pair(rules);
    edit(&mut world, |host| host.candidates[0].addresses = vec![VIP, VIP6]);
    world.run_for(SECOND * 2);
    world.expect_owner(0, "both")?;
    world.kill_agent(0);
    world.until_served_by(1, SECOND)?;
    world.expect_owner(1, "after the kill")?;
    cut_all_heartbeats(&mut world);
    world.start_agent(0);
    world.run_for(SECOND * 3);
    world.expect_owner(1, "with heartbeats cut")?;
    world.net.heal();
    world.run_for(SECOND * 2);
    world.expect_owner(0, "after failback")
}

/// Nobody is left on the front but a lone owner, which cannot know whose fault that is; when the others come back, it
/// serves.
pub(super) fn survivor_without_references(rules: Rules) -> Outcome {
    let mut world = steady(rules);
    world.crash(0);
    world.until_served_by(1, SECOND)?;
    let clients = |world: &mut World, up: bool| world.stations.iter_mut().for_each(|station| station.up = up);
    clients(&mut world, false);
    world.run_for(SECOND * 5);
    clients(&mut world, true);
    world.run_for(SECOND * 2);
    world.expect_owner(1, "alone")?;
    let client = world.stations.iter().find(|station| station.at == CLIENT);
    ensure(client.is_some_and(|client| client.dark.values().all(|dark| *dark == 0)), "the client is served", &world)
}

pub(super) fn three_nodes(rules: Rules) -> Outcome {
    let mut world = nodes(3, 1, rules);
    world.until_served_by(0, SECOND)?;
    world.crash(0);
    world.until_served_by(1, SECOND)?;
    world.expect_owner(1, "the second in line")?;
    world.crash(1);
    world.until_served_by(2, SECOND)?;
    world.expect_owner(2, "the last")?;
    world.boot(1);
    world.until_served_by(1, SECOND * 2)?;
    world.boot(0);
    world.until_served_by(0, SECOND * 2)?;
    world.expect_owner(0, "back where it began")?;
    ensure(world.moves.len() == 5, "no move but these", &world)
}
