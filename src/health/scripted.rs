//! A server for tests that does what a script says with one connection.

use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
};

/// What it does next. After the last step it closes.
pub(crate) enum Step {
    /// Reads until exactly this has come.
    Await(Vec<u8>),
    /// Sends this, in a segment of its own where it can.
    Say(Vec<u8>),
    /// Sends this byte until the other side leaves.
    Flood(u8),
    /// Keeps the connection, in silence, until the other side leaves.
    Hang,
}

/// Its address, and a task that gives all that it was sent and ends with the connection.
pub(crate) async fn serve(script: Vec<Step>) -> (SocketAddr, JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut heard = Vec::new();
        for step in script {
            match step {
                Step::Await(wanted) => {
                    let mut piece = vec![0; wanted.len()];
                    stream.read_exact(&mut piece).await.unwrap();
                    assert_eq!(piece.escape_ascii().to_string(), wanted.escape_ascii().to_string());
                    heard.extend(piece);
                }
                Step::Say(piece) => {
                    let _ = stream.write_all(&piece).await;
                    tokio::task::yield_now().await;
                }
                Step::Flood(byte) => while stream.write_all(&[byte; 4096]).await.is_ok() {},
                Step::Hang => drop(stream.read_to_end(&mut heard).await),
            }
        }
        heard
    });
    (address, server)
}
