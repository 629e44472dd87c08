use super::{
    line::{Asked, Connections, Http, Timers},
    *,
};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::net::UnixDatagram,
    path::Path,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

const PATIENCE: Duration = Duration::from_secs(15);

fn ms(ms: u64) -> Option<Duration> {
    Some(Duration::from_millis(ms))
}

fn asked(method: &str, target: &str) -> Asked {
    let (method, target) = (method.to_owned(), target.to_owned());
    Asked { method, target, version: "1.1", host: Some("www.example.com".into()), user_agent: None }
}

fn date() -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(1_795_410_626_123)
}

fn line(http: Option<Http<'_>>) -> Line<'_> {
    Line {
        client: "192.0.2.9:33317".parse().unwrap(),
        date: date(),
        listener: "web:80",
        address: "198.51.100.10:80".parse().unwrap(),
        pool: Some("web"),
        backend: Some("webA"),
        timers: Timers {
            request: ms(10),
            queue: ms(0),
            connect: ms(30),
            response: ms(69),
            total: Duration::from_millis(109),
        },
        http,
        bytes_in: 17,
        bytes_out: 2750,
        end: *b"--",
        connections: Connections { process: 5, listener: 4, pool: 3, backend: 2 },
        retries: 1,
        redispatched: true,
        queued: 7,
    }
}

fn haproxy(line: &Line<'_>) -> String {
    let mut out = Vec::new();
    haproxy::write(line, &mut out);
    String::from_utf8(out).unwrap()
}

fn json(line: &Line<'_>) -> Value {
    let mut out = Vec::new();
    json::write(line, &mut out);
    assert!(!out.contains(&b'\n'), "one line");
    serde_json::from_slice(&out).unwrap()
}

#[test]
fn a_request_is_told_field_by_field_as_haproxy_does() {
    let asked = asked("GET", "/index.html?a=b");
    let http = Http { request: Some(&asked), status: Some(200) };
    assert_eq!(
        haproxy(&line(Some(http))),
        "192.0.2.9:33317 [23/Nov/2026:05:10:26.123] web:80 web/webA 10/0/30/69/109 200 2750 - - ---- 5/4/3/2/+1 0/7 \
         \"GET /index.html?a=b HTTP/1.1\""
    );
    let none = Timers { total: Duration::from_millis(3), ..Timers::default() };
    let refused = Line {
        pool: None,
        backend: None,
        timers: none,
        end: *b"PR",
        retries: 0,
        redispatched: false,
        queued: 0,
        client: "[2001:db8::9]:1".parse().unwrap(),
        ..line(Some(Http { request: None, status: Some(400) }))
    };
    assert_eq!(
        haproxy(&refused),
        "2001:db8::9:1 [23/Nov/2026:05:10:26.123] web:80 web:80/<NOSRV> -1/-1/-1/-1/3 400 2750 - - PR-- 5/4/3/2/0 0/0 \
         \"<BADREQ>\""
    );
    let silent = Line { end: *b"CH", ..line(Some(Http { request: Some(&asked), status: None })) };
    assert!(haproxy(&silent).contains("/109 -1 2750 - - CH-- "), "{}", haproxy(&silent));
}

#[test]
fn a_connection_is_told_as_haproxy_does() {
    let tcp = Line { timers: Timers { request: None, response: None, ..line(None).timers }, ..line(None) };
    assert_eq!(
        haproxy(&tcp),
        "192.0.2.9:33317 [23/Nov/2026:05:10:26.123] web:80 web/webA 0/30/109 2750 -- 5/4/3/2/+1 0/7"
    );
}

#[test]
fn json_has_the_same_keys_in_each_line() {
    let asked = asked("GET", "/");
    let told = json(&line(Some(Http { request: Some(&asked), status: Some(200) })));
    let expected = json!({
        "time": "2026-11-23T05:10:26.123Z", "client": "192.0.2.9", "clientPort": 33317, "listener": "web:80",
        "address": "198.51.100.10:80", "pool": "web", "backend": "webA", "method": "GET", "target": "/",
        "version": "1.1", "host": "www.example.com", "userAgent": null, "status": 200, "bytesIn": 17, "bytesOut": 2750,
        "seconds": { "request": 0.01, "queue": 0.0, "connect": 0.03, "response": 0.069, "total": 0.109 },
        "end": "--", "retries": 1, "redispatched": true,
        "connections": { "process": 5, "listener": 4, "pool": 3, "backend": 2 }, "queued": 7
    });
    assert_eq!(told, expected);
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&json(&line(Some(Http { request: None, status: None })))), keys(&told));
    let tcp = json(&line(None));
    let http_only = ["method", "target", "version", "host", "userAgent", "status"];
    let without = keys(&told).into_iter().filter(|key| !http_only.contains(&&**key)).collect::<Vec<_>>();
    assert_eq!(keys(&tcp), without);
}

#[test]
fn nothing_that_a_client_sends_ends_a_line_or_its_quotes() {
    let evil = "/\"\n192.0.2.66:1 [fake] \u{1b}[31m\r\0#\u{e9}\u{7f}";
    let asked = Asked { host: Some(evil.into()), user_agent: Some(evil.into()), ..asked("G\"\nT", evil) };
    let line = line(Some(Http { request: Some(&asked), status: Some(200) }));
    let text = haproxy(&line);
    assert!(text.bytes().all(|b| (b' '..=b'~').contains(&b)), "{text:?}");
    assert!(text.ends_with(" \"G#22#0AT /#22#0A192.0.2.66:1 [fake] #1B[31m#0D#00#23#C3#A9#7F HTTP/1.1\""), "{text}");
    assert_eq!(text.matches('"').count(), 2);
    let told = json(&line);
    assert_eq!((told["target"].as_str(), told["userAgent"].as_str()), (Some(evil), Some(evil)), "JSON has its own way");
}

