//! `wrk`: as many requests as go through, for a while.

use super::{Failure, TURN};
use std::{net::SocketAddr, process::Command};

/// What it says.
pub(crate) struct Load {
    pub(crate) requests: f64,
    pub(crate) per_second: f64,
}

/// On so many connections, kept or not.
pub(crate) fn run(to: SocketAddr, path: &str, connections: usize, kept: bool) -> Result<Load, Failure> {
    let (seconds, url) = (TURN.as_secs(), format!("http://{to}{path}"));
    let mut command = Command::new("wrk");
    command.args(["-t1", &format!("-c{connections}"), &format!("-d{seconds}s")]);
    if !kept {
        command.args(["-H", "Connection: close"]);
    }
    let output = command.arg(&url).output().map_err(|error| format!("wrk (package wrk): {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let bad = text.lines().find(|line| line.contains("Non-2xx"));
    if let Some(bad) = bad.filter(|_| output.status.success()) {
        return Err(format!("{url}: {bad}").into());
    }
    let number = |ends: &str| text.lines().find_map(|line| line.trim().split(ends).next().filter(|_| line.contains(ends)));
    let requests = number(" requests in").ok_or_else(|| format!("wrk said nothing of use: {text}"))?;
    let per_second = text.lines().find_map(|line| line.strip_prefix("Requests/sec:")).ok_or("no rate")?;
    Ok(Load { requests: requests.trim().parse()?, per_second: per_second.trim().parse()? })
}
