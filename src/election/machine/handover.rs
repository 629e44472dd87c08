//! Planned moves: who asks, who is entitled, and what happens if it comes to nothing.
//!
//! ```text
//!   owner (Active)                                    heir (Backup)
//!      │  ◀─────────────── asks (round 7) ───────────────┤  preferred, settled, same state
//!   Backup, graceful, still holding                      │  a ticket for round 7 lies in its kernel for 100 ms
//!      │  the reconcile loop mutes or removes            │
//!   Backup, not holding ──── offer: heir, round 7 ──────▶│  the lease, on the ticket of round 7: Active, no probes
//!      │                                              adds the addresses
//!      ├─ the heir is Active: done
//!      └─ 300 ms without it, or the heir falls silent: nothing is to be taken any more; 130 ms later, when no ticket
//!         can be left, the old owner probes and takes back
//! ```
//!
//! The heir never adds what the owner has not let go of, so the two never both have the addresses. An offer is worth
//! something only for 100 ms from the heir's own question: the owner may be cut off in mid-handover and take back, and
//! a late offer must not make a second owner then. The offer is repeated with the round of each new question. A heir
//! that does not take what it was offered is not offered it again for a while. Also a node that leaves takes back what
//! nobody else takes, for as long as its agent runs.
//!
//! An offer is the word of one owner, and there may be two: those that are cut off from each other, of which the heir
//! hears one and sees the other on the wire. It asks for nothing then, and what it is offered all the same it claims like
//! anything else, by silence.
//!
//! A node that vanishes again and again waits longer each time before it is handed the addresses. The owner keeps count,
//! for the other one forgets with each restart.

use super::{
    facts::{Context, Rival, contenders},
    outbox::Outbox,
    rules::{DAMPING_DOUBLINGS, OFFER_FOR, REFUSE_FOR, REFUSE_LIMIT, RELEASE_LIMIT, Rule, VANISHED_FOR, WITHDRAWN_FOR},
    vip::VipState,
};
use crate::model::{FailbackMode, Name, format_duration};
use std::time::{Duration, Instant};

/// This node lets go of the addresses on purpose.
#[derive(Debug)]
pub(super) struct Release {
    /// Whom they are offered.
    pub(super) to: Option<Name>,
    since: Instant,
    /// When they had left this node's devices.
    freed_at: Option<Instant>,
    /// The round of the heir's last question, once the addresses have left; 0: none.
    round: u64,
    /// The heir may not take them any more since.
    withdrawn_at: Option<Instant>,
}

impl Release {
    /// What heartbeats say of it.
    pub(super) fn said(&self) -> Option<(Name, u64)> {
        Some((self.to.clone()?, if self.withdrawn_at.is_none() { self.round } else { 0 }))
    }

    /// For people: to whom, and whether it is over.
    pub(super) fn state(&self) -> (Option<&Name>, bool) {
        (self.to.as_ref(), self.withdrawn_at.is_some())
    }
}

/// A peer that did not take what it was offered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refusal {
    until: Instant,
    pause: Duration,
}

impl VipState {
    /// Begins a release.
    pub(super) fn let_go(&mut self, ctx: &Context, to: Option<Name>) {
        self.release = Some(Release { to, since: ctx.now, freed_at: None, round: 0, withdrawn_at: None });
    }

    /// A peer to which this owner hands over now, and why.
    pub(super) fn heir(&self, ctx: &Context, rivals: &[Rival], out: &mut Outbox) -> Option<(Name, String)> {
        let heir = rivals.iter().find(|rival| {
            let refused = self.refused.get(rival.name).filter(|refusal| ctx.now < refusal.until);
            if let Some(refusal) = refused {
                out.wake_at(refusal.until);
            }
            rival.asks && refused.is_none() && self.entitled(ctx, rival, out)
        })?;
        let why = match self.eligible() {
            true => format!("{} comes first in nodes; handed over (failback)", heir.name),
            false => format!("{}; handed over to {}", self.reason(), heir.name),
        };
        Some((heir.name.clone(), why))
    }

