//! What is known of one other node.

use crate::{
    election::{
        session::{Session, Verdict},
        wire::{Claim, Packet},
    },
    model::{Heartbeat, Mac, Peer, Role},
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use super::rules::{HINTED_DEAD, VANISHED_FOR};

/// Addresses of one peer that are remembered; far more than any node has.
const MAX_CLAIMS: usize = 4096;
/// A statement of a silent peer is forgotten after this.
const FORGET_AFTER: Duration = Duration::from_secs(60);
/// How often a peer vanished is counted up to here.
const MAX_VANISHED: usize = 16;
/// On the wire, paths of the Vips' own devices have numbers from here on; those that the files list lie below.
pub(super) const FRONT_PATHS: u8 = 128;
/// However short a peer announces its timers: no dead time below this.
const SHORTEST_DEAD: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(super) struct PeerState {
    pub(super) config: Arc<Peer>,
    pub(super) session: Session,
    /// This node's end and the peer's, by the path's number on the wire.
    pub(super) ends: BTreeMap<u8, (SocketAddr, SocketAddr)>,
    /// Refused packets per path, by reason.
    pub(super) rejected: BTreeMap<u8, BTreeMap<&'static str, u64>>,
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
    /// Its kernel ends its ownership when its agent stops proving it, as it said last.
    pub(super) fenced: bool,
    /// Its own addresses on the Vips' devices, as it said last.
    fronts: Vec<IpAddr>,
    /// This node's own ones.
    local: Local,
    /// When it fell silent or began anew, of late.
    vanished: VecDeque<Instant>,
    /// Its host has said that nobody listens there any more.
    hinted_at: Option<Instant>,
    hears_us: bool,
    /// Slices seen since the session began, and how many there are.
    slices: (BTreeSet<u16>, u16),
}

/// Where this node is to be heard.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Local {
    /// As the files list them.
    pub(super) configured: Vec<SocketAddr>,
    /// One on each of the Vips' devices that is on no such path.
    pub(super) fronts: Vec<SocketAddr>,
}

/// A statement of a peer, and when it was made.
#[derive(Debug)]
pub(super) struct HeardClaim {
    pub(super) claim: Claim,
    /// Since when its role is Active.
    pub(super) active_since: Option<Instant>,
    pub(super) round: u64,
    at: Instant,
    session: u64,
}

/// What a heartbeat brings.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct News {
    /// It says something new.
    pub(super) view: bool,
    /// A decision may be due because of it.
    pub(super) due: bool,
}

/// How hearing a peer has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Heard,
    Lost,
}

impl PeerState {
    pub(super) fn new(now: Instant, config: Arc<Peer>, session: u64, local: Local, first_seq: u64) -> Self {
        let mut state = Self {
            heartbeat: config.heartbeat,
            config,
            session: Session::new(session, [], first_seq),
            ends: BTreeMap::new(),
            rejected: BTreeMap::new(),
            heard: false,
            since: now,
            last_heard: None,
            mutual_since: None,
            macs: Vec::new(),
            claims: BTreeMap::new(),
            version: String::new(),
            fenced: false,
            fronts: Vec::new(),
            local,
            vanished: VecDeque::new(),
            hinted_at: None,
            hears_us: false,
            slices: (BTreeSet::new(), 0),
        };
        state.connect(first_seq);
        state
    }

    /// Takes a changed configuration; what is known of the peer stays.
    pub(super) fn configure(&mut self, config: Arc<Peer>, local: Local, first_seq: u64) {
        (self.config, self.local) = (config, local);
        if !self.heard {
            self.heartbeat = self.config.heartbeat;
        }
        self.connect(first_seq);
    }

    fn connect(&mut self, first_seq: u64) {
        let configured = self.local.configured.iter().copied().zip(self.config.addresses.iter().copied());
        self.ends = (0..FRONT_PATHS).zip(configured).collect();
        let port = self.config.addresses.first().map_or(0, SocketAddr::port);
        let remote = self.fronts.iter().map(|ip| SocketAddr::new(*ip, port));
        let fronts = self.local.fronts.iter().copied().zip(remote);
        let paths = (FRONT_PATHS..=u8::MAX).zip(fronts);
        self.ends.extend(paths.filter(|(_, (local, remote))| local.is_ipv4() == remote.is_ipv4()));
        self.session.set_paths(self.ends.keys().copied(), first_seq);
        self.rejected.retain(|path, _| self.ends.contains_key(path));
    }

