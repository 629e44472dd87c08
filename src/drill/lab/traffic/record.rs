//! What became of the traffic, and what follows from it. Pure: times come in as values.

use crate::model::Name;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

/// One request over a connection of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Whose address it went to.
    pub vip: Name,
    /// Where it went.
    pub address: SocketAddr,
    /// When the connection was begun.
    pub started: Instant,
    /// When the answer was complete, or the attempt was given up.
    pub ended: Instant,
    /// The server that answered well (empty: a redirect, which the balancer gives itself), or what went wrong.
    pub result: Result<String, String>,
    /// The connection was there and was cut before the answer was.
    pub cut: bool,
}

/// A long-lived connection that ended before its client wanted it to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Whose address it went to.
    pub vip: Name,
    /// When the client noticed.
    pub at: Instant,
    /// What went wrong.
    pub why: String,
}

/// Everything so far, in the order in which it ended.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// Fresh connections.
    pub attempts: Vec<Attempt>,
    /// Long-lived connections.
    pub broken: Vec<Broken>,
}

/// What a stretch of time was like for one Vip.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// The longest time without a good answer, over the Vip's addresses.
    pub outage: Duration,
    /// Attempts that began in it.
    pub requests: usize,
    /// Those among them that got no good answer, but for those that were cut.
    pub failed: usize,
    /// Those whose connection was cut in mid-request.
    pub cut: usize,
    /// Established connections that broke: long-lived ones, and those that were cut.
    pub broken: usize,
    /// What went wrong, the most frequent first.
    pub reasons: Vec<(String, usize)>,
}

impl Record {
    /// Takes an attempt that has ended; where it is among them.
    pub(super) fn add(&mut self, attempt: Attempt) -> usize {
        self.attempts.push(attempt);
        self.attempts.len() - 1
    }

    /// Sums up what happened to `vip` from `from` to `to`.
    pub fn summary(&self, vip: &Name, from: Instant, to: Instant) -> Summary {
        let begun: Vec<&Attempt> = self.of(vip).filter(|attempt| (from..to).contains(&attempt.started)).collect();
        let broken: Vec<&Broken> =
            self.broken.iter().filter(|broken| broken.vip == *vip && (from..to).contains(&broken.at)).collect();
        let mut reasons = BTreeMap::<&str, usize>::new();
        let failures = begun.iter().filter_map(|attempt| attempt.result.as_ref().err());
        for why in failures.chain(broken.iter().map(|broken| &broken.why)) {
            *reasons.entry(why).or_default() += 1;
        }
        let mut reasons: Vec<_> = reasons.into_iter().map(|(why, count)| (why.to_owned(), count)).collect();
        reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let cut = begun.iter().filter(|attempt| attempt.cut).count();
        Summary {
            outage: self.outage(vip, from, to),
            requests: begun.len(),
            failed: begun.iter().filter(|attempt| attempt.result.is_err() && !attempt.cut).count(),
            cut,
            broken: broken.len() + cut,
            reasons,
        }
    }

    /// The longest stretch between `from` and `to` in which an address of `vip` gave no good answer. The stretch reaches
    /// back to the last good answer before `from`, and on to `to`.
    pub fn outage(&self, vip: &Name, from: Instant, to: Instant) -> Duration {
        let ips: BTreeSet<IpAddr> = self.of(vip).map(|attempt| attempt.address.ip()).collect();
        let outages = ips.into_iter().map(|ip| self.outage_of(vip, ip, from, to));
        outages.max().unwrap_or_else(|| to.saturating_duration_since(from))
    }

    /// When the last attempt failed that began in the stretch.
    pub fn last_failure(&self, vip: &Name, from: Instant, to: Instant) -> Option<Instant> {
        let failed = self.of(vip).filter(|attempt| attempt.result.is_err() && (from..to).contains(&attempt.started));
        failed.map(|attempt| attempt.started).max()
    }

    /// Whether every address and port of `vip` has answered well since `since`, and none badly.
    pub fn serves_since(&self, vip: &Name, wanted: &BTreeSet<SocketAddr>, since: Instant) -> bool {
        let recent = || self.of(vip).filter(|attempt| attempt.started >= since);
        let answered: BTreeSet<SocketAddr> =
            recent().filter(|attempt| attempt.result.is_ok()).map(|attempt| attempt.address).collect();
        answered.is_superset(wanted) && recent().all(|attempt| attempt.result.is_ok())
    }

    /// How many good answers each server has given since `since`, over all Vips.
    pub fn served_since(&self, since: Instant) -> BTreeMap<&str, usize> {
        let mut served = BTreeMap::new();
        for attempt in self.attempts.iter().filter(|attempt| attempt.started >= since) {
            if let Ok(server) = &attempt.result {
                *served.entry(server.as_str()).or_default() += 1;
            }
        }
        served
    }

    fn of(&self, vip: &Name) -> impl Iterator<Item = &Attempt> {
        self.attempts.iter().filter(move |attempt| attempt.vip == *vip)
    }

    fn outage_of(&self, vip: &Name, ip: IpAddr, from: Instant, to: Instant) -> Duration {
        let good = self.of(vip).filter(|attempt| attempt.address.ip() == ip && attempt.result.is_ok());
        let mut ends: Vec<Instant> = good.map(|attempt| attempt.ended).collect();
        ends.sort();
        let before = ends.iter().copied().rfind(|end| *end < from).unwrap_or(from);
        let inside = ends.into_iter().filter(|end| (from..to).contains(end));
        let (longest, last) =
            inside.fold((Duration::ZERO, before), |(longest, last), end| (longest.max(end - last), end));
        longest.max(to.saturating_duration_since(last))
    }
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
