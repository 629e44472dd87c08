//! The owner goes, in one way or another, and another balancer takes over – or must not.

use crate::{
    cases,
    harness::{
        Bench, Outcome,
        state::State,
        wait::{eventually, now},
        world::{SOON, World},
    },
};
use std::time::Duration;

cases![
    a_stopped_agent_hands_over_and_leaves_no_address,
    one_silent_heartbeat_path_moves_nothing,
    a_dead_backup_moves_nothing,
    three_balancers_take_over_in_the_order_of_the_list,
    a_lone_node_is_active_at_once,
];

fn a_stopped_agent_hands_over_and_leaves_no_address(bench: &mut Bench) -> Outcome {
    let world = bench.running(&State::pair())?;
    let status = world.lab.stop_agent("lb1", SOON)?;
    assert!(status.success(), "{status}");
    assert!(!world.holders_of_any()?.contains(&"lb1".to_owned()), "an address was left");
    world.settle("lb2")?;
    world.stays_at("lb2", Duration::from_secs(1))
}

fn one_silent_heartbeat_path_moves_nothing(bench: &mut Bench) -> Outcome {
    let world = bench.running(&State::pair())?;
    world.lab.set_device_forwarding("lb2", "eth1", false)?;
    world.stays_at("lb1", Duration::from_secs(2))?;
    let up = |world: &World| -> Result<Vec<bool>, crate::harness::Failure> {
        let status = world.status("lb1")?;
        let peers = status["peers"].as_array().ok_or("no peers")?;
        let other = peers.iter().find(|peer| peer["name"] == "lb2").ok_or("no lb2")?;
        let paths = other["paths"].as_array().ok_or("no paths")?;
        Ok(paths.iter().map(|path| path["up"] == true).collect())
    };
    eventually(SOON, "lb1 knows which path is down", || Ok(up(world)? == [false, true]))?;
    world.lab.set_device_forwarding("lb2", "eth1", true)?;
    eventually(SOON, "lb1 knows that both are up", || Ok(up(world)? == [true, true]))
}

fn a_dead_backup_moves_nothing(bench: &mut Bench) -> Outcome {
    let world = bench.running(&State::pair())?;
    let since = now();
    world.lab.crash("lb2")?;
    world.stays_at("lb1", Duration::from_secs(2))?;
    assert_eq!(world.losses_since(since)?, (0, 0), "failed, broken");
    Ok(())
}

fn three_balancers_take_over_in_the_order_of_the_list(bench: &mut Bench) -> Outcome {
    let world = bench.running(&State::balancers(3))?;
    world.lab.crash("lb1")?;
    world.settle("lb2")?;
    world.lab.crash("lb2")?;
    world.settle("lb3")?;
    world.stays_at("lb3", Duration::from_secs(1))
}

fn a_lone_node_is_active_at_once(bench: &mut Bench) -> Outcome {
    bench.running(&State::balancers(1))?.stays_at("lb1", Duration::from_secs(1))
}
