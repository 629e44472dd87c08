//! Listeners that come, change and go, under load; how much a worker takes on; how it all ends.

use super::{harness::*, load::Load};
use crate::{
    dataplane::{Dataplane, ListenError},
    model::{ListenerConfig, Protocol, ProxyConfig},
};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    num::NonZeroUsize,
    sync::Arc,
    thread,
    time::Duration,
};

const GET: &str = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";

#[test]
fn edits_under_load_fail_no_request() {
    let servers = [Server::named("b0"), Server::named("b1"), Server::named("b2")];
    let mut setup = Setup::http(&servers.each_ref().map(|s| s.address));
    let lab = setup.run();
    let other = free_address();
    let load = Load::start(lab.address);
    for round in 0..4u16 {
        setup.pool.backends[1].weight = round;
        lab.apply(&setup);
        load.goes_on();
        setup.down = [name("b2")].into();
        lab.apply(&setup);
        load.goes_on();
        // Another listener comes and goes beside it.
        let results = lab.plane.apply(setup.config(&[lab.address, other]));
        assert!(results.values().all(Result::is_ok) && results.len() == 2);
        assert_eq!(Wire::new(TcpStream::connect(other).unwrap()).ask(GET).status(), 200);
        setup.down.clear();
        setup.pool.backends.rotate_left(1);
        setup.pool.balance = crate::model::Balance::all()[usize::from(round)].clone();
        lab.apply(&setup);
        load.goes_on();
    }
    let good = load.good() as u64;
    load.end();
    let totals = listener(&lab.traffic());
    assert!(totals.requests >= good && totals.responses.0[1] >= good, "counted through all edits: {totals:?}");
    assert_eq!(totals.responses.0[3] + totals.responses.0[4], 0);
}

#[test]
fn a_listener_that_goes_serves_who_is_there_and_takes_nobody_new() {
    let server = Server::named("a");
    let setup = Setup::http(&[server.address]);
    let lab = setup.run();
    let mut kept = lab.connect();
    assert_eq!(kept.ask(GET).status(), 200);
    let mut queued: Vec<_> = (0..20).map(|_| lab.connect()).collect();
    lab.plane.apply(Arc::default());
    eventually("nobody new is taken", || TcpStream::connect(lab.address).is_err());
    for client in &mut queued {
        assert_eq!(client.ask(GET).status(), 200, "it was in the queue");
    }
    let last = kept.ask(GET);
    assert_eq!((last.text(), last.field("connection")), ("a /", Some("close")));
    kept.expect_end();
    assert!(lab.traffic().listeners.is_empty());
    lab.apply(&setup);
    assert_eq!(lab.get("/").status(), 200, "and back at once");
}

#[test]
fn removing_and_adding_an_address_again_is_no_conflict_with_oneself() {
    let server = Server::named("a");
    let setup = Setup::http(&[server.address]);
    let lab = setup.run();
    for _ in 0..30 {
        // It may meet an old socket just as that is closed, and is reset then; what counts is that apply succeeds.
        let _waiting = TcpStream::connect(lab.address);
        lab.plane.apply(Arc::default());
        lab.apply(&setup);
    }
    let status = || -> Option<u16> {
        let mut client = Wire::new(TcpStream::connect(lab.address).ok()?);
        client.stream.write_all(GET.as_bytes()).ok()?;
        Some(client.try_message(false).ok()?.status())
    };
    eventually("it serves", || status() == Some(200));
}

#[test]
fn pool_and_protocol_change_without_touching_the_socket() {
    let servers = [Server::named("a"), Server::raw(|_, mut wire| wire.send("raw"))];
    let http = Setup::http(&[servers[0].address]);
    let lab = http.run();
    let mut old = lab.connect();
    assert_eq!(old.ask(GET).text(), "a /");
    lab.apply(&Setup::tcp(&[servers[1].address]));
    assert_eq!(lab.connect().rest().unwrap(), b"raw");
    lab.apply(&http);
    assert_eq!(old.ask(GET).text(), "a /", "what was established goes on");
    assert_eq!(listener(&lab.traffic()).accepted, 2, "one listener all the time");
}

