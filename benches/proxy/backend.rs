//! The backend of the bench: one thread with all connections, which is cheap enough not to be what is measured.

use super::{common::Failure, contestant::BACKEND};
use std::{io, thread};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::Builder,
};

/// Serves HTTP for as long as the process lives: `/SIZE` is answered by so many bytes, and everything else by a small page.
/// `/stream/MIB` closes after that many MiB without a length, for the relays of TCP.
pub(crate) fn start() -> Result<(), Failure> {
    let listener = std::net::TcpListener::bind(BACKEND)?;
    listener.set_nonblocking(true)?;
    let runtime = Builder::new_current_thread().enable_io().build()?;
    thread::Builder::new().name("backend".into()).spawn(move || runtime.block_on(accept(listener)))?;
    Ok(())
}

async fn accept(listener: std::net::TcpListener) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        // A connection that cannot be served is closed, which the load sees.
        if let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    }
}

async fn serve(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut buffer, mut filled) = ([0; 2048], 0);
    loop {
        let taken = stream.read(&mut buffer[filled..]).await?;
        if taken == 0 {
            return Ok(());
        }
        filled += taken;
        if !buffer[..filled].ends_with(b"\r\n\r\n") {
            continue;
        }
        let request = String::from_utf8_lossy(&buffer[..filled]).to_ascii_lowercase();
        filled = 0;
        let path = request.split(' ').nth(1).unwrap_or("/");
        if let Some(mebibytes) = path.strip_prefix("/stream/") {
            return pour(stream, mebibytes.parse().unwrap_or(1)).await;
        }
        let close = request.contains("\r\nconnection: close");
        stream.write_all(&response(path.trim_start_matches('/').parse().unwrap_or(128), close)).await?;
        if close {
            return Ok(());
        }
    }
}

fn response(size: usize, close: bool) -> Vec<u8> {
    let connection = if close { "Connection: close\r\n" } else { "" };
    let mut response = format!(
        "HTTP/1.1 200 OK\r\nServer: bench\r\nContent-Type: text/plain\r\nContent-Length: {size}\r\n{connection}\r\n"
    )
    .into_bytes();
    response.resize(response.len() + size, b'x');
    response
}

async fn pour(mut stream: TcpStream, mebibytes: usize) -> io::Result<()> {
    let block = vec![b'x'; 1024 * 1024];
    stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n").await?;
    for _ in 0..mebibytes {
        stream.write_all(&block).await?;
    }
    stream.shutdown().await?;
    // Until the other side has read all of it.
    while stream.read(&mut [0; 1024]).await? > 0 {}
    Ok(())
}
