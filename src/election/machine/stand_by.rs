//! Initialize and Backup: following an owner, and claiming what is vacant.
//!
//! The first in line claims as soon as the Vip is vacant and the wire is silent; each of the others leaves the ones
//! before it a little time, so that a preferred node that cannot claim does not leave the Vip without an owner. Probing
//! starts while the owner's dead timer still runs, so a plain crash is taken over at the very end of that timer. A
//! heartbeat of the owner ends the whole attempt.

use super::{
    facts::{Context, Rival, contenders, owner},
    outbox::Outbox,
    peer::dead_time,
    probe::{Doubt, Probing, Verdict},
    rules::{ANSWER_PATIENCE, DEFER, DEFER_STEP, DETER_FOR, PROBE_TIME, Rule, START_LIMIT, START_SLACK},
    vip::VipState,
};
use crate::model::{FailbackMode, Role, format_duration};
use std::time::{Duration, Instant};

/// When this node may claim.
struct Turn {
    /// Probing begins.
    from: Instant,
    /// The claim may follow.
    at: Instant,
    /// The old owner has let go in favour of this node: no probes needed.
    offered: bool,
}

impl VipState {
    pub(super) fn stand_by(&mut self, ctx: &Context, rivals: &[Rival], out: &mut Outbox) {
        self.end_release(ctx, rivals, out);
        let blocked = self.blockers(ctx, rivals).next().is_some();
        if blocked || self.release.is_some() {
            self.vacant_since = None;
        } else {
            self.vacant_since.get_or_insert(ctx.now);
        }
        match owner(rivals) {
            Some(owner) => self.follow(ctx, owner, rivals, out),
            None => self.asks = false,
        }
        self.explain_holder(ctx, rivals, out);
        match self.turn(ctx, rivals, out) {
            Some(turn) => self.approach(ctx, &turn, rivals, out),
            None => self.rest(),
        }
        if self.role == Role::Initialize {
            self.finish_start(ctx, rivals, out);
        }
    }

    /// Another node is Active.
    fn follow(&mut self, ctx: &Context, owner: &Rival, rivals: &[Rival], out: &mut Outbox) {
        let why = self.why_follow(ctx, owner);
        if self.role == Role::Initialize {
            self.become_role(ctx, Role::Backup, why, out);
        } else {
            self.explain(why, out);
        }
        // Until the heir has the addresses, this node may go on serving those who do not know it yet.
        self.graceful &= !owner.holding;
        self.asks = self.should_ask(ctx, owner, rivals, out);
    }