    /// Whether this node asks `owner` to hand over: for being preferred, or because the owner is not eligible.
    pub(super) fn should_ask(&self, ctx: &Context, owner: &Rival, rivals: &[Rival], out: &mut Outbox) -> bool {
        let first = |same_state: bool| {
            let others = rivals.iter().filter(|rival| rival.same_state || !same_state);
            let mut order = contenders(ctx, self, others);
            order.sort_by_key(|contender| self.place(contender.name));
            order.first().is_some_and(|contender| contender.name == ctx.me)
        };
        if !owner.peer.mutual() || !self.eligible() || !self.started || self.blind {
            return false;
        }
        if let Some(until) = self.unheard_owner(ctx) {
            out.wake_at(until);
            return false;
        }
        if !owner.eligible || !owner.takes_part {
            return first(false);
        }
        let Some(at) = self.failback_at(ctx, owner) else { return false };
        if ctx.now < at {
            out.wake_at(at);
        }
        ctx.now >= at && first(true)
    }

    /// When this node may ask for being preferred: it must have been up, eligible, and in mutual hearing with the same
    /// owner for `failback.after`. `None`: never, as things are.
    pub(super) fn failback_at(&self, ctx: &Context, owner: &Rival) -> Option<Instant> {
        let preferred = self.place(ctx.me)? < self.place(owner.name)?;
        if !preferred || !owner.same_state || self.candidate.failback.mode != FailbackMode::Auto {
            return None;
        }
        let since = [owner.peer.mutual_since?, owner.active_since?, self.eligible_since?, self.created];
        let quiet = since.into_iter().max()? + self.candidate.failback.after;
        Some(self.yielded_until.map_or(quiet, |until| quiet.max(until)))
    }

    /// Ends a release that has come to something or to nothing.
    pub(super) fn end_release(&mut self, ctx: &Context, rivals: &[Rival], out: &mut Outbox) {
        let holds = self.holds(ctx);
        let Some(release) = &mut self.release else { return };
        if rivals.iter().any(Rival::active) {
            if let Some(to) = release.to.take() {
                self.refused.remove(&to);
            }
            self.release = None;
            return;
        }
        if let Some(withdrawn) = release.withdrawn_at {
            return self.end_withdrawal(ctx, withdrawn, rivals, out);
        }
        let heir = release.to.as_ref().and_then(|to| rivals.iter().find(|rival| rival.name == to));
        if !holds {
            release.freed_at.get_or_insert(ctx.now);
            release.round = heir.map(|heir| heir.asked_in).filter(|round| *round != 0).unwrap_or(release.round);
        }
        let leaving = self.candidate.eligibility.leaving || self.candidate.link.is_none();
        if release.to.is_none() && leaving {
            return self.release_to_next(ctx, rivals);
        }
        let deadline = release.freed_at.map_or(release.since + RELEASE_LIMIT, |freed| freed + OFFER_FOR);
        if heir.is_some() && ctx.now < deadline {
            return out.wake_at(deadline);
        }
        if ctx.rules.hold(Rule::TakeBack) && (!leaving || ctx.rules.hold(Rule::LastResort)) {
            release.withdrawn_at = Some(ctx.now);
            self.end_withdrawal(ctx, ctx.now, rivals, out);
        }
    }

