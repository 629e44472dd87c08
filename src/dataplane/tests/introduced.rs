//! Connections that begin with a header of the PROXY protocol.

use super::harness::*;
use crate::model::{RequestRate, SourceLimits};
use std::{io::ErrorKind, io::Write, time::Duration};

const GET: &str = "GET /x HTTP/1.1\r\nHost: t\r\n\r\n";
const LINE: &str = "PROXY TCP4 203.0.113.7 198.51.100.10 51234 80\r\n";

fn from(mut setup: Setup, networks: &[&str]) -> Setup {
    setup.listener.proxy_from = networks.iter().map(|text| text.parse().unwrap()).collect();
    setup
}

fn binary(command: u8) -> Vec<u8> {
    let addresses = [203, 0, 113, 8, 198, 51, 100, 10, 0xc8, 0x22, 0, 80];
    let tlv = [0xea, 0, 2, b'h', b'i'];
    [b"\r\n\r\n\0\r\nQUIT\n", &[command, 0x11, 0, 17][..], &addresses, &tlv].concat()
}

/// As the backend sees it.
fn client_of(server: &Server) -> String {
    server.seen().last().unwrap().field("x-forwarded-for").unwrap().to_owned()
}

#[test]
fn the_client_is_who_the_header_names() {
    let server = Server::named("a");
    let lab = from(Setup::http(&[server.address]), &["127.0.0.0/8"]).run();
    let mut client = lab.connect();
    assert_eq!(client.ask(&format!("{LINE}{GET}")).text(), "a /x");
    assert_eq!(client_of(&server), "203.0.113.7");
    assert_eq!(client.ask(GET).text(), "a /x", "there is one header per connection");
    assert_eq!(client.ask(&format!("{LINE}{GET}")).status(), 400, "and no other");
    for (header, wanted) in [
        (binary(0x21), "203.0.113.8"),
        (binary(0x20), "127.0.0.1"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
        (b"PROXY TCP6 2001:db8::7 2001:db8::1 1 2\r\n".to_vec(), "2001:db8::7"),
    ] {
        let mut client = lab.connect();
        for piece in header.chunks(7) {
            client.stream.write_all(piece).unwrap();
            std::thread::sleep(Duration::from_millis(2));
        }
        assert_eq!(client.ask(GET).text(), "a /x");
        assert_eq!(client_of(&server), wanted);
    }
    let traffic = listener(&lab.traffic());
    let sent = LINE.len() * 2 + GET.len() * 7;
    assert_eq!((traffic.requests, traffic.bytes_in, traffic.proxy_refused), (7, (sent - LINE.len()) as u64, 0));
}

#[test]
fn limits_and_idling_are_of_the_client_that_is_named() {
    let server = Server::named("a");
    let mut setup = from(Setup::http(&[server.address]), &["127.0.0.1"]);
    let requests = Some(RequestRate { count: 1, per: Duration::from_secs(3600) });
    setup.listener.limits = SourceLimits { connections: Some(1), requests };
    let lab = setup.run();
    let ask = |client: &str| {
        let mut wire = lab.connect();
        let status = wire.ask(&format!("PROXY TCP4 {client} 192.0.2.1 1 2\r\n{GET}")).status();
        (wire, status)
    };
    let (first, second) = (ask("203.0.113.1"), ask("203.0.113.2"));
    assert_eq!((first.1, second.1, ask("203.0.113.1").1), (200, 200, 429));
    lab.until("they are parked", |t| t.parked == 2);
    drop(first);
    lab.until("it is gone", |t| listener(t).active == 1);
    assert_eq!(ask("203.0.113.1").1, 429, "its request is used up");
    assert_eq!(ask("203.0.113.3").1, 200);
}

#[test]
fn who_is_not_introduced_is_reset_and_counted() {
    let server = Server::named("a");
    let mut setup = from(Setup::http(&[server.address]), &["127.0.0.1"])
        .client_timeouts(|t| t.request = Duration::from_millis(300));
    let lab = setup.run();
    let reset = |what: &[u8]| {
        let mut client = lab.connect();
        client.stream.write_all(what).unwrap();
        assert_eq!(client.rest().unwrap_err().kind(), ErrorKind::ConnectionReset, "{what:?}");
    };
    reset(GET.as_bytes());
    reset(b"PROXY TCP4 203.0.113.7\r\n");
    reset(b"PROXY TC");
    reset(&binary(0x21)[..20]);
    drop(lab.connect());
    lab.until("the one that said nothing has gone", |t| listener(t).accepted == 5 && t.connections == 0);
    assert_eq!(listener(&lab.traffic()).proxy_refused, 4);
    setup = from(setup, &["192.0.2.0/24"]);
    lab.apply(&setup);
    assert_eq!(lab.connect().rest().unwrap_err().kind(), ErrorKind::ConnectionReset, "it comes from elsewhere");
    lab.until("it is counted", |t| listener(t).proxy_refused == 5);
    setup.listener.proxy_from.clear();
    lab.apply(&setup);
    assert_eq!(lab.get("/x").text(), "a /x");
    assert_eq!(lab.connect().ask(&format!("{LINE}{GET}")).status(), 400, "nobody is believed any more");
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn tcp_connections_are_introduced_too() {
    let server = Server::raw(|_, mut wire| {
        let said = wire.exactly(5).unwrap();
        wire.stream.write_all(&said).unwrap();
    });
    let lab = from(Setup::tcp(&[server.address]), &["127.0.0.1"]).run();
    for header in [LINE.as_bytes(), &binary(0x21)] {
        let mut client = lab.connect();
        client.stream.write_all(&[header, b"he"].concat()).unwrap();
        client.send("llo");
        assert_eq!(
            client.rest().unwrap(),
            b"hello",
            "what came with the header is not lost, the header is not passed on"
        );
    }
    let mut late = lab.connect();
    late.send(LINE);
    late.send("hello");
    assert_eq!(late.rest().unwrap(), b"hello");
    assert_eq!(listener(&lab.traffic()).bytes_in, 15);
}

#[test]
fn a_slow_header_does_not_keep_a_vip_from_being_quiet() {
    let server = Server::named("a");
    let lab = from(Setup::http(&[server.address]), &["127.0.0.1"]).run();
    let mut client = lab.connect();
    client.send("PROXY ");
    eventually("it is there", || lab.plane.in_flight(&name("vip")) == 1);
    eventually("it has grown old", || lab.plane.in_flight(&name("vip")) == 0);
    client.send("UNKNOWN\r\n");
    assert_eq!(client.ask(GET).text(), "a /x");
}
