//! Nobody can know only by heartbeats that it is the only owner, or that anybody can reach it. So an owner goes on asking
//! the wire for its own addresses, and the others ask for the owner's:
//!
//! | who | asks for | and if |
//! |---|---|---|
//! | owner | its own addresses, each second; closely while a node is not heard | another host answers: a conflict |
//! | owner | references, four times a second | nothing at all comes in for half a second: it is deaf, and gives up |
//! | Backup | the owner's addresses, four times a second | others answer, but the owner does not for two seconds: it says so, and the owner yields |
//!
//! An unproven claim becomes a proven one when references answer, or a Backup hears it, for half a second.

use super::{
    facts::{Context, Rival, owner},
    outbox::Outbox,
    peer::PeerState,
    rules::{
        AUDIT_CLOSELY, AUDIT_EVERY, AUDIT_LOAD, AUDIT_OTHERS, BLIND_AFTER, DEAF_AFTER, INSIST, PROVEN_AFTER,
        REFERENCES_CLOSELY, Rule, SIGHT_FOR, SILENCE_AFTER, SILENT_AUDITS, YIELD_FOR,
    },
    segment::{Haste, Question, Segment},
    vip::VipState,
};
use crate::model::{Name, Role};
use std::time::{Duration, Instant};

/// Said of a node that hears nothing.
pub(super) const DEAF: &str = "nothing comes in on the addresses' device any more, and no host there answers";

/// Questions after a claim.
#[derive(Debug, Default)]
pub(super) struct Audit {
    next_at: Option<Instant>,
    /// Questions since the last answer,
    pub(super) asked: u32,
    /// and when the first of them was asked.
    since: Option<Instant>,
}

impl VipState {
    /// Asks the wire about an owner, this node or another.
    pub(super) fn audit(&mut self, ctx: &Context, rivals: &[Rival], out: &mut Outbox) {
        let every = self.audit_every(ctx, rivals);
        let (Some(link), Some(every)) = (self.wire(), every) else {
            self.audit = Audit::default();
            return;
        };
        let load = AUDIT_LOAD * ctx.segments.get(&link).map_or(0, |segment| segment.vips);
        let every = every.max(load);
        let latest = ctx.now + every;
        let mut next = self.audit.next_at.map_or(latest, |next| next.min(latest));
        if ctx.now >= next {
            if self.audit.asked == 0 {
                self.audit.since = Some(ctx.now);
            }
            self.audit.asked += 1;
            out.probes.extend(self.candidate.addresses.iter().map(|ip| (link, *ip)));
            next = latest;
        }
        self.audit.next_at = Some(next);
        out.wake_at(next);
    }

    fn audit_every(&self, ctx: &Context, rivals: &[Rival]) -> Option<Duration> {
        if self.role != Role::Active {
            let audited = owner(rivals).is_some_and(|owner| owner.holding) && self.probing.is_none();
            return audited.then_some(AUDIT_OTHERS);
        }
        let doubt = ctx.doubt_until.is_some_and(|until| ctx.now < until);
        let closely = doubt || self.misses_a_node(ctx) || self.seen_other(ctx.now).is_some();
        let every = if closely { AUDIT_CLOSELY } else { AUDIT_EVERY };
        Some(every).filter(|_| ctx.rules.hold(Rule::OwnerAudits))
    }

    /// A node of the Vip is not heard: it may own too, and cannot be told.
    pub(super) fn misses_a_node(&self, ctx: &Context) -> bool {
        self.candidate.nodes.iter().any(|node| ctx.peers.get(node).is_some_and(|peer| !peer.heard))
    }

    /// Another host that has an address, if that was seen just now.
    pub(super) fn seen_other(&self, now: Instant) -> Option<&super::sights::Other> {
        self.other.as_ref().filter(|other| now < other.at + SIGHT_FOR)
    }

    /// A node of the Vip is about to be taken for dead: it may be about to claim, because it does not hear this one.
    pub(super) fn doubts_a_node(&self, ctx: &Context, out: &mut Outbox) -> bool {
        let peers = self.candidate.nodes.iter().filter_map(|node| ctx.peers.get(node));
        let doubtful = peers.filter_map(super::peer::PeerState::doubtful_at).min();
        if let Some(at) = doubtful.filter(|at| ctx.now < *at) {
            out.wake_at(at);
        }
        doubtful.is_some_and(|at| ctx.now >= at)
    }

    /// What the wire says of this node's own place in the segment.
    pub(super) fn look_at_wire(&mut self, ctx: &Context, rivals: &[Rival], out: &mut Outbox) {
        let segment = self.wire().and_then(|link| Some((link, ctx.segments.get(&link)?)));
        let Some((link, segment)) = segment else {
            (self.has_references, self.blind, self.sees_silence) = (false, false, false);
            self.deaf = false;
            return;
        };
        let active = self.role == Role::Active;
        let closely = (active && self.has_others(ctx)) || self.audit.asked > 2;
        out.hasten(link, if closely { Haste::Closely } else { Haste::None });
        let answered = segment.answered_at();
        self.has_references = answered.is_some_and(|at| ctx.now < at + BLIND_AFTER);
        self.blind = answered.is_some() && !self.has_references;
        let silent = self.audit.since.filter(|_| !active && self.audit.asked > SILENT_AUDITS);
        let sees_silence = silent.is_some_and(|since| ctx.now >= since + SILENCE_AFTER)
            && answered.is_some_and(|at| ctx.now < at + REFERENCES_CLOSELY * 2);
        if sees_silence && !self.sees_silence {
            out.event(ctx.now, &*self.candidate.vip, "others on the segment answer, but the owner's addresses do not");
        }
        self.sees_silence = sees_silence;
        self.deaf = self.is_deaf(ctx, segment, rivals);
        self.prove(ctx, segment, rivals, out);
    }

