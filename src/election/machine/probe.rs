//! Asking the wire before a claim: one Vip's part in the rounds of its [segment](super::segment).
//!
//! ```text
//!   rounds ──5 ms──▶ … ──▶ last round (with a ticket) ──10 ms──▶ silent? ──▶ grant (takes the ticket) ──▶ Active
//!     ▲                                                             │              │ refused: too late
//!     └──── an answer, or another prober that comes first ──────────┴──────────────┘
//! ```
//!
//! The ticket lies in the kernel and lasts 25 ms: an agent that was stopped between its last probe and the grant finds
//! it gone, and asks again, for somebody else may have claimed meanwhile.

use super::{
    facts::Context,
    outbox::Outbox,
    rules::{
        ANSWER_PATIENCE, ANSWER_WAIT, FOREIGN_EVERY, FOREIGN_GONE, HEARD_HAVING_FOR, MAKE_WAY, MAKE_WAY_LONG,
        MAKE_WAY_TIMES, ROUND_EVERY, Rule, SIGHT_FOR, TICKET_FOR,
    },
    segment::{Haste, Question, Verdict},
    vip::VipState,
};
use crate::model::{Mac, Name, Role};
use std::{
    collections::BTreeMap,
    net::IpAddr,
    time::{Duration, Instant},
};

/// Unknown hosts that are made way for; far more than there are nodes.
const MAX_PROBERS: usize = 16;

/// An attempt to claim.
#[derive(Debug)]
pub(super) struct Probing {
    /// Rounds before this do not count.
    pub(super) from: Instant,
    /// It takes no part in rounds until then.
    pub(super) rests_until: Option<Instant>,
    /// No reference has answered since.
    pub(super) blind_since: Option<Instant>,
    /// In the kernel since the round of that time.
    pub(super) ticket: Option<(u64, Instant)>,
    /// Another host had the address at that time, by a frame of its own.
    heard_having: Option<(Instant, Name)>,
    unsent_since: Option<Instant>,
    /// How often each of them was made way for.
    unknown_probers: BTreeMap<Mac, u32>,
}

/// The lease may be asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ready {
    pub(super) ticket: u64,
    /// Somebody would have been heard.
    pub(super) verified: bool,
}

/// A lease that has been asked for; the kernel's answer comes in the same turn.
#[derive(Debug)]
pub(super) struct Granting {
    pub(super) ips: Vec<IpAddr>,
    pub(super) verified: bool,
    pub(super) because: String,
    pub(super) offered: bool,
    /// The step in which it was asked for.
    pub(super) round: u64,
    /// Whether it was granted, once that is known.
    pub(super) answer: Option<bool>,
}

impl Probing {
    fn new(now: Instant) -> Self {
        Self {
            from: now,
            rests_until: None,
            blind_since: None,
            ticket: None,
            heard_having: None,
            unsent_since: None,
            unknown_probers: BTreeMap::new(),
        }
    }

    /// Takes no part in rounds for a while, and begins anew then.
    pub(super) fn pause(&mut self, now: Instant, pause: Duration) {
        self.rests_until = Some(now + pause);
        self.ticket = None;
    }

    /// A host that is in nobody's list asks for the address, as one does that is about to use it. It may be a node that
    /// this one has not heard yet. Both make way, the one that comes first for a shorter time. Each host is counted for
    /// itself: one that does nothing but ask must not hide a node.
    pub(super) fn unknown_prober(&mut self, now: Instant, mac: Mac, comes_first: bool) {
        if self.rests_until.is_some_and(|until| now < until) {
            return;
        }
        if self.unknown_probers.len() >= MAX_PROBERS && !self.unknown_probers.contains_key(&mac) {
            return;
        }
        let times = self.unknown_probers.entry(mac).or_default();
        if *times < MAKE_WAY_TIMES {
            *times += 1;
            self.pause(now, if comes_first { MAKE_WAY } else { MAKE_WAY_LONG });
        }
    }

    /// A probe could not be sent; whether its silence still counts as an answer.
    pub(super) fn unsent(&mut self, now: Instant) -> bool {
        now < *self.unsent_since.get_or_insert(now) + ANSWER_PATIENCE
    }

    pub(super) fn heard_having(&mut self, now: Instant, peer: &Name) {
        self.heard_having = Some((now, peer.clone()));
    }

    /// A host that is no peer has the address: it is asked again after a while.
    pub(super) fn stranger(&mut self, now: Instant) {
        self.pause(now, FOREIGN_EVERY);
    }
}

impl VipState {
    /// The device on which the wire can be asked, if its answers mean anything.
    pub(super) fn wire(&self) -> Option<u32> {
        self.candidate.link.filter(|_| self.candidate.probed && self.candidate.trust_probe)
    }

    /// The addresses for which this node needs a lease.
    pub(super) fn wanted(&self) -> Vec<IpAddr> {
        let new = |ip: &&IpAddr| self.role != Role::Active || !self.leased.contains(*ip);
        self.candidate.addresses.iter().filter(new).copied().collect()
    }

