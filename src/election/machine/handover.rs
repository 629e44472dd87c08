//! Planned moves: who asks, who is entitled, and what happens if it comes to nothing.
//!
//! ```text
//!   owner (Active)                                    heir (Backup)
//!      │  ◀─────────────────────────── asks ─────────────┤  preferred, settled, same state
//!   Backup, graceful, still holding                      │
//!      │  the reconcile loop removes the addresses       │
//!   Backup, not holding ──── offer: heir ───────────────▶│  Active at once, no probes
//!      │                                              adds the addresses
//!      ├─ the heir is Active: done
//!      └─ 300 ms without it: the offer is withdrawn, the old owner probes and takes back
//! ```
//!
//! The heir never adds what the owner has not let go of, so the two never both have the addresses. A heir that does
//! not take what it was offered is not offered it again for a while.

use super::{
    facts::{Context, Rival, contenders},
    outbox::Outbox,
    rules::{OFFER_FOR, REFUSE_FOR, REFUSE_LIMIT, RELEASE_LIMIT, Rule},
    vip::VipState,
};
use crate::model::{FailbackMode, Name};
use std::time::{Duration, Instant};

/// This node lets go of the addresses on purpose.
#[derive(Debug)]
pub(super) struct Release {
    /// Whom they are offered.
    pub(super) to: Option<Name>,
    since: Instant,
    /// When they had left this node's devices.
    freed_at: Option<Instant>,
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
        self.release = Some(Release { to, since: ctx.now, freed_at: None });
    }

    /// A peer to which this owner hands over now, and why.
    pub(super) fn heir(&self, ctx: &Context, rivals: &[Rival], out: &mut Outbox) -> Option<(Name, String)> {
        let heir = rivals.iter().find(|rival| {
            let refused = self.refused.get(rival.name).filter(|refusal| ctx.now < refusal.until);
            if let Some(refusal) = refused {
                out.wake_at(refusal.until);
            }
            rival.asks && refused.is_none() && self.entitled(ctx, rival)
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
        if !owner.peer.mutual() || !self.eligible() || !self.started {
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
        Some(since.into_iter().max()? + self.candidate.failback.after)
    }

    /// Ends a release that has come to something or to nothing.
    pub(super) fn end_release(&mut self, ctx: &Context, rivals: &[Rival], out: &mut Outbox) {
        let holds = self.holds(ctx);
        let Some(release) = &mut self.release else { return };
        if !holds {
            release.freed_at.get_or_insert(ctx.now);
        }
        let heir = release.to.as_ref().and_then(|to| rivals.iter().find(|rival| rival.name == to));
        if rivals.iter().any(Rival::active) {
            if let Some(to) = release.to.take() {
                self.refused.remove(&to);
            }
            self.release = None;
            return;
        }
        if !ctx.rules.hold(Rule::TakeBack) {
            return;
        }
        // A node that leaves has nothing to take back; it offers to the next in line if the first one falls silent.
        if !self.takes_part() {
            if heir.is_none() {
                self.release_to_next(ctx, rivals);
            }
            return;
        }
        let Some(release) = &self.release else { return };
        let deadline = release.freed_at.map_or(release.since + RELEASE_LIMIT, |freed| freed + OFFER_FOR);
        if heir.is_some() && ctx.now < deadline {
            return out.wake_at(deadline);
        }
        if let Some(to) = self.release.take().and_then(|release| release.to) {
            out.event(ctx.now, &*self.candidate.vip, format!("{to} did not take the addresses; taking them back"));
            self.refuse(ctx.now, to);
        }
    }

    /// Whether `heir` was offered the addresses of late and did not take them.
    pub(super) fn has_refused(&self, now: Instant, heir: &Name) -> bool {
        self.refused.get(heir).is_some_and(|refusal| now < refusal.until)
    }

    fn release_to_next(&mut self, ctx: &Context, rivals: &[Rival]) {
        let next = contenders(ctx, self, rivals.iter()).first().map(|next| next.name.clone());
        if let Some(release) = &mut self.release {
            release.to = next;
        }
    }

    /// The mirror of [`Self::should_ask`], by what this node knows: neither side alone decides a move.
    fn entitled(&self, ctx: &Context, heir: &Rival) -> bool {
        if !ctx.rules.hold(Rule::Entitled) {
            return true;
        }
        if !heir.peer.mutual() || !heir.eligible || !heir.takes_part || heir.occupies() {
            return false;
        }
        let preferred =
            matches!((self.place(heir.name), self.place(ctx.me)), (Some(theirs), Some(mine)) if theirs < mine);
        let failback = self.candidate.failback.mode == FailbackMode::Auto;
        !self.eligible() || (preferred && failback && heir.same_state)
    }

    fn refuse(&mut self, now: Instant, heir: Name) {
        let pause = self.refused.get(&heir).map_or(REFUSE_FOR, |before| (before.pause * 2).min(REFUSE_LIMIT));
        self.refused.insert(heir, Refusal { until: now + pause, pause });
    }
}
