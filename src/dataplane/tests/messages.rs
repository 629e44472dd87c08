//! What a listener does to messages, what it believes of their way, and its own pages.

use super::harness::*;
use crate::model::{
    AccessLog, Balance, ErrorPage, FieldEdits, FieldMatch, Forwarded, ForwardedStyle, LogFormat, LogTarget,
    MessageEdits, Network, PathMatch, Redirect, RequestRate, Route, RouteAction, SourceLimits, Sticky, ValueMatch,
};
use std::{collections::BTreeSet, fs, time::Duration};

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn trusting(networks: &[&str], style: ForwardedStyle) -> Forwarded {
    let trusted = networks.iter().map(|text| text.parse::<Network>().unwrap()).collect();
    Forwarded { trusted: Some(trusted), style }
}

fn ask(lab: &Lab, fields: &str) -> Message {
    lab.connect().ask(&format!("GET /x HTTP/1.1\r\nHost: t\r\n{fields}\r\n"))
}

#[test]
fn fields_are_changed_on_both_ways_by_the_listener_and_then_by_the_route() {
    let server = Server::http(|request, _| {
        match request.path() {
        "/ws" => Act::Send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\nServer: s\r\n\r\n".into()),
        _ => Act::Send("HTTP/1.1 103 Early Hints\r\nServer: s\r\n\r\nHTTP/1.1 200 OK\r\nServer: s\r\nCache-Control: a\r\nContent-Length: 0\r\n\r\n".into()),
    }
    });
    let listener = MessageEdits {
        request: FieldEdits {
            remove: vec!["X-Secret".into()],
            set: pairs(&[("X-Edge", "l")]),
            add: pairs(&[("X-Tag", "l")]),
        },
        response: FieldEdits {
            remove: vec!["server".into()],
            set: pairs(&[("Cache-Control", "b")]),
            ..Default::default()
        },
    };
    let own = MessageEdits {
        request: FieldEdits { set: pairs(&[("x-edge", "r")]), add: pairs(&[("X-Tag", "r")]), ..Default::default() },
        response: FieldEdits { add: pairs(&[("Server", "front")]), ..Default::default() },
    };
    let to_pool = RouteAction::Pool(name("pool"));
    let route = Route { path: Some(PathMatch::Prefix("/r".into())), edits: own, ..Route::to(to_pool) };
    let mut setup = Setup::http(&[server.address]).sticky().routes(vec![route]);
    setup.listener.edits = listener;
    let lab = setup.run();
    let mut client = lab.connect();
    client.send("GET /r HTTP/1.1\r\nHost: t\r\nX-Secret: 1\r\nx-edge: 2\r\nX-EDGE: 3\r\nX-Tag: c\r\n\r\n");
    assert!(client.message(true).head.contains("Server: s"), "an interim response is passed on as it is");
    let response = client.message(false).head;
    assert!(
        response.contains("\r\nCache-Control: b\r\nServer: front\r\n") && !response.contains(": s\r\n"),
        "{response}"
    );
    assert!(response.contains("Set-Cookie: LB=b0"), "{response}");
    let seen = server.seen()[0].head.clone();
    assert!(
        seen.contains("\r\nX-Tag: l\r\nx-edge: r\r\nX-Tag: r\r\n\r\n") && seen.contains("\r\nX-Tag: c\r\n"),
        "{seen}"
    );
    assert!(!seen.contains("X-Secret") && !seen.contains("EDGE") && !seen.contains("x-edge: 2"), "{seen}");
    client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    client.message(true);
    assert!(!client.message(false).head.contains("Server"), "the other route's edits are its own");
    let switched = client.ask("GET /ws HTTP/1.1\r\nHost: t\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n").head;
    assert!(switched.contains("Cache-Control: b") && !switched.contains("Server"), "{switched}");
}

