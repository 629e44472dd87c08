//! Requests and responses as both sides see them.

use super::harness::*;
use crate::model::{HostMatch, PathMatch, Redirect, Route, RouteAction, Scheme};
use std::{io::Write, time::Duration};

const GET: &str = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";

#[test]
fn both_sides_keep_their_connections() {
    let server = Server::named("a");
    let lab = Setup::http(&[server.address]).run();
    let mut client = lab.connect();
    for n in 0..20 {
        let response = client.ask(&format!("GET /{n} HTTP/1.1\r\nHost: test\r\n\r\n"));
        assert_eq!((response.status(), response.text()), (200, &*format!("a /{n}")));
        assert_eq!(response.field("via"), Some("1.1 lbagent"));
        assert_eq!(response.field("connection"), None);
    }
    assert_eq!(server.connections(), 1);
    let head = &server.seen()[3].head;
    assert!(head.starts_with("GET /3 HTTP/1.1\r\nHost: test\r\nX-Forwarded-For: 127.0.0.1\r\n"), "{head}");
    lab.until("the last exchange is over", |t| backend(t, 0).idle == 1);
    let traffic = lab.traffic();
    let (listener, backend) = (listener(&traffic), backend(&traffic, 0));
    assert_eq!((listener.accepted, listener.active, listener.requests, listener.responses.0[1]), (1, 1, 20, 20));
    assert_eq!((backend.connections, backend.idle, backend.active, backend.requests), (1, 1, 0, 20));
    assert!(listener.bytes_in > 0 && backend.bytes_in > listener.bytes_in, "the way here was added");
    assert!(backend.bytes_out > 0 && listener.bytes_out > backend.bytes_out);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = Server::named("a");
    let lab = Setup::http(&[server.address]).run();
    let mut client = lab.connect();
    let requests: String = (0..50).map(|n| format!("GET /{n} HTTP/1.1\r\nHost: t\r\n\r\n")).collect();
    client.send(&(requests + "BAD\r\n\r\n"));
    for n in 0..50 {
        assert_eq!(client.message(false).text(), format!("a /{n}"));
    }
    assert_eq!(client.message(false).status(), 400);
    client.expect_end();
    assert_eq!(server.seen().len(), 50);
}

#[test]
fn a_head_may_come_byte_by_byte() {
    let server = Server::named("a");
    let lab = Setup::http(&[server.address]).run();
    let mut client = lab.connect();
    for byte in b"POST /slow HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc" {
        client.stream.write_all(&[*byte]).unwrap();
        std::thread::yield_now();
    }
    assert_eq!(client.message(false).text(), "a /slow");
    assert_eq!(server.seen()[0].body, b"abc");
}

