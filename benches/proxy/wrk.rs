//! `wrk`: as many requests as go through, for a turn.

use super::{TURN, common::Failure};
use std::{net::SocketAddr, process::Command};

const CONNECTIONS: usize = 50;

/// What it asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) path: &'static str,
    /// Whether connections are kept for the next request.
    pub(crate) kept: bool,
}

/// What went through.
pub(crate) struct Done {
    pub(crate) requests: f64,
    pub(crate) per_second: f64,
}

/// Fails if any answer is not a good one.
pub(crate) fn run(to: SocketAddr, load: Load) -> Result<Done, Failure> {
    let mut command = Command::new("wrk");
    command.args(["--threads=1", &format!("--connections={CONNECTIONS}"), &format!("--duration={}s", TURN.as_secs())]);
    if !load.kept {
        command.args(["--header", "Connection: close"]);
    }
    let output = command.arg(format!("http://{to}{}", load.path)).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let is_bad = |line: &&str| line.contains("Non-2xx") || line.contains("Socket errors");
    if let Some(bad) = text.lines().find(is_bad) {
        return Err(bad.trim().into());
    }
    parse(&text).ok_or_else(|| format!("not what wrk says:\n{text}").into())
}

/// Its two lines `123 requests in 3.00s, 1.23MB read` and `Requests/sec:  41.00`.
fn parse(text: &str) -> Option<Done> {
    let requests = text.lines().find_map(|line| line.split_once(" requests in "))?.0;
    let per_second = text.lines().find_map(|line| line.strip_prefix("Requests/sec:"))?;
    Some(Done { requests: requests.trim().parse().ok()?, per_second: per_second.trim().parse().ok()? })
}
