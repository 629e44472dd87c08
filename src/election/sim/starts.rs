//! Schedules in which nodes start, crash, die, hang and are paused.

use super::{
    cases::{DEAD, MS, Outcome, SECOND, TAKEOVER, cold, ensure, nodes, pair, second_owns, steady},
    claims::cut_all_heartbeats,
    world::{VIP, World},
};
use crate::{election::machine::Rules, model::Heartbeat};
use std::time::Duration;

pub(super) fn both_boot_together(rules: Rules) -> Outcome {
    let mut world = pair(rules);
    let took = world.until_served_by(0, SECOND)?;
    ensure(took <= MS * 250, &format!("a booting pair took {took:?}"), &world)?;
    world.expect_owner(0, "after boot")?;
    ensure(world.moves.len() == 1, "one claim", &world)
}

pub(super) fn lone_node(rules: Rules) -> Outcome {
    let mut world = nodes(1, 1, rules);
    let took = world.until_served_by(0, SECOND)?;
    ensure(took <= MS * 90, &format!("a lone node took {took:?}"), &world)?;
    world.expect_owner(0, "alone")
}

/// A lone node whose gateway never answers, and one that knows no reference: late, but it serves.
pub(super) fn lone_node_without_references(rules: Rules) -> Outcome {
    for known in [true, false] {
        let mut world = cold(1, 1, rules);
        world.stations.clear();
        world.references = known;
        world.start_all();
        let took = world.until_served_by(0, SECOND * 2)?;
        ensure(took <= MS * 1300, &format!("references known: {known}: it took {took:?}"), &world)?;
        world.expect_owner(0, "alone")?;
    }
    Ok(())
}

pub(super) fn lone_node_on_loopback(rules: Rules) -> Outcome {
    let mut world = cold(1, 1, rules);
    world.hosts[0].candidates[0].probed = false;
    world.start_all();
    let took = world.until_served_by(0, SECOND)?;
    ensure(took <= MS * 10, &format!("nothing is probed, but it took {took:?}"), &world)
}

pub(super) fn crash_return_and_failback(rules: Rules) -> Outcome {
    let mut world = pair(rules);
    world.run_for(SECOND);
    world.crash(0);
    let took = world.until_served_by(1, SECOND)?;
    ensure(took <= TAKEOVER, &format!("takeover took {took:?}"), &world)?;
    world.expect_owner(1, "after the crash")?;
    world.boot(0);
    world.until_served_by(0, SECOND * 2)?;
    ensure(world.at() > SECOND * 2 + MS * 500, "failback came before its hold time", &world)?;
    world.expect_owner(0, "after failback")?;
    ensure(world.moves.len() == 3, "three claims", &world)
}

/// The segment has no gateway and no other host: a crash is taken over all the same.
pub(super) fn crash_where_no_reference_ever_answered(rules: Rules) -> Outcome {
    let mut world = cold(2, 1, rules);
    world.references = false;
    world.start_all();
    world.run_for(SECOND);
    world.crash(0);
    let took = world.until_served_by(1, SECOND)?;
    ensure(took <= MS * 330, &format!("takeover took {took:?}"), &world)?;
    world.expect_owner(1, "after the crash")
}

pub(super) fn manual_failback_never_happens_by_itself(rules: Rules) -> Outcome {
    let mut world = steady(rules);
    world.crash(0);
    world.run_for(SECOND);
    world.boot(0);
    world.run_for(SECOND * 3);
    world.expect_owner(1, "manual")?;
    world.crash(1);
    world.until_served_by(0, SECOND)?;
    world.expect_owner(0, "after the second crash")
}

/// The owner's agent restarts: the lease dies with the old one, so whoever claims next must prove silence; nobody is
/// dark for long.
pub(super) fn quick_restart_of_the_owner(rules: Rules) -> Outcome {
    let mut world = steady(rules);
    for _ in 0..5 {
        world.kill_agent(0);
        world.run_for(MS * 30);
        world.start_agent(0);
        world.run_for(MS * 500);
        ensure(world.speakers(VIP).len() == 1, "somebody serves again", &world)?;
    }
    let owner = world.owner()?;
    world.expect_owner(owner, "after restarts")
}

