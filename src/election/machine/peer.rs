//! What is known of one other node.

use crate::{
    election::{
        session::{Session, Verdict},
        wire::{Claim, Packet},
    },
    model::{Heartbeat, Mac, Peer, PeerView, Role},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use super::rules::PROBE_LEAD;

/// Addresses of one peer that are remembered; far more than any node has.
const MAX_CLAIMS: usize = 4096;
/// A statement of a silent peer is forgotten after this.
const FORGET_AFTER: Duration = Duration::from_secs(60);
/// However short a peer announces its timers: no dead time below this.
const SHORTEST_DEAD: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(super) struct PeerState {
    pub(super) config: Arc<Peer>,
    pub(super) session: Session,
    /// This node's end and the peer's, by path.
    pub(super) ends: Vec<(SocketAddr, SocketAddr)>,
    /// Refused packets per path, by reason.
    pub(super) rejected: Vec<BTreeMap<&'static str, u64>>,
    pub(super) heard: bool,
    pub(super) since: Instant,
    pub(super) last_heard: Option<Instant>,
    /// Since when each of the two hears the other.
    pub(super) mutual_since: Option<Instant>,
    /// As announced; until then as configured.
    pub(super) heartbeat: Heartbeat,
    /// Remembered after its death: its kernel may outlive its agent.
    pub(super) macs: Vec<Mac>,
    pub(super) claims: BTreeMap<IpAddr, HeardClaim>,
    pub(super) version: String,
    hears_us: bool,
    /// Slices seen since the session began, and how many there are.
    slices: (BTreeSet<u16>, u16),
}

/// A statement of a peer, and when it was made.
#[derive(Debug)]
pub(super) struct HeardClaim {
    pub(super) claim: Claim,
    /// Since when its role is Active.
    pub(super) active_since: Option<Instant>,
    at: Instant,
    session: u64,
    round: u64,
}

/// How hearing a peer has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Heard,
    Lost,
}

impl PeerState {
    pub(super) fn new(now: Instant, config: Arc<Peer>, session: u64, local: &[SocketAddr], first_seq: u64) -> Self {
        let mut state = Self {
            heartbeat: config.heartbeat,
            config,
            session: Session::new(session, 0, first_seq),
            ends: Vec::new(),
            rejected: Vec::new(),
            heard: false,
            since: now,
            last_heard: None,
            mutual_since: None,
            macs: Vec::new(),
            claims: BTreeMap::new(),
            version: String::new(),
            hears_us: false,
            slices: (BTreeSet::new(), 0),
        };
        state.connect(local, first_seq);
        state
    }

    /// Takes a changed configuration; what is known of the peer stays.
    pub(super) fn configure(&mut self, config: Arc<Peer>, local: &[SocketAddr], first_seq: u64) {
        self.config = config;
        if !self.heard {
            self.heartbeat = self.config.heartbeat;
        }
        self.connect(local, first_seq);
    }

    fn connect(&mut self, local: &[SocketAddr], first_seq: u64) {
        self.ends = local.iter().copied().zip(self.config.addresses.iter().copied()).collect();
        self.session.resize(self.ends.len(), first_seq);
        self.rejected.resize_with(self.ends.len(), BTreeMap::new);
    }

    pub(super) fn receive(&mut self, now: Instant, packet: Packet) -> (Verdict, bool) {
        let verdict = self.session.receive(now, &packet);
        let Verdict::Live { adopted } = verdict else { return (verdict, false) };
        if adopted {
            self.slices.0.clear();
        }
        self.slices.0.insert(packet.slice);
        self.slices.1 = packet.slices;
        self.last_heard = Some(now);
        self.hears_us = packet.echo.is_some_and(|echo| echo.hears_you);
        self.heartbeat = Heartbeat { interval: packet.interval, dead_after: packet.dead_after };
        let mut news = self.macs != packet.macs || self.version != packet.version;
        self.macs = packet.macs;
        self.version = packet.version;
        for claim in packet.claims {
            news |= self.hear(now, packet.session, packet.round, claim);
        }
        (verdict, news)
    }

    /// Counts the peer's silence anew if this agent was stopped for `slept`: it could not have heard anything.
    pub(super) fn forgive(&mut self, slept: Duration) {
        if self.heard {
            self.last_heard = self.last_heard.map(|at| at + slept);
        }
    }

