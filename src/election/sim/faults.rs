//! Random schedules: a world drawn from the seed, three seconds of faults, then quiet, in which exactly one owner must be
//! found soon, and stay, and every cache must point at it.

use super::{
    claims::cut_all_heartbeats,
    net::GATEWAY,
    prng::Rng,
    world::{VIP, VIP6, World},
};
use crate::{
    election::machine::Rules,
    model::{Digest, FailbackMode, Heartbeat, Name},
};
use std::{fmt, time::Duration};

const MS: Duration = Duration::from_millis(1);

/// Faults are made for this long.
const STORM: Duration = Duration::from_millis(2500);
/// After the last fault there is exactly one owner within this.
const SETTLE: Duration = Duration::from_millis(2300);
/// By then the last announcement of the last move must have been sent.
const TOLD: Duration = Duration::from_millis(1100);

/// What schedules without a violation showed all the same.
#[derive(Default)]
pub(super) struct Tally {
    schedules: u64,
    moves: u64,
    /// Times in which two hosts spoke for an address, because nothing made the round trip between them yet.
    overlaps: Vec<Duration>,
}

impl Tally {
    pub(super) fn add(&mut self, other: &Self) {
        self.schedules += other.schedules;
        self.moves += other.moves;
        self.overlaps.extend(&other.overlaps);
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut overlaps = self.overlaps.clone();
        overlaps.sort();
        let (median, worst) = (overlaps.get(overlaps.len() / 2), overlaps.last());
        write!(f, "{} schedules, {} moves, {} meetings of two owners ", self.schedules, self.moves, overlaps.len())?;
        write!(f, "(median {:?}, worst {:?})", median.unwrap_or(&Duration::ZERO), worst.unwrap_or(&Duration::ZERO))
    }
}

/// Runs the schedule of one seed; if it fails, once more to tell the story.
pub(super) fn run(seed: u64, rules: Rules) -> Result<Tally, String> {
    let attempt = |told: bool| {
        let mut world = world(seed);
        world.rules = rules;
        world.story = told.then(Vec::new);
        storm(&mut world);
        judge(&mut world).map_err(|violation| format!("seed {seed}: {violation}\n{}", world.dump()))?;
        Ok(Tally { schedules: 1, moves: world.moves.len() as u64, overlaps: world.check.overlaps })
    };
    attempt(false).or_else(|_: String| attempt(true))
}

fn world(seed: u64) -> World {
    let mut rng = Rng(seed);
    let count = if rng.chance(25) { 3 } else { 2 };
    let paths = rng.pick(&[1, 1, 2]);
    let interval = MS * rng.pick(&[25, 50, 100]);
    let dead_after = interval * rng.pick(&[4, 4, 6]);
    let mut world = World::new(seed, count, paths, Heartbeat { interval, dead_after });
    // What is signed and read back is the wire's own business; some seeds do it all the same.
    world.encoded = seed.is_multiple_of(16);
    world.net.loss_percent = rng.pick(&[0, 0, 2, 10]);
    world.net.front_loss = rng.pick(&[0, 0, 0, 1, 5, 20]);
    world.net.duplicate_percent = rng.pick(&[0, 0, 10]);
    world.net.longest_delay = MS * rng.pick(&[1, 1, 5, 15]);
    // Where heartbeats or frames are lost or late, two owners take longer to meet, and a claimer to be sure.
    let late = interval + world.net.longest_delay * 2;
    let lossy = world.net.loss_percent > 0 || world.net.front_loss > 0;
    world.check.tolerance = late + if lossy { interval * 3 + MS * 100 } else { Duration::ZERO };
    world.check.patience = dead_after * 2 + if lossy { MS * 1000 } else { Duration::ZERO };
    world.references = !rng.chance(15);
    if rng.chance(10) {
        world.stations.retain(|station| station.at != GATEWAY);
    }
    let mode = if rng.chance(70) { FailbackMode::Auto } else { FailbackMode::Manual };
    let after = MS * rng.pick(&[50, 300, 800]);
    let dual = rng.chance(20);
    for host in &mut world.hosts {
        host.apply_time = MS * rng.pick(&[1, 5, 20]);
        host.quiet_wait = MS * rng.pick(&[0, 0, 40]);
        host.wall_ms += rng.below(20_000);
        host.fences = !rng.chance(4);
        for candidate in &mut host.candidates {
            candidate.failback.mode = mode;
            candidate.failback.after = after;
            if dual {
                candidate.addresses = vec![VIP, VIP6];
            }
        }
    }
    world
}

fn storm(world: &mut World) {
    if world.rng.chance(10) {
        cut_all_heartbeats(world);
    }
    for host in 0..world.hosts.len() {
        let wait = world.rng.pick(&[Duration::ZERO, MS * 3, MS * 100]);
        let wait = world.rng.between(Duration::ZERO, wait + MS);
        world.run_for(wait);
        world.start_agent(host);
    }
    if world.rng.chance(70) {
        world.run_for(MS * 800);
    }
    let end = world.now + STORM;
    while world.now < end {
        let longest = world.rng.pick(&[MS * 30, MS * 400, MS * 700]);
        let wait = world.rng.between(MS, longest);
        world.run_for(wait);
        fault(world);
    }
    quiet(world);
}