fn sink(to: LogTarget) -> (Sinks, Arc<Sink>) {
    let mut sinks = Sinks::default();
    let sink = sinks.open(&to).unwrap();
    (sinks, sink)
}

#[expect(clippy::disallowed_methods, reason = "a test's patience")]
fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < PATIENCE, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn lines_of(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

#[test]
fn lines_come_to_a_file_whole_and_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.log");
    fs::write(&path, "before\n").unwrap();
    let (sinks, sink) = sink(LogTarget::File(path.clone()));
    for n in 0..1000 {
        sink.line(format!("line {n}").into_bytes());
    }
    sinks.flush(PATIENCE);
    let wanted: Vec<_> = ["before".to_owned()].into_iter().chain((0..1000).map(|n| format!("line {n}"))).collect();
    assert_eq!(lines_of(&path), wanted);
    assert_eq!(sinks.dropped(), 0);
}

#[test]
fn a_file_that_was_renamed_or_removed_is_made_anew() {
    let directory = tempfile::tempdir().unwrap();
    let (path, rotated) = (directory.path().join("access.log"), directory.path().join("access.log.1"));
    let (sinks, sink) = sink(LogTarget::File(path.clone()));
    let write = |text: &str| {
        sink.line(text.as_bytes().to_vec());
        sinks.flush(PATIENCE);
    };
    write("first");
    fs::rename(&path, &rotated).unwrap();
    eventually("lines come to the new file", || {
        write("second");
        path.exists()
    });
    let first = lines_of(&rotated);
    assert!(first[0] == "first" && first[1..].iter().all(|line| line == "second"), "{first:?}");
    fs::remove_file(&path).unwrap();
    eventually("and to the next one", || {
        write("third");
        path.exists()
    });
    assert_eq!(lines_of(&path), ["third"]);
    assert_eq!(sinks.dropped(), 0);
}

#[test]
fn a_directory_that_is_not_there_yet_costs_lines_and_is_tried_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("later/access.log");
    let (sinks, sink) = sink(LogTarget::File(path.clone()));
    for _ in 0..3 {
        sink.line(b"lost".to_vec());
        sinks.flush(PATIENCE);
    }
    assert_eq!(sinks.dropped(), 3);
    fs::create_dir(path.parent().unwrap()).unwrap();
    eventually("the file is made", || {
        sink.line(b"found".to_vec());
        sinks.flush(PATIENCE);
        path.exists()
    });
    assert!(lines_of(&path).iter().all(|line| line == "found"));
}

#[test]
fn a_syslog_gets_datagrams_and_is_found_again_when_it_was_started_anew() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let start = || {
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    };
    let heard = |socket: &UnixDatagram| {
        let mut piece = [0; 10_000];
        let length = socket.recv(&mut piece).unwrap();
        String::from_utf8(piece[..length].to_vec()).unwrap()
    };
    let syslog = start();
    let (sinks, sink) = sink(LogTarget::Syslog(path.clone()));
    sink.line(b"one".to_vec());
    sink.line(b"two".to_vec());
    let (one, two) = (heard(&syslog), heard(&syslog));
    let tag = format!(" lbagent[{}]: one", std::process::id());
    assert!(one.starts_with("<134>") && one.ends_with(&tag), "{one:?}");
    assert_eq!(one.len(), "<134>Nov 23 05:10:26".len() + tag.len(), "a date of fixed length, no end of line: {one:?}");
    assert!(two.ends_with(": two"));
    drop(syslog);
    fs::remove_file(&path).unwrap();
    sink.line(b"lost".to_vec());
    sinks.flush(PATIENCE);
    assert_eq!(sinks.dropped(), 1);
    let syslog = start();
    eventually("it is found", || {
        sink.line(b"again".to_vec());
        sinks.flush(PATIENCE);
        syslog.set_nonblocking(true).unwrap();
        syslog.recv(&mut [0; 100]).is_ok()
    });
}

#[expect(clippy::disallowed_methods, reason = "a test's patience")]
#[test]
fn a_target_that_hangs_costs_lines_and_no_time() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    // It takes some datagrams, for nobody reads them, and then none.
    let _deaf = UnixDatagram::bind(&path).unwrap();
    let (sinks, sink) = sink(LogTarget::Syslog(path));
    let begin = Instant::now();
    for _ in 0..100_000 {
        sink.line(b"a line that nobody reads".to_vec());
    }
    assert!(begin.elapsed() < PATIENCE);
    assert!(sinks.dropped() > 50_000, "{}", sinks.dropped());
    sinks.flush(Duration::from_millis(10));
}

#[test]
fn listeners_with_the_same_target_share_it_and_unused_ones_are_closed() {
    let directory = tempfile::tempdir().unwrap();
    let to = LogTarget::File(directory.path().join("access.log"));
    let (mut sinks, first) = sink(to.clone());
    let second = sinks.open(&to).unwrap();
    assert!(Arc::ptr_eq(&first, &second));
    drop(first);
    sinks.close_unused();
    assert_eq!(sinks.open.len(), 1, "somebody has it");
    second.line(b"the last".to_vec());
    drop(second);
    sinks.close_unused();
    assert!(sinks.open.is_empty());
    let LogTarget::File(path) = to else { unreachable!() };
    eventually("what was in the queue is written all the same", || lines_of(&path) == ["the last"]);
}
