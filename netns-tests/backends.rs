//! Servers die and come back; the Vip never moves because of them.

use crate::{
    cases,
    harness::{
        Bench, Failure, Outcome,
        state::State,
        wait::{eventually, now, stays},
        world::{SOON, World},
    },
};
use lbagent::drill::lab::topology::HostRole;
use serde_json::Value;
use std::time::Duration;

cases![
    a_dead_backend_leaves_the_rotation_and_comes_back,
    a_silent_backend_host_leaves_the_rotation,
    a_dead_pool_does_not_move_the_vip,
];

/// The host that is to die.
const DOOMED: &str = "192.0.2.101";
/// The host that goes on.
const OTHER: &str = "192.0.2.102";

fn a_dead_backend_leaves_the_rotation_and_comes_back(bench: &mut Bench) -> Outcome {
    let world = bench.running(&State::pair())?;
    world.server(DOOMED)?.stop_servers();
    for node in ["lb1", "lb2"] {
        eventually(SOON, "its check falls", || Ok(!up(world, node, "web", "a")? && !up(world, node, "mail", "a")?))?;
    }
    let fallen = now();
    stays(Duration::from_secs(1), "no request fails any more", || Ok(world.losses_since(fallen)?.0 == 0))?;
    assert!(world.served_since(fallen)?.keys().all(|server| server.ends_with(OTHER)));
    world.server(DOOMED)?.start_servers()?;
    for node in ["lb1", "lb2"] {
        eventually(SOON, "its check rises", || up(world, node, "web", "a"))?;
    }
    let risen = now();
    eventually(SOON, "it serves again", || {
        Ok(world.served_since(risen)?.keys().any(|server| server.ends_with(DOOMED)))
    })?;
    world.stays_at("lb1", Duration::from_millis(500))
}

fn a_silent_backend_host_leaves_the_rotation(bench: &mut Bench) -> Outcome {
    let world = bench.running(&State::pair())?;
    world.lab.set_forwarding(HostRole::Server, DOOMED, false)?;
    eventually(SOON, "its checks fall", || Ok(!up(world, "lb1", "web", "a")? && !up(world, "lb1", "mail", "a")?))?;
    eventually(SOON, "clients are served", || world.serves_since(now() - Duration::from_millis(500)))?;
    world.lab.set_forwarding(HostRole::Server, DOOMED, true)?;
    eventually(SOON, "its checks rise", || Ok(up(world, "lb1", "web", "a")? && up(world, "lb1", "mail", "a")?))
}

fn a_dead_pool_does_not_move_the_vip(bench: &mut Bench) -> Outcome {
    let world = bench.running(&State::pair())?;
    for ip in [DOOMED, OTHER] {
        world.server(ip)?.stop_servers();
    }
    eventually(SOON, "all checks fall", || Ok(!up(world, "lb1", "web", "a")? && !up(world, "lb1", "web", "b")?))?;
    world.stays_at("lb1", Duration::from_secs(2))?;
    for ip in [DOOMED, OTHER] {
        world.server(ip)?.start_servers()?;
    }
    world.settle("lb1")
}

/// What the agent of `node` thinks of a backend.
fn up(world: &World, node: &str, pool: &str, backend: &str) -> Result<bool, Failure> {
    let status = world.status(node)?;
    let named =
        |list: &Value, name: &str| list.as_array().into_iter().flatten().find(|item| item["name"] == name).cloned();
    let pool = named(&status["pools"], pool).ok_or_else(|| format!("no pool {pool}"))?;
    let backend = named(&pool["backends"], backend).ok_or_else(|| format!("no backend {backend}"))?;
    Ok(backend["up"] == true)
}