/// Makes or mends something.
fn fault(world: &mut World) {
    let count = world.hosts.len() as u64;
    let host = world.rng.below(count) as usize;
    let other = (host + 1 + world.rng.below(count - 1) as usize) % world.hosts.len();
    let path = world.rng.below(world.net.paths as u64 + 1) as usize;
    match world.rng.below(44) {
        0 | 1 => world.crash(host),
        2..=4 => world.boot(host),
        5 => world.kill_agent(host),
        6 => {
            world.kill_agent(host);
            world.start_agent(host);
        }
        7 | 8 => world.hang(host, true),
        9 => {
            let effects = world.rng.below(12) as u32;
            world.hang_after(host, effects);
        }
        10..=13 => world.hang(host, false),
        14 => world.pause(host),
        15 | 16 => {
            let noticed = world.rng.chance(50);
            world.resume(host, noticed);
        }
        17..=26 => cut(world, host, other, path),
        27..=30 => heal(world),
        31 => eligible(world, host, Some("eth1 has no carrier")),
        32 | 33 => eligible(world, host, None),
        34 => world.stranger.extend(0..world.hosts.len()),
        35 | 36 => world.stranger.clear(),
        37 => world.hosts[host].broken ^= true,
        38 => rename(world, host),
        39 => leave(world, host),
        40 => {
            let by = world.rng.below(20_000) as i64 - 10_000;
            world.step_wall_clock(host, by);
        }
        41 => restart_loop(world, host),
        42 => gateway(world, false),
        _ => gateway(world, true),
    }
}

fn cut(world: &mut World, host: usize, other: usize, path: usize) {
    let names = (world.hosts[host].name.clone(), world.hosts[other].name.clone());
    let what = match world.rng.below(9) {
        0 => {
            world.net.cut.extend([(host, other, path), (other, host, path)]);
            format!("heartbeats on path {path} between")
        }
        1 => {
            world.net.cut_heartbeats(host, other);
            "all heartbeats in that direction:".into()
        }
        2 => {
            world.net.cut_heartbeats(host, other);
            world.net.cut_heartbeats(other, host);
            "all heartbeats between".into()
        }
        3 => {
            world.net.cut_back(host, other);
            "the back paths between".into()
        }
        4 => {
            world.net.front_cut.insert((host, other));
            "frames on the front in that direction:".into()
        }
        5 => {
            world.net.cut_front(host, other);
            "frames on the front between".into()
        }
        6 => {
            world.net.deafen(host);
            "what the first hears on the front; not".into()
        }
        7 => {
            world.net.silence(host);
            "what the first says on the front; not".into()
        }
        _ => {
            world.net.deafen(host);
            world.net.silence(host);
            "the front port of the first; not".into()
        }
    };
    world.tell(|_| format!("cut: {what} {}, {}", names.0, names.1));
}

fn heal(world: &mut World) {
    match world.rng.below(3) {
        0 => world.net.front_cut.clear(),
        1 => world.net.cut.clear(),
        _ => world.net.heal(),
    }
    world.tell(|world| format!("healed; still cut: {:?}, front {:?}", world.net.cut, world.net.front_cut));
}

fn eligible(world: &mut World, host: usize, reason: Option<&str>) {
    world.hosts[host].set_eligible(reason);
    world.reload(host);
    world.tell(|world| format!("{} is eligible but for {reason:?}", world.hosts[host].name));
}

/// The Vip gets another name on one node, and so another digest.
fn rename(world: &mut World, host: usize) {
    for candidate in &mut world.hosts[host].candidates {
        let other = if &*candidate.vip == "web" { "www" } else { "web" };
        candidate.vip = Name::new(other).unwrap();
        candidate.digest = Digest(other.len() as u64 + u64::from(other == "www"));
    }
    world.reload(host);
    world.tell(|world| format!("{}'s files change", world.hosts[host].name));
}

/// SIGTERM: the agent lets go and ends soon.
fn leave(world: &mut World, host: usize) {
    world.tell(|world| format!("{} is told to leave", world.hosts[host].name));
    world.hosts[host].set_leaving(true);
    world.reload(host);
    world.run_for(MS * 150);
    world.kill_agent(host);
}

fn restart_loop(world: &mut World, host: usize) {
    for _ in 0..4 {
        world.kill_agent(host);
        let (off, on) = (world.rng.between(MS, MS * 60), world.rng.between(MS, MS * 200));
        world.run_for(off);
        world.start_agent(host);
        world.run_for(on);
    }
}

fn gateway(world: &mut World, up: bool) {
    world.stations.iter_mut().filter(|station| station.at == GATEWAY).for_each(|gateway| gateway.up = up);
    world.tell(|_| format!("the gateway is {}", if up { "up" } else { "down" }));
}

/// All that can be mended is mended; some hosts stay off, some without an agent, but never all.
fn quiet(world: &mut World) {
    world.net.heal();
    world.net.loss_percent = 0;
    world.net.front_loss = 0;
    world.stranger.clear();
    gateway(world, true);
    let survivor = world.rng.below(world.hosts.len() as u64) as usize;
    for host in 0..world.hosts.len() {
        world.resume(host, true);
        world.hosts[host].broken = false;
        eligible(world, host, None);
        if host == survivor || world.rng.chance(60) {
            world.boot(host);
        }
        world.hang(host, false);
        world.hang_after(host, u32::MAX);
    }
    world.tell(|_| "all is mended".to_owned());
}

fn judge(world: &mut World) -> Result<(), String> {
    let moves = world.moves.len();
    world.run_for(SETTLE);
    world.safe()?;
    // A failback may still be due, at any moment.
    world.run_for(world.hosts[0].candidates[0].failback.after + TOLD);
    let mut settled = world.settled_for(MS * 800);
    for _ in 0..3 {
        if settled.is_err() && world.safe().is_ok() {
            world.run_for(TOLD);
            settled = world.settled_for(MS * 800);
        }
    }
    let owner = settled?;
    if world.moves.len() > moves + 4 {
        return Err(format!("{} moves although all was mended", world.moves.len() - moves));
    }
    world.caches_point_at(owner)
}