#[test]
fn statuses_and_methods_without_a_body_leave_the_connection_usable() {
    let server = Server::http(|request, _| {
        Act::Send(match request.path() {
            "/204" => "HTTP/1.1 204 No Content\r\n\r\n".into(),
            "/304" => "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n".into(),
            "/head" => "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n".into(),
            _ => "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone".into(),
        })
    });
    let lab = Setup::http(&[server.address]).run();
    let mut client = lab.connect();
    client.send("GET /204 HTTP/1.1\r\nHost: t\r\n\r\nGET /304 HTTP/1.1\r\nHost: t\r\n\r\nHEAD /head HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(client.message(true).status(), 204);
    assert_eq!(client.message(true).status(), 304);
    assert_eq!(client.message(true).field("content-length"), Some("1000"));
    assert_eq!(client.ask(GET).text(), "done");
    assert_eq!(server.connections(), 3, "a 304 or HEAD that tells of a body may be followed by one");
}

#[test]
fn http_1_0_clients_are_served_as_they_can_be() {
    let server = Server::http(|_, _| {
        Act::Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n".into())
    });
    let lab = Setup::http(&[server.address]).run();
    let mut client = lab.connect();
    let response = client.ask("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!((response.field("transfer-encoding"), response.field("connection")), (None, Some("close")));
    assert_eq!(response.text(), "hi");
    let server = Server::named("a");
    let lab = Setup::http(&[server.address]).run();
    let mut client = lab.connect();
    for _ in 0..2 {
        let response = client.ask("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        assert_eq!((response.text(), response.field("connection")), ("a /", Some("keep-alive")));
    }
    assert_eq!(client.ask("GET / HTTP/1.0\r\n\r\n").field("connection"), Some("close"));
    client.expect_end();
}

#[test]
fn a_client_that_has_said_all_gets_its_answer() {
    let server = Server::named("a");
    let lab = Setup::http(&[server.address]).run();
    let mut client = lab.connect();
    client.send("POST /fin HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc");
    client.stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(client.message(false).text(), "a /fin");
    client.expect_end();
}

#[test]
fn malformed_requests_reach_no_backend() {
    let server = Server::named("a");
    let lab = Setup::http(&[server.address]).run();
    for (request, status) in [
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        ("CONNECT t:1 HTTP/1.1\r\nHost: t:1\r\n\r\n", 501),
        ("\u{16}\u{3}\u{1}", 400),
    ] {
        let mut client = lab.connect();
        let response = client.ask(request);
        assert_eq!((response.status(), response.field("connection")), (status, Some("close")), "{request:?}");
        client.expect_end();
    }
    let counted = listener(&lab.traffic());
    assert_eq!((server.connections(), counted.requests, counted.refused), (0, 5, 5));
}

#[test]
fn continue_is_the_backends_to_say() {
    let server = Server::raw(|_, mut wire| {
        let head = wire.message(true).head;
        assert!(head.contains("Expect: 100-continue"), "{head}");
        wire.send("HTTP/1.1 100 Continue\r\n\r\n");
        assert_eq!(wire.exactly(5).unwrap(), b"hello");
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        drop(wire.rest());
    });
    let lab = Setup::http(&[server.address]).run();
    let mut client = lab.connect();
    let head = "POST / HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    assert_eq!(client.ask(head).status(), 100);
    assert_eq!(client.ask("hello").text(), "ok");
}

#[test]
fn a_refused_expectation_closes_the_connection() {
    let server = Server::raw(|_, mut wire| {
        wire.message(true);
        wire.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nno!");
        drop(wire.rest());
    });
    let lab = Setup::http(&[server.address]).run();
    let mut client = lab.connect();
    let response = client.ask("POST / HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    assert_eq!((response.status(), response.text(), response.field("connection")), (413, "no!", Some("close")));
    client.expect_end();
}

#[test]
fn an_upgraded_connection_is_a_tunnel() {
    let server = Server::raw(|_, mut wire| {
        let head = wire.message(true).head;
        assert!(head.contains("Connection: upgrade\r\nUpgrade: websocket\r\n"), "{head}");
        wire.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nfirst");
        let early = wire.exactly(5).unwrap();
        wire.stream.write_all(&early).unwrap();
        std::io::copy(&mut wire.stream.try_clone().unwrap(), &mut wire.stream).unwrap();
    });
    let lab = Setup::http(&[server.address]).run();
    let mut client = lab.connect();
    let head = client.ask("GET /ws HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly");
    assert_eq!((head.status(), head.field("upgrade")), (101, Some("websocket")));
    assert_eq!(client.exactly(10).unwrap(), b"firstearly");
    client.send("over");
    assert_eq!(client.exactly(4).unwrap(), b"over");
    client.stream.shutdown(std::net::Shutdown::Write).unwrap();
    client.expect_end();
    lab.until("the tunnel is over", |t| backend(t, 0).active == 0 && listener(t).active == 0);
}

#[test]
fn a_refused_upgrade_is_an_ordinary_response() {
    let server = Server::named("a");
    let lab = Setup::http(&[server.address]).run();
    let mut client = lab.connect();
    let upgrade = "GET /ws HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    assert_eq!(client.ask(upgrade).text(), "a /ws");
    assert_eq!(client.ask(GET).text(), "a /");
}

#[test]
fn routes_redirects_and_what_nothing_takes() {
    let server = Server::named("a");
    let path = |path: &str| Some(PathMatch::Prefix(path.into()));
    let redirect = RouteAction::Redirect(Redirect { scheme: Some(Scheme::Https), host: None, status: 301 });
    let routes = vec![
        Route { host: Some(HostMatch::Exact("old.example".into())), ..Route::to(redirect) },
        Route { path: path("/api/"), ..Route::to(RouteAction::Pool(name("pool"))) },
        Route { path: path("/gone"), ..Route::to(RouteAction::Pool(name("missing"))) },
    ];
    let mut setup = Setup::http(&[server.address]).routes(routes);
    setup.listener.pool = None;
    let lab = setup.run();
    let mut client = lab.connect();
    assert_eq!(client.ask("GET /api/x HTTP/1.1\r\nHost: t\r\n\r\n").text(), "a /api/x");
    assert_eq!(client.ask(GET).status(), 404);
    assert_eq!(client.ask("GET /gone HTTP/1.1\r\nHost: t\r\n\r\n").status(), 503);
    let response = client.ask("GET /p?q HTTP/1.1\r\nHost: OLD.example:80\r\n\r\n");
    assert_eq!((response.status(), response.field("location")), (301, Some("https://OLD.example/p?q")));
    client.send("HEAD / HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(client.message(true).status(), 404);
    assert_eq!(client.ask("OPTIONS /api/ HTTP/1.1\r\nHost: t\r\nMax-Forwards: 0\r\n\r\n").status(), 200);
    assert_eq!(client.ask("GET /api/y HTTP/1.1\r\nHost: t\r\n\r\n").text(), "a /api/y", "all on one connection");
    let response = client.ask("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc");
    assert_eq!((response.status(), response.field("connection")), (404, Some("close")), "its body was not read");
}

#[test]
fn a_cookie_keeps_a_client_at_its_backend() {
    let servers = [Server::named("b0"), Server::named("b1"), Server::named("b2")];
    let mut setup = Setup::http(&servers.each_ref().map(|s| s.address)).sticky();
    let lab = setup.run();
    let with = |cookie: &str| {
        let mut client = lab.connect();
        let response = client.ask(&format!("GET / HTTP/1.1\r\nHost: t\r\nCookie: {cookie}\r\n\r\n"));
        let set = response.field("set-cookie").map(ToOwned::to_owned);
        (response.text().trim_end_matches(" /").to_owned(), set)
    };
    let (first, set) = with("other=1");
    assert_eq!(set, Some(format!("LB={first}; Path=/; HttpOnly; SameSite=Lax")));
    for _ in 0..6 {
        assert_eq!(with(&format!("a=b; LB={first}")), (first.clone(), None));
    }
    assert!(with("LB=unknown").1.is_some());
    assert!(servers[0].seen().iter().all(|m| m.head.contains("Cookie: ")), "the backend gets it too");
    // Weight 0: those who are there stay, nobody new comes.
    setup.pool.backends.iter_mut().for_each(|b| b.weight = u16::from(b.name.as_str() != first));
    lab.apply(&setup);
    assert_eq!(with(&format!("LB={first}")), (first.clone(), None));
    assert!((0..6).all(|_| with("x=y").0 != first));
    // Out of rotation: another one, and the client is told.
    setup.down.insert(name(&first));
    lab.apply(&setup);
    let (other, set) = with(&format!("LB={first}"));
    assert!(other != first && set.unwrap().starts_with(&format!("LB={other};")));
}

#[test]
fn slow_heads_end_with_408_and_idle_connections_in_silence() {
    let server = Server::named("a");
    let short = Duration::from_millis(80);
    let setup = Setup::http(&[server.address]).client_timeouts(|t| (t.request, t.keep_alive) = (short, short));
    let lab = setup.run();
    let mut client = lab.connect();
    let response = client.ask("GET / HTTP/1.1\r\nHo");
    assert_eq!((response.status(), response.field("connection")), (408, Some("close")));
    client.expect_end();
    let mut client = lab.connect();
    client.expect_end();
    let counted = listener(&lab.traffic());
    assert_eq!((counted.accepted, counted.requests, counted.refused), (2, 1, 1), "an idle one asked for nothing");
    let mut client = lab.connect();
    assert_eq!(client.ask(GET).text(), "a /");
    client.expect_end();
}