    /// Rivals that must go or fall silent before this node may claim. One that merely holds the addresses does not
    /// stop a node that holds them too: of two such the line decides.
    fn blockers<'r, 'a>(&self, ctx: &Context, rivals: &'r [Rival<'a>]) -> impl Iterator<Item = &'r Rival<'a>> {
        let holds = self.holds(ctx);
        let wait = ctx.rules.hold(Rule::WaitForRelease);
        rivals.iter().filter(move |rival| rival.active() || (rival.holding && !holds && wait))
    }

    fn turn(&mut self, ctx: &Context, rivals: &[Rival], out: &mut Outbox) -> Option<Turn> {
        if self.release.is_some() {
            return None;
        }
        let started = self.start_end(ctx)?;
        let blockers: Vec<&Rival> = self.blockers(ctx, rivals).collect();
        let blocked = |rival: &&Rival| blockers.iter().any(|blocker| blocker.name == rival.name);
        let others = rivals.iter().filter(|rival| !blocked(rival) && !self.has_refused(ctx.now, rival.name));
        let line = contenders(ctx, self, others);
        let Some(rank) = line.iter().position(|contender| contender.name == ctx.me) else {
            self.explain_unusable(rivals, out);
            return None;
        };
        let offered = blockers.is_empty() && rivals.iter().any(|rival| rival.offers);
        let defer = if rank == 0 { Duration::ZERO } else { DEFER + DEFER_STEP * rank as u32 };
        let base = match blockers.iter().filter_map(|rival| rival.peer.dead_at()).max() {
            Some(dead_at) => dead_at,
            None => self.vacant_since?,
        };
        if rank > 0 && !ctx.rules.hold(Rule::DeferEnds) {
            return None;
        }
        let at = (base + defer).max(started);
        let suspect = blockers.iter().filter_map(|rival| rival.peer.suspect_at()).max();
        let lead = at.checked_sub(PROBE_TIME).unwrap_or(at);
        let from = match suspect {
            Some(suspect) if rank == 0 => suspect,
            _ if rank == 0 => lead.max(base).min(at),
            _ => lead,
        };
        if blockers.is_empty() && rank > 0 && !offered {
            let first = line.first().map(|contender| contender.name.to_string()).unwrap_or_default();
            self.explain(format!("nobody is Active; {first} comes first and may claim"), out);
        }
        Some(Turn { from, at, offered })
    }

    /// Probes, and claims when the time has come and nobody answers.
    fn approach(&mut self, ctx: &Context, turn: &Turn, rivals: &[Rival], out: &mut Outbox) {
        if turn.offered {
            return self.claim(ctx, &self.because(ctx, rivals), out);
        }
        if ctx.now < turn.from {
            self.rest();
            return out.wake_at(turn.from);
        }
        self.probe(ctx, out);
        let Some(vacant) = self.vacant_since.filter(|_| ctx.now >= turn.at) else {
            return out.wake_at(turn.at);
        };
        if self.deterred(ctx, vacant, rivals) {
            return;
        }
        if self.wire_is_free(ctx, vacant, out) {
            self.claim(ctx, &self.because(ctx, rivals), out);
        }
    }

    fn probe(&mut self, ctx: &Context, out: &mut Outbox) {
        let probing = self.probing.get_or_insert_with(|| Probing::new(ctx.now));
        if probing.tick(ctx.now)
            && let Some(link) = self.candidate.link.filter(|_| self.candidate.probed)
        {
            out.probes.extend(self.candidate.addresses.iter().map(|ip| (link, *ip)));
        }
        out.wake_at(probing.next_at());
        if probing.stranger_is_gone() {
            self.foreign = None;
        }
        self.claiming = self.foreign.is_none();
    }

    /// Whether the probes allow a claim now; says why not.
    fn wire_is_free(&mut self, ctx: &Context, vacant: Instant, out: &mut Outbox) -> bool {
        let Some(probing) = &self.probing else { return false };
        let alone = self.candidate.nodes.iter().all(|node| node == ctx.me || !ctx.peers.contains_key(node));
        let silent = probing.verdict() == Verdict::Silent || (alone && !self.candidate.probed);
        if silent || !ctx.rules.hold(Rule::SilentProbes) {
            self.foreign = None;
            return true;
        }
        if let Some((ip, mac)) = self.foreign {
            self.explain(format!("nobody is Active, but {ip} is answered by {mac}, which belongs to no peer"), out);
            return !ctx.rules.hold(Rule::ForeignRespected);
        }
        let (since, what) = match &probing.doubt {
            None => return false,
            Some(Doubt::Peer(name, ip)) => {
                let lost = ctx.peers.get(name).filter(|peer| !peer.heard).map(|peer| peer.since);
                (lost.unwrap_or(vacant), format!("a device of {name} still answers for {ip}"))
            }
            Some(Doubt::Unsent(ip)) => (vacant, format!("{ip} cannot be probed")),
        };
        let until = since + ANSWER_PATIENCE;
        if ctx.now >= until && ctx.rules.hold(Rule::AnswerPatience) {
            return true;
        }
        out.wake_at(until);
        self.explain(format!("nobody is Active, but {what}; waiting at most 1s"), out);
        false
    }

    /// Somebody who comes before this node is about to claim.
    fn deterred(&self, ctx: &Context, vacant: Instant, rivals: &[Rival]) -> bool {
        let holds = self.holds(ctx);
        ctx.now < vacant + DETER_FOR
            && rivals.iter().any(|rival| {
                let before = if rival.holding == holds { rival.precedes(ctx, self) } else { rival.holding };
                rival.claiming && rival.takes_part && before && !self.has_refused(ctx.now, rival.name)
            })
    }

    fn rest(&mut self) {
        self.probing = None;
        self.claiming = false;
        self.foreign = None;
    }

    /// When the others have had their chance to be heard; `None`: not to be known yet.
    fn start_end(&mut self, ctx: &Context) -> Option<Instant> {
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
    fn finish_start(&mut self, ctx: &Context, rivals: &[Rival], out: &mut Outbox) {
        if let Some(other) = self.first_holder(ctx, rivals) {
            return self.leave_start(ctx, format!("{other} has the addresses too and comes first"), out);
        }
        if !self.takes_part() {
            return self.leave_start(ctx, self.reason(), out);
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

    /// Becomes Backup; an attempt to claim that is under way goes on.
    fn leave_start(&mut self, ctx: &Context, why: String, out: &mut Outbox) {
        let (probing, vacant, claiming) = (self.probing.take(), self.vacant_since, self.claiming);
        self.become_role(ctx, Role::Backup, why, out);
        (self.probing, self.vacant_since, self.claiming) = (probing, vacant, claiming);
    }

    fn because(&self, ctx: &Context, rivals: &[Rival]) -> String {
        if self.candidate.nodes.iter().all(|node| node == ctx.me) {
            return "the only node of the Vip".to_owned();
        }
        if let Some(offerer) = rivals.iter().find(|rival| rival.offers) {
            return format!("{} handed over", offerer.name);
        }
        if self.holds(ctx) {
            return "had the addresses already, and nobody else is Active".to_owned();
        }
        let before = self.candidate.nodes.iter().take_while(|node| *node != ctx.me);
        let silent: Vec<&str> =
            before.filter(|node| ctx.peers.get(*node).is_none_or(|peer| !peer.heard)).map(|node| &**node).collect();
        match silent.is_empty() {
            true if self.place(ctx.me) == Some(0) => "nobody else is Active and this node comes first".to_owned(),
            true => "nobody else is Active and the nodes before this one did not claim".to_owned(),
            false => format!("{} not heard", silent.join(", ") + if silent.len() == 1 { " is" } else { " are" }),
        }
    }

    fn why_follow(&self, ctx: &Context, owner: &Rival) -> String {
        let base = format!("{} is Active (epoch {})", owner.name, owner.epoch);
        let preferred = self.place(ctx.me) < self.place(owner.name);
        let tail = match () {
            () if !self.eligible() => format!("; this node is not eligible: {}", self.reason()),
            () if !owner.eligible => format!(" but not eligible: {}", owner.reason),
            () if !preferred => " and comes first in nodes".to_owned(),
            () if self.candidate.failback.mode == FailbackMode::Manual => "; failback is manual".to_owned(),
            () if !owner.same_state => "; its state differs from this node's, so there is no failback".to_owned(),
            () if !owner.peer.mutual() => "; it does not hear this node, so there is no failback".to_owned(),
            () => format!("; failback after {} of quiet", format_duration(self.candidate.failback.after)),
        };
        base + &tail
    }

    fn explain_holder(&mut self, ctx: &Context, rivals: &[Rival], out: &mut Outbox) {
        let holder = self.blockers(ctx, rivals).next().filter(|_| owner(rivals).is_none());
        if let Some(holder) = holder.filter(|_| self.role == Role::Backup && self.release.is_none()) {
            self.explain(format!("nobody is Active, but {} has the addresses", holder.name), out);
        }
    }

    fn explain_unusable(&mut self, rivals: &[Rival], out: &mut Outbox) {
        if owner(rivals).is_none() {
            self.explain(format!("not eligible: {}", self.reason()), out);
        }
    }
}