    /// Nodes that may be dead.
    pub(super) fn suspects<'a>(&'a self, ctx: &Context) -> Vec<&'a Name> {
        let quiet = |node: &&Name| ctx.peers.get(*node).is_some_and(|peer| peer.is_quiet(ctx.now));
        self.candidate.nodes.iter().filter(quiet).collect()
    }

    /// Takes part in the rounds; says when the lease may be asked for. `at`: not before this; `may`: nothing but the
    /// wire stands against it now.
    pub(super) fn probe(&mut self, ctx: &Context, at: Instant, may: bool, out: &mut Outbox) -> Option<Ready> {
        let asks = ctx.rules.hold(Rule::SilentProbes);
        let Some(link) = self.wire().filter(|_| asks) else { return self.claim_unasked(ctx, may, out) };
        let segment = ctx.segments.get(&link)?;
        let ips = self.wanted();
        let suspects: Vec<Name> = self.suspects(ctx).into_iter().cloned().collect();
        let suspects: Vec<&Name> = suspects.iter().collect();
        let answered_at = self.answered_at;
        let probing = self.probing.get_or_insert_with(|| Probing::new(ctx.now));
        if let Some(until) = probing.rests_until {
            if ctx.now < until {
                self.claiming = false;
                out.wake_at(until);
                return None;
            }
            (probing.rests_until, probing.from) = (None, ctx.now);
        }
        let question = Question { from: probing.from, answered_at, suspects: &suspects };
        let verdict = segment.judge(ctx.now, question, ctx.rules);
        if let Some(since) = probing.blind_since.or((verdict == Verdict::Blind).then_some(ctx.now)) {
            (probing.blind_since, probing.ticket) = (Some(since), None);
            // Where all that ever answered were nodes that are dead by now, there is nobody to wait for.
            let expected = segment.ever_answered(Question { from: ctx.now, ..question });
            if expected && !segment.hears_since(since) {
                self.claiming = false;
                out.hasten(link, Haste::Hunt);
                return None;
            }
            (probing.blind_since, probing.from) = (None, ctx.now);
            return self.probe(ctx, at, may, out);
        }
        out.probing.insert(link);
        let judged = probing.ticket.filter(|(_, since)| ctx.now >= *since + ANSWER_WAIT);
        if let Some((ticket, _)) = judged {
            probing.ticket = None;
            if let Verdict::Silent { verified } = verdict
                && may
            {
                return Some(Ready { ticket, verified });
            }
        }
        let (sent, needed) = segment.progress(question);
        if sent >= FOREIGN_GONE {
            self.foreign = None;
        }
        self.claiming = self.foreign.is_none() && self.role != Role::Active;
        if !segment.round_due(ctx.now) {
            out.wake_at(segment.next_round(ctx.now));
            return None;
        }
        if sent + 1 >= needed && at <= ctx.now + ANSWER_WAIT && probing.ticket.is_none() {
            let id = ctx.ticket(self.serial);
            probing.ticket = Some((id, ctx.now));
            let check = ctx.rules.hold(Rule::CheckThenAct);
            out.tickets.push((id, if check { TICKET_FOR } else { Duration::from_secs(3600) }));
            out.wake_at(ctx.now + ANSWER_WAIT);
        }
        out.probes.extend(ips.into_iter().map(|ip| (link, ip)));
        out.wake_at(ctx.now + ROUND_EVERY);
        None
    }

    /// Where nothing can be asked, or answers mean nothing, the claim rests on the others' silence alone.
    fn claim_unasked(&mut self, ctx: &Context, may: bool, out: &mut Outbox) -> Option<Ready> {
        self.claiming = self.role != Role::Active;
        if !may {
            return None;
        }
        let ticket = ctx.ticket(self.serial);
        out.tickets.push((ticket, TICKET_FOR));
        Some(Ready { ticket, verified: true })
    }

    /// A peer that has the address by a frame of its own, but does not answer this node's questions: silence is no
    /// proof then. In words, and until when.
    pub(super) fn heard_having(&self, ctx: &Context) -> Option<(String, Instant)> {
        let (at, peer) = self.probing.as_ref()?.heard_having.as_ref()?;
        let until = *at + HEARD_HAVING_FOR;
        let own = self.candidate.node_addresses.get(peer)?;
        let segment = ctx.segments.get(&self.wire()?)?;
        // If its own address answered at the time, it could be asked then; and if it does not now, it is gone.
        let two_ways = segment.has_answered(*own, at.checked_sub(SIGHT_FOR).unwrap_or(*at));
        let unsure = ctx.now < until && !two_ways && ctx.rules.hold(Rule::HeardHaving);
        unsure.then(|| (format!("{peer} speaks for the addresses, but {own}, its own one, does not answer"), until))
    }

    pub(super) fn ask_for_lease(
        &mut self,
        ctx: &Context,
        ready: Ready,
        because: String,
        offered: bool,
        out: &mut Outbox,
    ) {
        let ips = self.wanted();
        out.grants.push((self.candidate.vip.clone(), ready.ticket, ips.clone()));
        let (verified, round) = (ready.verified, ctx.round);
        self.granting = Some(Granting { ips, verified, because, offered, round, answer: None });
        out.wake_at(ctx.now);
    }
}
