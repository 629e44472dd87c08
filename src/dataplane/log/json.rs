//! A JSON object on a line of its own. Its keys are always the same for HTTP, and for TCP all but those that only HTTP
//! has; what is unknown is `null`. Times are seconds.

use super::{date::Date, line::Line};
use serde::Serialize;
use std::{net::IpAddr, time::Duration};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Json<'a> {
    time: String,
    client: IpAddr,
    client_port: u16,
    listener: &'a str,
    address: String,
    pool: Option<&'a str>,
    backend: Option<&'a str>,
    #[serde(flatten)]
    http: Option<Http<'a>>,
    bytes_in: u64,
    bytes_out: u64,
    seconds: Seconds,
    end: &'a str,
    retries: u32,
    redispatched: bool,
    connections: Connections,
    queued: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Http<'a> {
    method: Option<&'a str>,
    target: Option<&'a str>,
    version: Option<&'a str>,
    host: Option<&'a str>,
    user_agent: Option<&'a str>,
    status: Option<u16>,
}

#[derive(Serialize)]
struct Seconds {
    request: Option<f64>,
    queue: Option<f64>,
    connect: Option<f64>,
    response: Option<f64>,
    total: f64,
}

#[derive(Serialize)]
struct Connections {
    process: u64,
    listener: u64,
    pool: u64,
    backend: u64,
}

/// Adds `line`, without an end.
pub(super) fn write(line: &Line<'_>, out: &mut Vec<u8>) {
    let timers = &line.timers;
    let http = line.http.map(|http| Http {
        method: http.request.map(|asked| &*asked.method),
        target: http.request.map(|asked| &*asked.target),
        version: http.request.map(|asked| asked.version),
        host: http.request.and_then(|asked| asked.host.as_deref()),
        user_agent: http.request.and_then(|asked| asked.user_agent.as_deref()),
        status: http.status,
    });
    let json = Json {
        time: Date::of(line.date).rfc3339(),
        client: line.client.ip().to_canonical(),
        client_port: line.client.port(),
        listener: line.listener,
        address: line.address.to_string(),
        pool: line.pool,
        backend: line.backend,
        http,
        bytes_in: line.bytes_in,
        bytes_out: line.bytes_out,
        seconds: Seconds {
            request: timers.request.map(seconds),
            queue: timers.queue.map(seconds),
            connect: timers.connect.map(seconds),
            response: timers.response.map(seconds),
            total: seconds(timers.total),
        },
        end: std::str::from_utf8(&line.end).unwrap_or_default(),
        retries: line.retries,
        redispatched: line.redispatched,
        connections: Connections {
            process: line.connections.process,
            listener: line.connections.listener,
            pool: line.connections.pool,
            backend: line.connections.backend,
        },
        queued: line.queued,
    };
    // A struct of plain values always is JSON, and a Vec takes it.
    let _ = serde_json::to_writer(out, &json);
}

/// In whole microseconds.
fn seconds(time: Duration) -> f64 {
    time.as_micros() as f64 / 1e6
}
