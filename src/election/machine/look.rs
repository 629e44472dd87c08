//! Taking note of what has happened to a Vip since the last step, before anything is decided.

use super::{
    facts::{Context, Rival},
    outbox::Outbox,
    rules::{ANNOUNCE_EVERY, CANNOT_HOLD_FOR, HOLD_PATIENCE, Rule},
    vip::VipState,
};
use crate::model::Role;

impl VipState {
    /// Takes note of what has happened since the last step.
    pub(super) fn look(&mut self, ctx: &Context, rivals: &[Rival], out: &mut Outbox) {
        let heard = rivals.iter().map(|rival| rival.epoch).max();
        self.seen_epoch = self.seen_epoch.max(heard.unwrap_or(0));
        if let Some(why) = self.fallen.take() {
            self.start_again(ctx, why, out);
        }
        if self.unfit != ctx.unfit {
            self.unfit = ctx.unfit.to_owned();
            out.changed();
        }
        if self.role != Role::Active && !self.graceful && !self.holds(ctx) {
            // The reconcile loop should have ended it together with the addresses.
            self.revoke(out);
        }
        let missing = self.misses_a_node(ctx);
        (self.by_patience, self.patience_spent) = (self.by_patience && missing, self.patience_spent && missing);
        self.look_at_device(ctx, out);
        self.look_for_conflict(ctx, rivals, out);
        self.look_for_heal(ctx, rivals, out);
        self.look_at_itself(ctx, out);
    }

    fn look_at_itself(&mut self, ctx: &Context, out: &mut Outbox) {
        if self.eligible() && !self.blind {
            self.eligible_since.get_or_insert(ctx.now);
        } else {
            self.eligible_since = None;
        }
        let settles = self.eligible_since.map(|since| since.max(self.created) + self.candidate.failback.after);
        self.settled = settles.is_some_and(|at| ctx.now >= at);
        if let Some(at) = settles.filter(|at| ctx.now < *at) {
            out.wake_at(at);
        }
        match self.lost_until {
            Some(until) if ctx.now >= until => self.lost_until = None,
            Some(until) => out.wake_at(until),
            None => {}
        }
    }

    /// An Active node must have the addresses; one that cannot get them counts as not eligible.
    fn look_at_device(&mut self, ctx: &Context, out: &mut Outbox) {
        if self.cannot_hold_until.is_some_and(|until| ctx.now >= until) {
            self.cannot_hold_until = None;
        }
        let holds_all = self.leased.iter().all(|ip| ctx.held.contains(ip));
        if self.role != Role::Active || holds_all {
            self.unheld_since = None;
            return;
        }
        let deadline = *self.unheld_since.get_or_insert(ctx.now) + HOLD_PATIENCE;
        if ctx.now < deadline {
            out.wake_at(deadline);
        } else if self.cannot_hold_until.is_none() {
            self.cannot_hold_until = Some(ctx.now + CANNOT_HOLD_FOR);
            out.event(ctx.now, &*self.candidate.vip, "Active, but the addresses could not be added");
        }
    }

    /// Two owners that hear each other, or see each other's answers.
    fn look_for_conflict(&mut self, ctx: &Context, rivals: &[Rival], out: &mut Outbox) {
        let active = self.role == Role::Active;
        let heard: Vec<&str> = rivals.iter().filter(|rival| rival.active()).map(|rival| &**rival.name).collect();
        let seen = self.seen_other(ctx.now).filter(|_| active);
        let conflict = active && (!heard.is_empty() || seen.is_some());
        match (conflict, self.conflict_since) {
            (true, None) => {
                let message = match seen {
                    Some(other) if heard.is_empty() => {
                        let whose =
                            other.peer.as_ref().map_or("belongs to no peer".to_owned(), |peer| format!("is {peer}'s"));
                        format!("{} answers for {} too; that Ethernet address {whose}", other.mac, other.ip)
                    }
                    _ => format!("this node and {} are both Active", heard.join(", ")),
                };
                self.conflict_since = Some(ctx.now);
                out.event(ctx.now, &*self.candidate.vip, message);
            }
            (false, Some(since)) => {
                self.dual_owner += ctx.now.saturating_duration_since(since);
                self.conflict_since = None;
            }
            _ => {}
        }
    }

    /// Clients may have learned another's Ethernet address: whoever remains announces, whether or not it knew of a
    /// conflict, and goes on to do so while a node is not heard that may own too.
    fn look_for_heal(&mut self, ctx: &Context, rivals: &[Rival], out: &mut Outbox) {
        let active = self.role == Role::Active;
        let occupy = active && rivals.iter().any(Rival::occupies);
        let lost = rivals.iter().any(|rival| rival.lost) && ctx.rules.hold(Rule::LostIsSaid);
        let healed = (self.others_occupy && !occupy) || (lost && !self.rival_lost);
        (self.others_occupy, self.rival_lost) = (occupy, lost);
        if !active || !ctx.rules.hold(Rule::AnnounceAfterHeal) {
            return;
        }
        let mut due = healed || ctx.newly_heard || self.conflict_since == Some(ctx.now);
        // One that cannot ask this node must hear of it before it claims.
        let doubt = self.doubts_a_node(ctx, out);
        due |= doubt && !self.doubt;
        self.doubt = doubt;
        let unheard = self.misses_a_node(ctx);
        due |= unheard && ctx.now >= self.announced_at.unwrap_or(self.since) + ANNOUNCE_EVERY;
        if due {
            self.announced_at = Some(ctx.now);
            self.announce(out);
        }
        if unheard {
            out.wake_at(self.announced_at.unwrap_or(self.since) + ANNOUNCE_EVERY);
        }
    }
}
