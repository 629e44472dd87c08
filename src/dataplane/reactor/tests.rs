//! The reactor with the kernel under it.

use super::*;
use std::{
    cell::RefCell,
    future::{pending, poll_fn},
    io,
    net::{SocketAddr, TcpListener as Listener, TcpStream as Far},
    rc::Rc,
    sync::{Arc, atomic::AtomicUsize, atomic::Ordering::SeqCst, mpsc},
    task::Poll,
    thread,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::{Notify, oneshot},
};

/// No wait in these tests takes longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs a test that must come to its end.
fn bounded<T>(test: impl Future<Output = T>) -> T {
    run(async { timeout(PATIENCE, test).await.expect("it takes too long") })
}

async fn others_run() {
    let mut has_waited = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut has_waited, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        others_run().await;
    }
}

fn listener() -> (Listener, SocketAddr) {
    let listener = Listener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A connection: this reactor's end, and a blocking one.
fn pair() -> (TcpStream, Far) {
    let (listener, address) = listener();
    let far = Far::connect(address).unwrap();
    let near = listener.accept().unwrap().0;
    near.set_nonblocking(true).unwrap();
    (TcpStream::new(near), far)
}

#[test]
fn tasks_run_in_turns_and_spawn_others() {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let note = seen.clone();
    bounded(async move {
        for name in ["a", "b"] {
            let note = note.clone();
            spawn_local(async move {
                note.borrow_mut().push(name);
                others_run().await;
                spawn_local(async move { note.borrow_mut().push("child") });
            });
        }
        until(|| note.borrow().len() == 4).await;
    });
    assert_eq!(*seen.borrow(), ["a", "b", "child", "child"]);
}

#[test]
fn a_task_that_panics_ends_alone() {
    let held = Rc::new(());
    let theirs = held.clone();
    bounded(async {
        spawn_local(async move {
            let _theirs = theirs;
            panic!("as the test wants");
        });
        until(|| Rc::strong_count(&held) == 1).await;
        let (done, is_done) = oneshot::channel();
        spawn_local(async move { done.send(()).unwrap() });
        is_done.await.unwrap();
    });
}

#[test]
fn a_panic_of_the_main_future_is_the_callers_and_ends_the_tasks() {
    let held = Rc::new(());
    let theirs = held.clone();
    let main = async move {
        spawn_local(async move {
            let _theirs = theirs;
            pending::<()>().await;
        });
        others_run().await;
        panic!("as the test wants");
    };
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(main))).is_err());
    assert_eq!(Rc::strong_count(&held), 1);
    assert_eq!(bounded(async { 7 }), 7, "the thread can run another");
}

struct SpawnsWhenDropped(Rc<()>);

impl Drop for SpawnsWhenDropped {
    fn drop(&mut self) {
        let held = self.0.clone();
        spawn_local(async move { drop(held) });
    }
}

#[test]
fn what_has_not_ended_is_dropped_with_the_reactor_and_so_is_what_it_spawns_then() {
    let held = Rc::new(());
    let (near, mut far) = pair();
    run(async {
        let (mut near, spawns) = (near, SpawnsWhenDropped(held.clone()));
        spawn_local(async move {
            let _spawns = spawns;
            near.read_u8().await.unwrap();
        });
        spawn_local(async { sleep(PATIENCE).await });
        others_run().await;
    });
    assert_eq!(Rc::strong_count(&held), 1);
    assert_eq!(io::Read::read(&mut far, &mut [0]).unwrap(), 0, "closed with its task");
}

