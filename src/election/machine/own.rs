//! Active: what ends it.

use super::{
    facts::{Context, Rival},
    outbox::Outbox,
    vip::VipState,
};
use crate::model::Role;

impl VipState {
    pub(super) fn own(&mut self, ctx: &Context, rivals: &[Rival], out: &mut Outbox) {
        if !self.takes_part() {
            return self.step_down(ctx, rivals, out);
        }
        if let Some(winner) = rivals.iter().find(|rival| rival.active() && rival.beats(ctx, self)) {
            let (name, theirs, ours) = (winner.name, winner.epoch, self.epoch);
            let why = match theirs == ours {
                true => format!("{name} is Active too and comes first (both epoch {ours})"),
                false => format!("{name} is Active with the higher epoch {theirs}, this node had {ours}"),
            };
            self.graceful = false;
            return self.become_role(ctx, Role::Backup, why, out);
        }
        if let Some((heir, why)) = self.heir(ctx, rivals, out) {
            self.graceful = true;
            self.become_role(ctx, Role::Backup, why, out);
            self.let_go(ctx, Some(heir));
            return;
        }
        if self.cannot_hold_until.is_some() {
            self.explain("Active, but the addresses could not be added; no other node can take them".into(), out);
        }
    }

    /// Leaves because this node does not take part any more, in favour of the next in line.
    fn step_down(&mut self, ctx: &Context, rivals: &[Rival], out: &mut Outbox) {
        let heir = super::facts::contenders(ctx, self, rivals.iter()).first().map(|next| next.name.clone());
        let why = match &heir {
            Some(name) => format!("{}; handed over to {name}", self.reason()),
            None => format!("{}; no other node is heard", self.reason()),
        };
        self.graceful = self.candidate.eligibility.leaving;
        self.become_role(ctx, Role::Backup, why, out);
        self.let_go(ctx, heir);
    }
}
