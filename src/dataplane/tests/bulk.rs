//! A GiB up and a GiB down at once, through a process of its own, of which the kernel says how much memory it has ever
//! used.

use super::harness::*;
use std::{
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    thread,
};

const SIZE: usize = 1 << 30;
const PIECE: usize = 64 * 1024;
/// Of the pattern: a prime, so that nothing that is lost, doubled or moved by a round number goes unnoticed.
const PERIOD: usize = 65_521;
/// In the environment of the proxy's process: its backends for HTTP and for TCP.
const BACKENDS: &str = "LBAGENT_TEST_BULK";

/// Not a test of its own: the body of the process that the other one starts.
#[test]
#[ignore = "the other process of a_gibibyte_each_way_needs_little_memory"]
fn proxy_process() {
    let Ok(backends) = env::var(BACKENDS) else { return };
    let backends: Vec<SocketAddr> = backends.split(' ').map(|a| a.parse().unwrap()).collect();
    let (http, tcp) = (Setup::http(&backends[..1]).run(), Setup::tcp(&backends[1..]).run());
    println!("\nlistening {} {}", http.address, tcp.address);
    drop(std::io::stdin().read_to_end(&mut Vec::new()));
}

struct Proxy {
    child: Child,
    /// Kept, for who closes it would break the other's pipe.
    _out: Box<dyn BufRead>,
    http: SocketAddr,
    tcp: SocketAddr,
}

impl Proxy {
    fn start(http: &Server, tcp: &Server) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "dataplane::tests::bulk::proxy_process", "--ignored", "--nocapture"])
            .env(BACKENDS, format!("{} {}", http.address, tcp.address))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut lines = out.by_ref().lines().map(Result::unwrap);
        let line = lines.find_map(|line| line.strip_prefix("listening ").map(str::to_owned)).unwrap();
        let (http, tcp) = line.split_once(' ').unwrap();
        Self { child, _out: Box::new(out), http: http.parse().unwrap(), tcp: tcp.parse().unwrap() }
    }

    /// The most that was ever resident, in MiB.
    fn peak(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() / 1024
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

fn pattern() -> Vec<u8> {
    let one: Vec<u8> = (0..PERIOD).map(|i| (i * 131 + i / 256) as u8).collect();
    [&one[..], &one[..], &one[..PIECE.min(PERIOD)]].concat()
}

fn pour(mut to: TcpStream, length: usize) {
    let pattern = pattern();
    let mut at = 0;
    while at < length {
        let piece = &pattern[at % PERIOD..][..PIECE.min(length - at)];
        to.write_all(piece).unwrap();
        at += piece.len();
    }
}

/// Reads exactly so much of the pattern.
fn drain(wire: &mut Wire, length: usize) {
    let pattern = pattern();
    let mut piece = vec![0; PIECE];
    let held = wire.buffer.len().min(length);
    assert!(wire.buffer.drain(..held).eq(pattern[..held].iter().copied()));
    let mut at = held;
    while at < length {
        let want = PIECE.min(length - at);
        let n = wire.stream.read(&mut piece[..want]).unwrap();
        assert!(n > 0, "it ended at {at}");
        assert!(piece[..n] == pattern[at % PERIOD..][..n], "other bytes at {at}");
        at += n;
    }
}

/// Both ways at once.
fn exchange(wire: &mut Wire) {
    let to = wire.stream.try_clone().unwrap();
    let pouring = thread::spawn(move || pour(to, SIZE));
    drain(wire, SIZE);
    pouring.join().unwrap();
}

#[test]
#[ignore = "some 10 s: 4 GiB through two sockets each"]
fn a_gibibyte_each_way_needs_little_memory() {
    let http = Server::raw(|_, mut wire| {
        wire.message(true);
        wire.send(&format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n"));
        exchange(&mut wire);
        drop(wire.rest());
    });
    let tcp = Server::raw(|_, mut wire| {
        exchange(&mut wire);
        wire.stream.shutdown(Shutdown::Write).unwrap();
        wire.expect_end();
    });
    let proxy = Proxy::start(&http, &tcp);
    let idle = proxy.peak();
    let mut client = Wire::new(TcpStream::connect(proxy.http).unwrap());
    client.send(&format!("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: {SIZE}\r\n\r\n"));
    let to = client.stream.try_clone().unwrap();
    let pouring = thread::spawn(move || pour(to, SIZE));
    assert_eq!(client.message(true).status(), 200);
    drain(&mut client, SIZE);
    pouring.join().unwrap();
    let after_http = proxy.peak();
    let mut client = Wire::new(TcpStream::connect(proxy.tcp).unwrap());
    exchange(&mut client);
    client.stream.shutdown(Shutdown::Write).unwrap();
    client.expect_end();
    let after_tcp = proxy.peak();
    println!("MiB resident at most: {idle} idle, {after_http} after HTTP, {after_tcp} after TCP");
    assert!(after_tcp < idle + 8, "{idle} MiB before, {after_http} after HTTP, {after_tcp} after TCP");
}
