//! Clients that are idle for long: they cost little, hold nobody up, and are there when they speak.

use super::harness::*;
use crate::dataplane::Dataplane;
use std::{num::NonZeroUsize, time::Duration};

const GET: &str = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";

#[test]
fn a_parked_client_speaks_again_and_again() {
    let server = Server::named("a");
    let lab = Setup::http(&[server.address]).run();
    let (mut used, mut fresh) = (lab.connect(), lab.connect());
    assert_eq!(used.ask(GET).status(), 200);
    for _ in 0..2 {
        lab.until("both are parked", |traffic| traffic.parked == 2);
        assert_eq!(listener(&lab.traffic()).active, 2);
        assert_eq!((used.ask(GET).status(), fresh.ask(GET).status()), (200, 200));
        assert_eq!(lab.traffic().parked, 0);
    }
    // In pieces, with a pause between them that would do for parking if half a head were nothing.
    lab.until("both are parked again", |traffic| traffic.parked == 2);
    used.send(&GET[..10]);
    lab.until("one has begun to speak", |traffic| traffic.parked == 1);
    std::thread::sleep(Duration::from_millis(1200));
    assert_eq!(lab.traffic().parked, 1);
    used.send(&GET[10..]);
    assert_eq!(used.message(false).status(), 200);
}

#[test]
fn a_parked_client_that_leaves_or_stays_too_long_is_closed() {
    let server = Server::named("a");
    let lab = Setup::http(&[server.address]).client_timeouts(|t| t.keep_alive = Duration::from_millis(1800)).run();
    let (mut late, mut gone) = (lab.connect(), lab.connect());
    assert_eq!((late.ask(GET).status(), gone.ask(GET).status()), (200, 200));
    lab.until("both are parked", |traffic| traffic.parked == 2);
    drop(gone);
    lab.until("one has left", |traffic| traffic.parked == 1 && listener(traffic).active == 1);
    late.expect_end();
    lab.until("nobody is left", |traffic| traffic.parked == 0 && traffic.connections == 0);
}

#[test]
fn parked_clients_end_with_the_data_plane() {
    let server = Server::named("a");
    let lab = Setup::http(&[server.address]).run();
    let mut client = lab.connect();
    lab.until("it is parked", |traffic| traffic.parked == 1);
    lab.plane.shutdown(Duration::from_secs(10));
    client.expect_end();
}

#[test]
#[ignore = "takes 16,000 descriptors and some seconds"]
fn eight_thousand_idle_clients_hold_nobody_up() {
    let server = Server::named("a");
    let plane = Dataplane::start_limited(NonZeroUsize::new(2).unwrap(), 6000).unwrap();
    let lab = Setup::http(&[server.address]).run_with(plane);
    let mut idle: Vec<_> = (0..8000).map(|_| lab.connect()).collect();
    lab.until("all are parked", |traffic| traffic.parked == 8000);
    assert_eq!(lab.get("/").status(), 200);
    for client in idle.iter_mut().step_by(40) {
        assert_eq!(client.ask(GET).status(), 200);
    }
    for some in idle.chunks_mut(50) {
        some.iter_mut().for_each(|client| client.send(GET));
        some.iter_mut().for_each(|client| assert_eq!(client.message(false).status(), 200));
    }
    lab.until("all are parked again", |traffic| traffic.parked == 8000);
}
