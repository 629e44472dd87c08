//! Agents start: both at once, deaf, again and again, under the wrong name, with other files, too late.

use crate::{
    cases,
    harness::{
        Bench, Failure, Outcome,
        network::{host, nic, topology_with},
        state::{State, VIP4, vips},
        verdict::TAKEOVER,
        wait::{eventually, now, stays},
        world::{SOON, World},
    },
};
use lbagent::drill::lab::{
    agent::Agent,
    explain::complaints,
    impair::{Frames, Way},
    topology::HostRole,
};
use serde_json::json;
use std::time::Duration;

cases![
    both_boot_together,
    both_boot_with_heartbeats_cut,
    an_owner_that_is_killed_again_and_again_leaves_one_owner,
    a_backup_that_is_killed_again_and_again_moves_nothing,
    two_nodes_of_one_name_are_never_two_owners,
    nodes_whose_files_name_another_order_are_never_two_owners,
    an_address_that_a_stranger_has_is_not_claimed,
    ; long:
    a_minute_of_restarts_each_3_s,
];

fn both_boot_together(bench: &mut Bench) -> Outcome {
    let world = bench.unattended(&State::swift())?;
    for _ in 0..3 {
        let since = now();
        world.start("lb1")?;
        world.start("lb2")?;
        world.taken_by("lb1")?;
        assert!(world.moves_since(since)? <= 1, "back and forth");
        for node in ["lb1", "lb2"] {
            world.lab.kill_agent(node)?;
        }
        let both_gone = now();
        let gone = || world.gone_since(vips()[0], both_gone);
        eventually(SOON, "nobody answers", || Ok(gone()? > Duration::from_millis(100)))?;
    }
    Ok(())
}

fn both_boot_with_heartbeats_cut(bench: &mut Bench) -> Outcome {
    let world = bench.unattended(&State::swift())?;
    let cut = world.impair_all("lb2", Way::Both, Frames::Heartbeats, 100)?;
    world.start("lb1")?;
    world.start("lb2")?;
    let owner = world.taken_by_one()?;
    let since = now();
    stays(Duration::from_secs(2), "nothing moves", || Ok(world.moves_since(since)? == 0))?;
    world.steady(&owner, since)?;
    drop(cut);
    world.taken_by("lb1")
}

fn an_owner_that_is_killed_again_and_again_leaves_one_owner(bench: &mut Bench) -> Outcome {
    restarts(bench, "lb1", Duration::from_millis(800), 5)?;
    let world = bench.present()?;
    // Who vanishes again and again waits for the addresses longer each time.
    world.taken_by_one().map(drop)
}

fn a_minute_of_restarts_each_3_s(bench: &mut Bench) -> Outcome {
    restarts(bench, "lb1", Duration::from_secs(3), 20)?;
    let world = bench.present()?;
    // Who vanishes again and again waits for the addresses longer each time.
    world.taken_by_one().map(drop)
}

fn restarts(bench: &mut Bench, node: &str, pace: Duration, times: usize) -> Outcome {
    let world = bench.watched(&State::swift())?;
    let since = now();
    for _ in 0..times {
        let killed = now();
        world.lab.kill_agent(node)?;
        world.start(node)?;
        stays(pace.saturating_sub(killed.elapsed()), "never two owners", || Ok(world.judge().is_ok()))?;
    }
    for ip in vips() {
        let gone = world.gone_since(ip, since)?;
        assert!(gone < TAKEOVER, "{ip} was gone for {gone:?}");
    }
    Ok(())
}

fn a_backup_that_is_killed_again_and_again_moves_nothing(bench: &mut Bench) -> Outcome {
    let world = bench.watched(&State::swift())?;
    let since = now();
    for _ in 0..5 {
        world.lab.kill_agent("lb2")?;
        world.start("lb2")?;
        stays(Duration::from_millis(500), "nothing moves", || Ok(world.moves_since(since)? == 0))?;
    }
    world.taken_by("lb1")?;
    world.unmoved("lb1", since)
}

