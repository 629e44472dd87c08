//! The schedules that have names, here what they are made of. Each returns what went wrong, so that it can also be run
//! with a rule switched off.

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

/// The same, the second owning.
pub(super) fn second_owns(rules: Rules) -> Result<World, String> {
    let mut world = steady(rules);
    world.crash(0);
    world.until_served_by(1, SECOND)?;
    world.boot(0);
    world.run_for(SECOND);
    Ok(world)
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

/// No two hosts have spoken for an address at the same time: where nothing was cut on the front, not even for a moment.
pub(super) fn alone(world: &World) -> Outcome {
    ensure(world.check.overlaps.is_empty() && world.speakers(VIP).len() < 2, "never two speak for it", world)
}
