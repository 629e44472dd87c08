//! What makes a heartbeat believable: a liveness session with one peer, proof against replay without any clock that
//! two nodes would have to share. Pure.
//!
//! Each agent draws a random session number when it starts and counts its datagrams per path. Each heartbeat echoes
//! what was last heard of the other side. A packet is *live* only if
//!
//! - it echoes **this** agent's present session: it was made by somebody who has heard this very process; and
//! - its number is higher than any seen in the peer's session on that path.
//!
//! A peer that has restarted has a new session. It is *adopted* only with a packet that echoes this session and a
//! higher number than any earlier session of the peer has ever echoed: a recording of the former process cannot know
//! that number. A session that was left is not adopted again while the later one is heard: of two agents with one name
//! the later one stays. If that falls silent, it may have been the *former* process, a datagram of which was overtaken
//! by its successor's first ones; then the session that was left proves itself like any other.
//!
//! An authentic packet that does not prove that (one of the two sides has restarted) changes nothing, except
//! that it earns one direct reply which echoes *its* session. The regular stream goes on echoing the adopted one, so a
//! replayed hello cannot knock out a live peer. Three packets after a restart of either side both are verified:
//!
//! ```text
//!   A (new) ── echo: none ───────────────▶ B      not live; earns a reply
//!   A       ◀── reply, echo: A's session ─ B      A adopts B, and sends at once
//!   A       ── echo: B's session ────────▶ B      B adopts A
//! ```

#[cfg(test)]
mod tests;

use crate::election::wire::{Echo, Packet};
use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

/// How many sent datagrams a path remembers the times of, for round trips and for `hears_us`.
const REMEMBERED: usize = 64;
/// Sessions of the peer that are over, and unadopted ones that have said hello.
const MAX_SESSIONS: usize = 8;
/// A hello is answered at most this often per session.
const REPLY_EVERY: Duration = Duration::from_millis(10);
/// The time over which losses are averaged.
const LOSS_WINDOW: Duration = Duration::from_secs(10);

/// A session with one peer over all its paths.
#[derive(Debug)]
pub struct Session {
    mine: u64,
    theirs: Option<u64>,
    over: VecDeque<u64>,
    hellos: VecDeque<Hello>,
    paths: BTreeMap<u8, PathSession>,
    /// Echoes of what was sent before this prove nothing.
    fresh_from: Option<Instant>,
}

/// One path of a [`Session`].
#[derive(Debug)]
pub struct PathSession {
    /// Number of the next datagram.
    next_seq: u64,
    /// When which datagram went out.
    sent_at: VecDeque<(u64, Instant)>,
    /// The highest number heard in the adopted session.
    last_seq: u64,
    /// The highest number of ours that came back.
    echoed: u64,
    /// When a live packet came last.
    pub heard_at: Option<Instant>,
    /// When the datagram went out that the peer last said it has heard.
    pub echoed_sent_at: Option<Instant>,
    /// Of the last packet that echoed a remembered datagram.
    pub rtt: Option<Duration>,
    /// Live packets.
    pub received: u64,
    /// Datagrams sent.
    pub sent: u64,
    /// Gaps in the peer's numbers.
    pub lost: u64,
    /// The part of the peer's datagrams that was lost, averaged over about ten seconds of heartbeats.
    pub loss: f64,
}

/// What is to be done with an authentic packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It counts.
    Live {
        /// It began a session: the peer should hear of it at once.
        adopted: bool,
    },
    /// It does not count, but earns one reply with this echo.
    Reply(Echo),
    /// It does not count: the word under which it is counted.
    Refused(&'static str),
}

/// An unadopted session that has said hello.
#[derive(Debug, Clone, Copy)]
struct Hello {
    session: u64,
    path: u8,
    seq: u64,
    replied_at: Instant,
}

impl Session {
    /// A session with a peer of which nothing has been heard. `mine`: drawn at random when this agent started.
    /// `first_seq` (at least 1) must be higher than any number that this agent has sent to this peer before.
    pub fn new(mine: u64, paths: impl IntoIterator<Item = u8>, first_seq: u64) -> Self {
        let mut session = Self {
            mine,
            theirs: None,
            over: VecDeque::new(),
            hellos: VecDeque::new(),
            paths: BTreeMap::new(),
            fresh_from: None,
        };
        session.set_paths(paths, first_seq);
        session
    }

    /// From now on there are these paths, by their numbers on the wire; what is known of those that stay is kept.
    pub fn set_paths(&mut self, paths: impl IntoIterator<Item = u8>, first_seq: u64) {
        let mut old = std::mem::take(&mut self.paths);
        let keep = |path| (path, old.remove(&path).unwrap_or_else(|| PathSession::new(first_seq.max(1))));
        self.paths = paths.into_iter().map(keep).collect();
    }

    /// One path, by its number on the wire.
    pub fn path(&self, path: u8) -> Option<&PathSession> {
        self.paths.get(&path)
    }

    /// What the peer has echoed so far no longer proves that it hears this node: clocks have jumped since, and so the
    /// machine may have slept.
    pub fn ask_anew(&mut self, now: Instant) {
        self.fresh_from = Some(now);
    }

    /// Whether the peer has echoed something that was sent since [`Self::ask_anew`], if that was called.
    pub fn is_fresh(&self) -> bool {
        self.fresh_from.is_none_or(|from| self.paths.values().any(|path| path.echoed_sent_at >= Some(from)))
    }

