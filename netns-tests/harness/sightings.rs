//! What the watch has seen, and what follows from it. Pure: times come in as values.
//!
//! A host *has* an address from its first answer to its last, as long as it does not fall silent in between for more
//! than [`SILENCE`]. Two hosts have it at once when those stretches overlap: A answers, B answers, A answers again.
//! A move (A for the last time, then B) is no overlap, however quick it is.

use std::{
    collections::BTreeMap,
    fmt,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

/// Asked every 2 ms, over a way that may lose every other frame, a host is not silent for so long.
pub(crate) const SILENCE: Duration = Duration::from_millis(40);

/// Somebody has shown to have an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sighting {
    /// When it was heard.
    pub(crate) at: Instant,
    /// Which address.
    pub(crate) ip: IpAddr,
    /// Who; a host that is none of the lab's by its Ethernet address.
    pub(crate) host: Arc<str>,
    /// Unasked.
    pub(crate) announces: bool,
}

/// Everything that was seen.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sightings {
    /// In the order in which they were heard.
    seen: Vec<Sighting>,
    /// When the watch itself slept, because the machine was busy: whoever was silent then was not asked.
    blind: Vec<(Instant, Instant)>,
}

/// A stretch in which a host had an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tenure {
    /// Which address.
    pub(crate) ip: IpAddr,
    /// Who had it.
    pub(crate) host: Arc<str>,
    /// First and last sighting.
    pub(crate) from: Instant,
    /// See `from`.
    pub(crate) to: Instant,
}

/// Two hosts had the same address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Overlap {
    /// Which address.
    pub(crate) ip: IpAddr,
    /// The hosts.
    pub(crate) hosts: [Arc<str>; 2],
    /// From here.
    pub(crate) from: Instant,
    /// To here.
    pub(crate) to: Instant,
}

impl fmt::Display for Overlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [one, other] = &self.hosts;
        write!(f, "{one} and {other} both had {} for {:?}", self.ip, self.to.duration_since(self.from))
    }
}

impl Sightings {
    /// One more.
    pub(crate) fn add(&mut self, sighting: Sighting) {
        self.seen.push(sighting);
    }

    /// Nobody was asked from `from` to `to`.
    pub(crate) fn add_blind(&mut self, from: Instant, to: Instant) {
        self.blind.push((from, to));
    }

    /// Who had what when, in the order of beginnings.
    pub(crate) fn tenures(&self, from: Instant, to: Instant) -> Vec<Tenure> {
        let mut done = Vec::new();
        let mut open: BTreeMap<(IpAddr, Arc<str>), Tenure> = BTreeMap::new();
        for Sighting { at, ip, host, .. } in self.between(from, to) {
            let fresh = Tenure { ip: *ip, host: host.clone(), from: *at, to: *at };
            let current = open.entry((*ip, host.clone())).or_insert_with(|| fresh.clone());
            if at.duration_since(current.to) > SILENCE {
                done.push(std::mem::replace(current, fresh));
            }
            current.to = *at;
        }
        done.extend(open.into_values());
        done.sort_by_key(|tenure| tenure.from);
        done
    }

    /// When two hosts had the same address.
    pub(crate) fn overlaps(&self, from: Instant, to: Instant) -> Vec<Overlap> {
        let tenures = self.tenures(from, to);
        let mut overlaps = Vec::new();
        for (number, one) in tenures.iter().enumerate() {
            for other in &tenures[number + 1..] {
                let (from, to) = (one.from.max(other.from), one.to.min(other.to));
                if one.ip == other.ip && one.host != other.host && from < to {
                    overlaps.push(Overlap { ip: one.ip, hosts: [one.host.clone(), other.host.clone()], from, to });
                }
            }
        }
        overlaps
    }

    /// For how long, all in all, an address was had by two hosts; of the address for which that was longest.
    pub(crate) fn dual(&self, from: Instant, to: Instant) -> Duration {
        let mut sums = BTreeMap::<IpAddr, Duration>::new();
        for overlap in self.overlaps(from, to) {
            *sums.entry(overlap.ip).or_default() += overlap.to.duration_since(overlap.from);
        }
        sums.into_values().max().unwrap_or_default()
    }

    /// The hosts that have had `ip`, one after the other; the same one again only if another had it in between.
    pub(crate) fn owners(&self, ip: IpAddr, from: Instant, to: Instant) -> Vec<Arc<str>> {
        let mut owners: Vec<_> =
            self.between(from, to).filter(|seen| seen.ip == ip).map(|seen| seen.host.clone()).collect();
        owners.dedup();
        owners
    }

    /// The longest time, as far as it was asked, without anyone who had `ip`.
    pub(crate) fn silence(&self, ip: IpAddr, from: Instant, to: Instant) -> Duration {
        let seen = self.between(from, to).filter(|seen| seen.ip == ip).map(|seen| seen.at);
        let (mut longest, mut last) = (Duration::ZERO, from);
        for at in seen.chain([to]) {
            longest = longest.max(at.saturating_duration_since(last).saturating_sub(self.blind_between(last, at)));
            last = at;
        }
        longest
    }

    /// How often `ip` has changed hands, from whoever had it last before `from`.
    pub(crate) fn moves(&self, ip: IpAddr, from: Instant, to: Instant) -> usize {
        let start = self.seen.partition_point(|seen| seen.at < from);
        let before = self.seen[..start].iter().rfind(|seen| seen.ip == ip).map(|seen| seen.host.clone());
        let mut owners: Vec<_> = before.into_iter().chain(self.owners(ip, from, to)).collect();
        owners.dedup();
        owners.len().saturating_sub(1)
    }

    /// Frames in which `host` announced `ip` unasked. For IPv6 that cannot be told from answers: always 0.
    pub(crate) fn announcements(&self, ip: IpAddr, host: &str, from: Instant, to: Instant) -> usize {
        self.between(from, to).filter(|seen| seen.ip == ip && &*seen.host == host && seen.announces).count()
    }

    fn between(&self, from: Instant, to: Instant) -> impl Iterator<Item = &Sighting> {
        let start = self.seen.partition_point(|seen| seen.at < from);
        self.seen[start..].iter().take_while(move |seen| seen.at < to)
    }

    /// For how long, all in all, the watch slept.
    pub(crate) fn blind_between(&self, from: Instant, to: Instant) -> Duration {
        let clipped =
            self.blind.iter().map(|(start, end)| (*end).min(to).saturating_duration_since((*start).max(from)));
        clipped.sum()
    }
}
