//! The preferred balancer is back.

use crate::{
    cases,
    harness::{
        Bench, Outcome,
        state::State,
        wait::{eventually, now},
        world::{SOON, World},
    },
};
use serde_json::json;
use std::time::Duration;

cases![
    the_preferred_node_takes_back_after_the_hold_time,
    manual_failback_waits_for_an_administrator,
    another_state_holds_failback_back_until_it_is_the_same,
    active_active_vips_each_go_home,
];

fn the_preferred_node_takes_back_after_the_hold_time(bench: &mut Bench) -> Outcome {
    let state = State::pair().with_vip(|spec| spec["failback"]["after"] = json!("3s"));
    let world = bench.running(&state)?;
    fail_over(world)?;
    let returned = now();
    world.lab.boot("lb1")?;
    world.start("lb1")?;
    world.stays_at("lb2", Duration::from_secs(2))?;
    world.settle("lb1")?;
    assert!(returned.elapsed() >= Duration::from_secs(3), "before its time");
    world.stays_at("lb1", Duration::from_secs(1))
}

fn manual_failback_waits_for_an_administrator(bench: &mut Bench) -> Outcome {
    let state = State::pair().with_vip(|spec| spec["failback"] = json!({ "mode": "manual" }));
    let world = bench.running(&state)?;
    fail_over(world)?;
    let since = now();
    world.lab.boot("lb1")?;
    world.start("lb1")?;
    eventually(SOON, "lb1 is Backup", || Ok(is_backup(world, "lb1")))?;
    world.stays_at("lb2", Duration::from_secs(3))?;
    // What the crash broke is noticed as late as it is used, so only requests count.
    assert_eq!(world.losses_since(since)?.0, 0, "failed");
    world.lab.crash("lb2")?;
    world.settle("lb1")
}

fn another_state_holds_failback_back_until_it_is_the_same(bench: &mut Bench) -> Outcome {
    let mut state = State::pair();
    let world = bench.running(&state)?;
    fail_over(world)?;
    // lb1 comes back with a directory of its own, in which the Vip has a listener more.
    let mut config = world.config.clone();
    config.state_dir = world.lab.dir().join("state-of-lb1");
    std::fs::create_dir_all(&config.state_dir)?;
    let same = state.files.clone();
    let listeners = state.spec("Vip", "web")["listeners"].as_array_mut().ok_or("no listeners")?;
    listeners.push(json!({ "port": 8080, "protocol": "http", "pool": "web" }));
    for (name, value) in &state.files {
        std::fs::write(config.state_dir.join(name), value.to_string())?;
    }
    world.lab.boot("lb1")?;
    world.lab.start_agent("lb1", &config)?;
    eventually(SOON, "lb1 is Backup", || Ok(is_backup(world, "lb1")))?;
    world.stays_at("lb2", Duration::from_secs(3))?;
    for (name, value) in &same {
        std::fs::write(config.state_dir.join(name), value.to_string())?;
    }
    world.settle("lb1")
}

fn active_active_vips_each_go_home(bench: &mut Bench) -> Outcome {
    let mut state = State::pair();
    let listeners = json!([{ "port": 80, "protocol": "http", "pool": "web" }]);
    let other = json!({
        "addresses": ["198.51.100.20"], "interface": "eth0", "nodes": ["lb2", "lb1"],
        "failback": { "after": "1s" }, "listeners": listeners,
    });
    state.put("Vip", "other", other);
    let world = bench.running(&state)?;
    let holders = |world: &World| -> Result<Vec<String>, crate::harness::Failure> {
        let ips = ["198.51.100.20".parse()?];
        Ok(world.lab.holders(&ips)?.iter().map(ToString::to_string).collect())
    };
    eventually(SOON, "lb2 has the other Vip", || Ok(holders(world)? == ["lb2"]))?;
    world.lab.crash("lb2")?;
    eventually(SOON, "lb1 has both", || Ok(holders(world)? == ["lb1"] && world.owners()? == ["lb1"]))?;
    world.lab.boot("lb2")?;
    world.start("lb2")?;
    eventually(SOON, "each is at home", || Ok(holders(world)? == ["lb2"] && world.owners()? == ["lb1"]))
}

/// lb1 crashes and lb2 has taken over.
fn fail_over(world: &mut World) -> Outcome {
    world.lab.crash("lb1")?;
    world.settle("lb2")
}

/// The agent of `node` runs, and is Backup.
fn is_backup(world: &World, node: &str) -> bool {
    world.vip_status(node).is_ok_and(|status| status["role"] == "Backup")
}
