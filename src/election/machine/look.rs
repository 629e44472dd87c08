//! Taking note of what has happened to a Vip since the last step, before anything is decided.

use super::{
    facts::{Context, Rival},
    outbox::Outbox,
    rules::{CANNOT_HOLD_FOR, HOLD_PATIENCE, Rule},
    vip::VipState,
};
use crate::model::Role;

impl VipState {
    /// Takes note of what has happened since the last step.
    pub(super) fn look(&mut self, ctx: &Context, rivals: &[Rival], out: &mut Outbox) {
        let heard = rivals.iter().map(|rival| rival.epoch).max();
        self.seen_epoch = self.seen_epoch.max(heard.unwrap_or(0));
        self.look_at_device(ctx, out);
        self.look_for_conflict(ctx, rivals, out);
        if self.eligible() {
            self.eligible_since.get_or_insert(ctx.now);
        } else {
            self.eligible_since = None;
        }
    }

    /// An Active node must have the addresses; one that cannot get them counts as not eligible.
    fn look_at_device(&mut self, ctx: &Context, out: &mut Outbox) {
        if self.cannot_hold_until.is_some_and(|until| ctx.now >= until) {
            self.cannot_hold_until = None;
        }
        let holds_all = self.candidate.addresses.iter().all(|ip| ctx.held.contains(ip));
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

    /// Two owners that hear each other, and the end of it; clients may have learned the other's Ethernet address, so
    /// whoever remains announces.
    fn look_for_conflict(&mut self, ctx: &Context, rivals: &[Rival], out: &mut Outbox) {
        let active = self.role == Role::Active;
        let occupy = active && rivals.iter().any(Rival::occupies);
        let healed = self.others_occupy && !occupy;
        self.others_occupy = occupy;
        let conflict = active && rivals.iter().any(Rival::active);
        match (conflict, self.conflict_since) {
            (true, None) => {
                self.conflict_since = Some(ctx.now);
                let names: Vec<&str> =
                    rivals.iter().filter(|rival| rival.active()).map(|rival| &**rival.name).collect();
                out.event(ctx.now, &*self.candidate.vip, format!("this node and {} are both Active", names.join(", ")));
            }
            (false, Some(since)) => {
                self.dual_owner += ctx.now.saturating_duration_since(since);
                self.conflict_since = None;
            }
            _ => {}
        }
        let healing = healed || ctx.newly_heard || (conflict && self.conflict_since == Some(ctx.now));
        if active && healing && ctx.rules.hold(Rule::AnnounceAfterHeal) {
            self.announce(out);
        }
    }
}
