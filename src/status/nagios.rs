//! `lbagent check`: a [`Status`] in the language of the Monitoring Plugins (guidelines 2.0): one line with the verdict,
//! what was looked at and performance data, then lines of detail; the exit code says the same.
//!
//! | | |
//! |---|---|
//! | CRITICAL (2) | clients are not served or may soon be served twice: no owner, a foreign host answers for a VIP, Active without the address on a device, a closed listener, a pool with no backend |
//! | WARNING (1) | served, but with less in reserve: a backend out, a peer unheard or with other state, a bad file, this node not fit or not ready |
//! | UNKNOWN (3) | nothing can be said: no such object, no agent, an old status, a Vip that is not decided yet |
//!
//! A Backup in good order is OK: it does its work.

mod judge;

use super::{Status, Timestamp};
use std::{fmt, time::Duration};

/// A status older than this says nothing about now.
pub const STALE_AFTER: Duration = Duration::from_secs(10);

/// What is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Everything.
    All,
    /// One Vip by name.
    Vip(String),
    /// One pool by name.
    Pool(String),
    /// One node by name.
    Peer(String),
}

/// Limits for pools, in backends that are up. Without them, one missing backend is a WARNING and an empty pool is
/// CRITICAL.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Thresholds {
    /// `-w`: WARNING if fewer are up.
    pub warning: Option<usize>,
    /// `-c`: CRITICAL if fewer are up.
    pub critical: Option<usize>,
}

/// The exit codes of the guidelines, the worst last but for UNKNOWN, which yields to a known evil.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// 0
    Ok,
    /// 3
    Unknown,
    /// 1
    Warning,
    /// 2
    Critical,
}

impl Severity {
    /// The exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Warning => 1,
            Self::Critical => 2,
            Self::Unknown => 3,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// What a check prints and how it exits. [`fmt::Display`] writes it as a monitoring system reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The verdict.
    pub severity: Severity,
    /// After the verdict on the first line.
    pub summary: String,
    /// `'label'=value;warn;crit;min;max`, each.
    pub perfdata: Vec<String>,
    /// One line each.
    pub details: Vec<String>,
}

impl Report {
    /// Nothing can be said because of `why`.
    pub fn unknown(why: impl Into<String>) -> Self {
        Self { severity: Severity::Unknown, summary: why.into(), perfdata: Vec::new(), details: Vec::new() }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LBAGENT {} - {}", self.severity.as_str(), plain(&self.summary))?;
        if !self.perfdata.is_empty() {
            write!(f, " | {}", self.perfdata.join(" "))?;
        }
        self.details.iter().try_for_each(|line| write!(f, "\n{}", plain(line)))
    }
}

/// Judges `scope` of `status`, as read at `now`.
pub fn check(status: &Status, scope: &Scope, thresholds: Thresholds, now: Timestamp) -> Report {
    let age = now.since(status.now);
    if age > STALE_AFTER {
        return Report::unknown(format!("the agent's status is {} s old; it may be stuck", age.as_secs()));
    }
    let judged = match scope {
        Scope::All => Some(judge::all(status, thresholds)),
        Scope::Vip(name) => status.vips.iter().find(|vip| vip.name == *name).map(judge::vip),
        Scope::Pool(name) => {
            status.pools.iter().find(|pool| pool.name == *name).map(|pool| judge::pool(pool, thresholds))
        }
        Scope::Peer(name) => status.peers.iter().find(|peer| peer.name == *name).map(judge::peer),
    };
    judged.unwrap_or_else(|| Report::unknown(no_such(status, scope)))
}

fn no_such(status: &Status, scope: &Scope) -> String {
    let (what, name, known): (_, _, Vec<&str>) = match scope {
        Scope::Vip(name) => ("Vip", name.as_str(), status.vips.iter().map(|vip| vip.name.as_str()).collect()),
        Scope::Pool(name) => ("pool", name, status.pools.iter().map(|pool| pool.name.as_str()).collect()),
        Scope::Peer(name) => ("peer", name, status.peers.iter().map(|peer| peer.name.as_str()).collect()),
        Scope::All => ("object", "", Vec::new()),
    };
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    format!("no {what} is called {name} (there is: {known})")
}

/// A pipe would begin the performance data, and a control character could be anything.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c == '|' || c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
#[path = "nagios_tests.rs"]
mod tests;
