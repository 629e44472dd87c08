//! Schedules about claiming: what silence on the wire is worth, and what happens between the last look and the deed.

use super::{
    cases::{DEAD, MS, Outcome, SECOND, TAKEOVER, cold, ensure, manual, pair, second_owns, steady},
    net::GATEWAY,
    world::{STRANGER, VIP, World},
};
use crate::{
    election::machine::Rules,
    model::{FailbackMode, Heartbeat},
};

/// No heartbeat gets through, on any path.
pub(super) fn cut_all_heartbeats(world: &mut World) {
    for a in 0..world.hosts.len() {
        for b in (0..world.hosts.len()).filter(|b| *b != a) {
            world.net.cut_heartbeats(a, b);
        }
    }
}

/// A pair whose agents are started so many µs apart with all heartbeats cut.
fn silent_boot(rules: Rules, count: usize, seed: u64, apart: u64) -> World {
    let mut world = World::new(seed, count, 1, Heartbeat::default());
    world.rules = rules;
    cut_all_heartbeats(&mut world);
    for host in 0..count {
        world.start_agent(host);
        world.run_for(MS * apart as u32 / 1000);
    }
    world
}

/// Both boot and hear nothing of one another: both hear silence on the wire at the same time, and only one may claim.
pub(super) fn both_boot_with_heartbeats_cut(rules: Rules) -> Outcome {
    for seed in 0..60 {
        let mut world = silent_boot(rules, if seed % 5 == 4 { 3 } else { 2 }, seed, (seed % 8) * 3000);
        world.until("somebody serves", SECOND * 2, |world| world.speakers(VIP).len() == 1)?;
        world.run_for(SECOND);
        ensure(world.speakers(VIP).len() == 1 && world.active().len() == 1, "one owner", &world)?;
        let owner = world.active()[0];
        world.expect_owner(owner, "with heartbeats cut")?;
    }
    Ok(())
}

/// One cannot ask the other, but hears it: what is heard from the Vip counts.
pub(super) fn heard_but_not_asked(rules: Rules) -> Outcome {
    for owner in [0, 1] {
        let mut world = steady(rules);
        if owner == 1 {
            world.crash(0);
            world.run_for(SECOND);
            world.boot(0);
            world.run_for(SECOND);
        }
        cut_all_heartbeats(&mut world);
        world.net.front_cut.insert((1 - owner, owner));
        world.run_for(SECOND * 4);
        ensure(world.active() == [owner], "nobody claims what is heard to be owned", &world)?;
        world.net.heal();
        world.expect_owner(owner, "after the heal")?;
    }
    Ok(())
}

/// Frames are lost in both directions, one in three: the wire is asked more often before its silence is believed.
pub(super) fn lossy_front(rules: Rules) -> Outcome {
    for seed in 0..6 {
        let mut world = second_owns(rules)?;
        world.run_for(MS * seed);
        world.net.front_loss = 30;
        cut_all_heartbeats(&mut world);
        world.run_for(SECOND * 20);
        ensure(world.active() == [1], "nobody takes lost frames for silence", &world)?;
    }
    Ok(())
}

pub(super) fn stranger_has_the_vip(rules: Rules) -> Outcome {
    let mut world = cold(2, 1, rules);
    world.stranger = [0, 1].into();
    world.start_all();
    world.run_for(SECOND * 5);
    ensure(world.active().is_empty(), "nobody claims what a stranger has", &world)?;
    ensure(world.view(0).vips["web"].foreign == Some((VIP, STRANGER)), "and it is told", &world)?;
    world.stranger.clear();
    world.until_served_by(0, SECOND * 2)?;
    world.expect_owner(0, "without the stranger")
}

/// Only the preferred node sees the stranger: it cannot claim, so the other does, and not late.
pub(super) fn preferred_node_cannot_claim(rules: Rules) -> Outcome {
    let mut world = cold(2, 1, rules);
    world.stranger = [0].into();
    world.start_all();
    manual(&mut world);
    let took = world.until_served_by(1, SECOND * 2)?;
    ensure(took <= MS * 700, &format!("it took {took:?}"), &world)?;
    world.expect_owner(1, "the preferred one cannot")
}

/// The preferred node's device cannot carry the address: the other serves, and goes on serving.
pub(super) fn device_fails(rules: Rules) -> Outcome {
    let mut world = cold(2, 1, rules);
    world.hosts[0].broken = true;
    world.start_all();
    world.until_served_by(1, SECOND * 2)?;
    world.run_for(SECOND * 3);
    world.expect_owner(1, "the first cannot")?;
    ensure(world.moves.len() == 2, "no flapping", &world)
}

/// A plain crash, twenty times: taken over at the end of the dead time, because the wire was asked before it ended.
pub(super) fn crashes_are_taken_over_in_time(rules: Rules) -> Outcome {
    for seed in 0..20 {
        let mut world = World::new(seed, 2, 1, Heartbeat::default());
        world.rules = rules;
        world.start_all();
        manual(&mut world);
        world.run_for(SECOND + MS * 3 * seed as u32);
        world.crash(0);
        let took = world.until_served_by(1, SECOND)?;
        ensure(took <= TAKEOVER, &format!("takeover took {took:?}"), &world)?;
    }
    Ok(())
}