    /// Judges an authentic packet of this peer.
    pub fn receive(&mut self, now: Instant, packet: &Packet) -> Verdict {
        let Some(path) = self.paths.get(&packet.path) else {
            return Verdict::Refused("wrong_path");
        };
        if self.over.contains(&packet.session) && !self.is_silent(now, packet.dead_after) {
            return Verdict::Refused("stale_session");
        }
        let adopted = self.theirs == Some(packet.session);
        if adopted && packet.seq <= path.last_seq {
            return Verdict::Refused("replayed");
        }
        match packet.echo {
            Some(echo) if echo.session == self.mine => {
                if echo.seq >= path.next_seq {
                    return Verdict::Refused("stale_session");
                }
                if !adopted && echo.seq <= path.echoed {
                    // Its maker may have heard this node on another path, which has been cut since.
                    return self.hello(now, packet);
                }
                if !adopted {
                    self.adopt(packet.session);
                }
                if let Some(path) = self.paths.get_mut(&packet.path) {
                    path.live(now, packet, echo);
                }
                Verdict::Live { adopted: !adopted }
            }
            _ => self.hello(now, packet),
        }
    }

    /// Number and echo of the next regular datagram on `path`. `hears_you`: the peer is heard.
    pub fn stamp(&mut self, now: Instant, path: u8, hears_you: bool) -> Option<(u64, Option<Echo>)> {
        let theirs = self.theirs;
        let path = self.paths.get_mut(&path)?;
        let echo = theirs.map(|session| Echo {
            session,
            seq: path.last_seq,
            hold: path.heard_at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at)),
            hears_you,
        });
        Some((path.number(now), echo))
    }

    /// Number of the next datagram on `path`, for a reply with an echo of its own.
    pub fn stamp_reply(&mut self, now: Instant, path: u8) -> Option<u64> {
        Some(self.paths.get_mut(&path)?.number(now))
    }

    /// The peer says that it has heard something that was sent at most `age` ago, on any path.
    pub fn echoed_within(&self, now: Instant, age: Duration) -> bool {
        let counts = |at: Instant| now < at + age && self.fresh_from.is_none_or(|from| at >= from);
        self.paths.values().any(|path| path.echoed_sent_at.is_some_and(counts))
    }

    /// Nothing live has come for so long, on any path.
    fn is_silent(&self, now: Instant, time: Duration) -> bool {
        self.paths.values().all(|path| path.heard_at.is_none_or(|at| now >= at + time))
    }

    fn adopt(&mut self, session: u64) {
        self.over.retain(|over| *over != session);
        if let Some(old) = self.theirs.replace(session) {
            push_bounded(&mut self.over, old);
        }
        self.hellos.retain(|hello| hello.session != session);
        for path in self.paths.values_mut() {
            path.last_seq = 0;
        }
    }

    /// A hello earns a reply once per number, and not too often.
    fn hello(&mut self, now: Instant, packet: &Packet) -> Verdict {
        let reply =
            Verdict::Reply(Echo { session: packet.session, seq: packet.seq, hold: Duration::ZERO, hears_you: false });
        let known = self.hellos.iter_mut().find(|h| h.session == packet.session && h.path == packet.path);
        let Some(hello) = known else {
            let (session, path, seq) = (packet.session, packet.path, packet.seq);
            push_bounded(&mut self.hellos, Hello { session, path, seq, replied_at: now });
            return reply;
        };
        if packet.seq <= hello.seq {
            return Verdict::Refused("replayed");
        }
        hello.seq = packet.seq;
        if now < hello.replied_at + REPLY_EVERY {
            return Verdict::Refused("stale_session");
        }
        hello.replied_at = now;
        reply
    }
}

impl PathSession {
    fn new(first_seq: u64) -> Self {
        Self {
            next_seq: first_seq,
            sent_at: VecDeque::with_capacity(REMEMBERED),
            last_seq: 0,
            echoed: first_seq - 1,
            heard_at: None,
            echoed_sent_at: None,
            rtt: None,
            received: 0,
            sent: 0,
            lost: 0,
            loss: 0.0,
        }
    }

    fn number(&mut self, now: Instant) -> u64 {
        let seq = self.next_seq;
        self.next_seq += 1;
        self.sent += 1;
        if self.sent_at.len() == REMEMBERED {
            self.sent_at.pop_front();
        }
        self.sent_at.push_back((seq, now));
        seq
    }

    fn live(&mut self, now: Instant, packet: &Packet, echo: Echo) {
        let missed = if self.last_seq == 0 { 0 } else { packet.seq - self.last_seq - 1 };
        self.lost = self.lost.saturating_add(missed);
        self.average(missed, packet.interval.as_secs_f64() / f64::from(packet.slices.max(1)));
        self.last_seq = packet.seq;
        self.heard_at = Some(now);
        self.received += 1;
        self.echoed = self.echoed.max(echo.seq);
        let sent_at = self.sent_at.iter().rev().find(|(seq, _)| *seq == echo.seq).map(|(_, at)| *at);
        if let Some(at) = sent_at {
            self.rtt = Some(now.saturating_duration_since(at).saturating_sub(echo.hold));
            self.echoed_sent_at = self.echoed_sent_at.max(Some(at));
        }
    }

    /// Takes `missed` lost datagrams and one that arrived into the average. `every`: seconds between two.
    fn average(&mut self, missed: u64, every: f64) {
        let keep = 1.0 - (every / LOSS_WINDOW.as_secs_f64()).clamp(0.001, 0.5);
        let after_losses = 1.0 - (1.0 - self.loss) * keep.powf(missed as f64);
        self.loss = after_losses * keep;
    }
}

fn push_bounded<T>(queue: &mut VecDeque<T>, item: T) {
    if queue.len() == MAX_SESSIONS {
        queue.pop_front();
    }
    queue.push_back(item);
}
