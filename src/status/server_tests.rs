use super::*;
use crate::{
    model::Severity,
    status::{action::StandbyRequest, fixture::World},
};
use futures::FutureExt;
use std::{
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixStream},
};

/// Gives a status whose generation counts how often it was asked.
fn source() -> Source {
    let asked = Arc::new(AtomicU64::new(0));
    Arc::new(move || {
        let mut status = World::new().status();
        status.state.generation = asked.fetch_add(1, Ordering::Relaxed) + 1;
        async { Arc::new(status) }.boxed()
    })
}

fn told() -> StateSource {
    Arc::new(|| "{\"kind\":\"Pool\"}\n".to_owned())
}

fn options(socket: Option<&Path>) -> Options {
    Options { http: Some("127.0.0.1:0".parse().unwrap()), socket: socket.map(Into::into), hostname: "lb1".into() }
}

async fn address(server: &mut Server) -> SocketAddr {
    let bound = server.http.wait_for(Option::is_some);
    tokio::time::timeout(Duration::from_secs(10), bound).await.expect("opens in time").unwrap().unwrap()
}

async fn talk(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A reset after the answer is as good as an end.
    let _ = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await.expect("ends in time");
    String::from_utf8(answer).unwrap()
}

async fn get(address: SocketAddr, request: &str) -> String {
    talk(TcpStream::connect(address).await.unwrap(), request).await
}

async fn eventually(what: impl Fn() -> bool) {
    for _ in 0..2000 {
        if what() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("not within 10 s");
}

#[tokio::test]
async fn the_objects_in_force_are_told_on_the_socket_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lbagent.sock");
    let mut server = start(options(Some(&path)), source(), told());
    let address = address(&mut server).await;
    eventually(|| path.exists()).await;
    let request = "GET /state HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let answer = talk(UnixStream::connect(&path).await.unwrap(), request).await;
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("content-type: application/jsonl"),
        "{answer}"
    );
    assert!(answer.ends_with("\r\n\r\n{\"kind\":\"Pool\"}\n"), "{answer}");
    let post = talk(UnixStream::connect(&path).await.unwrap(), &request.replace("GET", "POST")).await;
    assert!(post.starts_with("HTTP/1.1 405"), "{post}");
    assert!(get(address, request).await.starts_with("HTTP/1.1 404"), "not to whoever can connect");
}

#[tokio::test]
async fn each_request_gets_a_fresh_status() {
    let mut server = start(options(None), source(), told());
    let address = address(&mut server).await;
    for generation in 1..=2 {
        let answer = get(address, "GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        for header in ["content-type: application/json", "cache-control: no-store", "x-content-type-options: nosniff"] {
            assert!(head.contains(header), "no {header} in {head}");
        }
        let status: Status = serde_json::from_str(body).unwrap();
        assert_eq!(status.state.generation, generation);
    }
}

#[tokio::test]
async fn methods_and_paths_are_answered_as_http_wants() {
    let mut server = start(options(None), source(), told());
    let address = address(&mut server).await;
    let ask = |method: &str, path: &str| {
        let request = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
        async move { get(address, &request).await }
    };
    let whole = ask("GET", "/healthz?verbose").await;
    assert!(whole.ends_with("\r\n\r\nok\n"), "{whole}");
    let head = ask("HEAD", "/healthz").await;
    assert!(head.starts_with("HTTP/1.1 200 OK") && head.ends_with("\r\n\r\n"), "{head}");
    assert!(head.contains("content-length: 3"), "{head}");
    assert!(ask("GET", "/nothing").await.starts_with("HTTP/1.1 404 "));
    let refused = ask("POST", "/status").await;
    assert!(refused.starts_with("HTTP/1.1 405 ") && refused.contains("allow: GET, HEAD\r\n"), "{refused}");
    assert!(ask("GET", "/metrics").await.contains("content-type: text/plain; version=0.0.4"));
}

