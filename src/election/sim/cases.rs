//! The schedules that have names: what nodes do when they start, crash, die, hang and are paused. Each returns what went
//! wrong, so that it can also be run with a rule switched off.

use super::{
    host::Host,
    world::{VIP, World},
};
use crate::{
    election::machine::Rules,
    model::{ElectionView, FailbackMode, Heartbeat, Role},
};
use std::time::Duration;

pub(super) type Outcome = Result<(), String>;

pub(super) const MS: Duration = Duration::from_millis(1);
pub(super) const SECOND: Duration = Duration::from_secs(1);
/// The shipped dead time.
pub(super) const DEAD: Duration = Duration::from_millis(100);
/// The longest that a takeover may take: the dead time, the last probe's wait, and the machine's own slowness.
pub(super) const TAKEOVER: Duration = Duration::from_millis(115);

/// Two nodes with the shipped timers, running.
pub(super) fn pair(rules: Rules) -> World {
    nodes(2, 1, rules)
}

pub(super) fn nodes(count: usize, paths: usize, rules: Rules) -> World {
    let mut world = cold(count, paths, rules);
    world.start_all();
    world
}

/// Nodes whose agents have not been started yet.
pub(super) fn cold(count: usize, paths: usize, rules: Rules) -> World {
    let mut world = World::new(1, count, paths, Heartbeat::default());
    world.rules = rules;
    world
}

/// `change` is made to every host's candidates, and takes effect.
pub(super) fn edit(world: &mut World, change: impl Fn(&mut Host)) {
    for host in 0..world.hosts.len() {
        change(&mut world.hosts[host]);
        world.reload(host);
    }
}

pub(super) fn manual(world: &mut World) {
    edit(world, |host| host.candidates[0].failback.mode = FailbackMode::Manual);
}

/// A pair in which nothing moves back by itself, the first owning.
pub(super) fn steady(rules: Rules) -> World {
    let mut world = pair(rules);
    manual(&mut world);
    world.run_for(SECOND);
    world
}

impl World {
    /// `host` owns, safely and for good.
    pub(super) fn expect_owner(&mut self, host: usize, when: &str) -> Outcome {
        let safe = self.safe();
        let settled = safe.and_then(|()| self.settled_for(SECOND));
        match settled {
            Ok(owner) if owner == host => {}
            other => return Err(format!("{when}: host {host} should own: {other:?}\n{}", self.dump())),
        }
        self.caches_point_at(host).map_err(|wrong| format!("{when}: {wrong}\n{}", self.dump()))
    }

    /// Runs until `host` is Active and alone speaks for the VIP; how long that took.
    pub(super) fn until_served_by(&mut self, host: usize, limit: Duration) -> Result<Duration, String> {
        let begin = self.now;
        while self.hosts[host].role() != Some(Role::Active) || self.speakers(VIP) != [host] {
            if self.now > begin + limit {
                return Err(format!("host {host} does not serve within {limit:?}\n{}", self.dump()));
            }
            self.run_for(MS);
        }
        Ok(self.now - begin)
    }

    /// Runs until `holds`.
    pub(super) fn until(&mut self, what: &str, limit: Duration, holds: impl Fn(&Self) -> bool) -> Outcome {
        let end = self.now + limit;
        while !holds(self) {
            ensure(self.now < end, &format!("{what}, within {limit:?}"), self)?;
            self.run_for(MS);
        }
        Ok(())
    }

    pub(super) fn view(&self, host: usize) -> ElectionView {
        let this = &self.hosts[host];
        this.machine().view(this.local(self.now))
    }

    pub(super) fn hears(&self, host: usize, peer: &str) -> bool {
        self.hosts[host].machine().hears(peer)
    }
}

pub(super) fn ensure(holds: bool, what: &str, world: &World) -> Outcome {
    match (holds, world.safe()) {
        (true, Ok(())) => Ok(()),
        (true, Err(violation)) => Err(format!("{violation}\n{}", world.dump())),
        (false, _) => Err(format!("{what}\n{}", world.dump())),
    }
}

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

/// An agent that is started again and again may not keep the other from serving, nor take the addresses back each time.
pub(super) fn crash_loop(rules: Rules) -> Outcome {
    for (every, alive) in [(MS * 180, MS * 130), (SECOND * 3, MS * 2900)] {
        let mut world = pair(rules);
        world.run_for(SECOND * 2);
        let mut dark = Duration::ZERO;
        let rounds = if every > SECOND { 20 } else { 60 };
        for _ in 0..rounds {
            world.kill_agent(0);
            let end = world.now + every;
            while world.now < end {
                if !world.hosts[0].alive() && world.now >= end - alive {
                    world.start_agent(0);
                }
                dark += if world.speakers(VIP).is_empty() { MS } else { Duration::ZERO };
                world.run_for(MS);
            }
        }
        let limit = if every > SECOND { SECOND * 7 / 2 } else { MS * 400 };
        ensure(dark <= limit, &format!("dark for {dark:?} in all with a restart every {every:?}"), &world)?;
        world.run_for(SECOND * 2);
        let owner = world.owner()?;
        ensure(owner <= 1, "an owner", &world)?;
    }
    Ok(())
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

/// The same where the kernel cannot fence: the address answers until its lifetime ends, and is waited for.
pub(super) fn killed_agent_without_a_fence(rules: Rules) -> Outcome {
    let mut world = cold(2, 1, rules);
    world.hosts.iter_mut().for_each(|host| host.fences = false);
    world.start_all();
    world.run_for(SECOND);
    world.expect_owner(0, "before")?;
    world.kill_agent(0);
    world.run_for(DEAD + MS * 500);
    ensure(world.active().is_empty(), "the answer of the peer's kernel is waited for", &world)?;
    world.run_for(MS * 700);
    ensure(world.active() == [1], "but not for ever", &world)?;
    world.run_for(SECOND);
    world.expect_owner(1, "after the wait")
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
    world.run_for(SECOND);
    ensure(world.active() == [1], "the one that was stopped does not own", &world)?;
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
        world.run_for(SECOND);
        ensure(world.speakers(VIP).len() == 1, "one owner", &world)?;
        if heard {
            world.run_for(SECOND);
            world.expect_owner(1, "after the pause")?;
        }
        world.net.heal();
        world.run_for(SECOND * 2);
        let owner = world.owner()?;
        world.expect_owner(owner, "after the heal")?;
    }
    Ok(())
}