    /// A claim that was made without proof may be borne out afterwards.
    fn prove(&mut self, ctx: &Context, segment: &Segment, rivals: &[Rival], out: &mut Outbox) {
        if self.role != Role::Active || self.verified {
            return;
        }
        let references = segment.answered_at().is_some_and(|at| ctx.now < at + REFERENCES_CLOSELY * 2);
        let heard = rivals.iter().any(|rival| rival.role == Role::Backup && rival.peer.mutual());
        if !references && !heard {
            self.proven_since = None;
            return;
        }
        let at = *self.proven_since.get_or_insert(ctx.now) + PROVEN_AFTER;
        if ctx.now < at {
            return out.wake_at(at);
        }
        self.verified = true;
        out.event(ctx.now, &*self.candidate.vip, "the claim is verified now");
    }

    /// The Vip has other nodes.
    pub(super) fn has_others(&self, ctx: &Context) -> bool {
        self.candidate.nodes.iter().any(|node| ctx.peers.contains_key(node))
    }

    /// Why this owner must leave for another that answers for the addresses. Where heartbeats pass, they decide.
    pub(super) fn yields_to_answers(&mut self, ctx: &Context, out: &mut Outbox) -> Option<String> {
        let now = ctx.now;
        if self.foreign.is_some() && self.seen_other(now).is_none() {
            self.foreign = None;
            out.changed();
        }
        if !ctx.rules.hold(Rule::OwnerAudits) {
            return None;
        }
        let other = self.seen_other(now)?;
        out.wake_at(other.at + SIGHT_FOR);
        let (ip, since) = (other.ip, other.since);
        let Some(peer) = other.peer.clone() else {
            // It may be a node of which nothing was ever heard; that one does not know this node either. Both can see
            // which of them has the lower Ethernet address.
            let unmet = self.candidate.nodes.iter().any(|node| ctx.peers.get(node).is_some_and(PeerState::is_unmet));
            let why = format!("{} answers for {ip} too, and may be a node that was never heard", other.mac);
            return (unmet && other.comes_first).then_some(why);
        };
        let state = ctx.peers.get(&peer)?;
        // What was heard before the clock was stepped may be long ago.
        let doubtful = ctx.doubt_until.is_some_and(|until| ctx.now < until) && !state.session.is_fresh();
        if (state.heard && !doubtful) || (self.by_patience && !state.fenced) {
            return None;
        }
        let first = self.place(ctx.me) < self.place(&peer) || self.place(&peer).is_none();
        // Without the addresses on its device there is nothing to insist on.
        let insists = first && self.unheld_since.is_none();
        if insists && now < since + INSIST {
            out.wake_at(since + INSIST);
            return None;
        }
        self.patience_spent = true;
        Some(format!("{peer} answers for {ip} too, and is not heard"))
    }

    /// Nothing comes in on the Vip's own device, and it is known that something should: a node in this state does not
    /// serve anybody, and does not claim either.
    fn is_deaf(&self, ctx: &Context, segment: &Segment, rivals: &[Rival]) -> bool {
        let somebody = rivals.iter().any(|rival| rival.takes_part && rival.eligible);
        let answered = segment.answered_at();
        if !self.has_others(ctx) || (answered.is_none() && !somebody) || !ctx.rules.hold(Rule::DeafLeaves) {
            return false;
        }
        let active_since = (self.role == Role::Active).then_some(self.since);
        let heard_at = segment.still_since().max(answered).max(active_since);
        let still = segment.still_since().is_some() && heard_at.is_some_and(|at| ctx.now >= at + DEAF_AFTER);
        // Where all that ever answered were nodes that may be dead by now, stillness is what is to be expected.
        still && (somebody || self.expects_answers(ctx, segment))
    }

    fn expects_answers(&self, ctx: &Context, segment: &Segment) -> bool {
        let suspects = self.suspects(ctx);
        segment.ever_answered(Question { from: ctx.now, answered_at: None, suspects: &suspects })
    }

    /// Why this owner must leave for hearing nothing on the Vip's own device.
    pub(super) fn leaves_for_deafness(&self) -> Option<String> {
        self.deaf.then(|| DEAF.to_owned())
    }

    /// A peer that should have the addresses because it hears others on the segment but never this owner.
    pub(super) fn seen_better(&self, ctx: &Context, rivals: &[Rival]) -> Option<(Name, String)> {
        let settled = !self.by_offer || ctx.now >= self.since + YIELD_FOR;
        let able = |rival: &&Rival| rival.eligible && rival.takes_part && rival.peer.mutual() && rival.has_references;
        let better =
            rivals.iter().filter(able).find(|rival| rival.sees_silence && !self.has_refused(ctx.now, rival.name));
        let better = better.filter(|_| settled && ctx.rules.hold(Rule::SilentOwnerYields))?;
        Some((better.name.clone(), format!("{} hears others on the segment, but not this node's answers", better.name)))
    }
}
