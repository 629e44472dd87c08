//! What administrators get wrong: each gets a clear message, changes nothing that runs and loses nothing.

use crate::{
    cases,
    harness::{
        Bench, Failure, Outcome,
        state::{State, VIP4, VIP6, file_name},
        wait::{eventually, stays},
        world::{SOON, World},
    },
};
use lbagent::drill::lab::topology::HostRole;
use serde_json::json;
use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt, time::Duration};

cases![
    a_world_readable_key_file_is_refused,
    a_key_file_that_becomes_world_readable_changes_nothing,
    a_missing_state_directory_at_the_first_start,
    an_empty_state_directory_at_the_first_start,
    a_node_in_no_peer_holds_nothing,
    an_unknown_interface_holds_nothing_until_it_is_mended,
    an_edit_that_names_an_unknown_interface_takes_nothing_away,
    a_port_in_use_is_left_alone_and_retried,
    a_second_agent_in_the_namespace_is_refused,
    a_vip_that_a_third_host_answers_is_not_taken,
];

fn a_world_readable_key_file_is_refused(bench: &mut Bench) -> Outcome {
    let world = bench.world(&State::pair())?;
    set_mode(world, 0o644)?;
    world.start("lb1")?;
    eventually(SOON, "the agent complains", || complains(world, "lb1", &["auth.key"]))?;
    set_mode(world, 0o600)?;
    world.start("lb1")?;
    world.settle("lb1")
}

fn a_key_file_that_becomes_world_readable_changes_nothing(bench: &mut Bench) -> Outcome {
    let world = bench.running(&State::pair())?;
    set_mode(world, 0o644)?;
    eventually(SOON, "the agent complains", || world.reports("lb1", &["auth.key"]))?;
    world.stays_at("lb1", Duration::from_secs(1))?;
    set_mode(world, 0o600)?;
    eventually(SOON, "the problem is gone", || Ok(!world.reports("lb1", &["auth.key"])?))
}

fn a_missing_state_directory_at_the_first_start(bench: &mut Bench) -> Outcome {
    let state = State::pair();
    let world = bench.world(&state)?;
    fs::remove_dir_all(&world.config.state_dir)?;
    waits_for_state(world, &state)
}

fn an_empty_state_directory_at_the_first_start(bench: &mut Bench) -> Outcome {
    let state = State::pair();
    let world = bench.world(&state)?;
    fs::remove_dir_all(&world.config.state_dir)?;
    fs::create_dir(&world.config.state_dir)?;
    waits_for_state(world, &state)
}

fn waits_for_state(world: &mut World, state: &State) -> Outcome {
    world.start("lb1")?;
    eventually(SOON, "the agent complains", || complains(world, "lb1", &["state"]))?;
    stays(Duration::from_secs(1), "nothing is held", || Ok(world.holders_of_any()?.is_empty()))?;
    fs::create_dir_all(&world.config.state_dir)?;
    for (name, value) in &state.files {
        world.write(name, value)?;
    }
    world.settle("lb1")
}

fn a_node_in_no_peer_holds_nothing(bench: &mut Bench) -> Outcome {
    let mut state = State::balancers(1);
    state.nodes.push("lb2".into());
    let world = bench.world(&state)?;
    world.start("lb2")?;
    eventually(SOON, "the agent complains", || complains(world, "lb2", &["lb2"]))?;
    world.start("lb1")?;
    world.settle("lb1")?;
    world.stays_at("lb1", Duration::from_secs(1))
}

fn an_unknown_interface_holds_nothing_until_it_is_mended(bench: &mut Bench) -> Outcome {
    let good = State::pair();
    let bad = good.clone().with_vip(|spec| spec["interface"] = json!("eth7"));
    let world = bench.world(&bad)?;
    for node in ["lb1", "lb2"] {
        world.start(node)?;
    }
    eventually(SOON, "the agent complains", || complains(world, "lb1", &["eth7"]))?;
    stays(Duration::from_secs(1), "nothing is held", || Ok(world.holders_of_any()?.is_empty()))?;
    let name = file_name("Vip", "web");
    world.write(&name, &good.files[&name])?;
    world.settle("lb1")
}

