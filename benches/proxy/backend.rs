//! The backend of the bench: a thread for each connection, which is cheap enough not to be what is measured.

use super::{Failure, contestant::BACKEND};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    thread,
};

/// Serves HTTP for as long as the process lives: `/SIZE` is answered by so many bytes, and everything else by a small page.
/// `/stream/MIB` closes after that many MiB without a length, for the relays of TCP.
pub(crate) fn start() -> Result<(), Failure> {
    let listener = TcpListener::bind(BACKEND)?;
    thread::Builder::new().name("backend".into()).spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = move || drop(serve(&stream));
            // A connection that cannot be served is closed, which the load sees.
            let _ = thread::Builder::new().stack_size(128 * 1024).spawn(serve);
        }
    })?;
    Ok(())
}

fn serve(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut reader, mut writer) = (BufReader::new(stream), stream);
    let (mut line, mut response) = (String::new(), Vec::new());
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let path = line.split(' ').nth(1).unwrap_or("/").to_owned();
        let mut close = false;
        loop {
            line.clear();
            if reader.read_line(&mut line)? <= 2 {
                break;
            }
            close |= line.to_ascii_lowercase().starts_with("connection: close");
        }
        if let Some(mebibytes) = path.strip_prefix("/stream/") {
            return pour(writer, mebibytes.parse().unwrap_or(1));
        }
        let size = path.trim_start_matches('/').parse().unwrap_or(128);
        response.clear();
        let connection = if close { "close" } else { "keep-alive" };
        write!(
            response,
            "HTTP/1.1 200 OK\r\nServer: bench\r\nContent-Type: text/plain\r\nContent-Length: {size}\r\n\
             Connection: {connection}\r\n\r\n"
        )?;
        response.resize(response.len() + size, b'x');
        writer.write_all(&response)?;
        if close {
            return Ok(());
        }
    }
}

fn pour(mut writer: &TcpStream, mebibytes: usize) -> std::io::Result<()> {
    let block = vec![b'x'; 1024 * 1024];
    write!(writer, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
    for _ in 0..mebibytes {
        writer.write_all(&block)?;
    }
    writer.shutdown(std::net::Shutdown::Write)?;
    // Until the other side has read all of it.
    let mut reader = writer;
    while reader.read(&mut [0; 1024])? > 0 {}
    Ok(())
}
