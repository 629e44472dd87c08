//! The agent ends and starts again: nothing that does not go through it notices.

use crate::{
    cases,
    harness::{
        Bench, Failure, Outcome,
        state::{State, VIP4, VIP6},
        wait::{eventually, stays},
        world::{SOON, World},
    },
};
use lbagent::drill::lab::{server::Server, topology::ServerPlan};
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    net::{IpAddr, SocketAddr, TcpStream},
    time::Duration,
};

cases![
    kill_9_and_a_start_leave_the_addresses_and_foreign_connections,
    a_lone_agent_restarts_without_letting_go_of_its_addresses,
    a_backup_restarts_unnoticed,
];

fn kill_9_and_a_start_leave_the_addresses_and_foreign_connections(bench: &mut Bench) -> Outcome {
    let world = bench.running(&State::pair())?;
    let mut stream = connect_beside_the_agent(world)?;
    echo(&mut stream.1)?;
    world.lab.kill_agent("lb1")?;
    assert!(holds_all(world, "lb1")?, "gone with the agent");
    world.start("lb1")?;
    eventually(SOON, "the agent answers", || Ok(world.status("lb1").is_ok()))?;
    eventually(SOON, "one owner is left", || Ok(world.owners()?.len() == 1))?;
    if world.owners()? == ["lb1"] {
        echo(&mut stream.1)?;
    }
    world.settle("lb1")?;
    world.stays_at("lb1", Duration::from_secs(1))
}

fn a_lone_agent_restarts_without_letting_go_of_its_addresses(bench: &mut Bench) -> Outcome {
    let world = bench.running(&State::balancers(1))?;
    let mut stream = connect_beside_the_agent(world)?;
    world.lab.kill_agent("lb1")?;
    world.start("lb1")?;
    stays(Duration::from_secs(2), "the addresses stay", || holds_all(world, "lb1"))?;
    echo(&mut stream.1)?;
    world.settle("lb1")
}

fn a_backup_restarts_unnoticed(bench: &mut Bench) -> Outcome {
    let world = bench.running(&State::pair())?;
    let since = crate::harness::wait::now();
    for _ in 0..3 {
        world.lab.kill_agent("lb2")?;
        world.start("lb2")?;
        eventually(SOON, "the agent answers", || Ok(world.status("lb2").is_ok()))?;
        world.stays_at("lb1", Duration::from_millis(500))?;
    }
    assert_eq!(world.losses_since(since)?, (0, 0), "failed, broken");
    Ok(())
}

/// A connection to the Vip that another program of lb1 serves.
fn connect_beside_the_agent(world: &World) -> Result<(Server, TcpStream), Failure> {
    let listen = SocketAddr::new(VIP4.parse()?, 9999);
    let plan = ServerPlan { listen, name: "other".into(), greets: false, statuses: BTreeMap::new() };
    let server = Server::start(world.lab.balancer("lb1")?.namespace(), plan)?;
    let stream = world.lab.clients()?.namespace().run(|| TcpStream::connect_timeout(&listen, SOON))??;
    stream.set_read_timeout(Some(SOON))?;
    Ok((server, stream))
}

fn echo(stream: &mut TcpStream) -> Outcome {
    stream.write_all(b"hello\n")?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    if line == "other: hello\n" { Ok(()) } else { Err(format!("echoed {line:?}").into()) }
}

fn holds_all(world: &World, node: &str) -> Result<bool, Failure> {
    let held = world.lab.balancer(node)?.rtnl().addresses()?;
    let wanted: [IpAddr; 2] = [VIP4.parse()?, VIP6.parse()?];
    Ok(wanted.iter().all(|ip| held.iter().any(|held| held.ip == *ip)))
}
