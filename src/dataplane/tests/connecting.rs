//! How connections to backends are made, and what the kernel does for connections on both sides.

use super::harness::*;
use crate::{
    kernel::testing::Host,
    model::{Connecting, Ejection, ProxyProtocol, TcpKeepalive, TcpOptions},
};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{Arc, Mutex},
};

const KEEPALIVE: TcpOptions = TcpOptions {
    keepalive: Some(TcpKeepalive {
        idle: std::time::Duration::from_secs(3000),
        interval: std::time::Duration::from_secs(10),
        count: 6,
    }),
    user_timeout: None,
};

fn how(setup: Setup, change: impl FnOnce(&mut Connecting)) -> Setup {
    let mut setup = setup;
    change(&mut setup.pool.serving.connecting);
    setup
}

/// Takes a PROXY line off each connection, if `lines`, and answers every request with it.
fn proxied(lines: bool) -> (Server, Arc<Mutex<Vec<String>>>) {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let record = seen.clone();
    let server = Server::raw(move |_, mut wire| {
        let mut line = Vec::new();
        while lines && !line.ends_with(b"\r\n") {
            match wire.exactly(1) {
                Ok(byte) => line.extend(byte),
                Err(_) => return,
            }
        }
        let line = String::from_utf8(line).unwrap();
        record.lock().unwrap().push(line.clone());
        while wire.try_message(false).is_ok() {
            wire.send(&format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{line}", line.len()));
        }
    });
    (server, seen)
}

fn get(client: &mut Wire) -> Message {
    client.ask("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
}

fn announced(client: &Wire, lab: &Lab) -> String {
    let client = client.stream.local_addr().unwrap();
    let (ip, here) = (client.ip(), lab.address.ip());
    format!("PROXY TCP4 {ip} {here} {} {}\r\n", client.port(), lab.address.port())
}

#[test]
fn a_connection_that_names_its_client_is_never_anothers() {
    let (server, seen) = proxied(true);
    let lab = how(Setup::http(&[server.address]), |how| how.proxy = Some(ProxyProtocol::V1)).run();
    let mut clients = [lab.connect(), lab.connect()];
    for _ in 0..3 {
        for client in &mut clients {
            let told = get(client);
            assert_eq!(told.text(), announced(client, &lab));
        }
    }
    assert_eq!(seen.lock().unwrap().len(), 6, "a connection for each request");
    assert_eq!(backend(&lab.traffic(), 0).idle, 0);
}

#[test]
fn what_was_kept_before_the_header_was_wanted_is_not_used_after_and_vice_versa() {
    let (plain, _) = proxied(false);
    let setup = Setup::http(&[plain.address]);
    let lab = setup.run();
    let mut client = lab.connect();
    assert_eq!(get(&mut client).text(), "");
    lab.until("it is kept", |t| backend(t, 0).idle == 1);
    lab.apply(&how(setup.clone(), |how| how.proxy = Some(ProxyProtocol::V1)));
    lab.until("it is closed", |t| backend(t, 0).idle == 0);
    lab.apply(&setup);
    assert_eq!(get(&mut client).text(), "");
    assert_eq!(plain.connections(), 2);
    assert_eq!(backend(&lab.traffic(), 0).requests, 2, "the counters go on");
}

#[test]
fn a_server_that_speaks_first_has_the_header_before_the_client_has_said_anything() {
    let server = Server::raw(|_, mut wire| {
        let header = wire.exactly(28).unwrap();
        wire.stream.write_all(&header).unwrap();
    });
    let lab = how(Setup::tcp(&[server.address]), |how| how.proxy = Some(ProxyProtocol::V2)).run();
    let mut client = lab.connect();
    let header = client.exactly(28).unwrap();
    let (SocketAddr::V4(near), SocketAddr::V4(here)) = (client.stream.local_addr().unwrap(), lab.address) else {
        panic!("the lab is on IPv4");
    };
    assert_eq!(header[..16], *b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c");
    assert_eq!(header[16..24], [near.ip().octets(), here.ip().octets()].concat());
    assert_eq!(header[24..], [near.port().to_be_bytes(), here.port().to_be_bytes()].concat());
}

#[test]
fn connections_come_from_the_source_address() {
    let peers: Arc<Mutex<Vec<String>>> = Arc::default();
    let record = peers.clone();
    let server = Server::raw(move |_, mut wire| {
        record.lock().unwrap().push(wire.stream.peer_addr().unwrap().ip().to_string());
        while wire.try_message(false).is_ok() {
            wire.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let from = |sources: &[&str]| {
        let sources = sources.iter().map(|s| s.parse().unwrap()).collect();
        how(Setup::http(&[server.address]), |how| how.sources = sources)
    };
    let lab = from(&["203.0.113.1", "127.0.0.5"]).run();
    let mut client = lab.connect();
    assert_eq!([get(&mut client).status(), get(&mut client).status()], [200, 200]);
    lab.apply(&from(&["127.0.0.6"]));
    assert_eq!(get(&mut client).status(), 200);
    assert_eq!(*peers.lock().unwrap(), ["127.0.0.5", "127.0.0.6"], "kept ones of the other address are not used");
}

#[test]
fn what_this_machine_lacks_is_not_held_against_the_backend() {
    let server = Server::named("b0");
    let mut setup = how(Setup::http(&[server.address, server.address]), |how| {
        how.sources = vec!["203.0.113.1".parse().unwrap()];
    });
    setup.pool.serving.ejection = Some(Ejection { errors: 1, ..Ejection::default() });
    setup.pool.serving.retries = 1;
    let lab = setup.run();
    for _ in 0..3 {
        assert_eq!(lab.get("/").status(), 502);
    }
    let traffic = lab.traffic();
    assert_eq!((backend(&traffic, 0).connect_errors, backend(&traffic, 1).connect_errors), (3, 3));
    assert_eq!((backend(&traffic, 0).ejections, backend(&traffic, 0).port_exhausted), (0, 0));
}

#[test]
fn ports_that_have_run_out_are_counted() {
    Host::new().blocking(|| {
        let server = Server::raw(|_, mut wire| {
            wire.send("hello");
            drop(wire.rest());
        });
        let mut setup = how(Setup::tcp(&[server.address]), |how| how.sources = vec!["127.0.0.1".parse().unwrap()]);
        setup.pool.serving.retries = 0;
        let lab = setup.run();
        // From now on, for what listens has its port.
        std::fs::write("/proc/sys/net/ipv4/ip_local_port_range", "20000 20001").unwrap();
        // From ports of their own, for clients have no more of the others than anybody.
        let connect = |last: u16| {
            let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
            socket.bind(&SocketAddr::from(([127, 0, 1, 1], 30_000 + last)).into()).unwrap();
            socket.connect(&lab.address.into()).unwrap();
            Wire::new(socket.into())
        };
        let mut held: Vec<_> = (1..=2).map(connect).collect();
        for client in &mut held {
            assert_eq!(client.exactly(5).unwrap(), b"hello");
        }
        assert!(connect(3).rest().unwrap_or_default().is_empty());
        let traffic = backend(&lab.traffic(), 0);
        assert_eq!((traffic.connections, traffic.connect_errors, traffic.port_exhausted), (2, 1, 1));
    });
}

/// Whether the kernel would ask the other end of the connection that this machine has between these (`/proc/net/tcp`).
fn asks(near: SocketAddr, far: SocketAddr) -> Option<bool> {
    const KEEPALIVE_TIMER: &str = "02";
    let text = |address: SocketAddr| match address {
        SocketAddr::V4(v4) => format!("{:08X}:{:04X}", u32::from_le_bytes(v4.ip().octets()), v4.port()),
        SocketAddr::V6(_) => panic!("the lab is on IPv4"),
    };
    let (near, far) = (text(near), text(far));
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let row = rows.into_iter().find(|row| row.get(1) == Some(&&*near) && row.get(2) == Some(&&*far))?;
    Some(row[5].starts_with(KEEPALIVE_TIMER))
}

#[test]
fn the_kernel_asks_on_both_sides_if_it_is_to() {
    let server = Server::raw(|_, mut wire| {
        let peer = wire.stream.peer_addr().unwrap().to_string();
        wire.send(&format!("{peer:21}"));
        drop(wire.rest());
    });
    let setup = Setup::tcp(&[server.address]);
    let lab = setup.run();
    let sides = || {
        let mut client: TcpStream = lab.connect().stream;
        let mut peer = [0; 21];
        client.read_exact(&mut peer).unwrap();
        let peer: SocketAddr = std::str::from_utf8(&peer).unwrap().trim().parse().unwrap();
        let near = client.local_addr().unwrap();
        // A segment may be on its way, which has a timer of its own.
        eventually("both are quiet", || asks(lab.address, near).is_some() && asks(peer, server.address).is_some());
        (client, near, peer)
    };
    let (_held, near, peer) = sides();
    assert_eq!((asks(lab.address, near), asks(peer, server.address)), (Some(false), Some(false)));
    let mut tuned = how(setup.clone(), |how| how.tcp = KEEPALIVE);
    tuned.listener.tcp = KEEPALIVE;
    lab.apply(&tuned);
    let (_also_held, near, peer) = sides();
    eventually("both ask", || (asks(lab.address, near), asks(peer, server.address)) == (Some(true), Some(true)));
    lab.apply(&setup);
    let (_held_too, near, peer) = sides();
    eventually("neither asks", || (asks(lab.address, near), asks(peer, server.address)) == (Some(false), Some(false)));
}
