//! Limits on what one client may have.

use super::harness::*;
use crate::model::{Protocol, RequestRate, SourceLimits};
use std::time::Duration;

const GET: &str = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";

fn limited(mut setup: Setup, connections: Option<u16>, requests: Option<(u16, u64)>) -> Setup {
    let requests = requests.map(|(count, seconds)| RequestRate { count, per: Duration::from_secs(seconds) });
    setup.listener.limits = SourceLimits { connections, requests };
    setup
}

#[test]
fn requests_beyond_the_rate_are_429_over_all_connections_and_workers() {
    let server = Server::named("a");
    let lab = limited(Setup::http(&[server.address]), None, Some((10, 3600))).run();
    let mut clients: Vec<_> = (0..5).map(|_| lab.connect()).collect();
    let statuses: Vec<u16> = (0..20).map(|n| clients[n % 5].ask(GET).status()).collect();
    assert!(statuses[..10].iter().all(|s| *s == 200) && statuses[10..].iter().all(|s| *s == 429), "{statuses:?}");
    let response = clients[0].ask(GET);
    let wait: u64 = response.field("retry-after").unwrap().parse().unwrap();
    assert!((1..=360).contains(&wait), "one more is let through after a tenth of the time: {wait}");
    assert_eq!((server.seen().len(), listener(&lab.traffic()).limited), (10, 11));
    assert_eq!(listener(&lab.traffic()).requests, 21, "they are requests all the same");
}

#[test]
fn a_connection_too_many_is_429_and_closed() {
    let server = Server::named("a");
    let lab = limited(Setup::http(&[server.address]), Some(2), None).run();
    let (mut first, second) = (lab.connect(), lab.connect());
    assert_eq!(first.ask(GET).status(), 200);
    lab.until("both are there", |t| listener(t).active == 2);
    let mut third = lab.connect();
    let response = third.message(false);
    assert_eq!((response.status(), response.field("connection")), (429, Some("close")));
    assert!(response.field("retry-after").is_some());
    third.expect_end();
    assert_eq!(first.ask(GET).status(), 200, "those that are there go on");
    drop((second, third));
    lab.until("there is room", |t| listener(t).active == 1);
    assert_eq!(lab.connect().ask(GET).status(), 200);
    assert_eq!(listener(&lab.traffic()).limited, 1);
}

/// Idle connections are parked; they must not lose their seats.
#[test]
fn idle_connections_count() {
    let server = Server::named("a");
    let lab = limited(Setup::http(&[server.address]), Some(3), None).run();
    let idle: Vec<_> = (0..3)
        .map(|_| {
            let mut client = lab.connect();
            assert_eq!(client.ask(GET).status(), 200);
            client
        })
        .collect();
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(lab.connect().message(false).status(), 429);
    drop(idle);
    lab.until("they have gone", |t| listener(t).active == 0);
    assert_eq!(lab.get("/").status(), 200);
}

#[test]
fn a_tcp_connection_too_many_is_reset() {
    let server = Server::raw(|_, mut wire| {
        wire.send("hello");
        drop(wire.rest());
    });
    let setup = Setup::tcp(&[server.address]);
    assert_eq!(setup.listener.protocol, Protocol::Tcp);
    let lab = limited(setup, Some(1), None).run();
    let mut first = lab.connect();
    first.exactly(5).unwrap();
    assert_eq!(lab.connect().rest().unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    drop(first);
    lab.until("it is gone", |t| listener(t).active == 0);
    lab.connect().exactly(5).unwrap();
    assert_eq!((server.connections(), listener(&lab.traffic()).limited), (2, 1));
}

#[test]
fn limits_come_change_and_go_in_place() {
    let server = Server::named("a");
    let none = Setup::http(&[server.address]);
    let lab = none.run();
    let mut client = lab.connect();
    let mut ask = |setup: &Setup| {
        lab.apply(setup);
        (0..3).map(|_| client.ask(GET).status()).collect::<Vec<_>>()
    };
    assert_eq!(ask(&none), [200, 200, 200]);
    assert_eq!(ask(&limited(none.clone(), None, Some((2, 3600)))), [200, 200, 429]);
    assert_eq!(ask(&limited(none.clone(), Some(5), Some((2, 3600)))), [429, 429, 429], "what was used stays used");
    assert_eq!(ask(&none), [200, 200, 200]);
}