/// An agent that dies as soon as it has taken the addresses back may not keep the other from serving.
pub(super) fn crash_loop(rules: Rules) -> Outcome {
    let mut world = pair(rules);
    world.run_for(SECOND * 2);
    let mut dark = Duration::ZERO;
    for _ in 0..60 {
        world.kill_agent(0);
        for ms in 0..180 {
            if ms == 50 {
                world.start_agent(0);
            }
            dark += if world.speakers(VIP).is_empty() { MS } else { Duration::ZERO };
            world.run_for(MS);
        }
    }
    ensure(dark <= MS * 500, &format!("dark for {dark:?} in all"), &world)?;
    world.run_for(SECOND * 3);
    let owner = world.owner()?;
    world.expect_owner(owner, "afterwards")
}

/// A node is restarted every three seconds for a minute: it does not take the addresses back each time.
pub(super) fn restarted_every_three_seconds(rules: Rules) -> Outcome {
    let mut world = pair(rules);
    world.run_for(SECOND * 2);
    for _ in 0..20 {
        world.crash(0);
        world.run_for(MS * 200);
        world.boot(0);
        world.run_for(MS * 2800);
    }
    ensure(world.moves.len() <= 12, &format!("{} moves", world.moves.len()), &world)?;
    world.until_served_by(0, SECOND * 120)?;
    world.expect_owner(0, "in the end")
}

/// `kill -9`: the leases die with the agent, its fence stays; the other takes over as after a crash.
pub(super) fn killed_agent(rules: Rules) -> Outcome {
    let mut world = pair(rules);
    world.run_for(SECOND);
    world.kill_agent(0);
    ensure(world.speakers(VIP).is_empty(), "its kernel is silent at once", &world)?;
    let took = world.until_served_by(1, SECOND)?;
    ensure(took <= TAKEOVER, &format!("takeover took {took:?}"), &world)?;
    world.expect_owner(1, "after the kill")?;
    world.start_agent(0);
    world.run_for(MS * 300);
    ensure(world.speakers(VIP) == [1], "the returned agent adopts nothing", &world)?;
    world.run_for(SECOND * 2);
    world.expect_owner(0, "after failback")
}

/// The same where the kernel cannot fence: the address answers until its lifetime ends, and is waited for, but not for
/// ever, should it have no lifetime.
pub(super) fn killed_agent_without_a_fence(rules: Rules) -> Outcome {
    for endless in [false, true] {
        let mut world = cold(2, 1, rules);
        for host in &mut world.hosts {
            (host.fences, host.kernel.endless) = (false, endless);
        }
        world.start_all();
        world.run_for(SECOND);
        world.expect_owner(0, "before")?;
        world.kill_agent(0);
        world.run_for(DEAD + MS * 500);
        ensure(world.active().is_empty(), "the answer of the peer's kernel is waited for", &world)?;
        world.run_for(SECOND);
        ensure(world.moves.last().is_some_and(|(_, host)| *host == 1), "but not for ever", &world)?;
        world.start_agent(0);
        world.run_for(SECOND * 3);
        world.expect_owner(0, "after failback")?;
    }
    Ok(())
}

/// Heartbeats are cut, so the answers of an owner that cannot fence count only for so long. Just then its agent is
/// restarted: what that one finds on its devices is the other's by now, and it must not leave it there until it runs out.
pub(super) fn restarted_without_a_fence(rules: Rules) -> Outcome {
    for later in [0, 15, 30, 45] {
        // The new agent listens for a while before it asks the wire.
        let mut world = World::new(1, 2, 1, Heartbeat { interval: MS * 50, dead_after: MS * 400 });
        world.rules = rules;
        world.hosts[0].fences = false;
        world.start_all();
        world.run_for(SECOND);
        cut_all_heartbeats(&mut world);
        world.run_for(MS * (1290 + later));
        ensure(world.speakers(VIP) == [0], "until then its answers count", &world)?;
        for _ in 0..2 {
            world.kill_agent(0);
            world.run_for(MS * 5);
            world.start_agent(0);
            world.run_for(MS * 5);
        }
        world.until("the other claims", MS * 150, |world| world.active() == [1])?;
        world.run_for(MS * 120);
        ensure(world.speakers(VIP) == [1], "the new agent makes way", &world)?;
        world.run_for(SECOND * 2);
        ensure(world.speakers(VIP) == [1], "and claims nothing", &world)?;
        world.net.heal();
        world.run_for(SECOND * 2);
        world.expect_owner(0, "after failback")?;
    }
    Ok(())
}