fn an_edit_that_names_an_unknown_interface_takes_nothing_away(bench: &mut Bench) -> Outcome {
    let good = State::pair();
    let world = bench.running(&good)?;
    let name = file_name("Vip", "web");
    let bad = good.clone().with_vip(|spec| spec["interface"] = json!("eth7"));
    world.write(&name, &bad.files[&name])?;
    eventually(SOON, "the agent complains", || world.reports("lb1", &["eth7"]))?;
    world.stays_at("lb1", Duration::from_secs(1))?;
    world.write(&name, &good.files[&name])?;
    eventually(SOON, "the problem is gone", || Ok(!world.reports("lb1", &["eth7"])?))?;
    world.stays_at("lb1", Duration::from_millis(300))
}

fn a_port_in_use_is_left_alone_and_retried(bench: &mut Bench) -> Outcome {
    let world = bench.world(&State::pair())?;
    let occupy = || {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
        // The trap: with SO_REUSEPORT on both sides the kernel lets two programs share a port in silence.
        socket.set_reuse_port(true)?;
        socket.bind(&std::net::SocketAddr::from(([0, 0, 0, 0], 80)).into())?;
        socket.listen(16)?;
        Ok::<TcpListener, std::io::Error>(socket.into())
    };
    let other = world.lab.balancer("lb1")?.namespace().run(occupy)??;
    world.start("lb1")?;
    world.start("lb2")?;
    eventually(SOON, "lb1 has the Vip", || Ok(world.owners()? == ["lb1"]))?;
    eventually(SOON, "the agent complains", || complains(world, "lb1", &[":80"]))?;
    eventually(SOON, "port 25 is open all the same", || open(world, "lb1", 25))?;
    assert!(!open(world, "lb1", 80)?);
    drop(other);
    eventually(SOON, "port 80 is open, too", || open(world, "lb1", 80))?;
    world.settle("lb1")
}

fn a_second_agent_in_the_namespace_is_refused(bench: &mut Bench) -> Outcome {
    let world = bench.running(&State::pair())?;
    let state = world.config.state_dir.to_string_lossy().into_owned();
    let key = world.config.key_file.to_string_lossy().into_owned();
    let socket = world.lab.dir().join("second.sock").to_string_lossy().into_owned();
    let arguments = [
        "run",
        "--node",
        "lb1",
        "--state-dir",
        &state,
        "--key-file",
        &key,
        "--socket",
        &socket,
        "--http",
        "127.0.0.1:9695",
    ];
    let output = world.lbagent("lb1", &arguments)?;
    assert!(!output.status.success(), "it ran");
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("another") || said.contains("already"), "it said {said:?}");
    world.stays_at("lb1", Duration::from_secs(1))
}

fn a_vip_that_a_third_host_answers_is_not_taken(bench: &mut Bench) -> Outcome {
    let world = bench.world(&State::pair())?;
    let thief = world.lab.host(HostRole::Targets, "auditor")?.rtnl();
    thief.add_address("eth0", VIP4.parse()?, 32)?;
    for node in ["lb1", "lb2"] {
        world.start(node)?;
    }
    eventually(SOON, "the agents complain", || complains(world, "lb1", &[VIP4]))?;
    stays(Duration::from_secs(2), "nobody takes it", || Ok(world.holders_of_any()?.is_empty()))?;
    world.lab.host(HostRole::Targets, "auditor")?.rtnl().delete_address("eth0", VIP4.parse()?, 32)?;
    world.settle("lb1")?;
    assert_eq!(world.answering(VIP6)?, ["lb1"]);
    Ok(())
}

fn set_mode(world: &World, mode: u32) -> Outcome {
    Ok(fs::set_permissions(&world.config.key_file, fs::Permissions::from_mode(mode))?)
}

/// Whether the agent of `node` says something with all of `words` in it: as a problem, or in its log.
fn complains(world: &World, node: &str, words: &[&str]) -> Result<bool, Failure> {
    let log = world.lab.balancer(node)?.agent().map(|agent| agent.log()).unwrap_or_default();
    let loud = |line: &str| ["WARN", "ERROR", "error", "warning"].iter().any(|word| line.contains(word));
    let logged = log.lines().any(|line| loud(line) && words.iter().all(|word| line.contains(word)));
    Ok(logged || world.reports(node, words).unwrap_or(false))
}

/// Whether the agent of `node` listens on this port of the Vip's IPv4 address.
fn open(world: &World, node: &str, port: u16) -> Result<bool, Failure> {
    let status = world.vip_status(node)?;
    let address = format!("{VIP4}:{port}");
    let listener =
        status["listeners"].as_array().into_iter().flatten().find(|item| item["address"] == address.as_str());
    Ok(listener.is_some_and(|listener| listener["open"] == true))
}