#[test]
fn methods_and_fields_choose_the_route() {
    let server = Server::named("a");
    let canary = FieldMatch { name: "x-canary".into(), value: ValueMatch::Exact("1".into()) };
    let elsewhere = |host: &str| RouteAction::Redirect(Redirect { scheme: None, host: Some(host.into()), status: 307 });
    let lab = Setup::http(&[server.address])
        .routes(vec![
            Route { fields: vec![canary], ..Route::to(elsewhere("canary.example")) },
            Route { methods: vec!["PUT".into()], ..Route::to(elsewhere("write.example")) },
        ])
        .run();
    assert_eq!(ask(&lab, "X-Canary: 2\r\n").text(), "a /x");
    assert_eq!(ask(&lab, "X-Canary: 2\r\nx-canary:  1 \r\n").field("location"), Some("http://canary.example/x"));
    let put = lab.connect().ask("PUT /x HTTP/1.1\r\nHost: t\r\nX-Canary: 1\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(put.field("location"), Some("http://write.example/x"));
}

#[test]
fn the_listeners_pages_stand_for_the_proxys_own() {
    let page = |statuses: &[u16], kind: &str, body: &str| ErrorPage {
        statuses: statuses.to_vec(),
        content_type: kind.into(),
        body: body.into(),
    };
    let server = Server::http(|request, _| match request.path() {
        "/dies" => Act::Last(String::new()),
        _ => Act::Send("HTTP/1.1 503 Own\r\nContent-Length: 3\r\n\r\nown".into()),
    });
    let mut setup = Setup::http(&[server.address]);
    let lab = setup.run();
    let mut client = lab.connect();
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n");
    assert!(client.ask(&get("/dies")).text().starts_with("502 Bad Gateway\n"));
    setup.listener.error_pages =
        vec![page(&[400, 502], "text/html", "<p>sorry"), page(&[429], "application/json", "{}")];
    lab.apply(&setup);
    let sorry = client.ask(&get("/dies"));
    assert_eq!((sorry.status(), sorry.text(), sorry.field("content-type")), (502, "<p>sorry", Some("text/html")));
    client.send("HEAD /dies HTTP/1.1\r\nHost: t\r\n\r\n");
    let head = client.message(true);
    assert_eq!((head.field("content-length"), head.field("cache-control")), (Some("8"), Some("no-store")));
    assert_eq!(client.ask(&get("/")).text(), "own", "what a backend says is passed on, and the connection is in step");
    let mut other = lab.connect();
    assert_eq!(other.ask("GET / HTTP/9\r\n\r\n").text(), "<p>sorry");
    other.expect_end();
    setup.listener.limits =
        SourceLimits { connections: None, requests: Some(RequestRate { count: 1, per: Duration::from_secs(3600) }) };
    lab.apply(&setup);
    client.ask(&get("/"));
    let limited = client.ask(&get("/"));
    assert_eq!((limited.status(), limited.text(), limited.field("retry-after").is_some()), (429, "{}", true));
}

#[test]
fn the_client_is_the_nearest_that_is_not_trusted_for_hashes_stickiness_limits_and_logs() {
    let servers = [Server::named("b0"), Server::named("b1"), Server::named("b2")];
    let mut setup = Setup::http(&servers.each_ref().map(|s| s.address));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.log");
    setup.listener.access_log = Some(AccessLog { format: LogFormat::Json, to: LogTarget::File(path.clone()) });
    setup.pool.balance = Balance::Source;
    setup.listener.forwarded = trusting(&["127.0.0.0/8", "192.0.2.0/24"], ForwardedStyle::XForwarded);
    let lab = setup.run_on_one_worker();
    let who = |of: u8, fields: &str| {
        let fields = format!("X-Forwarded-For: 8.8.8.8, 203.0.113.{of}, 192.0.2.7\r\n{fields}");
        ask(&lab, &fields).text()[..2].to_owned()
    };
    let all: BTreeSet<_> = (0..40).map(|of| who(of, "")).collect();
    assert_eq!(all.len(), 3, "clients are told apart");
    assert!((0..5).all(|_| who(9, "") == who(9, "")), "and found again");
    let rfc = trusting(&["127.0.0.0/8", "192.0.2.0/24"], ForwardedStyle::Both);
    setup.listener.forwarded = rfc;
    lab.apply(&setup);
    let same = ask(&lab, "Forwarded: for=203.0.113.9;proto=https, for=\"192.0.2.7:81\"\r\n").text()[..2].to_owned();
    assert_eq!(same, who(9, ""), "in the other spelling too");
    setup.pool.balance = Balance::RoundRobin;
    setup.pool.sticky = Some(Sticky::Source);
    setup.listener.limits =
        SourceLimits { connections: Some(1), requests: Some(RequestRate { count: 2, per: Duration::from_secs(3600) }) };
    lab.apply(&setup);
    let home = who(9, "");
    assert_eq!((who(9, ""), home.len()), (home, 2));
    assert_eq!(ask(&lab, "X-Forwarded-For: 203.0.113.9\r\n").status(), 429);
    assert_eq!(ask(&lab, "X-Forwarded-For: 203.0.113.10\r\n").status(), 200);
    let held = [lab.connect(), lab.connect()];
    assert_eq!(ask(&lab, "X-Forwarded-For: 198.51.100.99\r\n").status(), 200, "a trusted proxy is many clients");
    drop(held);
    eventually("it is all written", || fs::read_to_string(&path).unwrap_or_default().contains("198.51.100.99"));
    let text = fs::read_to_string(&path).unwrap();
    let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!((last["client"].as_str(), last["clientPort"].as_u64()), (Some("198.51.100.99"), Some(0)), "{last}");
}

#[test]
fn what_strangers_say_of_their_way_reaches_no_backend() {
    let server = Server::named("a");
    let mut setup = Setup::http(&[server.address]);
    let lab = setup.run();
    let said = "X-Forwarded-For: 1.2.3.4\r\nForwarded: for=1.2.3.4\r\nX-Forwarded-Proto: https\r\n";
    let mut told = |forwarded: Forwarded| {
        setup.listener.forwarded = forwarded;
        lab.apply(&setup);
        ask(&lab, said);
        let head = server.seen().pop().unwrap().head;
        let lines = head.lines().filter(|line| line.contains("orwarded"));
        lines.map(ToOwned::to_owned).collect::<Vec<_>>().join("|")
    };
    assert_eq!(
        told(Forwarded::default()),
        "Forwarded: for=1.2.3.4|X-Forwarded-For: 1.2.3.4, 127.0.0.1|X-Forwarded-Proto: http|X-Forwarded-Host: t"
    );
    assert_eq!(
        told(trusting(&[], ForwardedStyle::Both)),
        "X-Forwarded-For: 127.0.0.1|X-Forwarded-Proto: http|X-Forwarded-Host: t|Forwarded: for=127.0.0.1;host=t;proto=http"
    );
    assert_eq!(
        told(trusting(&["192.0.2.0/24"], ForwardedStyle::Rfc7239)),
        "Forwarded: for=127.0.0.1;host=t;proto=http"
    );
    assert_eq!(
        told(trusting(&["127.0.0.1"], ForwardedStyle::XForwarded)),
        "Forwarded: for=1.2.3.4|X-Forwarded-Proto: https|X-Forwarded-For: 1.2.3.4, 127.0.0.1|X-Forwarded-Host: t"
    );
    let none = Forwarded { trusted: None, style: ForwardedStyle::None };
    assert_eq!(told(none), said.trim_end().replace("\r\n", "|"));
}

#[test]
fn a_redirect_keeps_the_scheme_that_a_trusted_proxy_saw() {
    let redirect = Redirect { scheme: None, host: Some("www.example".into()), status: 301 };
    let mut setup = Setup::http(&[]).routes(vec![Route::to(RouteAction::Redirect(redirect))]);
    let lab = setup.run();
    let said = "X-Forwarded-Proto: https\r\n";
    assert_eq!(ask(&lab, said).field("location"), Some("http://www.example/x"));
    setup.listener.forwarded = trusting(&["127.0.0.1"], ForwardedStyle::XForwarded);
    lab.apply(&setup);
    assert_eq!(ask(&lab, said).field("location"), Some("https://www.example/x"));
    setup.listener.forwarded = trusting(&["127.0.0.1"], ForwardedStyle::Rfc7239);
    lab.apply(&setup);
    assert_eq!(ask(&lab, "Forwarded: proto=https\r\n").field("location"), Some("https://www.example/x"));
}