async fn post(path: &Path, request: &str, body: &str) -> String {
    let stream = UnixStream::connect(path).await.unwrap();
    talk(stream, &format!("{request} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len())).await
}

#[tokio::test]
async fn an_action_goes_to_the_agent_and_its_words_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lbagent.sock");
    let mut server = start(options(Some(&path)), source(), told());
    eventually(|| path.exists()).await;
    let agent = async {
        let ask = server.actions.recv().await.unwrap();
        let wanted = StandbyRequest { force: true, reason: "kernel update".into() };
        assert_eq!(ask.action, Action::Standby(wanted));
        ask.reply.send(Ok("lb1 is in standby".into())).unwrap();
        let ask = server.actions.recv().await.unwrap();
        assert_eq!(ask.action, Action::Unstandby);
        ask.reply.send(Err("lb1 is not in standby".into())).unwrap();
        drop(server.actions.recv().await.unwrap());
    };
    let operator = async {
        let done = post(&path, "POST /standby", r#"{"force": true, "reason": "kernel update"}"#).await;
        assert!(done.starts_with("HTTP/1.1 200 ") && done.ends_with("\r\n\r\nlb1 is in standby\n"), "{done}");
        let refused = post(&path, "POST /unstandby", "").await;
        assert!(refused.starts_with("HTTP/1.1 409 ") && refused.ends_with("lb1 is not in standby\n"), "{refused}");
        let unanswered = post(&path, "POST /unstandby", "").await;
        assert!(unanswered.starts_with("HTTP/1.1 503 "), "{unanswered}");
    };
    tokio::join!(agent, operator);
    for (request, body, code) in [
        ("GET /standby", "", 405),
        ("POST /standby", "nonsense", 400),
        ("POST /standby", &"x".repeat(BODY_SIZE + 1), 400),
        ("POST /status", "", 405),
        ("POST /nothing", "", 404),
    ] {
        let answer = post(&path, request, body).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {code} ")), "{request}: {answer}");
    }
    assert!(server.actions.try_recv().is_err(), "nothing of that has reached the agent");
}

#[tokio::test]
async fn tcp_knows_no_actions() {
    let mut server = start(options(None), source(), told());
    let address = address(&mut server).await;
    for path in ["/standby", "/unstandby"] {
        let answer =
            get(address, &format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    }
    assert!(server.actions.try_recv().is_err());
}

#[tokio::test]
async fn an_agent_that_takes_no_actions_is_told_and_not_flooded() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lbagent.sock");
    let mut server = start(options(Some(&path)), source(), told());
    eventually(|| path.exists()).await;
    let mut asking = JoinSet::new();
    for _ in 0..=MOST_ACTIONS {
        let path = path.clone();
        asking.spawn(async move { post(&path, "POST /unstandby", "").await });
    }
    // One finds the channel full; the others wait for an answer until somebody hangs up.
    let busy = tokio::time::timeout(ACTION_TIME, asking.join_next()).await.expect("at once").unwrap().unwrap();
    assert!(busy.starts_with("HTTP/1.1 503 ") && busy.ends_with("nothing was done\n"), "{busy}");
    server.actions.close();
    while server.actions.recv().await.is_some() {}
    while let Some(answer) = asking.join_next().await {
        assert!(answer.unwrap().starts_with("HTTP/1.1 503 "));
    }
}

#[tokio::test]
async fn a_strange_host_is_turned_away_on_tcp_only() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lbagent.sock");
    let mut server = start(options(Some(&path)), source(), told());
    let address = address(&mut server).await;
    eventually(|| path.exists()).await;
    let request = "GET /status HTTP/1.1\r\nHost: evil.example.com\r\n\r\n";
    assert!(get(address, request).await.starts_with("HTTP/1.1 421 "));
    assert!(get(address, "GET /status HTTP/1.0\r\n\r\n").await.starts_with("HTTP/1.0 200 "));
    let stream = UnixStream::connect(&path).await.unwrap();
    assert!(talk(stream, request).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a lower bound on how long a slow client is given")]
async fn a_head_that_is_too_long_or_never_ends_is_refused() {
    let mut server = start(options(None), source(), told());
    let address = address(&mut server).await;
    let long = format!("GET /status HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(3 * HEAD_SIZE));
    let answer = get(address, &long).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let start = Instant::now();
    let answer = get(address, "GET /status HTTP/1.1\r\nHost: localhost\r\n").await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(start.elapsed() >= HEAD_TIME / 2, "it had some time");
}

#[tokio::test]
async fn idle_connections_are_bounded_and_those_beyond_are_hung_up_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lbagent.sock");
    let mut server = start(options(Some(&path)), source(), told());
    let address = address(&mut server).await;
    let mut idle = Vec::new();
    for _ in 0..MOST_CONNECTIONS {
        idle.push(TcpStream::connect(address).await.unwrap());
    }
    // Accepting goes in order, so the next one is beyond the limit; it is closed without an answer.
    let answer = get(address, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert_eq!(answer, "");
    eventually(|| path.exists()).await;
    let root = UnixStream::connect(&path).await.unwrap();
    let answer = talk(root, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "the other door has its own limit: {answer}");
    drop(idle);
    for _ in 0..2000 {
        let answer = get(address, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        if answer.starts_with("HTTP/1.1 200 ") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the endpoint did not recover");
}

#[tokio::test]
async fn an_agent_that_gives_no_status_is_told_not_waited_for() {
    let hung: Source = Arc::new(|| futures::future::pending().boxed());
    let mut server = start(options(None), hung, told());
    let address = address(&mut server).await;
    let answer = get(address, "GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
}

#[tokio::test]
async fn a_door_that_cannot_be_opened_is_a_problem_until_it_can() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lbagent.sock");
    std::fs::write(&path, "precious").unwrap();
    let wanted = Options { http: Some(address), socket: Some(path.clone()), hostname: String::new() };
    let server = start(wanted, source(), told());
    eventually(|| server.problems.borrow().len() == 2).await;
    let reasons: Vec<_> = server.problems.borrow().iter().map(|problem| (problem.reason, problem.severity)).collect();
    assert!(
        reasons.contains(&("AdminHttp", Severity::Warning)) && reasons.contains(&("AdminSocket", Severity::Warning))
    );
    drop(taken);
    std::fs::remove_file(&path).unwrap();
    eventually(|| server.problems.borrow().is_empty()).await;
    assert!(get(address, "GET /healthz HTTP/1.0\r\n\r\n").await.starts_with("HTTP/1.0 200 "));
    assert!(UnixStream::connect(&path).await.is_ok());
}

#[tokio::test]
async fn a_socket_file_that_was_removed_comes_back_and_goes_at_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lbagent.sock");
    let server = start(options(Some(&path)), source(), told());
    eventually(|| path.exists()).await;
    std::fs::remove_file(&path).unwrap();
    eventually(|| path.exists()).await;
    tokio::time::timeout(Duration::from_secs(10), server.stop()).await.expect("stops in time");
    assert!(!path.exists());
}