#[test]
fn a_port_in_use_is_reported_tried_again_and_keeps_nobody_else_from_serving() {
    let server = Server::named("a");
    let setup = Setup::http(&[server.address]);
    let lab = setup.run();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = other.local_addr().unwrap();
    for _ in 0..2 {
        let results = lab.plane.apply(setup.config(&[taken, lab.address]));
        assert!(matches!(results[&taken], Err(ListenError::InUse(address)) if address == taken));
        assert!(results[&lab.address].is_ok());
        assert_eq!(lab.get("/").status(), 200);
    }
    drop(other);
    assert!(lab.plane.apply(setup.config(&[taken, lab.address])).values().all(Result::is_ok));
    assert_eq!(Wire::new(TcpStream::connect(taken).unwrap()).ask(GET).status(), 200);
}

#[test]
fn ipv6_listens_beside_ipv4_on_the_same_port() {
    let server = Server::named("a");
    let setup = Setup::http(&[server.address]);
    let v4 = free_address();
    let v6 = SocketAddr::new("::1".parse().unwrap(), v4.port());
    let plane = Dataplane::start(NonZeroUsize::MIN).unwrap();
    assert!(plane.apply(setup.config(&[v4, v6])).values().all(Result::is_ok));
    let response = Wire::new(TcpStream::connect(v6).unwrap()).ask(GET);
    assert_eq!(response.status(), 200);
    assert!(server.seen()[0].head.contains("X-Forwarded-For: ::1\r\n"));
}

#[test]
fn a_missing_pool_is_503_and_found_when_it_comes() {
    let server = Server::named("a");
    let setup = Setup::http(&[server.address]);
    let lab = setup.run();
    let full = setup.config(&[lab.address]);
    let without = ProxyConfig { pools: Default::default(), ..(*full).clone() };
    let plane = Dataplane::start(NonZeroUsize::MIN).unwrap();
    let address = free_address();
    let at = |config: &ProxyConfig| {
        let listener: ListenerConfig = config.listeners.values().next().unwrap().clone();
        Arc::new(ProxyConfig { listeners: [(address, listener)].into(), pools: config.pools.clone() })
    };
    plane.apply(at(&without));
    assert_eq!(Wire::new(TcpStream::connect(address).unwrap()).ask(GET).status(), 503);
    plane.apply(at(&full));
    assert_eq!(Wire::new(TcpStream::connect(address).unwrap()).ask(GET).status(), 200);
}

#[test]
fn a_thousand_idle_connections_are_carried() {
    let server = Server::named("a");
    let lab = Setup::http(&[server.address]).run();
    let mut idle: Vec<_> = (0..1000).map(|_| lab.connect()).collect();
    lab.until("all are accepted", |t| listener(t).active == 1000);
    for client in idle.iter_mut().step_by(97) {
        assert_eq!(client.ask(GET).status(), 200);
    }
    let traffic = lab.traffic();
    assert_eq!(traffic.connections, 1000);
    assert!(traffic.max_connections > 1000);
    drop(idle);
    lab.until("all are gone", |t| listener(t).active == 0 && t.connections == 0);
}

#[test]
fn more_connections_than_a_worker_takes_wait_their_turn() {
    let server = Server::named("a");
    let setup = Setup::http(&[server.address]);
    let lab = setup.run_with(Dataplane::start_limited(NonZeroUsize::MIN, 4).unwrap());
    let mut clients: Vec<_> = (0..12).map(|_| lab.connect()).collect();
    lab.until("as many are taken as there may be", |t| t.connections == 4);
    for client in &mut clients[4..] {
        client.send(GET);
    }
    thread::sleep(Duration::from_millis(50));
    assert_eq!((listener(&lab.traffic()).accepted, server.connections()), (4, 0), "and no more");
    for client in &mut clients[..4] {
        client.send(GET);
    }
    // Under pressure connections are not kept, so everyone has a turn.
    for client in &mut clients {
        assert_eq!(client.message(false).status(), 200);
    }
    assert_eq!(lab.traffic().max_connections, 4);
}

