//! `lbagent check`: a [`Status`] in the language of the Monitoring Plugins (guidelines 2.0): one line with the verdict,
//! what was looked at and performance data, then lines of detail; the exit code says the same.
//!
//! | | |
//! |---|---|
//! | CRITICAL (2) | clients are not served or may soon be served twice: no owner, a foreign host answers for a VIP, Active without the address on a device or without a lease, a closed listener, a pool with no backend |
//! | WARNING (1) | served, but with less in reserve: a backend out, a peer unheard or with other state, a bad file, this node not fit, not ready, not fenced or in standby, two owners seen lately |
//! | UNKNOWN (3) | nothing can be said: no such object, no agent, an old status, a Vip that is not decided yet |
//!
//! A Backup in good order is OK: it does its work. A node in standby is not: nobody is left to take over from the other,
//! and it is easily forgotten. For planned work there are the downtimes of the monitoring system.

mod judge;

use super::{Status, Timestamp};
use std::{fmt, time::Duration};

/// A status older than this says nothing about now.
pub const STALE_AFTER: Duration = Duration::from_secs(10);
/// For so long two owners are held against a Vip after they were last seen: longer than checks are apart as a rule, so
/// that what lasts for milliseconds is not missed.
pub const DUAL_OWNER_FOR: Duration = Duration::from_secs(600);

/// What is looked at. `None`: each of its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Everything.
    All,
    /// A Vip by name.
    Vip(Option<String>),
    /// A pool by name.
    Pool(Option<String>),
    /// A node by name.
    Peer(Option<String>),
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
    match scope {
        Scope::All => judge::all(status, thresholds),
        Scope::Vip(name) => {
            let each = status.vips.iter().map(|vip| (vip.name.as_str(), judge::vip(status, vip)));
            pick("Vip", name.as_deref(), each.collect())
        }
        Scope::Pool(name) => {
            let each = status.pools.iter().map(|pool| (pool.name.as_str(), judge::pool(status, pool, thresholds)));
            pick("pool", name.as_deref(), each.collect())
        }
        Scope::Peer(name) => {
            let each = status.peers.iter().map(|peer| (peer.name.as_str(), judge::peer(status, peer)));
            pick("peer", name.as_deref(), each.collect())
        }
    }
}

/// The report of `name`, or one report of all.
fn pick(kind: &str, name: Option<&str>, mut reports: Vec<(&str, Report)>) -> Report {
    let known: Vec<&str> = reports.iter().map(|(known, _)| *known).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    match name {
        Some(name) => match reports.iter().position(|(known, _)| *known == name) {
            Some(index) => reports.swap_remove(index).1,
            None => Report::unknown(format!("no {kind} is called {name} (there is: {known})")),
        },
        None if reports.is_empty() => Report::unknown(format!("there is no {kind}")),
        None => together(&reports),
    }
}

/// The worst on the first line, then each on a line of its own.
fn together(reports: &[(&str, Report)]) -> Report {
    let severity = reports.iter().map(|(_, report)| report.severity).max().unwrap_or(Severity::Unknown);
    let worst: Vec<&str> = reports
        .iter()
        .filter(|(_, report)| report.severity == severity)
        .map(|(_, report)| report.summary.as_str())
        .collect();
    let perfdata = reports.iter().flat_map(|(name, report)| {
        report.perfdata.iter().map(move |item| item.replacen('\'', &format!("'{name}_"), 1))
    });
    let line = |(_, report): &(&str, Report)| format!("{}: {}", report.severity.as_str(), report.summary);
    Report {
        severity,
        summary: worst.join("; "),
        perfdata: perfdata.collect(),
        details: reports.iter().map(line).collect(),
    }
}

/// A pipe would begin the performance data, and a control character could be anything.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c == '|' || c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
#[path = "nagios_tests.rs"]
mod tests;
