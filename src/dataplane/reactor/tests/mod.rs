//! The reactor with the kernel under it: tasks, wake-ups and deadlines here, [`sockets`] there.

mod sockets;

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