/// The one that took over restarts and forgets its epoch; the paused old owner goes on. The newer claim must win.
pub(super) fn restart_forgets(rules: Rules) -> Outcome {
    let mut world = cold(2, 1, rules);
    // The wall clock would hide it.
    world.hosts[1].wall_ms -= 3_600_000;
    world.start_all();
    manual(&mut world);
    world.run_for(SECOND);
    let before = world.view(0).vips["web"].epoch;
    world.pause(0);
    world.until_served_by(1, SECOND)?;
    world.run_for(SECOND);
    world.kill_agent(1);
    world.start_agent(1);
    world.until_served_by(1, SECOND * 2)?;
    ensure(world.view(1).vips["web"].epoch > before, "the disk remembers the epoch", &world)?;
    world.resume(0, false);
    world.run_for(SECOND);
    world.expect_owner(1, "the newer claim")
}

/// Both are cut from one another on all wires, one restarts; after the heal there is one owner, announced.
pub(super) fn partition_with_a_restart(rules: Rules) -> Outcome {
    let mut world = steady(rules);
    cut_all_heartbeats(&mut world);
    world.net.cut_front(0, 1);
    world.run_for(SECOND);
    world.kill_agent(1);
    world.start_agent(1);
    world.run_for(SECOND);
    ensure(world.active() == [0, 1], "an owner on each side", &world)?;
    world.net.heal();
    world.run_for(MS * 200);
    ensure(world.speakers(VIP).len() == 1, "one owner", &world)?;
    let owner = world.owner()?;
    world.expect_owner(owner, "after the heal")
}

/// The owner's machine is off, and its port is held by a switch that answers ARP for it: by choice that proves nothing.
pub(super) fn fabric_that_answers_for_the_dead(rules: Rules) -> Outcome {
    let mut world = pair(rules);
    for host in 0..2 {
        world.hosts[host].candidates[0].trust_probe = false;
        world.hosts[host].candidates[0].failback.mode = FailbackMode::Manual;
        world.reload(host);
    }
    world.run_for(SECOND);
    world.stranger = [1].into();
    world.crash(0);
    let took = world.until_served_by(1, SECOND)?;
    ensure(took <= TAKEOVER, &format!("takeover took {took:?}"), &world)
}

/// A restarted agent whose kernel still has the address says nothing for it before it has won it again.
pub(super) fn restart_adopts_nothing(rules: Rules) -> Outcome {
    let mut world = steady(rules);
    world.kill_agent(0);
    world.run_for(MS * 20);
    world.start_agent(0);
    let end = world.now + DEAD * 6;
    let mut silent = 0;
    while world.now < end {
        silent += u32::from(world.speakers(VIP).is_empty());
        ensure(world.speakers(VIP).len() < 2, "never two", &world)?;
        world.run_for(MS);
    }
    ensure(silent >= 30, "not before it has asked the wire", &world)?;
    let owner = world.owner()?;
    world.expect_owner(owner, "after the restart")
}

/// The same node name on two hosts: never two owners that can hear each other's frames.
pub(super) fn same_name_twice(rules: Rules) -> Outcome {
    let mut world = cold(3, 1, rules);
    // The third host calls itself like the second.
    world.hosts[2].name = world.hosts[1].name.clone();
    world.peers.truncate(2);
    let nodes = [0, 1].map(|host| world.hosts[host].name.clone());
    for host in &mut world.hosts {
        host.candidates[0].nodes = nodes.to_vec();
    }
    world.start_all();
    world.run_for(SECOND * 2);
    ensure(world.speakers(VIP).len() == 1, "one owner", &world)?;
    world.crash(0);
    world.run_for(SECOND * 3);
    ensure(world.speakers(VIP).len() == 1, "one owner of the two", &world)
}

/// The gateway dies: its silence is no reason to move, nor to stop serving.
pub(super) fn gateway_dies(rules: Rules) -> Outcome {
    let mut world = steady(rules);
    world.stations.iter_mut().filter(|station| station.at == GATEWAY).for_each(|gateway| gateway.up = false);
    world.run_for(SECOND * 3);
    for host in [1, 0] {
        world.hosts[host].set_eligible(Some("198.51.100.108 does not answer"));
        world.reload(host);
        world.run_for(SECOND * 3);
    }
    ensure(world.moves.len() == 1, "no move", &world)?;
    world.expect_owner(0, "without a gateway")?;
    // Now nobody is left whom the second knows, but a client that looks for the address.
    world.stations.iter_mut().for_each(|station| station.cache.clear());
    world.crash(0);
    world.until_served_by(1, SECOND * 2)?;
    world.expect_owner(1, "beside a client")
}
