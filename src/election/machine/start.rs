//! The start rule: what a new agent, or one that has lost its lease, waits for before it claims anything. It must have
//! heard the others, or know that they are silent for good; and what it finds on its devices stays there meanwhile, unless
//! its kernel cannot fence it and another host answers for it.

use super::{
    facts::{Context, Rival},
    outbox::Outbox,
    peer::dead_time,
    rules::{Rule, START_LIMIT, START_SLACK},
    vip::VipState,
};
use crate::model::{Name, Role};
use std::time::Instant;

impl VipState {
    /// When the others have had their chance to be heard; `None`: not to be known yet.
    pub(super) fn start_end(&mut self, ctx: &Context) -> Option<Instant> {
        if self.started {
            return Some(self.created);
        }
        let mut others = self.candidate.nodes.iter().filter_map(|node| ctx.peers.get(node)).peekable();
        if !ctx.voice && others.peek().is_some() {
            return None;
        }
        let mut end = self.created;
        let mut all_heard = true;
        for peer in others {
            all_heard &= peer.complete();
            end = end.max(self.created + dead_time(peer.heartbeat) + START_SLACK);
        }
        self.started = all_heard || ctx.now >= end;
        Some(if self.started { self.created } else { end })
    }

    /// Leaves Initialize, unless this node has the addresses and is about to claim them: Backup would remove them.
    pub(super) fn finish_start(&mut self, ctx: &Context, rivals: &[Rival], out: &mut Outbox) {
        if let Some(other) = self.first_holder(ctx, rivals) {
            return self.leave_start(ctx, format!("{other} has the addresses too and comes first"), out);
        }
        if !self.takes_part() {
            return self.leave_start(ctx, self.reason(), out);
        }
        if let Some(why) = self.intrudes(ctx) {
            return self.leave_start(ctx, why, out);
        }
        if self.start_end(ctx).is_none() || !self.started {
            return;
        }
        let longest = ctx.peers.values().map(|peer| dead_time(peer.heartbeat)).max().unwrap_or_default();
        let limit = self.created + longest + START_SLACK + START_LIMIT;
        let other = rivals.iter().any(|rival| rival.eligible);
        // What a stranger answers for is not claimed: then this node is not in the way of one that knows better.
        let usable = !other || (self.eligible() && self.foreign.is_none());
        if self.holds(ctx) && usable && ctx.now < limit {
            out.wake_at(limit);
            return self.explain("has the addresses and makes sure that nobody else does".into(), out);
        }
        let why = match self.foreign {
            Some((ip, mac)) => format!("{ip} is answered by {mac}, which belongs to no peer"),
            None => "nobody is Active yet".to_owned(),
        };
        self.leave_start(ctx, why, out);
    }

    /// Another node that has the addresses as well and comes before this one. Two such must not wait for each other.
    fn first_holder(&self, ctx: &Context, rivals: &[Rival]) -> Option<String> {
        let first = |rival: &&Rival| rival.holding && rival.takes_part && rival.precedes(ctx, self);
        rivals.iter().find(first).filter(|_| self.holds(ctx)).map(|rival| rival.name.to_string())
    }

    /// What was found on the devices is answered for by another host. Behind a fence this node's kernel is silent about it
    /// until it has been won; without one it answers, so this node is the one too many.
    fn intrudes(&self, ctx: &Context) -> Option<String> {
        let other = self.seen_other(ctx.now).filter(|_| !ctx.fenced && self.holds(ctx) && self.wire().is_some())?;
        let whose = other.peer.as_ref().map_or_else(|| other.mac.to_string(), Name::to_string);
        let why = format!("has {} too, and cannot fence it, but {whose} answers for it", other.ip);
        ctx.rules.hold(Rule::StartYields).then_some(why)
    }

    /// Becomes Backup; an attempt to claim that is under way goes on.
    fn leave_start(&mut self, ctx: &Context, why: String, out: &mut Outbox) {
        let (probing, vacant, claiming) = (self.probing.take(), self.vacant_since, self.claiming);
        let (granting, foreign) = (self.granting.take(), self.foreign);
        self.become_role(ctx, Role::Backup, why, out);
        (self.probing, self.vacant_since, self.claiming) = (probing, vacant, claiming);
        (self.granting, self.foreign) = (granting, foreign);
    }
}
