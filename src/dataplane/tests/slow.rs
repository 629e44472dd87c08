//! Clients and backends that are slow, each beside others that must not notice: one worker serves them all.

use super::harness::*;
use std::{
    io::{Read, Write},
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    thread,
    time::{Duration, Instant},
};

const GET: &str = "GET /quick HTTP/1.1\r\nHost: t\r\n\r\n";

/// Asks again and again while `slow` runs; each answer must come, and far sooner than `slow` takes.
#[expect(clippy::disallowed_methods, reason = "how long an answer took is what is looked at")]
fn beside(lab: &Lab, slow: impl FnOnce() + Send) {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let quick = scope.spawn(|| {
            let mut client = lab.connect();
            let (mut answers, mut worst) = (0, Duration::ZERO);
            while !over.load(SeqCst) {
                let begin = Instant::now();
                assert_eq!(client.ask(GET).status(), 200);
                worst = worst.max(begin.elapsed());
                answers += 1;
            }
            (answers, worst)
        });
        slow();
        over.store(true, SeqCst);
        let (answers, worst) = quick.join().unwrap();
        // Blocking a worker would cost as long as the slow one takes; a loaded machine takes far less.
        assert!(answers > 10 && worst < PATIENCE / 5, "{answers} answers, the worst took {worst:?}");
    });
}

fn trickle(wire: &mut Wire, text: &str) {
    for byte in text.as_bytes() {
        wire.stream.write_all(&[*byte]).unwrap();
        thread::sleep(Duration::from_millis(3));
    }
}

#[test]
fn heads_and_bodies_that_trickle_in_hold_nobody_up() {
    let server = Server::named("a");
    let lab = Setup::http(&[server.address]).run_on_one_worker();
    beside(&lab, || {
        thread::scope(|scope| {
            for n in 0..8 {
                let mut client = lab.connect();
                scope.spawn(move || {
                    trickle(&mut client, &format!("POST /{n} HTTP/1.1\r\nHost: t\r\nContent-Length: 40\r\n\r\n"));
                    trickle(&mut client, &"x".repeat(40));
                    assert_eq!(client.message(false).text(), format!("a /{n}"));
                });
            }
        });
    });
    let bodies = server.seen().iter().filter(|m| m.body == [b'x'; 40]).count();
    assert_eq!(bodies, 8, "each has come whole");
}

#[test]
fn who_trickles_for_longer_than_it_may_is_refused_and_the_others_go_on() {
    let server = Server::named("a");
    let setup = Setup::http(&[server.address]).client_timeouts(|t| t.request = Duration::from_millis(200));
    let lab = setup.run_on_one_worker();
    beside(&lab, || {
        let mut clients: Vec<_> = (0..8).map(|_| lab.connect()).collect();
        for piece in ["GET / H", "TTP/1.1\r\nHo", "st: t\r\n", "A: b\r\n", "C: d\r\n"] {
            clients.iter_mut().for_each(|client| drop(client.stream.write_all(piece.as_bytes())));
            thread::sleep(Duration::from_millis(60));
        }
        for mut client in clients {
            assert_eq!(client.message(false).status(), 408, "a byte now and then buys no time");
        }
    });
}

#[test]
fn who_reads_slowly_gets_all_of_it_and_holds_nobody_up() {
    const SIZE: usize = 6 * 1024 * 1024;
    let server = Server::raw(|_, mut wire| {
        while let Ok(request) = wire.try_message(false) {
            let size = if request.path() == "/large" { SIZE } else { 2 };
            wire.send(&format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n"));
            let _ = wire.stream.write_all(&vec![b'z'; size]);
        }
    });
    let lab = Setup::http(&[server.address]).run_on_one_worker();
    beside(&lab, || {
        let mut clients: Vec<_> = (0..4).map(|_| lab.connect()).collect();
        clients.iter_mut().for_each(|client| client.send("GET /large HTTP/1.1\r\nHost: t\r\n\r\n"));
        let mut left: Vec<_> = clients
            .iter_mut()
            .map(|c| {
                c.message(true);
                SIZE - c.buffer.len()
            })
            .collect();
        let mut piece = vec![0; 200_000];
        while left.iter().any(|left| *left > 0) {
            for (client, left) in clients.iter_mut().zip(&mut left).filter(|(_, left)| **left > 0) {
                let n = client.stream.read(&mut piece).unwrap();
                assert!(n > 0 && piece[..n].iter().all(|b| *b == b'z'));
                *left -= n;
            }
            thread::sleep(Duration::from_millis(2));
        }
    });
}

#[test]
fn a_backend_that_trickles_stalls_breaks_off_or_resets_holds_nobody_up() {
    let server = Server::raw(|_, mut wire| {
        while let Ok(request) = wire.try_message(false) {
            let head = "HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n";
            match request.path() {
                "/trickle" => trickle(&mut wire, &format!("{head}{}", "y".repeat(40))),
                "/stall" => {
                    wire.send(&format!("{head}half"));
                    return drop(wire.rest());
                }
                "/truncate" => return wire.send(&format!("{head}half")),
                "/reset" => {
                    wire.send(&format!("{head}half"));
                    return wire.reset();
                }
                _ => wire.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
            }
        }
    });
    let setup = Setup::http(&[server.address]).pool_timeouts(|t| t.response = Duration::from_millis(300));
    let lab = setup.run_on_one_worker();
    beside(&lab, || {
        thread::scope(|scope| {
            for path in ["/trickle", "/stall", "/truncate", "/reset", "/trickle", "/stall"] {
                let mut client = lab.connect();
                scope.spawn(move || {
                    client.send(&format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n"));
                    match client.try_message(false) {
                        Ok(message) if path == "/trickle" => assert_eq!(message.text(), "y".repeat(40)),
                        // A reset may overtake what came before it; then it is a proper 502.
                        Ok(message) => assert_eq!((path, message.status()), ("/reset", 502)),
                        Err(_) => assert_ne!(path, "/trickle", "it was whole"),
                    }
                });
            }
        });
    });
    lab.until("nothing is left over", |t| backend(t, 0).active == 0);
}