    /// The heir has had its chance; once no ticket can be left, this node takes back, or offers to the next.
    fn end_withdrawal(&mut self, ctx: &Context, withdrawn: Instant, rivals: &[Rival], out: &mut Outbox) {
        let takeable = self.release.as_ref().is_some_and(|release| release.round != 0);
        let over = withdrawn + WITHDRAWN_FOR;
        if ctx.now < over && takeable && ctx.rules.hold(Rule::WithdrawnOfferWaits) {
            return out.wake_at(over);
        }
        let Some(release) = self.release.take() else { return };
        let Some(to) = release.to else { return };
        self.refuse(ctx.now, to.clone());
        if self.takes_part() {
            return out.event(
                ctx.now,
                &*self.candidate.vip,
                format!("{to} did not take the addresses; taking them back"),
            );
        }
        let left = Release { to: None, round: 0, withdrawn_at: None, since: ctx.now, ..release };
        self.release = Some(left);
        self.release_to_next(ctx, rivals);
        if self.release.as_ref().is_some_and(|release| release.to.is_none()) && self.last_resort {
            self.release = None;
            let text = format!("{to} did not take the addresses, and nobody else is there; taking them back");
            out.event(ctx.now, &*self.candidate.vip, text);
        }
    }

    /// Whether `heir` was offered the addresses of late and did not take them.
    pub(super) fn has_refused(&self, now: Instant, heir: &Name) -> bool {
        self.refused.get(heir).is_some_and(|refusal| now < refusal.until)
    }

    fn release_to_next(&mut self, ctx: &Context, rivals: &[Rival]) {
        let able = rivals.iter().filter(|rival| !self.has_refused(ctx.now, rival.name));
        let next = contenders(ctx, self, able).into_iter().find(|next| next.name != ctx.me);
        let next = next.map(|next| next.name.clone());
        if let Some(release) = &mut self.release {
            (release.to, release.since, release.round) = (next, ctx.now, 0);
            release.freed_at = release.freed_at.map(|_| ctx.now);
        }
    }

    /// The mirror of [`Self::should_ask`], by what this node knows: neither side alone decides a move.
    fn entitled(&self, ctx: &Context, heir: &Rival, out: &mut Outbox) -> bool {
        if !ctx.rules.hold(Rule::Entitled) {
            return true;
        }
        if !heir.peer.mutual() || !heir.eligible || !heir.takes_part || heir.occupies() {
            return false;
        }
        if !self.eligible() {
            return true;
        }
        let preferred =
            matches!((self.place(heir.name), self.place(ctx.me)), (Some(theirs), Some(mine)) if theirs < mine);
        let failback = self.candidate.failback.mode == FailbackMode::Auto;
        preferred && failback && heir.same_state && self.damped(ctx, heir, out).is_none()
    }

    /// Until when the failback to `heir` waits because it vanished again and again, and how often.
    pub(super) fn damped(&self, ctx: &Context, heir: &Rival, out: &mut Outbox) -> Option<(Instant, u32)> {
        let times = heir.peer.vanished(ctx.now);
        let doublings = times.checked_sub(1)?.min(DAMPING_DOUBLINGS);
        let wait = (self.candidate.failback.after * (1 << doublings)).min(VANISHED_FOR);
        let until = heir.peer.mutual_since? + wait;
        if doublings == 0 || ctx.now >= until || !ctx.rules.hold(Rule::Damping) {
            return None;
        }
        out.wake_at(until);
        Some((until, times))
    }

    /// What the owner says of a preferred node that has to wait.
    pub(super) fn explain_damping(&mut self, ctx: &Context, rivals: &[Rival], out: &mut Outbox) {
        let before = |rival: &&Rival| self.place(rival.name) < self.place(ctx.me) && rival.asks;
        let damped = rivals.iter().filter(before).find_map(|rival| Some((rival, self.damped(ctx, rival, out)?)));
        if let Some((rival, (until, times))) = damped {
            let wait = format_duration(until.duration_since(rival.peer.mutual_since.unwrap_or(until)));
            let name = rival.name;
            self.explain(
                format!(
                    "{name} vanished {times} times in the last 10m: it gets the addresses back after {wait} of quiet"
                ),
                out,
            );
        }
    }

    fn refuse(&mut self, now: Instant, heir: Name) {
        let pause = self.refused.get(&heir).map_or(REFUSE_FOR, |before| (before.pause * 2).min(REFUSE_LIMIT));
        self.refused.insert(heir, Refusal { until: now + pause, pause });
    }
}