    /// Brings `heard` and what follows from it up to date. `my_dead`: how long this node may be silent.
    pub(super) fn refresh(&mut self, now: Instant, my_dead: Duration) -> Option<Change> {
        let dead = self.dead_time();
        let heard = self.last_heard.is_some_and(|at| now < at + dead);
        let mutual = heard && self.hears_us && self.session.echoed_within(now, my_dead);
        if mutual {
            self.mutual_since.get_or_insert(now);
        } else {
            self.mutual_since = None;
        }
        if now > self.last_heard.unwrap_or(self.since) + FORGET_AFTER {
            self.claims.clear();
        }
        if heard == self.heard {
            return None;
        }
        self.heard = heard;
        self.since = now;
        Some(if heard { Change::Heard } else { Change::Lost })
    }

    /// Silence on all paths for longer than this is death: never less than four announced intervals, so that a rolling
    /// edit of the timers is safe.
    pub(super) fn dead_time(&self) -> Duration {
        dead_time(self.heartbeat)
    }

    /// When it will be taken for dead unless it is heard again.
    pub(super) fn dead_at(&self) -> Option<Instant> {
        self.heard.then_some(self.last_heard? + self.dead_time())
    }

    /// When its silence is worth a probe: at the second missed heartbeat, but not long before its end.
    pub(super) fn suspect_at(&self) -> Option<Instant> {
        let missed = self.last_heard? + self.heartbeat.interval * 3 / 2;
        Some(missed.max(self.dead_at()?.checked_sub(PROBE_LEAD)?))
    }

    /// Each hears the other.
    pub(super) fn mutual(&self) -> bool {
        self.mutual_since.is_some()
    }

    /// All of its present claims have been heard at least once.
    pub(super) fn complete(&self) -> bool {
        self.heard && self.slices.0.range(..self.slices.1).count() == usize::from(self.slices.1)
    }

    /// What it says of `ip`, if that is still worth something.
    pub(super) fn claim(&self, now: Instant, ip: &IpAddr) -> Option<&HeardClaim> {
        let heard = self.claims.get(ip)?;
        (self.heard && now < heard.at + self.dead_time()).then_some(heard)
    }

    pub(super) fn reject(&mut self, path: usize, reason: &'static str) {
        if let Some(counts) = self.rejected.get_mut(path) {
            *counts.entry(reason).or_default() += 1;
        }
    }

    pub(super) fn view(&self, now: Instant, digests: &BTreeMap<IpAddr, crate::model::Digest>) -> PeerView {
        let claims = || self.claims.iter().filter(|(ip, _)| self.claim(now, ip).is_some());
        let paths = self.ends.iter().zip(self.session.paths()).zip(&self.rejected);
        PeerView {
            heard: self.heard,
            hears_us: self.mutual(),
            since: self.since,
            paths: paths
                .map(|((&(local, remote), path), rejected)| crate::model::PathView {
                    local,
                    remote,
                    up: path.heard_at.is_some_and(|at| now < at + self.dead_time()),
                    rtt: path.rtt,
                    received: path.received,
                    sent: path.sent,
                    lost: path.lost,
                    loss_permille: 0,
                    front: false,
                    rejected: rejected.clone(),
                })
                .collect(),
            macs: self.macs.clone(),
            roles: claims().map(|(ip, heard)| (*ip, heard.claim.role)).collect(),
            differs: claims()
                .filter(|(ip, heard)| digests.get(*ip).is_some_and(|digest| *digest != heard.claim.digest))
                .map(|(ip, _)| *ip)
                .collect(),
            version: self.version.clone(),
            fenced: false,
            vanished: 0,
        }
    }

    /// Takes one statement unless a later one is known; whether it says anything new.
    fn hear(&mut self, now: Instant, session: u64, round: u64, claim: Claim) -> bool {
        let active = claim.role == Role::Active;
        let full = self.claims.len() >= MAX_CLAIMS;
        let known = self.claims.get(&claim.ip);
        if known.is_some_and(|known| known.session == session && known.round > round) || (known.is_none() && full) {
            return false;
        }
        let news = known.is_none_or(|known| known.claim != claim);
        let since = known.filter(|known| known.session == session).and_then(|known| known.active_since);
        let active_since = active.then_some(since.unwrap_or(now));
        self.claims.insert(claim.ip, HeardClaim { claim, active_since, at: now, session, round });
        news
    }
}

/// See [`PeerState::dead_time`].
pub(super) fn dead_time(heartbeat: Heartbeat) -> Duration {
    heartbeat.dead_after.max(heartbeat.interval.saturating_mul(4)).clamp(SHORTEST_DEAD, LONGEST_DEAD)
}

/// State names no longer duration than a day; an announcement may.
const LONGEST_DEAD: Duration = Duration::from_secs(24 * 60 * 60);
