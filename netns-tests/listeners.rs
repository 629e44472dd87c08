//! Listeners open and close under load, without a loss for the others.

use crate::{
    cases,
    harness::{
        Bench, Failure, Outcome,
        state::{State, VIP4, file_name},
        wait::{eventually, now},
        world::{SOON, World},
    },
};
use serde_json::json;
use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

cases![a_listener_is_added_and_removed_under_load, an_established_connection_outlives_its_listener];

fn a_listener_is_added_and_removed_under_load(bench: &mut Bench) -> Outcome {
    let state = State::pair();
    let world = bench.running(&state)?;
    let (name, undisturbed) = (file_name("Vip", "web"), now());
    let more = with_port_8080(&state)?;
    assert_eq!(knock(world)?, Err(io::ErrorKind::ConnectionRefused));
    world.write(&name, &more.files[&name])?;
    eventually(SOON, "port 8080 answers", || Ok(knock(world)?.is_ok()))?;
    world.write(&name, &state.files[&name])?;
    eventually(SOON, "port 8080 refuses", || Ok(knock(world)? == Err(io::ErrorKind::ConnectionRefused)))?;
    assert_eq!(world.losses_since(undisturbed)?, (0, 0), "failed, broken");
    Ok(())
}

fn an_established_connection_outlives_its_listener(bench: &mut Bench) -> Outcome {
    let state = State::pair();
    let (name, more) = (file_name("Vip", "web"), with_port_8080(&state)?);
    let world = bench.running(&more)?;
    let mut stream = connect(world)?;
    ask(&mut stream)?;
    world.write(&name, &state.files[&name])?;
    eventually(SOON, "port 8080 refuses", || Ok(knock(world)? == Err(io::ErrorKind::ConnectionRefused)))?;
    ask(&mut stream)?;
    Ok(())
}

fn with_port_8080(state: &State) -> Result<State, Failure> {
    let mut more = state.clone();
    let listeners = more.spec("Vip", "web")["listeners"].as_array_mut().ok_or("no listeners")?;
    listeners.push(json!({ "port": 8080, "protocol": "http", "pool": "web" }));
    Ok(more)
}

/// Whether port 8080 of the Vip takes connections.
fn knock(world: &World) -> Result<Result<(), io::ErrorKind>, Failure> {
    Ok(connect(world).map(drop).map_err(|error| error.kind()))
}

fn connect(world: &World) -> io::Result<TcpStream> {
    let address = SocketAddr::new(VIP4.parse().map_err(io::Error::other)?, 8080);
    let clients = world.lab.clients().map_err(io::Error::other)?;
    let stream = clients.namespace().run(|| TcpStream::connect_timeout(&address, Duration::from_secs(1)))??;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    Ok(stream)
}

/// One request over a connection that stays.
fn ask(stream: &mut TcpStream) -> Outcome {
    stream.write_all(b"GET / HTTP/1.1\r\nHost: www.example.com\r\n\r\n")?;
    let mut answer = [0; 4096];
    let length = stream.read(&mut answer)?;
    let head = String::from_utf8_lossy(&answer[..length]);
    if head.starts_with("HTTP/1.1 200") { Ok(()) } else { Err(format!("answered with {head:?}").into()) }
}
