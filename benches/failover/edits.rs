//! A file is edited: how long until clients see it.

use super::{
    common::Failure,
    figures::{Bar, Figure, Samples, Unit},
    millis,
    pair::{PACE, Pair, SOON},
};
use lbagent::drill::lab::clock::now;
use serde_json::{Value, json};
use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

/// Edits of each sort.
const RUNS: usize = 10;
/// From one edit to the next, so that each is one of its own.
const APART: Duration = Duration::from_millis(300);
/// For one question; the balancer answers in a millisecond.
const PATIENCE: Duration = Duration::from_millis(200);
const BAR: Bar = Bar::worst(200.0);

/// Of the three sorts.
pub(crate) fn figures(pair: &Pair) -> Result<Vec<Figure>, Failure> {
    let redirect = runs("redirect", |run| change_redirect(pair, run))?;
    let backend = runs("backend", |run| replace_backend(pair, run))?;
    let listener = runs("listener", |run| add_listener(pair, run))?;
    let row =
        |what: &str, samples: &Samples| Figure::held(format!("edit of a file → {what}"), "lbagent", samples, &BAR);
    Ok(vec![
        row("first answer with the changed redirect", &redirect),
        row("first answer of the backend in the other's place", &backend),
        row("first connection to a listener added", &listener),
    ])
}

fn runs(what: &str, edit: impl Fn(usize) -> Result<Duration, Failure>) -> Result<Samples, Failure> {
    let mut samples = Samples::new(Unit::Millis);
    for run in 0..RUNS {
        samples.add(millis(edit(run).map_err(|error| format!("{what}: {error}"))?));
        std::thread::sleep(APART);
    }
    Ok(samples)
}

fn change_redirect(pair: &Pair, run: usize) -> Result<Duration, Failure> {
    let mut vip = pair.object("vip-web.json")?;
    let host = format!("run-{run}.example.com");
    vip["spec"]["listeners"][0]["routes"] = json!([{ "path": "/bench/", "redirect": { "host": host } }]);
    let address = SocketAddr::new(pair.ip, 80);
    until(pair, "vip-web.json", &vip, || get(address, "/bench/").is_ok_and(|answer| answer.contains(&host)))
}

fn replace_backend(pair: &Pair, run: usize) -> Result<Duration, Failure> {
    let mut pool = pair.object("pool-web.json")?;
    let backend = pool["spec"]["backends"][(run + 1) % 2].take();
    // A server of the lab calls itself by pool and backend.
    let name = format!("web/{}", backend["name"].as_str().ok_or("a backend without a name")?);
    pool["spec"]["backends"] = json!([backend]);
    let address = SocketAddr::new(pair.ip, 80);
    until(pair, "pool-web.json", &pool, || get(address, "/").is_ok_and(|answer| answer.contains(&name)))
}

fn add_listener(pair: &Pair, run: usize) -> Result<Duration, Failure> {
    let port = 8100 + u16::try_from(run)?;
    let mut vip = pair.object("vip-web.json")?;
    let listeners = vip["spec"]["listeners"].as_array_mut().ok_or("a Vip without listeners")?;
    listeners.push(json!({ "port": port, "protocol": "http", "pool": "web" }));
    let address = SocketAddr::new(pair.ip, port);
    until(pair, "vip-web.json", &vip, || TcpStream::connect_timeout(&address, PATIENCE).is_ok())
}

/// Writes `value` to `file` and looks, from the clients' place, until `seen`; at the latest each [`PACE`].
fn until(pair: &Pair, file: &str, value: &Value, mut seen: impl FnMut() -> bool + Send) -> Result<Duration, Failure> {
    let clients = pair.lab.clients()?.namespace();
    if clients.run(&mut seen)? {
        return Err("it shows before the edit".into());
    }
    let edited = pair.write(file, value)?;
    let shown = clients.run(|| look(edited, seen))?;
    Ok(shown.ok_or_else(|| format!("it does not show within {SOON:?}"))?)
}

fn look(since: Instant, mut seen: impl FnMut() -> bool) -> Option<Duration> {
    while since.elapsed() < SOON {
        let next = now() + PACE;
        if seen() {
            return Some(since.elapsed());
        }
        std::thread::sleep(next.saturating_duration_since(now()));
    }
    None
}

/// The whole answer to a request over a connection of its own.
fn get(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: www.example.com\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
