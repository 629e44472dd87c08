//! The schedules that have names. Each returns what went wrong, so that it can also be run with a rule switched off.

use super::{
    host::Host,
    world::{VIP, World},
};
use crate::{
    election::machine::Rules,
    model::{FailbackMode, Heartbeat, Role},
};
use std::time::Duration;

pub(super) type Outcome = Result<(), String>;

pub(super) const MS: Duration = Duration::from_millis(1);
pub(super) const SECOND: Duration = Duration::from_secs(1);
/// The shipped dead time.
const DEAD: Duration = Duration::from_millis(100);

/// Two nodes with the shipped timers, running.
pub(super) fn pair(rules: Rules) -> World {
    nodes(2, 1, rules)
}

pub(super) fn nodes(count: usize, paths: usize, rules: Rules) -> World {
    let mut world = World::new(1, count, paths, Heartbeat::default());
    world.rules = rules;
    world.start_all();
    world
}

fn cut_heartbeats(world: &mut World) {
    world.net.cut_heartbeats(0, 1, world.paths);
    world.net.cut_heartbeats(1, 0, world.paths);
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

impl World {
    /// `host` owns, safely and for good.
    pub(super) fn expect_owner(&mut self, host: usize, when: &str) -> Outcome {
        self.safe()?;
        match self.settled_for(SECOND) {
            Ok(owner) if owner == host => Ok(()),
            other => Err(format!("{when}: host {host} should own: {other:?}\n{}", self.dump())),
        }
    }

    /// Runs until `host` is Active and has the VIP; how long that took.
    pub(super) fn until_served_by(&mut self, host: usize, limit: Duration) -> Result<Duration, String> {
        let begin = self.now;
        while self.hosts[host].role() != Some(Role::Active) || self.holders(VIP) != [host] {
            if self.now > begin + limit {
                return Err(format!("host {host} does not serve within {limit:?}\n{}", self.dump()));
            }
            self.run_for(MS);
        }
        Ok(self.now - begin)
    }
}

pub(super) fn ensure(holds: bool, what: &str, world: &World) -> Outcome {
    if holds { Ok(()) } else { Err(format!("{what}\n{}", world.dump())) }
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
    ensure(took <= MS * 75, &format!("a lone node took {took:?}"), &world)?;
    world.expect_owner(0, "alone")
}

pub(super) fn lone_node_on_loopback(rules: Rules) -> Outcome {
    let mut world = World::new(1, 1, 1, Heartbeat::default());
    world.rules = rules;
    world.hosts[0].candidates[0].probed = false;
    world.start_all();
    let took = world.until_served_by(0, SECOND)?;
    ensure(took <= MS * 8, &format!("nothing is probed, but it took {took:?}"), &world)
}

pub(super) fn crash_return_and_failback(rules: Rules) -> Outcome {
    let mut world = pair(rules);
    world.run_for(SECOND);
    world.crash(0);
    let took = world.until_served_by(1, SECOND)?;
    ensure(took <= DEAD + MS * 15, &format!("takeover took {took:?}"), &world)?;
    world.expect_owner(1, "after the crash")?;
    world.boot(0);
    world.until_served_by(0, SECOND * 2)?;
    ensure(world.at() > SECOND * 2 + MS * 500, "failback came before its hold time", &world)?;
    world.expect_owner(0, "after failback")?;
    ensure(world.moves.len() == 3, "three claims", &world)
}

pub(super) fn manual_failback_never_happens_by_itself(rules: Rules) -> Outcome {
    let mut world = pair(rules);
    manual(&mut world);
    world.run_for(SECOND);
    world.crash(0);
    world.run_for(SECOND);
    world.boot(0);
    world.run_for(SECOND * 3);
    world.expect_owner(1, "manual")?;
    world.crash(1);
    world.until_served_by(0, SECOND)?;
    world.expect_owner(0, "after the second crash")
}

/// The owner's agent restarts faster than the other takes it for dead: nothing moves.
pub(super) fn quick_restart_of_the_owner(rules: Rules) -> Outcome {
    let mut world = pair(rules);
    manual(&mut world);
    world.run_for(SECOND);
    for _ in 0..5 {
        world.kill_agent(0);
        world.run_for(MS * 30);
        world.start_agent(0);
        world.run_for(MS * 500);
        ensure(world.holders(VIP) == [0], "the address stays where it is", &world)?;
    }
    world.expect_owner(0, "after restarts")
}

/// `kill -9`, and the agent stays away: its kernel answers for ever, the other waits one second, not longer.
pub(super) fn killed_agent(rules: Rules) -> Outcome {
    let mut world = pair(rules);
    world.run_for(SECOND);
    world.kill_agent(0);
    world.run_for(DEAD + MS * 950);
    ensure(world.active().is_empty(), "the answer of the peer's kernel is waited for", &world)?;
    world.run_for(MS * 150);
    world.expect_owner(1, "after the wait")?;
    world.start_agent(0);
    world.run_for(MS * 300);
    ensure(world.holders(VIP) == [1], "the returned agent gives way", &world)?;
    world.run_for(SECOND * 2);
    world.expect_owner(0, "after failback")
}

/// A stopped owner is succeeded; when it goes on it must not win, although nobody told it.
pub(super) fn stopped_owner_resumes(rules: Rules) -> Outcome {
    let mut world = pair(rules);
    manual(&mut world);
    world.run_for(SECOND);
    world.hang(0, true);
    world.run_for(SECOND * 2);
    let announced = announcement(&world, 1);
    world.hang(0, false);
    world.run_for(MS * 200);
    ensure(world.holders(VIP) == [1], "the newer claim wins", &world)?;
    ensure(announcement(&world, 1) > announced, "the winner announces", &world)?;
    world.expect_owner(1, "after the pause")
}

pub(super) fn announcement(world: &World, host: usize) -> u64 {
    let agent = world.hosts[host].agent.as_ref().unwrap();
    agent.machine.view(world.now).vips.values().map(|vip| vip.announcement).sum()
}

/// The first is cut off altogether; the one that took over restarts and forgets its epoch. At the heal the newer claim
/// must win all the same.
pub(super) fn restart_forgets(rules: Rules) -> Outcome {
    let mut world = pair(rules);
    manual(&mut world);
    world.run_for(SECOND);
    cut_heartbeats(&mut world);
    world.net.front_cut.extend([(0, 1), (1, 0)]);
    world.run_for(SECOND);
    world.kill_agent(1);
    world.start_agent(1);
    world.run_for(SECOND);
    ensure(world.active() == [0, 1], "the restarted owner goes on", &world)?;
    world.net.heal();
    world.run_for(MS * 200);
    world.expect_owner(1, "after the heal")
}

/// A preferred peer's device cannot carry the address: the other serves, and goes on serving.
pub(super) fn device_fails(rules: Rules) -> Outcome {
    let mut world = World::new(1, 2, 1, Heartbeat::default());
    world.rules = rules;
    world.hosts[0].broken = true;
    world.start_all();
    world.until_served_by(1, SECOND * 2)?;
    world.run_for(SECOND * 3);
    world.expect_owner(1, "the first cannot")?;
    ensure(world.moves.len() == 2, "no flapping", &world)
}

/// Heartbeats are cut both ways, the front is whole: the other waits for the owner's kernel, then claims; at the heal
/// one of them leaves at once and the other announces.
pub(super) fn heartbeats_cut_and_healed(rules: Rules) -> Outcome {
    let mut world = pair(rules);
    manual(&mut world);
    world.run_for(SECOND);
    cut_heartbeats(&mut world);
    world.run_for(SECOND);
    ensure(world.active() == [0], "nobody claims what is answered", &world)?;
    world.run_for(SECOND);
    let announced = announcement(&world, 1);
    world.net.heal();
    world.run_for(MS * 60);
    ensure(world.holders(VIP) == [1], "the conflict ends within a heartbeat", &world)?;
    ensure(announcement(&world, 1) > announced, "the winner announces", &world)?;
    world.expect_owner(1, "after the heal")
}

/// One of two heartbeat paths is cut: nothing happens.
pub(super) fn one_path_cut(rules: Rules) -> Outcome {
    let mut world = nodes(2, 2, rules);
    world.run_for(SECOND);
    world.net.cut.extend([(0, 1, 0), (1, 0, 0)]);
    world.run_for(SECOND);
    ensure(world.moves.len() == 1 && world.hosts[0].agent.as_ref().unwrap().machine.hears("lb2"), "heard", &world)?;
    world.expect_owner(0, "on one path")
}

pub(super) fn stranger_has_the_vip(rules: Rules) -> Outcome {
    let mut world = World::new(1, 2, 1, Heartbeat::default());
    world.rules = rules;
    world.stranger = [0, 1].into();
    world.start_all();
    world.run_for(SECOND * 5);
    ensure(world.active().is_empty(), "nobody claims what a stranger has", &world)?;
    let view = world.hosts[0].agent.as_ref().unwrap().machine.view(world.now);
    ensure(view.vips["web"].foreign == Some((VIP, super::world::STRANGER)), "and it is told", &world)?;
    world.stranger.clear();
    world.until_served_by(0, SECOND * 2)?;
    world.expect_owner(0, "without the stranger")
}

/// Only the preferred node sees the stranger: it cannot claim, so the other does, and not late.
pub(super) fn preferred_node_cannot_claim(rules: Rules) -> Outcome {
    let mut world = World::new(1, 2, 1, Heartbeat::default());
    world.rules = rules;
    world.stranger = [0].into();
    world.start_all();
    manual(&mut world);
    let took = world.until_served_by(1, SECOND * 2)?;
    ensure(took <= MS * 700, &format!("it took {took:?}"), &world)?;
    world.expect_owner(1, "the preferred one cannot")
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
    let view = world.hosts[1].agent.as_ref().unwrap().machine.view(world.now);
    let lost = view.events.iter().any(|event| event.message.contains("silent"));
    ensure(!lost, "the owner was never lost", &world)?;
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
            chunk.iter().for_each(|(to, path, bytes)| world.replay(*to, *path, bytes.clone()));
            world.run_for(MS * 20);
        }
        ensure(world.moves.len() == moves, "nothing moves", &world)?;
        let heard = |host: usize, peer: &str| world.hosts[host].agent.as_ref().unwrap().machine.hears(peer);
        ensure(heard(0, "lb2") && heard(1, "lb1"), "both are heard", &world)?;
    }
    // A recording does not keep a dead node alive.
    world.crash(0);
    for chunk in record.chunks(64).take(20) {
        chunk.iter().for_each(|(to, path, bytes)| world.replay(*to, *path, bytes.clone()));
        world.run_for(MS * 20);
    }
    world.expect_owner(1, "the dead stay dead")
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

/// Heartbeats get through in one direction only.
pub(super) fn one_way(rules: Rules) -> Outcome {
    let mut world = pair(rules);
    manual(&mut world);
    world.run_for(SECOND);
    world.net.cut_heartbeats(0, 1, 1);
    world.run_for(SECOND * 3);
    ensure(world.active() == [1], "the one that hears gives way", &world)?;
    world.net.heal();
    world.run_for(SECOND);
    world.expect_owner(1, "after the heal")
}
