//! What is large enough to pass the proxy unseen arrives as if it had been looked at.

use super::harness::*;
use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    thread,
};

const MIB: usize = 1024 * 1024;

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i / 5 + i % 249) as u8).collect()
}

/// Writes from a thread of its own, however slowly the other side reads.
fn write_all(stream: &TcpStream, bytes: &[u8]) -> thread::JoinHandle<io::Result<()>> {
    let (mut stream, bytes) = (stream.try_clone().unwrap(), bytes.to_vec());
    thread::spawn(move || stream.write_all(&bytes))
}

#[test]
fn bulk_and_little_take_turns() {
    let server = Server::raw(|_, mut wire| {
        std::io::copy(&mut wire.stream.try_clone().unwrap(), &mut wire.stream).unwrap();
        wire.send("bye");
    });
    let lab = Setup::tcp(&[server.address]).run();
    let (mut client, bulk) = (lab.connect(), pattern(6 * MIB));
    let mut total = 0;
    for _ in 0..3 {
        let writing = write_all(&client.stream, &bulk);
        assert!(client.exactly(bulk.len()).unwrap() == bulk);
        writing.join().unwrap().unwrap();
        for text in ["little", "by", "little"] {
            client.send(text);
            assert_eq!(client.exactly(text.len()).unwrap(), text.as_bytes());
            total += text.len();
        }
        total += bulk.len();
    }
    let writing = write_all(&client.stream, &bulk);
    assert!(client.exactly(bulk.len()).unwrap() == bulk);
    writing.join().unwrap().unwrap();
    total += bulk.len();
    client.stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.rest().unwrap(), b"bye", "the other direction goes on");
    lab.until("it is over", |t| backend(t, 0).active == 0 && listener(t).active == 0);
    let traffic = lab.traffic();
    let total = total as u64;
    assert_eq!((listener(&traffic).bytes_in, listener(&traffic).bytes_out), (total, total + 3));
    assert_eq!((backend(&traffic, 0).bytes_in, backend(&traffic, 0).bytes_out), (total, total + 3));
}

#[test]
fn a_backend_that_ends_its_bulk_first_still_gets_the_clients() {
    let (said, heard) = std::sync::mpsc::channel();
    let server = Server::raw(move |_, mut wire| {
        wire.stream.write_all(&pattern(8 * MIB)).unwrap();
        wire.stream.shutdown(Shutdown::Write).unwrap();
        said.send(wire.rest().unwrap()).unwrap();
    });
    let lab = Setup::tcp(&[server.address]).run();
    let mut client = lab.connect();
    assert!(client.rest().unwrap() == pattern(8 * MIB));
    let writing = write_all(&client.stream, &pattern(5 * MIB));
    writing.join().unwrap().unwrap();
    client.stream.shutdown(Shutdown::Write).unwrap();
    assert!(heard.recv_timeout(PATIENCE).unwrap() == pattern(5 * MIB));
    lab.until("it is over", |t| backend(t, 0).active == 0 && listener(t).active == 0);
}

#[test]
fn a_reset_in_the_midst_of_bulk_is_passed_on() {
    let server = Server::raw(|number, mut wire| {
        let result = wire.stream.write_all(&pattern(4 * MIB));
        match number {
            // It is reset with much under way.
            0 => wire.reset(),
            _ => assert!(result.and_then(|()| wire.stream.write_all(&pattern(64 * MIB))).is_err()),
        }
    });
    let lab = Setup::tcp(&[server.address]).run();
    let mut client = lab.connect();
    let error = client.rest().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    let mut client = lab.connect();
    client.exactly(2 * MIB).unwrap();
    client.reset();
    lab.until("both are over", |t| backend(t, 0).active == 0 && listener(t).active == 0);
}

#[test]
fn bodies_of_any_length_pass_on_one_connection() {
    let server = Server::raw(|_, mut wire| {
        while let Ok(request) = wire.try_message(false) {
            let length = request.path().trim_start_matches('/').parse().unwrap();
            let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").into_bytes();
            answer.extend(pattern(length));
            wire.stream.write_all(&answer).unwrap();
        }
    });
    let lab = Setup::http(&[server.address]).run_on_one_worker();
    let mut client = lab.connect();
    let kib = 1024;
    let near = |length: usize| [length - 60, length - 1, length, length + 1];
    let lengths = [8, 16, 24, 64, 72].map(|n| near(n * kib)).concat();
    for length in lengths.into_iter().chain([0, 1, 300_000, 3 * MIB, 5]) {
        client.send(&format!("GET /{length} HTTP/1.1\r\nHost: t\r\n\r\n"));
        // So that it comes in more pieces than one now and then.
        if length % 2 == 1 {
            thread::yield_now();
        }
        assert!(client.message(false).body == pattern(length), "{length}");
    }
    client.send(&format!("HEAD /{MIB} HTTP/1.1\r\nHost: t\r\n\r\n"));
    drop(client);
    assert_eq!(server.connections(), 1);
    lab.until("all is over", |t| backend(t, 0).active == 0);
}

#[test]
fn a_large_body_that_breaks_off_is_not_made_to_look_whole() {
    let server = Server::raw(|number, mut wire| {
        wire.try_message(false).unwrap();
        wire.send(&format!("HTTP/1.1 200 OK\r\nContent-Length: {MIB}\r\n\r\n"));
        wire.stream.write_all(&pattern(MIB - 1)).unwrap();
        if number == 1 {
            wire.reset();
        }
    });
    let lab = Setup::http(&[server.address]).run();
    for _ in 0..2 {
        let mut client = lab.connect();
        client.send("GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
        let mut got = Vec::new();
        let end = client.stream.read_to_end(&mut got);
        assert_eq!(end.unwrap_err().kind(), io::ErrorKind::ConnectionReset, "after {} bytes", got.len());
    }
}

#[test]
fn what_follows_a_large_body_is_nobodys() {
    let server = Server::raw(|_, mut wire| {
        while wire.try_message(false).is_ok() {
            let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {MIB}\r\n\r\n").into_bytes();
            answer.extend(pattern(MIB));
            answer.extend(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
            if wire.stream.write_all(&answer).is_err() {
                return;
            }
        }
    });
    let lab = Setup::http(&[server.address]).run_on_one_worker();
    let mut client = lab.connect();
    for _ in 0..5 {
        assert!(client.ask("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n").body == pattern(MIB));
    }
    assert_eq!(server.connections(), 5, "none was used again");
}
