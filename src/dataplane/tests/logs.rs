//! What an access log tells of exchanges, good and bad.

use super::harness::*;
use crate::model::{AccessLog, ListenerTimeouts, LogFormat, LogTarget};
use serde_json::Value;
use std::{fs, net::Shutdown, path::PathBuf, time::Duration};

/// A data plane with one worker that writes JSON to a file of its own.
struct Logged {
    lab: Lab,
    path: PathBuf,
    _directory: tempfile::TempDir,
}

impl Logged {
    fn start(mut setup: Setup) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        setup.listener.access_log = Some(AccessLog { format: LogFormat::Json, to: LogTarget::File(path.clone()) });
        let lab = setup.run_on_one_worker();
        Self { lab, path, _directory: directory }
    }

    /// All lines, once there are so many.
    fn lines(&self, count: usize) -> Vec<Value> {
        let read = || fs::read_to_string(&self.path).unwrap_or_default();
        eventually("the lines are written", || read().lines().count() >= count);
        let lines: Vec<Value> = read().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), count, "{lines:#?}");
        lines
    }

    fn last(&self, count: usize) -> Value {
        self.lines(count).pop().unwrap()
    }
}

const GET: &str = "GET /x HTTP/1.1\r\nHost: t\r\nUser-Agent: test\r\n\r\n";