/// The second host was made from an image of the first, and nobody has changed the name.
fn two_nodes_of_one_name_are_never_two_owners(bench: &mut Bench) -> Outcome {
    let world = bench.unattended(&State::swift())?;
    world.start("lb1")?;
    world.taken_by("lb1")?;
    let since = now();
    let dir = world.lab.dir().join("twin");
    std::fs::create_dir(&dir)?;
    let mut config = world.config.clone();
    config.arguments.extend(["--last-good-dir".into(), dir.join("last-good").display().to_string()]);
    let mut twin = Agent::start(world.lab.balancer("lb2")?.namespace(), "lb1", &config, &dir)?;
    eventually(SOON, "the twin complains", || {
        // One that refuses to run complains, too.
        if twin.ended().is_some() {
            return Ok(twin.log().contains("lb1"));
        }
        Ok(world.status("lb2").is_ok_and(|status| complaints(&status).next().is_some()))
    })?;
    stays(Duration::from_secs(2), "nothing moves", || Ok(world.moves_since(since)? == 0))?;
    world.unmoved("lb1", since)?;
    drop(twin);
    world.taken_by("lb1")
}

fn nodes_whose_files_name_another_order_are_never_two_owners(bench: &mut Bench) -> Outcome {
    let mut state = State::swift();
    let world = bench.unattended(&state)?;
    let mut config = world.config.clone();
    config.state_dir = world.lab.dir().join("state-of-lb2");
    std::fs::create_dir_all(&config.state_dir)?;
    state.spec("Vip", "web")["nodes"] = json!(["lb2", "lb1"]);
    for (name, value) in &state.files {
        std::fs::write(config.state_dir.join(name), value.to_string())?;
    }
    world.start("lb1")?;
    world.lab.start_agent("lb2", &config)?;
    let owner = world.taken_by_one()?;
    let since = now();
    // Longer than the hold time of failback.
    stays(Duration::from_millis(2500), "nothing moves", || Ok(world.moves_since(since)? == 0))?;
    world.steady(&owner, since)?;
    for (node, other) in [("lb1", "lb2"), ("lb2", "lb1")] {
        let differs = |world: &World| -> Result<bool, Failure> { Ok(world.peer(node, other)?["inSync"] == false) };
        eventually(SOON, &format!("{node} says that {other} has other files"), || differs(world))?;
    }
    world.lab.crash(&owner)?;
    world.taken_by(if owner == "lb1" { "lb2" } else { "lb1" })
}

fn an_address_that_a_stranger_has_is_not_claimed(bench: &mut Bench) -> Outcome {
    let own = ["198.51.100.50", "2001:db8:1::50"];
    let stranger = host("stranger", HostRole::Targets, vec![nic("eth0", 0, &own)]);
    let world = bench.unattended_on(topology_with(2, Vec::new(), vec![stranger]), &State::swift())?;
    let stranger = world.lab.host(HostRole::Targets, "stranger")?;
    stranger.rtnl().add_address("eth0", VIP4.parse()?, 32)?;
    let mac = stranger.plan().interfaces.first().ok_or("no device")?.mac.to_string();
    let since = now();
    world.start("lb1")?;
    world.start("lb2")?;
    for node in ["lb1", "lb2"] {
        let names = |world: &World| Ok(world.status(node).is_ok_and(|status| status.to_string().contains(&mac)));
        eventually(SOON, &format!("{node} names the stranger, {mac}"), || names(world))?;
    }
    stays(Duration::from_secs(2), "nobody claims it", || {
        Ok(world.owners()?.is_empty() && world.moves_since(since)? == 0)
    })?;
    assert_ne!(world.check("lb1", &[])?.0, 0, "check says that all is well");
    assert!(world.check("lb1", &[])?.1.contains(&mac), "check does not name {mac}");
    world.lab.host(HostRole::Targets, "stranger")?.rtnl().delete_address("eth0", VIP4.parse()?, 32)?;
    world.taken_by("lb1")
}
