//! What the agents say of themselves agrees with what the kernels and the wire say.

use crate::{
    cases,
    harness::{
        Bench, Failure, Outcome,
        state::{State, VIP4, VIP6},
        wait::{eventually, stays},
        world::{SOON, World},
    },
};
use serde_json::Value;
use std::time::Duration;

cases![
    status_and_metrics_agree_with_the_kernel,
    the_wire_knows_one_owner,
    check_has_the_exit_codes_of_a_monitoring_plugin,
    status_prints_a_table_and_json,
    counters_alone_wake_nobody,
];

fn status_and_metrics_agree_with_the_kernel(bench: &mut Bench) -> Outcome {
    let world = bench.running(&State::pair())?;
    for node in ["lb1", "lb2"] {
        eventually(SOON, "they agree", || agrees(world, node))?;
    }
    world.lab.crash("lb1")?;
    world.settle("lb2")?;
    eventually(SOON, "they agree after a takeover", || agrees(world, "lb2"))
}

fn the_wire_knows_one_owner(bench: &mut Bench) -> Outcome {
    let world = bench.running(&State::pair())?;
    for ip in [VIP4, VIP6] {
        assert_eq!(world.answering(ip)?, ["lb1"]);
    }
    world.lab.stop_agent("lb1", SOON)?;
    world.settle("lb2")?;
    for ip in [VIP4, VIP6] {
        assert_eq!(world.answering(ip)?, ["lb2"]);
    }
    Ok(())
}

fn check_has_the_exit_codes_of_a_monitoring_plugin(bench: &mut Bench) -> Outcome {
    let world = bench.running(&State::pair())?;
    for arguments in [vec![], vec!["vip", "web"], vec!["pool", "web"], vec!["peer", "lb2"]] {
        eventually(SOON, &format!("check {arguments:?} is OK"), || Ok(check(world, "lb1", &arguments)? == 0))?;
    }
    assert_eq!(check(world, "lb1", &["vip", "nothing"])?, 3);
    for ip in ["192.0.2.101", "192.0.2.102"] {
        world.server(ip)?.stop_servers();
    }
    eventually(SOON, "check is CRITICAL", || Ok(check(world, "lb1", &["pool", "web"])? == 2))?;
    world.lab.crash("lb2")?;
    eventually(SOON, "check sees the dead peer", || Ok(matches!(check(world, "lb1", &["peer", "lb2"])?, 1 | 2)))?;
    world.lab.kill_agent("lb1")?;
    assert_eq!(check(world, "lb1", &[])?, 3, "without an agent nothing is known");
    Ok(())
}

fn status_prints_a_table_and_json(bench: &mut Bench) -> Outcome {
    let world = bench.running(&State::pair())?;
    let socket = world.socket("lb1")?;
    let table = world.lbagent("lb1", &["status", "--socket", &socket])?;
    let table = String::from_utf8(table.stdout)?;
    for word in ["web", VIP4, "Active", "lb2"] {
        assert!(table.contains(word), "no {word} in\n{table}");
    }
    let json = world.lbagent("lb1", &["status", "--socket", &socket, "-o", "json"])?;
    assert_eq!(serde_json::from_slice::<Value>(&json.stdout)?["node"], "lb1");
    Ok(())
}

/// Whether status, metrics and kernel of `node` say the same of the Vip.
fn agrees(world: &World, node: &str) -> Result<bool, Failure> {
    let held = world.owners()?.iter().any(|owner| owner == node);
    let status = world.vip_status(node)?;
    let addresses = status["addresses"].as_array().ok_or("no addresses")?;
    let says =
        addresses.len() == 2 && addresses.iter().all(|address| address["held"] == held && address["ours"] == held);
    let role = if held { "Active" } else { "Backup" };
    let metric = format!("lbagent_vip_active{{vip=\"web\"}} {}\n", u8::from(held));
    Ok(says && status["role"] == role && world.metrics(node)?.contains(&metric))
}

fn check(world: &World, node: &str, arguments: &[&str]) -> Result<i32, Failure> {
    Ok(world.check(node, arguments)?.0)
}

fn counters_alone_wake_nobody(bench: &mut Bench) -> Outcome {
    let world = bench.running(&State::pair())?;
    let woken = || -> Result<u64, Failure> {
        let metrics = world.metrics("lb1")?;
        let line =
            metrics.lines().find_map(|line| line.strip_prefix("lbagent_reconcile_passes_total{reason=\"role\"} "));
        Ok(line.unwrap_or("0").parse()?)
    };
    let before = woken()?;
    // The election publishes its counters each second; a machine under load may lose a heartbeat or two.
    stays(Duration::from_secs(5), "nothing to do", || Ok(woken()? <= before + 2))
}