    pub(super) fn receive(&mut self, now: Instant, packet: Packet, first_seq: u64) -> (Verdict, News) {
        let verdict = self.session.receive(now, &packet);
        let Verdict::Live { adopted } = verdict else { return (verdict, News::default()) };
        if adopted {
            self.slices.0.clear();
            // While it was thought to be there it has begun anew.
            if self.heard {
                self.note_vanished(now);
            }
        }
        self.slices.0.insert(packet.slice);
        self.slices.1 = packet.slices;
        let late = !self.heard || self.is_quiet(now);
        (self.last_heard, self.hinted_at) = (Some(now), None);
        let hears_us = packet.echo.is_some_and(|echo| echo.hears_you);
        let mut news = self.macs != packet.macs || self.version != packet.version;
        news |= self.fenced != packet.fenced || self.hears_us != hears_us;
        self.hears_us = hears_us;
        self.heartbeat = Heartbeat { interval: packet.interval, dead_after: packet.dead_after };
        (self.macs, self.version, self.fenced) = (packet.macs, packet.version, packet.fenced);
        if self.fronts != packet.fronts {
            self.fronts = packet.fronts;
            self.connect(first_seq);
            news = true;
        }
        for claim in packet.claims {
            news |= self.hear(now, packet.session, packet.round, claim);
        }
        (verdict, News { view: news, due: news || adopted || late })
    }

    /// Its silence has become worth a probe, whatever the clock says, and need not last as long to be its death.
    pub(super) fn hint(&mut self, now: Instant) {
        if self.heard {
            self.hinted_at.get_or_insert(now);
        }
    }

    /// Its host has said that its agent has ended, and it has not been heard since.
    pub(super) fn is_hinted(&self) -> bool {
        self.hinted_at.is_some()
    }

    /// A heartbeat is missing.
    pub(super) fn is_quiet(&self, now: Instant) -> bool {
        let missed = self.missed_at().is_none_or(|at| now >= at);
        !self.heard || missed || self.hinted_at.is_some()
    }

    /// What was heard before proves nothing any more: all of its claims must be heard anew.
    pub(super) fn doubt(&mut self, now: Instant) {
        self.slices.0.clear();
        self.session.ask_anew(now);
        self.mutual_since = None;
    }

    /// As if it had never been heard; its Ethernet addresses are remembered.
    pub(super) fn forget(&mut self, now: Instant) {
        self.doubt(now);
        (self.heard, self.last_heard, self.since) = (false, None, now);
        self.hears_us = false;
        self.claims.clear();
    }

    /// How often it vanished in the last ten minutes.
    pub(super) fn vanished(&self, now: Instant) -> u32 {
        self.vanished.iter().filter(|at| now < **at + VANISHED_FOR).count() as u32
    }

    fn note_vanished(&mut self, now: Instant) {
        if self.vanished.len() == MAX_VANISHED {
            self.vanished.pop_front();
        }
        self.vanished.push_back(now);
    }

    /// Counts the peer's silence anew if this agent was stopped for `slept`: it could not have heard anything.
    pub(super) fn forgive(&mut self, slept: Duration) {
        if self.heard {
            self.last_heard = self.last_heard.map(|at| at + slept);
        }
    }

    /// Brings `heard` and what follows from it up to date. `my_dead`: how long this node may be silent.
    pub(super) fn refresh(&mut self, now: Instant, my_dead: Duration) -> Option<Change> {
        let heard = self.end().is_some_and(|end| now < end);
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
        if !heard {
            self.note_vanished(now);
        }
        Some(if heard { Change::Heard } else { Change::Lost })
    }

    /// Silence on all paths for longer than this is death: never less than four announced intervals, so that a rolling
    /// edit of the timers is safe.
    pub(super) fn dead_time(&self) -> Duration {
        dead_time(self.heartbeat)
    }

    /// When it will be taken for dead unless it is heard again.
    pub(super) fn dead_at(&self) -> Option<Instant> {
        self.heard.then_some(self.end()?)
    }

    /// The end of its dead timer by its silence alone.
    pub(super) fn silent_at(&self) -> Option<Instant> {
        Some(self.last_heard? + self.dead_time())
    }

    /// The end of its dead timer; sooner if its host has said that nobody listens there and nothing came since.
    fn end(&self) -> Option<Instant> {
        let end = self.silent_at()?;
        Some(self.hinted_at.map_or(end, |hinted| end.min(hinted + HINTED_DEAD)))
    }

    /// When a heartbeat is overdue, by half of the interval.
    fn missed_at(&self) -> Option<Instant> {
        Some(self.last_heard? + self.heartbeat.interval * 3 / 2)
    }

    /// When half of the time is over in which it must be heard.
    pub(super) fn doubtful_at(&self) -> Option<Instant> {
        self.heard.then_some(self.last_heard? + self.dead_time() / 2)
    }

    /// When its silence is worth a probe: when a heartbeat is overdue, but not much longer before its end than the probes
    /// take; at once if its host has said that nobody listens there.
    pub(super) fn suspect_at(&self, probe_time: Duration) -> Option<Instant> {
        let missed = self.missed_at()?;
        let lead = self.dead_at()?.checked_sub(probe_time);
        let at = lead.map_or(missed, |lead| missed.max(lead));
        Some(self.hinted_at.map_or(at, |hinted| at.min(hinted)))
    }

    /// Its heartbeats have never arrived, so its Ethernet addresses are not known.
    pub(super) fn is_unmet(&self) -> bool {
        self.macs.is_empty()
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

    pub(super) fn reject(&mut self, path: u8, reason: &'static str) {
        if self.ends.contains_key(&path) {
            *self.rejected.entry(path).or_default().entry(reason).or_default() += 1;
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