#[test]
fn a_request_is_told_with_all_its_times() {
    let server = Server::http(|request, _| {
        std::thread::sleep(Duration::from_millis(30));
        ok(if request.path() == "/none" { "" } else { "hello" })
    });
    let logged = Logged::start(Setup::http(&[server.address]));
    let mut client = logged.lab.connect();
    client.send("POST /x?y=z HTTP/1.1\r\nHost: t:81\r\nUser-");
    std::thread::sleep(Duration::from_millis(30));
    client.send("Agent: test\r\nContent-Length: 5\r\n\r\n12");
    client.send("345");
    let response = client.message(false);
    let line = logged.last(1);
    assert_eq!(
        (line["method"].as_str(), line["target"].as_str(), line["host"].as_str()),
        (Some("POST"), Some("/x?y=z"), Some("t:81"))
    );
    assert_eq!((line["userAgent"].as_str(), line["version"].as_str()), (Some("test"), Some("1.1")));
    assert_eq!(
        (line["pool"].as_str(), line["backend"].as_str(), line["listener"].as_str()),
        (Some("pool"), Some("b0"), Some("vip:1"))
    );
    assert_eq!((line["status"].as_u64(), line["end"].as_str()), (Some(200), Some("--")));
    let bytes = (response.head.len() + response.body.len()) as u64;
    assert_eq!((line["bytesIn"].as_u64(), line["bytesOut"].as_u64()), (Some(5), Some(bytes)));
    let seconds = |name: &str| line["seconds"][name].as_f64().unwrap();
    assert!(seconds("request") >= 0.01 && seconds("response") >= 0.01, "{line}");
    let parts: f64 = ["request", "queue", "connect", "response"].into_iter().map(seconds).sum();
    assert!(parts <= seconds("total") + 1e-4 && seconds("total") < 15.0, "{line}");
    let local = client.stream.local_addr().unwrap();
    assert_eq!((line["client"].as_str(), line["clientPort"].as_u64()), (Some("127.0.0.1"), Some(local.port().into())));
    assert_eq!((&line["connections"]["process"], &line["connections"]["listener"]), (&1.into(), &1.into()));
    // The next one on the same connection is a line of its own.
    client.send("GET /none HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(client.message(false).status(), 200);
    let second = logged.last(2);
    assert_eq!((second["target"].as_str(), second["bytesIn"].as_u64()), (Some("/none"), Some(0)));
    assert!(second["bytesOut"].as_u64().unwrap() < bytes, "{second}");
}

#[test]
fn what_goes_wrong_has_its_letters() {
    let dead = free_address();
    let refused = Logged::start(Setup::http(&[dead]));
    assert_eq!(refused.lab.get("/x").status(), 502);
    let line = refused.last(1);
    assert_eq!(
        (line["end"].as_str(), line["status"].as_u64(), line["backend"].as_str()),
        (Some("SC"), Some(502), Some("b0"))
    );
    assert!(line["seconds"]["connect"].is_null() && line["seconds"]["queue"].is_number(), "{line}");

    let mut nobody = Setup::http(&[dead]);
    nobody.down.insert(name("b0"));
    let nobody = Logged::start(nobody);
    assert_eq!(nobody.lab.get("/x").status(), 503);
    let line = nobody.last(1);
    assert_eq!(
        (line["end"].as_str(), line["pool"].as_str(), &line["backend"]),
        (Some("SC"), Some("pool"), &Value::Null)
    );

    for (response, end, status) in [
        ("", "SH", Some(502)),
        ("nonsense\r\n\r\n", "PH", Some(502)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", "SD", Some(200)),
    ] {
        let server = Server::http(move |_, _| Act::Last(response.into()));
        let logged = Logged::start(Setup::http(&[server.address]));
        let mut client = logged.lab.connect();
        client.send("POST /x HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n");
        let _ = client.try_message(false);
        let line = logged.last(1);
        assert_eq!((line["end"].as_str(), line["status"].as_u64()), (Some(end), status), "{response:?}");
    }
    let server = Server::http(|_, _| Act::Stall);
    let late = Setup::http(&[server.address]).pool_timeouts(|t| t.response = Duration::from_millis(50));
    let late = Logged::start(late);
    assert_eq!(late.lab.get("/x").status(), 504);
    let line = late.last(1);
    assert_eq!((line["end"].as_str(), line["status"].as_u64()), (Some("sH"), Some(504)));
    assert!(line["seconds"]["connect"].is_number() && line["seconds"]["response"].is_null(), "{line}");
}

#[test]
fn what_the_client_does_has_its_letters() {
    let server = Server::http(|request, _| match request.path() {
        "/stall" => Act::Stall,
        _ => Act::Send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf".into()),
    });
    let short = |t: &mut ListenerTimeouts| (t.request, t.idle) = (Duration::from_millis(80), Duration::from_millis(80));
    let logged = Logged::start(Setup::http(&[server.address]).client_timeouts(short));
    let client = |text: &str| {
        let mut client = logged.lab.connect();
        client.send(text);
        client
    };
    let count = std::cell::Cell::new(0);
    let next = || {
        count.set(count.get() + 1);
        let line = logged.last(count.get());
        (line["end"].as_str().unwrap().to_owned(), line["status"].as_u64(), line["method"].as_str().map(str::to_owned))
    };
    let told =
        |end: &str, status: Option<u64>, method: Option<&str>| (end.to_owned(), status, method.map(str::to_owned));
    drop(client("GET / HTTP/1.1\r\n\r\n").rest());
    assert_eq!(next(), told("PR", Some(400), None));
    drop(client("GET / HT").rest());
    assert_eq!(next(), told("cR", Some(408), None));
    drop(client("POST /stall HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\nhalf").rest());
    assert_eq!(next(), told("cH", Some(408), Some("POST")));
    let half = client("POST /stall HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\nhalf");
    half.stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(next(), told("CH", None, Some("POST")));
    drop(half);
    drop(client("POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n").rest());
    assert_eq!(next(), told("PR", Some(400), Some("POST")));
}

#[test]
fn what_the_proxy_answers_itself_is_local() {
    let logged = Logged::start(Setup {
        listener: crate::model::Listener { pool: None, ..Setup::http(&[]).listener },
        ..Setup::http(&[])
    });
    assert_eq!(logged.lab.get("/x").status(), 404);
    let line = logged.last(1);
    assert_eq!((line["end"].as_str(), line["status"].as_u64(), &line["pool"]), (Some("LR"), Some(404), &Value::Null));
    assert_eq!(line["target"], "/x");
}

#[test]
fn a_request_that_was_tried_elsewhere_says_so() {
    let server = Server::named("b1");
    let logged = Logged::start(Setup::http(&[free_address(), server.address]));
    for _ in 0..2 {
        assert_eq!(logged.lab.get("/x").status(), 200);
    }
    let lines = logged.lines(2);
    let moved = lines.iter().filter(|line| line["redispatched"] == true && line["retries"] == 1).count();
    assert!(moved >= 1 && lines.iter().all(|line| line["backend"] == "b1" && line["end"] == "--"), "{lines:#?}");
}

#[test]
fn a_tunnel_is_told_when_it_is_over() {
    let server = Server::raw(|_, mut wire| {
        wire.message(true);
        wire.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n");
        assert_eq!(wire.exactly(5).unwrap(), b"hello");
        wire.send("bye");
    });
    let logged = Logged::start(Setup::http(&[server.address]));
    let mut client = logged.lab.connect();
    let head = client.ask("GET /ws HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n").head;
    client.send("hello");
    assert_eq!(client.exactly(3).unwrap(), b"bye");
    assert_eq!(fs::read_to_string(&logged.path).unwrap_or_default(), "", "it is not over");
    client.stream.shutdown(Shutdown::Write).unwrap();
    client.expect_end();
    let line = logged.last(1);
    assert_eq!((line["status"].as_u64(), line["end"].as_str()), (Some(101), Some("--")));
    assert_eq!((line["bytesIn"].as_u64(), line["bytesOut"].as_u64()), (Some(5), Some(head.len() as u64 + 3)));
}

#[test]
fn a_tcp_connection_is_one_line() {
    let server = Server::raw(|_, mut wire| {
        wire.send("hello");
        drop(wire.rest());
    });
    let logged = Logged::start(Setup::tcp(&[server.address]));
    let mut client = logged.lab.connect();
    client.exactly(5).unwrap();
    client.send("bye");
    client.stream.shutdown(Shutdown::Write).unwrap();
    client.expect_end();
    let line = logged.last(1);
    assert_eq!(
        (line["bytesIn"].as_u64(), line["bytesOut"].as_u64(), line["end"].as_str()),
        (Some(3), Some(5), Some("--"))
    );
    assert!(line.get("method").is_none() && line["seconds"]["connect"].is_number(), "{line}");
    let dead = Logged::start(Setup::tcp(&[free_address()]));
    drop(dead.lab.connect().rest());
    assert_eq!(dead.last(1)["end"], "SC");
}

#[test]
fn a_log_comes_changes_and_goes_under_load() {
    let server = Server::named("a");
    let directory = tempfile::tempdir().unwrap();
    let at = |file: &str| LogTarget::File(directory.path().join(file));
    let mut setup = Setup::http(&[server.address]);
    let lab = setup.run();
    let mut client = lab.connect();
    for to in [None, Some(at("1")), Some(at("2")), None] {
        setup.listener.access_log = to.clone().map(|to| AccessLog { format: LogFormat::Haproxy, to });
        lab.apply(&setup);
        assert_eq!(client.ask(GET).status(), 200, "the same connection");
    }
    let text = |file: &str| fs::read_to_string(directory.path().join(file)).unwrap_or_default();
    for file in ["1", "2"] {
        eventually("the line is written", || text(file).ends_with(" \"GET /x HTTP/1.1\"\n"));
        assert_eq!(text(file).lines().count(), 1, "{}", text(file));
    }
    assert_eq!(lab.traffic().access_log_dropped, 0);
}

#[test]
fn shutdown_loses_no_line() {
    let server = Server::named("a");
    let logged = Logged::start(Setup::http(&[server.address]));
    for _ in 0..50 {
        logged.lab.get("/x");
    }
    logged.lab.plane.shutdown(Duration::from_secs(1));
    let text = fs::read_to_string(&logged.path).unwrap();
    assert_eq!(text.lines().count(), 50);
}
