//! Streams and listeners.

use super::*;
use std::io::{Read, Write};

#[test]
fn what_comes_in_pieces_is_read_to_its_end() {
    for ends_early in [true, false] {
        let (mut near, mut far) = pair();
        let sent: Vec<u8> = (0..100_000u32).map(|i| i as u8).collect();
        let theirs = sent.clone();
        let sender = thread::spawn(move || {
            for piece in theirs.chunks(7001) {
                far.write_all(piece).unwrap();
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
        theirs.read_to_end(&mut got).unwrap();
        got
    });
    bounded(async {
        let (mut receive, mut send) = tokio::io::split(near);
        send.write_all(&vec![7; MUCH]).await.unwrap();
        send.shutdown().await.unwrap();
        // Both directions of one socket: its reader was not forgotten for its writer.
        far.write_all(b"x").unwrap();
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
        far.write_all(b"y").unwrap();
        assert_eq!(is_read.await.unwrap(), b'y');
        let drain = thread::spawn(move || far.read_exact(&mut vec![0; 8 << 20]).is_ok());
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
            far.write_all(b"bye").unwrap();
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
        far.read_exact(&mut got).unwrap();
        far.write_all(b"pong").unwrap();
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
        far.write_all(b"ab").unwrap();
        assert_eq!(near.read_u8().await.unwrap(), b'a');
        near.write_all(b"c").await.unwrap();
        assert!(!near.is_watched());
        assert_eq!(near.read(&mut [0; 10]).await.unwrap(), 1);
        assert!(timeout(Duration::from_millis(1), near.read_u8()).await.is_err());
        assert!(near.is_watched());
        assert_eq!(near.try_read(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let mut again = TcpStream::new(near.into_std());
        far.write_all(b"d").unwrap();
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
                far.write_all(b"!").unwrap();
            }
            pairs.drain(..2);
            let (mut fresh, mut far) = pair();
            let read = async { fresh.read_u8().await.unwrap() };
            let speak = async {
                others_run().await;
                far.write_all(&[round]).unwrap();
            };
            assert_eq!(tokio::join!(read, speak).0, round);
        }
    });
}