#[test]
fn other_threads_wake_tasks_and_none_is_lost() {
    const EACH: usize = 2000;
    let (notify, count) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
    let threads: Vec<_> = (0..3)
        .map(|_| {
            let (notify, count) = (notify.clone(), count.clone());
            thread::spawn(move || {
                for _ in 0..EACH {
                    count.fetch_add(1, SeqCst);
                    notify.notify_one();
                }
            })
        })
        .collect();
    bounded(async {
        // A wake-up that gets lost leaves it waiting.
        while count.load(SeqCst) < 3 * EACH {
            notify.notified().await;
        }
    });
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn a_waker_outlives_its_task_and_its_reactor() {
    let (send, receive) = mpsc::channel();
    bounded(async move {
        spawn_local(poll_fn(move |cx| {
            send.send(cx.waker().clone()).unwrap();
            Poll::Ready(())
        }));
        others_run().await;
        let waker = receive.recv().unwrap();
        waker.wake_by_ref();
        let elsewhere = waker.clone();
        thread::spawn(move || elsewhere.wake()).join().unwrap();
        others_run().await;
        waker
    })
    .wake();
}

#[test]
fn deadlines_pass_in_order_and_not_early() {
    let seen = Rc::new(RefCell::new(Vec::new()));
    bounded(async {
        let start = Instant::now();
        for ms in [40, 10, 25] {
            let seen = seen.clone();
            spawn_local(async move {
                sleep_until(start + Duration::from_millis(ms)).await;
                seen.borrow_mut().push((ms, start.elapsed() >= Duration::from_millis(ms)));
            });
        }
        until(|| seen.borrow().len() == 3).await;
    });
    assert_eq!(*seen.borrow(), [(10, true), (25, true), (40, true)]);
}

#[test]
fn a_sleep_may_be_set_anew_before_and_after_its_time() {
    bounded(async {
        let start = Instant::now();
        let mut sleep = sleep_until(start + 1000 * PATIENCE);
        assert!(timeout(Duration::from_millis(5), &mut sleep).await.is_err());
        for ms in [20, 30] {
            sleep.reset(start + Duration::from_millis(ms));
            assert_eq!(sleep.deadline(), start + Duration::from_millis(ms));
            (&mut sleep).await;
            assert!(start.elapsed() >= Duration::from_millis(ms));
        }
        assert!(Instant::now() - now() < PATIENCE);
        assert_eq!(timeout(Duration::MAX, async { 1 }).await, Ok(1));
    });
}

#[test]
fn busy_tasks_keep_neither_deadlines_nor_sockets_waiting() {
    bounded(async {
        let (mut near, mut far) = pair();
        for _ in 0..3 * executor::TURN {
            spawn_local(async {
                loop {
                    others_run().await;
                }
            });
        }
        sleep(Duration::from_millis(5)).await;
        let later = thread::spawn(move || io::Write::write_all(&mut far, b"x").unwrap());
        assert_eq!(near.read_u8().await.unwrap(), b'x');
        later.join().unwrap();
    });
}

#[test]
fn a_socket_that_is_always_ready_lets_others_run() {
    bounded(async {
        let (mut near, mut far) = pair();
        let mut pieces = vec![b'x'; 4 * watched::SPELL as usize];
        io::Write::write_all(&mut far, &pieces).unwrap();
        let runs = Rc::new(RefCell::new(0));
        let count = runs.clone();
        spawn_local(async move {
            loop {
                *count.borrow_mut() += 1;
                others_run().await;
            }
        });
        for piece in pieces.chunks_mut(1) {
            near.read_exact(piece).await.unwrap();
        }
        assert!((2..20).contains(&*runs.borrow()), "{} turns for 256 reads", runs.borrow());
    });
}

#[test]
fn what_comes_in_pieces_is_read_to_its_end() {
    for ends_early in [true, false] {
        let (mut near, mut far) = pair();
        let sent: Vec<u8> = (0..100_000u32).map(|i| i as u8).collect();
        let theirs = sent.clone();
        let sender = thread::spawn(move || {
            for piece in theirs.chunks(7001) {
                io::Write::write_all(&mut far, piece).unwrap();
                if !ends_early {
                    thread::yield_now();
                }
            }
        });
        let got = bounded(async {
            let mut got = Vec::new();
            near.read_to_end(&mut got).await.unwrap();
            got
        });
        sender.join().unwrap();
        assert!(got == sent);
    }
}

#[test]
fn what_is_written_waits_for_room_and_is_all_there() {
    const MUCH: usize = 16 << 20;
    let (near, mut far) = pair();
    let mut theirs = far.try_clone().unwrap();
    let reader = thread::spawn(move || {
        let mut got = Vec::new();
        io::Read::read_to_end(&mut theirs, &mut got).unwrap();
        got
    });
    bounded(async {
        let (mut receive, mut send) = tokio::io::split(near);
        send.write_all(&vec![7; MUCH]).await.unwrap();
        send.shutdown().await.unwrap();
        // Both directions of one socket: its reader was not forgotten for its writer.
        io::Write::write_all(&mut far, b"x").unwrap();
        assert_eq!(receive.read_u8().await.unwrap(), b'x');
    });
    assert!(reader.join().unwrap() == vec![7; MUCH]);
}

#[test]
fn a_reader_and_a_writer_wait_on_one_socket_at_once() {
    bounded(async {
        let (near, mut far) = pair();
        let (mut receive, mut send) = tokio::io::split(near);
        let (read, is_read) = oneshot::channel();
        spawn_local(async move { read.send(receive.read_u8().await.unwrap()).unwrap() });
        others_run().await;
        let (wrote, is_written) = oneshot::channel();
        spawn_local(async move { wrote.send(send.write_all(&vec![1; 8 << 20]).await.is_ok()).unwrap() });
        sleep(Duration::from_millis(10)).await;
        io::Write::write_all(&mut far, b"y").unwrap();
        assert_eq!(is_read.await.unwrap(), b'y');
        let drain = thread::spawn(move || io::Read::read_exact(&mut far, &mut vec![0; 8 << 20]).is_ok());
        assert!(is_written.await.unwrap());
        assert!(drain.join().unwrap());
    });
}

#[test]
fn the_end_that_came_with_the_last_bytes_is_seen() {
    bounded(async {
        let (mut near, mut far) = pair();
        let mut buffer = [0; 100];
        let waiting = async { near.read(&mut buffer).await.unwrap() };
        let speak = async {
            others_run().await;
            others_run().await;
            io::Write::write_all(&mut far, b"bye").unwrap();
            drop(far);
        };
        let (count, ()) = tokio::join!(waiting, speak);
        assert_eq!((count, near.read(&mut buffer).await.unwrap()), (3, 0));
    });
}

#[test]
fn a_reset_is_an_error_for_who_waits() {
    bounded(async {
        let (mut near, far) = pair();
        let (told, is_told) = oneshot::channel();
        spawn_local(async move { told.send(near.read_u8().await.unwrap_err().kind()).unwrap() });
        sleep(Duration::from_millis(5)).await;
        socket2::SockRef::from(&far).set_linger(Some(Duration::ZERO)).unwrap();
        drop(far);
        assert_eq!(is_told.await.unwrap(), io::ErrorKind::ConnectionReset);
    });
}

#[test]
fn connecting_works_and_fails_as_the_kernel_says() {
    bounded(async {
        let (listener, address) = listener();
        let mut near = connect(address).await.unwrap();
        let mut far = listener.accept().unwrap().0;
        near.write_all(b"ping").await.unwrap();
        let mut got = [0; 4];
        io::Read::read_exact(&mut far, &mut got).unwrap();
        io::Write::write_all(&mut far, b"pong").unwrap();
        near.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"pong");
        drop(listener);
        assert_eq!(connect(address).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    });
}

#[test]
fn a_connection_that_is_not_answered_is_waited_for() {
    // A full queue: the kernel drops what comes on top of it, and takes it when it is tried again.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    socket.listen(0).unwrap();
    let (listener, mut queued) = (Listener::from(socket), Vec::new());
    let address = listener.local_addr().unwrap();
    bounded(async {
        let mut tries = 0;
        while let Ok(connected) = timeout(Duration::from_millis(100), connect(address)).await {
            queued.push(connected.unwrap());
            tries += 1;
            assert!(tries < 50, "the queue is never full");
        }
        let more = connect(address);
        let accepts = thread::spawn(move || {
            for _ in 0..=tries {
                listener.accept().unwrap();
            }
        });
        more.await.unwrap();
        accepts.join().unwrap();
    });
}

#[test]
fn a_listener_gives_all_that_wait_and_those_that_come_later() {
    bounded(async {
        let (listener, address) = listener();
        listener.set_nonblocking(true).unwrap();
        let listener = TcpListener::new(listener);
        assert_eq!(listener.try_accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let mut clients: Vec<_> = (0..5).map(|_| Far::connect(address).unwrap()).collect();
        for client in &clients {
            assert_eq!(listener.accept().await.unwrap().1, client.local_addr().unwrap());
        }
        assert!(timeout(Duration::from_millis(5), listener.accept()).await.is_err());
        let later = thread::spawn(move || Far::connect(address).unwrap());
        let (mut near, _) = listener.accept().await.unwrap();
        clients.push(later.join().unwrap());
        near.write_all(b"hello").await.unwrap();
    });
}

#[test]
fn a_socket_is_watched_only_when_it_has_nothing_and_leaves_when_it_is_wanted_elsewhere() {
    bounded(async {
        let (mut near, mut far) = pair();
        io::Write::write_all(&mut far, b"ab").unwrap();
        assert_eq!(near.read_u8().await.unwrap(), b'a');
        near.write_all(b"c").await.unwrap();
        assert!(!near.is_watched());
        assert_eq!(near.read(&mut [0; 10]).await.unwrap(), 1);
        assert!(timeout(Duration::from_millis(1), near.read_u8()).await.is_err());
        assert!(near.is_watched());
        assert_eq!(near.try_read(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let mut again = TcpStream::new(near.into_std());
        io::Write::write_all(&mut far, b"d").unwrap();
        assert_eq!(again.read_u8().await.unwrap(), b'd');
    });
}

#[test]
fn many_that_come_and_go_are_not_mistaken_for_each_other() {
    bounded(async {
        for round in 0..50u8 {
            let mut pairs: Vec<_> = (0..4).map(|_| pair()).collect();
            for (near, _) in &mut pairs {
                assert!(timeout(Duration::ZERO, near.read_u8()).await.is_err());
            }
            // Their events are on the way when they go.
            for (_, far) in &mut pairs[..2] {
                io::Write::write_all(far, b"!").unwrap();
            }
            pairs.drain(..2);
            let (mut fresh, mut far) = pair();
            let read = async { fresh.read_u8().await.unwrap() };
            let speak = async {
                others_run().await;
                io::Write::write_all(&mut far, &[round]).unwrap();
            };
            assert_eq!(tokio::join!(read, speak).0, round);
        }
    });
}
