//! Active: what ends it.

use super::{
    facts::{Context, Rival, contenders},
    outbox::Outbox,
    probe::Granting,
    rules::{Rule, YIELD_FOR},
    vip::VipState,
};
use crate::model::{Name, Role};

impl VipState {
    pub(super) fn own(&mut self, ctx: &Context, rivals: &[Rival], out: &mut Outbox) {
        if self.leaves(ctx, rivals, out) {
            return;
        }
        if let Some(winner) = rivals.iter().find(|rival| rival.active() && rival.beats(ctx, self)) {
            return self.lose(ctx, self.why_beaten(winner), out);
        }
        if let Some(why) = self.yields_unheard(ctx, rivals, out).or_else(|| self.yields_to_answers(ctx, out)) {
            return self.lose(ctx, why, out);
        }
        if let Some(why) = self.leaves_for_deafness() {
            self.yielded_until = Some(ctx.now + YIELD_FOR);
            return self.drop_at_once(ctx, why, out);
        }
        if let Some(heir) = self.fitter(ctx, rivals) {
            let why = format!("{}; {heir} is to take over", self.unfit);
            return self.drop_at_once(ctx, why, out);
        }
        if let Some((heir, why)) = self.seen_better(ctx, rivals) {
            self.yielded_until = Some(ctx.now + YIELD_FOR);
            return self.hand_over(ctx, heir, why, out);
        }
        if let Some((heir, why)) = self.heir(ctx, rivals, out) {
            return self.hand_over(ctx, heir, why, out);
        }
        self.extend_lease(ctx, rivals, out);
        self.explain_damping(ctx, rivals, out);
        if self.cannot_hold_until.is_some() {
            self.explain("Active, but the addresses could not be added; no other node can take them".into(), out);
        }
    }

    /// Ends ownership that was lost without anybody's decision; the start rule applies anew.
    pub(super) fn start_again(&mut self, ctx: &Context, why: &str, out: &mut Outbox) {
        match self.role {
            Role::Active => self.drop_at_once(ctx, why.to_owned(), out),
            _ => self.revoke(out),
        }
        (self.created, self.started) = (ctx.now, false);
        (self.release, self.probing, self.vacant_since) = (None, None, None);
        self.graceful = false;
    }

    fn hand_over(&mut self, ctx: &Context, heir: Name, why: String, out: &mut Outbox) {
        self.graceful = true;
        self.become_role(ctx, Role::Backup, why, out);
        self.let_go(ctx, Some(heir));
    }

    /// Why this owner must leave for another one that does not hear it and so cannot know of its epoch: as where neither
    /// hears the other, the preferred one stays. It is given the time of a heartbeat, for after a heal both come to hear
    /// each other one after the other.
    fn yields_unheard(&self, ctx: &Context, rivals: &[Rival], out: &mut Outbox) -> Option<String> {
        let preferred = |rival: &&Rival| match (self.place(rival.name), self.place(ctx.me)) {
            (Some(theirs), Some(mine)) => theirs < mine,
            _ => false,
        };
        let deaf = |rival: &&Rival| rival.active() && rival.verified && !rival.peer.mutual();
        let other = rivals.iter().filter(deaf).find(preferred).filter(|_| ctx.rules.hold(Rule::UnheardYields))?;
        let at = self.conflict_since? + other.peer.heartbeat.interval * 3 / 2;
        if ctx.now < at {
            out.wake_at(at);
            return None;
        }
        Some(format!("{} is Active too, comes first, and does not hear this node", other.name))
    }

    fn why_beaten(&self, winner: &Rival) -> String {
        let (name, theirs, ours) = (winner.name, winner.epoch, self.epoch);
        match theirs == ours {
            _ if winner.verified && !self.verified => format!("{name} is Active too, and its claim is proven"),
            true => format!("{name} is Active too and comes first (both epoch {ours})"),
            false => format!("{name} is Active with the higher epoch {theirs}, this node had {ours}"),
        }
    }

    /// A node that can do what this one's agent does not manage at present.
    fn fitter(&self, ctx: &Context, rivals: &[Rival]) -> Option<Name> {
        let fitter = |rival: &&Rival| rival.eligible && rival.takes_part && rival.peer.mutual();
        let heir = rivals.iter().find(fitter).filter(|_| !self.unfit.is_empty())?;
        ctx.rules.hold(Rule::UnfitYields).then(|| heir.name.clone())
    }

    /// Leaves if this node does not take part any more; whether it did. A node that leaves but was left alone with the
    /// addresses goes on until there is somebody to give them to.
    fn leaves(&mut self, ctx: &Context, rivals: &[Rival], out: &mut Outbox) -> bool {
        if self.takes_part() {
            self.last_resort = false;
            return false;
        }
        let able = rivals.iter().filter(|rival| !self.has_refused(ctx.now, rival.name));
        let next = contenders(ctx, self, able).into_iter().find(|next| next.name != ctx.me);
        let heir = next.map(|next| next.name.clone());
        if self.last_resort && heir.is_none() && self.candidate.link.is_some() {
            return false;
        }
        self.last_resort = heir.is_some() && ctx.rules.hold(Rule::LastResort);
        let why = match &heir {
            Some(name) => format!("{}; handed over to {name}", self.reason()),
            None => format!("{}; no other node is heard", self.reason()),
        };
        self.graceful = self.candidate.eligibility.leaving && self.candidate.link.is_some();
        if !self.graceful {
            self.revoke(out);
        }
        self.become_role(ctx, Role::Backup, why, out);
        self.let_go(ctx, heir);
        true
    }

    /// Addresses that were added to the Vip are asked for like any others before they count.
    fn extend_lease(&mut self, ctx: &Context, rivals: &[Rival], out: &mut Outbox) {
        if let Some(granting) = self.granting.take_if(|granting| granting.round != ctx.round) {
            self.extended(ctx, granting, out);
        }
        if self.granting.is_some() {
            return;
        }
        let missing = self.candidate.addresses.iter().any(|ip| !self.leased.contains(ip));
        if !missing {
            self.probing = None;
            return;
        }
        let free = !rivals.iter().any(Rival::occupies);
        if let Some(ready) = self.probe(ctx, ctx.now, free, out) {
            self.ask_for_lease(ctx, ready, String::new(), false, out);
        }
    }

    fn extended(&mut self, ctx: &Context, granting: Granting, out: &mut Outbox) {
        self.probing = None;
        if granting.answer == Some(true) {
            self.leased.extend(granting.ips);
            self.unheld_since = None;
            out.event(ctx.now, &*self.candidate.vip, "owns the added addresses too");
        }
    }
}
