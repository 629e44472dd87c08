//! Bodies large and slow, both ways.

use super::harness::*;
use std::{
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::Duration,
};

const MIB: usize = 1024 * 1024;

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 7 + i / 251) as u8).collect()
}

fn write_chunked(stream: &mut TcpStream, body: &[u8], size: usize) {
    for chunk in body.chunks(size) {
        write!(stream, "{:X};ext=1\r\n", chunk.len()).unwrap();
        stream.write_all(chunk).unwrap();
        stream.write_all(b"\r\n").unwrap();
    }
    stream.write_all(b"0\r\nTrailer: x\r\n\r\n").unwrap();
}

#[test]
fn bodies_pass_both_ways_however_they_are_framed() {
    let server = Server::raw(|_, mut wire| {
        while let Ok(request) = wire.try_message(false) {
            let head = "HTTP/1.1 200 OK\r\n";
            if request.path() == "/chunked" {
                wire.send(&format!("{head}Transfer-Encoding: chunked\r\n\r\n"));
                write_chunked(&mut wire.stream, &request.body, 10_007);
            } else {
                wire.send(&format!("{head}Content-Length: {}\r\n\r\n", request.body.len()));
                wire.stream.write_all(&request.body).unwrap();
            }
        }
    });
    let lab = Setup::http(&[server.address]).run();
    let mut client = lab.connect();
    let body = pattern(300_000);
    for (path, chunked) in [("/chunked", true), ("/plain", true), ("/chunked", false), ("/plain", false)] {
        let mut stream = client.stream.try_clone().unwrap();
        let body_sent = body.clone();
        let sender = thread::spawn(move || {
            if chunked {
                write!(stream, "POST {path} HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
                write_chunked(&mut stream, &body_sent, 3001);
            } else {
                write!(stream, "POST {path} HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\n\r\n", body_sent.len())
                    .unwrap();
                stream.write_all(&body_sent).unwrap();
            }
        });
        let response = client.message(false);
        sender.join().unwrap();
        assert!(response.body == body, "{path} {chunked}");
        assert_eq!(response.field("transfer-encoding").is_some(), path == "/chunked");
    }
    assert_eq!(server.connections(), 1);
}

/// 64 MiB each way at once, while the memory that the proxy may use for it is that of a few buffers.
#[test]
fn large_bodies_stream_with_bounded_memory() {
    const SIZE: usize = 64 * MIB;
    let server = Server::raw(|_, mut wire| {
        wire.message(true);
        wire.send(&format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n"));
        let mut sink = wire.stream.try_clone().unwrap();
        let already = wire.buffer.len();
        let reader = thread::spawn(move || {
            let mut piece = vec![0; 64 * 1024];
            let mut total = already;
            while total < SIZE {
                total += sink.read(&mut piece).unwrap();
            }
        });
        let piece = vec![7; 64 * 1024];
        for _ in 0..SIZE / piece.len() {
            wire.stream.write_all(&piece).unwrap();
        }
        reader.join().unwrap();
        drop(wire.rest());
    });
    let lab = Setup::http(&[server.address]).run();
    let before = resident();
    let mut client = lab.connect();
    client.send(&format!("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: {SIZE}\r\n\r\n"));
    let mut stream = client.stream.try_clone().unwrap();
    let sender = thread::spawn(move || {
        let piece = vec![9; 64 * 1024];
        for _ in 0..SIZE / piece.len() {
            stream.write_all(&piece).unwrap();
        }
    });
    let head = client.message(true);
    assert_eq!(head.status(), 200);
    let mut left = SIZE - client.buffer.len();
    let mut piece = vec![0; 64 * 1024];
    while left > 0 {
        left -= client.stream.read(&mut piece).unwrap();
    }
    sender.join().unwrap();
    let grown = resident().saturating_sub(before);
    assert!(grown < 60 * MIB, "{} MiB for {} MiB each way", grown / MIB, SIZE / MIB);
}

#[test]
fn a_body_is_forwarded_to_its_end_even_if_its_answer_came_first() {
    const SIZE: usize = 24 * MIB;
    let server = Server::raw(|_, mut wire| {
        for _ in 0..2 {
            let request = wire.message(true);
            wire.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            if request.path() == "/body" {
                assert!(wire.exactly(SIZE).unwrap() == vec![9; SIZE]);
            }
        }
    });
    let lab = Setup::http(&[server.address]).run_on_one_worker();
    let mut client = lab.connect();
    client.send(&format!("POST /body HTTP/1.1\r\nHost: t\r\nContent-Length: {SIZE}\r\n\r\n"));
    let response = client.message(false);
    assert_eq!((response.text(), response.field("connection")), ("ok", Some("close")));
    client.expect_end();
    client.stream.write_all(&vec![9; SIZE]).unwrap();
    lab.until("the exchange is over", |t| backend(t, 0).active == 0);
    assert_eq!(lab.get("/next").text(), "ok");
    assert_eq!(server.connections(), 1, "the backend has read all, and its connection was used again");
}

/// Of this whole process, with all tests that run beside this one.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[test]
fn a_client_that_reads_nothing_holds_nobody_up_and_is_not_fed_into_memory() {
    let server = Server::raw(|_, mut wire| {
        let request = wire.message(false);
        if request.path() == "/endless" {
            wire.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            let chunk = [b"10000\r\n", &vec![1; 0x10000][..], b"\r\n"].concat();
            while wire.stream.write_all(&chunk).is_ok() {}
        } else {
            wire.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
        }
    });
    let setup = Setup::http(&[server.address]);
    let lab = setup.run_on_one_worker();
    let mut greedy: Vec<_> = (0..4).map(|_| lab.connect()).collect();
    for client in &mut greedy {
        client.send("GET /endless HTTP/1.1\r\nHost: t\r\n\r\n");
    }
    lab.until("they are all stuck", |t| backend(t, 0).active == 4);
    let stuck = |lab: &Lab| backend(&lab.traffic(), 0).bytes_out;
    eventually("nothing moves any more", || {
        let before = stuck(&lab);
        thread::sleep(Duration::from_millis(100));
        before == stuck(&lab)
    });
    for _ in 0..5 {
        assert_eq!(lab.get("/quick").text(), "ok");
    }
    drop(greedy);
    lab.until("they are gone", |t| backend(t, 0).active == 0);
}

#[test]
fn a_client_that_stops_in_the_body_is_given_up() {
    let server = Server::named("a");
    let lab = Setup::http(&[server.address]).client_timeouts(|t| t.idle = Duration::from_millis(100)).run();
    let mut client = lab.connect();
    assert_eq!(client.ask("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\nhalf").status(), 408);
    client.expect_end();
    let counted = listener(&lab.traffic());
    assert_eq!((counted.requests, counted.refused), (1, 1));
    let mut client = lab.connect();
    client.send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\nhalf");
    client.stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert!(client.rest().unwrap_or_default().is_empty(), "who breaks off gets nothing");
    lab.until("the backend is free", |t| backend(t, 0).active == 0);
    assert!(server.seen().is_empty(), "and the backend never saw a whole request");
}

#[test]
fn a_broken_chunk_ends_the_request_and_the_backend_never_takes_it_for_complete() {
    let server = Server::named("a");
    let lab = Setup::http(&[server.address]).run();
    let mut client = lab.connect();
    let response =
        client.ask("POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nxyz\r\n0\r\n\r\n");
    assert_eq!((response.status(), response.field("connection")), (400, Some("close")));
    client.expect_end();
    lab.until("the backend's connection is gone", |t| backend(t, 0).active == 0);
    assert!(server.seen().is_empty());
    assert_eq!(backend(&lab.traffic(), 0).idle, 0);
}

#[test]
fn a_client_that_has_said_it_is_done_gets_all_of_it_and_is_not_waited_for() {
    let body = pattern(3 * MIB);
    let theirs = body.clone();
    let server = Server::raw(move |_, mut wire| {
        while wire.try_message(false).is_ok() {
            wire.send(&format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", theirs.len()));
            wire.stream.write_all(&theirs).unwrap();
        }
    });
    let lab = Setup::http(&[server.address]).run();
    for request in ["GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n", "GET / HTTP/1.0\r\n\r\n"] {
        let mut client = lab.connect();
        client.send(request);
        // Much of it waits in the kernel when the proxy lets go.
        thread::sleep(Duration::from_millis(200));
        assert!(client.message(false).body == body);
        lab.until("the proxy has let go, though the client has not closed", |t| t.connections == 0);
        client.expect_end();
    }
}