#[test]
fn shutdown_lets_requests_end_and_then_closes() {
    let server = Server::http(|request, _| {
        if request.path() == "/slow" {
            thread::sleep(Duration::from_millis(300));
        }
        ok("done")
    });
    let lab = Setup::http(&[server.address]).run();
    let mut idle = lab.connect();
    assert_eq!(idle.ask(GET).status(), 200);
    let mut slow = lab.connect();
    slow.send("GET /slow HTTP/1.1\r\nHost: t\r\n\r\n");
    lab.until("it is under way", |t| backend(t, 0).active == 1);
    lab.plane.shutdown(PATIENCE);
    let response = slow.message(false);
    assert_eq!((response.text(), response.field("connection")), ("done", Some("close")));
    idle.expect_end();
    assert!(TcpStream::connect(lab.address).is_err());
    let again = lab.plane.apply(Setup::http(&[server.address]).config(&[lab.address]));
    assert!(matches!(again[&lab.address], Err(ListenError::Stopped(_))));
}

#[test]
fn shutdown_waits_no_longer_than_it_was_told() {
    let server = Server::raw(|_, mut wire| drop(wire.rest()));
    let lab = Setup::tcp(&[server.address]).run();
    let mut client = lab.connect();
    lab.until("it is there", |t| backend(t, 0).active == 1);
    lab.plane.shutdown(Duration::from_millis(50));
    let mut end = [0];
    assert!(matches!(client.stream.read(&mut end), Ok(0) | Err(_)));
}

#[test]
fn dropping_the_last_handle_ends_everything() {
    let server = Server::named("a");
    let Lab { plane, address } = Setup::http(&[server.address]).run();
    let mut client = Wire::new(TcpStream::connect(address).unwrap());
    assert_eq!(client.ask(GET).status(), 200);
    drop(plane);
    client.expect_end();
    eventually("nobody listens", || TcpStream::connect(address).is_err());
}

#[test]
fn workers_prove_that_they_make_progress() {
    let plane = Dataplane::start(NonZeroUsize::new(2).unwrap()).unwrap();
    thread::sleep(Duration::from_millis(20));
    assert_eq!(plane.progress().len(), 2);
    eventually("each has come round", || plane.progress().iter().all(|age| *age < Duration::from_millis(20)));
}

#[test]
fn the_quiet_moment_is_right_after_the_last_response() {
    let server = Server::http(|_, _| {
        thread::sleep(Duration::from_millis(100));
        ok("done")
    });
    let lab = Setup::http(&[server.address]).run();
    let mut client = lab.connect();
    assert_eq!(client.ask(GET).status(), 200);
    eventually("nothing is in flight", || lab.plane.in_flight(&name("vip")) == 0);
    client.send(GET);
    eventually("something is in flight", || lab.plane.in_flight(&name("vip")) == 1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(lab.plane.quiet(&name("vip"), PATIENCE));
    assert_eq!(lab.plane.in_flight(&name("vip")), 0);
    client.stream.set_nonblocking(true).unwrap();
    let mut byte = [0];
    assert_eq!(client.stream.peek(&mut byte).unwrap(), 1, "the response is out by then");
    runtime.block_on(lab.plane.quiet(&name("nobody"), Duration::from_millis(10)));
}

#[test]
fn new_connections_count_as_in_flight_for_a_second() {
    let server = Server::raw(|_, mut wire| drop(wire.rest()));
    for protocol in [Protocol::Http, Protocol::Tcp] {
        let mut setup = Setup::http(&[server.address]);
        setup.listener.protocol = protocol;
        let lab = setup.run();
        let _client = lab.connect();
        eventually("it counts", || lab.plane.in_flight(&name("vip")) == 1);
        eventually("it has grown up", || lab.plane.in_flight(&name("vip")) == 0);
        assert_eq!(listener(&lab.traffic()).active, 1, "and lives on");
    }
}

#[tokio::test]
async fn the_end_of_a_worker_is_noticed() {
    use futures::FutureExt;
    let plane = Dataplane::start(NonZeroUsize::new(2).unwrap()).unwrap();
    assert!(plane.ended().now_or_never().is_none(), "both are alive");
    plane.shutdown(Duration::ZERO);
    tokio::time::timeout(Duration::from_secs(20), plane.ended()).await.expect("both have ended");
}
