//! An administrator takes nodes out of service and puts them back, and clears up after an agent that was killed.

use crate::{
    cases,
    harness::{
        Bench, Outcome,
        state::{State, VIP4},
        verdict::TAKEOVER,
        wait::{eventually, now, stays},
        world::{SOON, World},
    },
};
use std::time::Duration;

cases![
    standby_moves_the_vip_away_until_unstandby,
    standby_of_the_last_node_is_refused_without_force,
    release_clears_up_after_a_killed_agent,
    release_beside_a_running_agent_is_refused,
];

fn standby_moves_the_vip_away_until_unstandby(bench: &mut Bench) -> Outcome {
    let world = bench.watched(&State::swift())?;
    let since = now();
    control(world, "lb1", &["standby", "--socket", "SOCKET", "kernel", "update"])?;
    world.taken_by("lb2")?;
    world.dark_at_most(TAKEOVER, since)?;
    let why = world.status("lb1")?.to_string();
    assert!(why.contains("kernel update"), "nobody can tell why: {why}");
    let since = now();
    // Longer than the hold time of failback.
    stays(Duration::from_millis(2500), "lb2 keeps it", || Ok(world.moves_since(since)? == 0))?;
    world.steady("lb2", since)?;
    control(world, "lb1", &["unstandby", "--socket", "SOCKET"])?;
    world.taken_by("lb1")
}

fn standby_of_the_last_node_is_refused_without_force(bench: &mut Bench) -> Outcome {
    let world = bench.watched(&State::swift())?;
    world.lab.crash("lb2")?;
    eventually(SOON, "lb2 is not heard", || Ok(world.peer("lb1", "lb2")?["heard"] == false))?;
    let since = now();
    let refused = control(world, "lb1", &["standby", "--socket", "SOCKET"]);
    assert!(refused.is_err(), "the last node went into standby");
    stays(Duration::from_millis(500), "nothing moves", || Ok(world.moves_since(since)? == 0))?;
    world.unmoved("lb1", since)?;
    // Forced, it goes as soon as another can take over, and serves until then.
    control(world, "lb1", &["standby", "--socket", "SOCKET", "--force"])?;
    world.taken_by("lb1")?;
    world.unmoved("lb1", since)?;
    world.lab.boot("lb2")?;
    world.start("lb2")?;
    world.taken_by("lb2")?;
    control(world, "lb1", &["unstandby", "--socket", "SOCKET"])?;
    world.taken_by("lb1")
}

fn release_clears_up_after_a_killed_agent(bench: &mut Bench) -> Outcome {
    let world = bench.watched(&State::swift().without_failback())?;
    let socket = world.socket("lb1")?;
    world.lab.kill_agent("lb1")?;
    let released = world.lbagent("lb1", &["release", "--socket", &socket])?;
    assert!(released.status.success(), "{}", String::from_utf8_lossy(&released.stderr));
    assert!(!world.holders_of_any()?.contains(&"lb1".to_owned()), "an address was left");
    world.taken_by("lb2")?;
    world.lab.kill_agent("lb2")?;
    let socket = world.socket("lb2")?;
    assert!(world.lbagent("lb2", &["release", "--socket", &socket])?.status.success());
    // Nothing of the fence is left either: what an administrator gives this host now, it answers for.
    world.lab.balancer("lb1")?.rtnl().add_address("eth0", VIP4.parse()?, 32)?;
    eventually(SOON, "lb1's kernel answers", || Ok(world.answering(VIP4)? == ["lb1"]))
}

fn release_beside_a_running_agent_is_refused(bench: &mut Bench) -> Outcome {
    let world = bench.watched(&State::swift())?;
    let since = now();
    let socket = world.socket("lb1")?;
    let refused = world.lbagent("lb1", &["release", "--socket", &socket])?;
    assert!(!refused.status.success(), "{}", String::from_utf8_lossy(&refused.stdout));
    stays(Duration::from_millis(500), "nothing moves", || Ok(world.moves_since(since)? == 0))?;
    world.unmoved("lb1", since)
}

/// Runs `lbagent` with `arguments`, `SOCKET` standing for that of the agent of `node`; what it said if it failed.
fn control(world: &World, node: &str, arguments: &[&str]) -> Outcome {
    let socket = world.socket(node)?;
    let arguments: Vec<&str> = arguments.iter().map(|word| if *word == "SOCKET" { &socket } else { *word }).collect();
    let output = world.lbagent(node, &arguments)?;
    let said = || format!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(()) } else { Err(said().into()) }
}
