use super::*;
use crate::kernel::testing::{Host, block_on, eventually};
use std::net::UdpSocket;

/// Two sockets on the loopback of a namespace of their own.
fn on_loopback(f: impl AsyncFn(&str) + Send + Sync) {
    let host = Host::new();
    host.blocking(|| {
        for local in ["127.0.0.1:694", "[::1]:694"] {
            block_on(f(local));
        }
    });
}

async fn taken(socket: &DatagramSocket, batch: &mut Batch) -> Vec<Vec<u8>> {
    socket.ready().await;
    socket.take(batch);
    batch.datagrams().map(|(_, bytes)| bytes.to_vec()).collect()
}

#[test]
fn takes_many_at_once_and_knows_when_there_are_no_more() {
    on_loopback(async |local| {
        let local: SocketAddr = local.parse().unwrap();
        let socket = DatagramSocket::bind(local).unwrap();
        let other = UdpSocket::bind((local.ip(), 0)).unwrap();
        let mut batch = Batch::new(8);
        assert!(!socket.take(&mut batch) && batch.datagrams().count() == 0, "nothing yet");
        for count in 0..20u8 {
            other.send_to(&[count], local).unwrap();
        }
        socket.ready().await;
        assert!(socket.take(&mut batch), "more than a batch");
        let sources: Vec<_> = batch.datagrams().map(|(source, _)| source).collect();
        assert_eq!(sources, [other.local_addr().unwrap(); BATCH]);
        assert!(!socket.take(&mut batch));
        let rest: Vec<_> = batch.datagrams().map(|(_, bytes)| bytes.to_vec()).collect();
        assert_eq!(rest, [16, 17, 18, 19].map(|count| vec![count]));
        for count in 0..3u8 {
            other.send_to(&[count], local).unwrap();
            assert_eq!(taken(&socket, &mut batch).await, [[count]], "each arrival is an event");
        }
    });
}

#[test]
fn a_long_one_is_cut_and_an_empty_one_is_one() {
    on_loopback(async |local| {
        let local: SocketAddr = local.parse().unwrap();
        let socket = DatagramSocket::bind(local).unwrap();
        let other = UdpSocket::bind((local.ip(), 0)).unwrap();
        let mut batch = Batch::new(4);
        for bytes in [&b"too long"[..], b"", b"abc"] {
            other.send_to(bytes, local).unwrap();
        }
        assert_eq!(taken(&socket, &mut batch).await, [&b"too "[..], b"", b"abc"]);
    });
}

#[test]
fn a_refusal_is_heard_at_once_and_keeps_nothing_from_being_sent() {
    on_loopback(async |local| {
        let local: SocketAddr = local.parse().unwrap();
        let socket = DatagramSocket::bind(local).unwrap();
        let other = UdpSocket::bind((local.ip(), 0)).unwrap();
        let nobody = SocketAddr::from((local.ip(), 9));
        assert!(socket.error().is_none());
        socket.send(nobody, b"is anybody there?").unwrap();
        let (remote, error) = eventually("the refusal", async || {
            socket.ready().await;
            socket.error()
        })
        .await;
        assert_eq!((remote, error.raw_os_error()), (nobody, Some(libc::ECONNREFUSED)));
        assert!(socket.error().is_none());
        // This time nobody looks before the next is sent.
        socket.send(nobody, b"is anybody there?").unwrap();
        socket.send(other.local_addr().unwrap(), b"hello").unwrap();
        let mut buffer = [0; 8];
        other.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
        assert_eq!(other.recv(&mut buffer).unwrap(), 5);
        eventually("the second refusal", async || {
            socket.ready().await;
            socket.error()
        })
        .await;
        assert!(socket.error().is_none());
        other.send_to(b"still", local).unwrap();
        let mut batch = Batch::new(8);
        assert_eq!(taken(&socket, &mut batch).await, [b"still"]);
    });
}

#[test]
fn what_leaves_wakes_nobody() {
    on_loopback(async |local| {
        let local: SocketAddr = local.parse().unwrap();
        let socket = DatagramSocket::bind(local).unwrap();
        let other = UdpSocket::bind((local.ip(), 0)).unwrap();
        socket.send(other.local_addr().unwrap(), b"hello").unwrap();
        let woken = tokio::time::timeout(std::time::Duration::from_millis(30), socket.ready()).await;
        assert!(woken.is_err());
    });
}
