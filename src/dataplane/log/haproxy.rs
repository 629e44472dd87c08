//! HAProxy's formats, field by field: `option httplog` (without captured headers, and with a cookie's state unknown) and
//! `option tcplog`.
//!
//! ```text
//! client:port [date] frontend backend/server TR/Tw/Tc/Tr/Ta status bytes - - tsc- ac/fc/bc/sc/rc sq/bq "request"
//! client:port [date] frontend backend/server Tw/Tc/Tt bytes ts ac/fc/bc/sc/rc sq/bq
//! ```
//!
//! Times are milliseconds, and -1 where it did not come so far.

use super::{
    date::Date,
    line::{Asked, Http, Line},
};
use std::{io::Write, time::Duration};

/// Adds `line`, without an end.
pub(super) fn write(line: &Line<'_>, out: &mut Vec<u8>) {
    let Line { client, listener, timers, connections, .. } = line;
    let date = Date::of(line.date).haproxy();
    let pool = line.pool.unwrap_or(listener);
    let backend = line.backend.unwrap_or("<NOSRV>");
    let ended = String::from_utf8_lossy(&line.end);
    let (queue, connect, total) = (ms(timers.queue), ms(timers.connect), timers.total.as_millis());
    // Writing to a Vec cannot fail.
    let _ = write!(out, "{}:{} [{date}] {listener} {pool}/{backend} ", client.ip().to_canonical(), client.port());
    let _ = match &line.http {
        None => write!(out, "{queue}/{connect}/{total} {} {ended}", line.bytes_out),
        Some(http) => {
            let (request, response) = (ms(timers.request), ms(timers.response));
            let status = http.status.map_or(-1, i32::from);
            let bytes = line.bytes_out;
            write!(out, "{request}/{queue}/{connect}/{response}/{total} {status} {bytes} - - {ended}--")
        }
    };
    let redispatched = if line.redispatched { "+" } else { "" };
    let _ = write!(
        out,
        " {}/{}/{}/{}/{redispatched}{} 0/{}",
        connections.process, connections.listener, connections.pool, connections.backend, line.retries, line.queued
    );
    if let Some(http) = &line.http {
        write_request(http, out);
    }
}

fn write_request(http: &Http<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b" \"");
    match http.request {
        None => out.extend_from_slice(b"<BADREQ>"),
        Some(Asked { method, target, version, .. }) => {
            for part in [method, " ", target, " HTTP/", version] {
                escape(part, out);
            }
        }
    }
    out.push(b'"');
}

/// As HAProxy does (no target has a space in it): what would end the quotes, what would look like this, and all but printable ASCII is `#` and two
/// hexadecimal digits.
fn escape(text: &str, out: &mut Vec<u8>) {
    for byte in text.bytes() {
        match byte {
            b'"' | b'#' | ..b' ' | 0x7f.. => drop(write!(out, "#{byte:02X}")),
            _ => out.push(byte),
        }
    }
}

fn ms(time: Option<Duration>) -> i64 {
    time.map_or(-1, |time| i64::try_from(time.as_millis()).unwrap_or(i64::MAX))
}
