//! Random schedules: a network drawn from the seed, three seconds of faults, then quiet, in which exactly one owner must
//! be found soon, and stay.

use super::{
    prng::Rng,
    world::{VIP, World},
};
use crate::{
    election::machine::Rules,
    model::{Digest, FailbackMode, Heartbeat, Name, Role},
};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

/// Faults are made for this long.
const STORM: Duration = Duration::from_secs(3);
/// After the last fault there is exactly one owner within this.
const SETTLE: Duration = Duration::from_millis(2300);

/// Runs the schedule of one seed.
pub(super) fn run(seed: u64, rules: Rules) -> Result<(), String> {
    let mut world = world(seed);
    world.rules = rules;
    for host in 0..world.hosts.len() {
        let wait = world.rng.between(Duration::ZERO, MS * 200);
        world.run_for(wait);
        world.start_agent(host);
    }
    let end = world.now + STORM;
    while world.now < end {
        let wait = world.rng.between(MS, MS * 400);
        world.run_for(wait);
        fault(&mut world);
    }
    quiet(&mut world);
    judge(&mut world).map_err(|violation| format!("seed {seed}: {violation}\n{}", world.dump()))
}

fn world(seed: u64) -> World {
    let mut rng = Rng(seed);
    let count = if rng.chance(30) { 3 } else { 2 };
    let paths = rng.pick(&[1, 1, 2]);
    let interval = MS * rng.pick(&[50, 100, 100]);
    let dead_after = interval * rng.pick(&[4, 4, 6]);
    let mut world = World::new(seed, count, paths, Heartbeat { interval, dead_after });
    world.net.loss_percent = rng.pick(&[0, 0, 2, 10]);
    world.net.duplicate_percent = rng.pick(&[0, 0, 10]);
    world.net.longest_delay = MS * rng.pick(&[1, 1, 5, 15]);
    // Where heartbeats are lost or late, news may arrive after the decision; then the conflict must end at once.
    let calm = world.net.loss_percent == 0;
    world.check.tolerance = if calm { Duration::ZERO } else { interval * 3 };
    let mode = if rng.chance(70) { FailbackMode::Auto } else { FailbackMode::Manual };
    let after = MS * rng.pick(&[50, 300, 1000]);
    for host in &mut world.hosts {
        host.apply_time = MS * rng.pick(&[1, 5, 20]);
        host.quiet_wait = MS * rng.pick(&[0, 0, 40]);
        host.wall_ms += rng.below(20_000);
        for candidate in &mut host.candidates {
            candidate.failback.mode = mode;
            candidate.failback.after = after;
        }
    }
    world
}

/// Makes or mends something.
fn fault(world: &mut World) {
    let count = world.hosts.len() as u64;
    let host = world.rng.below(count) as usize;
    let other = (host + 1 + world.rng.below(count - 1) as usize) % world.hosts.len();
    let path = world.rng.below(world.paths as u64) as usize;
    let (kind, paths) = (world.rng.below(27), world.paths);
    world.log.push(format!("{:?} fault {kind} at {host} (other {other}, path {path})", world.at()));
    match kind {
        0 | 1 => world.crash(host),
        2..=4 => world.boot(host),
        5 => world.kill_agent(host),
        6 => {
            world.kill_agent(host);
            world.start_agent(host);
        }
        7 => world.hang(host, true),
        8 | 9 => world.hang(host, false),
        10 => world.net.cut.extend([(host, other, path), (other, host, path)]),
        11 => world.net.cut_heartbeats(host, other, paths),
        12 => {
            world.net.cut_heartbeats(host, other, paths);
            world.net.cut_heartbeats(other, host, paths);
        }
        13 => _ = world.net.front_cut.insert((host, other)),
        14 => world.net.front_cut.extend([(host, other), (other, host)]),
        15..=17 => world.net.heal(),
        18 => eligible(world, host, Some("eth1 has no carrier")),
        19 | 20 => eligible(world, host, None),
        21 => world.stranger.extend(0..world.hosts.len()),
        22 => world.stranger.clear(),
        23 => world.hosts[host].broken ^= true,
        24 => rename(world, host),
        25 => leave(world, host),
        _ => _ = world.stranger.insert(host),
    }
}

fn eligible(world: &mut World, host: usize, reason: Option<&str>) {
    world.hosts[host].set_eligible(reason);
    world.reload(host);
}

/// The Vip gets another name on one node, and so another digest.
fn rename(world: &mut World, host: usize) {
    for candidate in &mut world.hosts[host].candidates {
        let other = if &*candidate.vip == "web" { "www" } else { "web" };
        candidate.vip = Name::new(other).unwrap();
        candidate.digest = Digest(other.len() as u64 + u64::from(other == "www"));
    }
    world.reload(host);
}

/// SIGTERM: the agent lets go and ends soon.
fn leave(world: &mut World, host: usize) {
    world.hosts[host].set_leaving(true);
    world.reload(host);
    world.run_for(MS * 150);
    world.kill_agent(host);
}

/// All that can be mended is mended; some hosts stay off, some without an agent, but never all.
fn quiet(world: &mut World) {
    world.net.heal();
    world.net.loss_percent = 0;
    world.stranger.clear();
    let survivor = world.rng.below(world.hosts.len() as u64) as usize;
    for host in 0..world.hosts.len() {
        world.hang(host, false);
        world.hosts[host].broken = false;
        eligible(world, host, None);
        if host == survivor || world.rng.chance(60) {
            world.boot(host);
        }
    }
}

fn judge(world: &mut World) -> Result<(), String> {
    world.run_for(SETTLE);
    world.safe()?;
    if taken_by_unknown_kernel(world) {
        return Ok(());
    }
    world.owner()?;
    // A failback may still be due.
    world.run_for(world.hosts[0].candidates[0].failback.after + Duration::from_millis(1500));
    world.settled_for(Duration::from_secs(1)).map(|_| ())
}

/// The agents that run have never heard the host whose agent is gone and whose kernel answers: to them it is a
/// stranger, and the addresses of a stranger are left alone.
fn taken_by_unknown_kernel(world: &World) -> bool {
    let orphan = world.hosts.iter().find(|host| host.agent.is_none() && !host.addresses.is_empty());
    let agents: Vec<_> = world.hosts.iter().filter_map(|host| host.agent.as_ref()).collect();
    orphan.is_some_and(|orphan| {
        agents.iter().all(|agent| {
            let view = agent.machine.view(world.now);
            view.peers[&orphan.name].macs.is_empty()
                && view.vips.values().all(|vip| vip.role != Role::Active)
                && view.vips.values().any(|vip| vip.foreign == Some((VIP, orphan.mac)) || agents.len() > 1)
        })
    })
}