/// A stopped owner is succeeded when its lease has ended; when it goes on it must not win, although nobody told it.
pub(super) fn stopped_owner_resumes(rules: Rules) -> Outcome {
    for pause in [SECOND * 2, SECOND * 20] {
        let mut world = steady(rules);
        world.hang(0, true);
        let took = world.until_served_by(1, SECOND)?;
        ensure(took <= MS * 420, &format!("takeover took {took:?}"), &world)?;
        world.run_for(pause);
        let (announced, moves) = (world.announcements, world.moves.len());
        world.hang(0, false);
        world.run_for(MS * 200);
        ensure(world.speakers(VIP) == [1], "nothing is disturbed", &world)?;
        ensure(world.announcements <= announced + 4, "a few announcements at most", &world)?;
        world.expect_owner(1, "after the hang")?;
        ensure(world.moves.len() == moves, "no move", &world)?;
    }
    Ok(())
}

/// Stopped for less than a lease: nothing moves.
pub(super) fn short_stop_of_the_owner(rules: Rules) -> Outcome {
    let mut world = steady(rules);
    for pause in [50, 120, 200] {
        world.hang(0, true);
        world.run_for(MS * pause);
        world.hang(0, false);
        world.run_for(SECOND);
    }
    ensure(world.moves.len() == 1, "no move", &world)?;
    world.expect_owner(0, "after short stops")
}

/// The owner is stopped while heartbeats are cut: it must find out by itself, before it says anything.
pub(super) fn stopped_owner_resumes_unheard(rules: Rules) -> Outcome {
    let mut world = steady(rules);
    world.net.cut_heartbeats(0, 1);
    world.net.cut_heartbeats(1, 0);
    world.hang(0, true);
    world.until_served_by(1, SECOND)?;
    world.run_for(SECOND);
    world.hang(0, false);
    world.run_for(MS * 5);
    ensure(world.active() == [1], "the one that was stopped does not own, and knows it", &world)?;
    world.run_for(SECOND);
    ensure(world.active() == [1], "nor does it later", &world)?;
    world.net.heal();
    world.expect_owner(1, "after the heal")
}

/// A stopped Backup does not take its own absence for the owner's death.
pub(super) fn stopped_backup_resumes(rules: Rules) -> Outcome {
    let mut world = pair(rules);
    world.run_for(SECOND);
    world.hang(1, true);
    world.run_for(MS * 400);
    world.hosts[1].agent.as_mut().unwrap().inbox.clear();
    world.hang(1, false);
    world.run_for(MS * 200);
    let lost = world.view(1).events.iter().any(|event| event.message.contains("silent"));
    ensure(!lost, "the owner was never lost", &world)?;
    world.expect_owner(0, "all the time")
}

/// A whole machine is paused: its lease stands still with it. It speaks for a moment when it goes on, not longer than a
/// heartbeat or a probe takes; with heartbeats cut likewise.
pub(super) fn paused_owner_resumes(rules: Rules) -> Outcome {
    for (noticed, heard) in [(true, true), (true, false), (false, true), (false, false)] {
        let mut world = steady(rules);
        world.pause(0);
        world.until_served_by(1, SECOND)?;
        world.run_for(SECOND * 2);
        if !heard {
            world.net.cut_heartbeats(0, 1);
            world.net.cut_heartbeats(1, 0);
        }
        world.resume(0, noticed);
        world.run_for(MS * 5);
        ensure(!noticed || world.speakers(VIP) == [1], "a machine that knows that it slept says nothing", &world)?;
        world.run_for(SECOND);
        ensure(world.speakers(VIP).len() == 1, "one owner", &world)?;
        world.net.heal();
        world.run_for(SECOND * 2);
        let owner = world.owner()?;
        world.expect_owner(owner, "after the heal")?;
    }
    Ok(())
}

/// A machine was paused, and only its wall clock shows it: what it has heard of the other seems to be new. It looks at
/// the wire closely, and so makes way before it could learn from the silence of heartbeats.
pub(super) fn paused_owner_finds_its_clock_stepped(rules: Rules) -> Outcome {
    for wait in [0, 7, 13, 20] {
        let mut world = second_owns(rules)?;
        world.run_for(MS * wait);
        world.pause(1);
        world.until_served_by(0, SECOND)?;
        world.run_for(SECOND * 2);
        cut_all_heartbeats(&mut world);
        world.resume(1, false);
        world.step_wall_clock(1, 0);
        world.run_for(SECOND);
        ensure(world.active() == [0], "the one that was paused has made way", &world)?;
        world.net.heal();
        world.expect_owner(0, "after the heal")?;
    }
    Ok(())
}
