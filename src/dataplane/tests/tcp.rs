//! TCP listeners.

use super::harness::*;
use std::{
    io::{Read, Write},
    net::Shutdown,
    thread,
    time::Duration,
};

/// Sends its name, then everything back, then `bye` after the client's FIN.
fn echo(name: &'static str) -> Server {
    Server::raw(move |_, mut wire| {
        wire.send(name);
        std::io::copy(&mut wire.stream.try_clone().unwrap(), &mut wire.stream).unwrap();
        wire.send("bye");
    })
}

#[test]
fn bytes_go_both_ways_and_a_fin_closes_one_direction_only() {
    let server = echo("b0");
    let lab = Setup::tcp(&[server.address]).run();
    let mut client = lab.connect();
    assert_eq!(client.exactly(2).unwrap(), b"b0", "the backend may speak first");
    client.send("hello");
    assert_eq!(client.exactly(5).unwrap(), b"hello");
    client.stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.rest().unwrap(), b"bye", "the other direction goes on");
    lab.until("it is over", |t| backend(t, 0).active == 0 && listener(t).active == 0);
    let traffic = lab.traffic();
    assert_eq!((listener(&traffic).bytes_in, listener(&traffic).bytes_out), (5, 10));
    assert_eq!((backend(&traffic, 0).bytes_in, backend(&traffic, 0).bytes_out), (5, 10));
}

#[test]
fn a_backends_fin_leaves_the_clients_direction_open() {
    let (said, heard) = std::sync::mpsc::channel();
    let server = Server::raw(move |_, mut wire| {
        wire.stream.shutdown(Shutdown::Write).unwrap();
        said.send(wire.rest().unwrap()).unwrap();
    });
    let lab = Setup::tcp(&[server.address]).run();
    let mut client = lab.connect();
    client.expect_end();
    client.send("after the end");
    client.stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(heard.recv_timeout(PATIENCE).unwrap(), b"after the end");
}

#[test]
fn a_reset_is_passed_on_both_ways() {
    let server = Server::raw(|_, wire| {
        let mut byte = [0];
        (&wire.stream).read_exact(&mut byte).unwrap();
        if byte == *b"r" {
            return wire.reset();
        }
        let result = (&wire.stream).read_exact(&mut byte);
        assert_eq!(result.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    });
    let lab = Setup::tcp(&[server.address]).run();
    let mut client = lab.connect();
    client.send("r");
    assert_eq!(client.rest().unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    let mut client = lab.connect();
    client.send("x");
    lab.until("the byte has arrived", |t| backend(t, 0).bytes_in == 2);
    client.reset();
    lab.until("it is over", |t| backend(t, 0).active == 0);
}

#[test]
fn connections_are_balanced_and_a_dead_backend_is_passed_by() {
    let servers = [echo("b0"), echo("b1")];
    let mut addresses: Vec<_> = servers.iter().map(|s| s.address).collect();
    let one = |setup: &Setup| setup.run_on_one_worker();
    let lab = one(&Setup::tcp(&addresses));
    for _ in 0..10 {
        lab.connect().exactly(2).unwrap();
    }
    assert_eq!((servers[0].connections(), servers[1].connections()), (5, 5));
    addresses.insert(0, free_address());
    let lab = one(&Setup::tcp(&addresses));
    for _ in 0..6 {
        lab.connect().exactly(2).unwrap();
    }
    let dead = backend(&lab.traffic(), 0);
    assert_eq!((dead.connect_errors, dead.redispatches), (2, 2), "each was moved on");
    let lab = one(&Setup::tcp(&[free_address()]));
    assert!(lab.connect().rest().unwrap_or_default().is_empty(), "nobody to talk to");
    let dead = backend(&lab.traffic(), 0);
    assert_eq!((dead.connect_errors, dead.redispatches), (4, 0), "and nowhere to go");
}

#[test]
fn a_relay_without_a_byte_for_too_long_ends() {
    let server = echo("b0");
    let lab = Setup::tcp(&[server.address]).client_timeouts(|t| t.tunnel = Duration::from_millis(100)).run();
    let mut client = lab.connect();
    client.exactly(2).unwrap();
    assert!(client.rest().unwrap_or_default().is_empty());
    lab.until("it is over", |t| backend(t, 0).active == 0);
}

#[test]
fn a_side_that_has_said_all_is_not_waited_with_for_as_long() {
    let server = echo("b0");
    let lab = Setup::tcp(&[server.address]).client_timeouts(|t| t.half_closed = Duration::from_millis(100)).run();
    let mut client = lab.connect();
    client.exactly(2).unwrap();
    // The backend sends all back and then waits for more, as long as it is not told that there is none.
    thread::sleep(Duration::from_millis(300));
    client.send("still there");
    assert_eq!(client.exactly(11).unwrap(), b"still there");
    let silent = Server::raw(|_, mut wire| {
        wire.rest().unwrap_or_default();
        thread::sleep(Duration::from_secs(20));
    });
    let lab = Setup::tcp(&[silent.address]).client_timeouts(|t| t.half_closed = Duration::from_millis(100)).run();
    let client = lab.connect();
    client.stream.shutdown(Shutdown::Write).unwrap();
    lab.until("it was there and is over", |t| backend(t, 0).connections == 1 && backend(t, 0).active == 0);
}

#[test]
fn bulk_passes_unharmed_both_ways_at_once() {
    const SIZE: usize = 16 * 1024 * 1024;
    let server = echo("");
    let lab = Setup::tcp(&[server.address]).run();
    let client = lab.connect();
    let byte = |i: usize| (i / 3 + i % 251) as u8;
    let mut stream = client.stream.try_clone().unwrap();
    let sender = thread::spawn(move || {
        for start in (0..SIZE).step_by(100_000) {
            let piece: Vec<u8> = (start..SIZE.min(start + 100_000)).map(byte).collect();
            stream.write_all(&piece).unwrap();
        }
        stream.shutdown(Shutdown::Write).unwrap();
    });
    let mut got = Vec::with_capacity(SIZE);
    (&client.stream).read_to_end(&mut got).unwrap();
    sender.join().unwrap();
    assert_eq!(got.len(), SIZE + 3);
    assert!(got[..SIZE].iter().enumerate().all(|(i, b)| *b == byte(i)));
}
