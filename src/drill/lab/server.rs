//! A simulated server: answers HTTP and lines of text with its own name, so that clients can tell who served them.
//!
//! It tells the two apart by the first line, as pools of both kinds may share a port, and a TCP pool may be checked over
//! HTTP.

use super::{LabError, topology::ServerPlan};
use crate::kernel::netns::NetNs;
use std::{
    io,
    net::SocketAddr,
    sync::{Arc, mpsc},
    thread::JoinHandle,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::oneshot,
};

/// The header in which an HTTP answer carries the server's name.
pub const NAME_HEADER: &str = "x-lab-server";

/// The longest line that is read. Clients of the lab send none that comes near.
const LONGEST_LINE: u64 = 64 * 1024;

/// A server that runs. Dropping it closes the listener and every connection.
pub struct Server {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts serving `plan` inside `namespace`; returns when it listens.
    pub fn start(namespace: &NetNs, plan: ServerPlan) -> Result<Self, LabError> {
        let (stop, stopped) = oneshot::channel();
        let (ready, listening) = mpsc::sync_channel(1);
        let what = format!("serve on {}", plan.listen);
        let namespace = namespace.clone();
        let thread =
            std::thread::Builder::new().name(plan.name.clone()).spawn(move || run(&namespace, plan, &ready, stopped));
        let thread = thread.map_err(LabError::on("start a thread"))?;
        let listening = listening.recv().unwrap_or_else(|_| Err(io::Error::other("the server's thread ended")));
        listening.map_err(LabError::on(what))?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(namespace: &NetNs, plan: ServerPlan, ready: &mpsc::SyncSender<io::Result<()>>, stopped: oneshot::Receiver<()>) {
    let runtime = namespace.enter().and_then(|()| tokio::runtime::Builder::new_current_thread().enable_all().build());
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return drop(ready.send(Err(error))),
    };
    // Leaving block_on drops the runtime, and with it every connection.
    runtime.block_on(async {
        match listen(plan.listen) {
            Ok(listener) => {
                let _ = ready.send(Ok(()));
                tokio::select! {
                    () = accept(listener, Arc::new(plan)) => {}
                    _ = stopped => {}
                }
            }
            Err(error) => drop(ready.send(Err(error))),
        }
    });
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(1024)
}

async fn accept(listener: TcpListener, plan: Arc<ServerPlan>) {
    loop {
        // A connection that its client gave up before it was accepted is no error of the server.
        if let Ok((stream, _)) = listener.accept().await {
            let plan = plan.clone();
            tokio::spawn(async move { serve(stream, &plan).await });
        }
    }
}

async fn serve(stream: TcpStream, plan: &ServerPlan) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    if plan.greets {
        stream.write_all(format!("220 {}\r\n", plan.name).as_bytes()).await?;
    }
    while let Some(line) = read_line(&mut stream).await? {
        let mut words = line.split_whitespace();
        match (words.next(), words.next(), words.next()) {
            (Some(method), Some(target), Some(version)) if version.starts_with("HTTP/1.") => {
                if !answer_http(&mut stream, plan, method, target, version).await? {
                    break;
                }
            }
            _ => stream.write_all(format!("{}: {}\n", plan.name, line.trim_end()).as_bytes()).await?,
        }
    }
    Ok(())
}

/// Answers one request; false if the connection ends with it.
async fn answer_http(
    stream: &mut BufReader<TcpStream>,
    plan: &ServerPlan,
    method: &str,
    target: &str,
    version: &str,
) -> io::Result<bool> {
    let (mut keep, mut length) = (version == "HTTP/1.1", 0);
    loop {
        let Some(line) = read_line(stream).await? else { return Ok(false) };
        let Some((name, value)) = line.split_once(':') else { break };
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "connection" => keep = !value.eq_ignore_ascii_case("close"),
            "content-length" => length = value.parse().unwrap_or(0),
            _ => {}
        }
    }
    tokio::io::copy(&mut (&mut *stream).take(length), &mut tokio::io::sink()).await?;
    let path = target.split('?').next().unwrap_or(target);
    let status = plan.statuses.get(path).copied().unwrap_or(200);
    let body = format!("{} {target}\n", plan.name);
    let connection = if keep { "keep-alive" } else { "close" };
    let head = format!(
        "HTTP/1.1 {status} Lab\r\n{NAME_HEADER}: {}\r\nContent-Length: {}\r\nConnection: {connection}\r\n\r\n",
        plan.name,
        body.len()
    );
    let answer = if method == "HEAD" { head } else { head + &body };
    stream.write_all(answer.as_bytes()).await?;
    Ok(keep)
}

/// The next line, or `None` at the end of the connection.
async fn read_line(stream: &mut BufReader<TcpStream>) -> io::Result<Option<String>> {
    let mut line = String::new();
    let read = stream.take(LONGEST_LINE).read_line(&mut line).await?;
    Ok((read > 0).then_some(line))
}
