//! Initialize and Backup: following an owner, and claiming what is vacant.
//!
//! The first in line claims as soon as the Vip is vacant and the wire is silent; each of the others leaves the ones
//! before it a little time, so that a preferred node that cannot claim does not leave the Vip without an owner. Probing
//! starts while the owner's dead timer still runs, so a plain crash is taken over at the very end of that timer. A
//! heartbeat of the owner ends the whole attempt.

use super::{
    facts::{Context, Rival, contenders, owner},
    outbox::Outbox,
    probe::Ready,
    rules::{DEFER, DEFER_STEP, DETER_FOR, OFFER_TICKET_FOR, Rule},
    vip::VipState,
};
use crate::model::{FailbackMode, Name, Role, format_duration};
use std::time::{Duration, Instant};

/// When this node may claim.
struct Turn {
    /// Probing begins.
    from: Instant,
    /// The claim may follow.
    at: Instant,
    /// The old owner has let go in favour of this node, in answer to the question of that round: no probes needed.
    offered: Option<u64>,
}

impl VipState {
    pub(super) fn stand_by(&mut self, ctx: &Context, rivals: &[Rival], out: &mut Outbox) {
        match &self.granting {
            Some(granting) if granting.round == ctx.round => return,
            Some(_) => return self.granted(ctx, rivals, out),
            None => {}
        }
        self.end_release(ctx, rivals, out);
        self.note_claimers(ctx, rivals);
        let blocked = self.blockers(ctx, rivals).next().is_some();
        if blocked || self.release.is_some() {
            self.vacant_since = None;
        } else {
            self.vacant_since.get_or_insert(ctx.now);
        }
        match owner(rivals) {
            Some(owner) => self.follow(ctx, owner, rivals, out),
            None => self.asks = rivals.iter().any(|rival| rival.releases_to_me) && self.takes_part(),
        }
        self.explain_holder(ctx, rivals, out);
        match self.turn(ctx, rivals, out) {
            Some(turn) => self.approach(ctx, &turn, rivals, out),
            None => self.rest(),
        }
        if self.role == Role::Initialize && self.granting.is_none() {
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
        if self.graceful && owner.holding {
            (self.graceful, self.removing) = (false, true);
            out.changed();
        }
        self.asks = self.should_ask(ctx, owner, rivals, out);
    }

    /// Rivals that must go or fall silent before this node may claim. One that merely holds the addresses does not
    /// stop a node that holds them too: of two such the line decides.
    fn blockers<'r, 'a>(&self, ctx: &Context, rivals: &'r [Rival<'a>]) -> impl Iterator<Item = &'r Rival<'a>> {
        let holds = self.holds(ctx);
        let wait = ctx.rules.hold(Rule::WaitForRelease);
        let open = ctx.rules.hold(Rule::OfferOccupies);
        let stands = |rival: &&Rival| {
            let owns = rival.active() || (rival.holding && !holds && wait && !rival.merely_has(ctx));
            let gives = rival.offers_elsewhere || (rival.releases_to_me && wait && rival.offers.is_none());
            (owns && rival.stands(ctx, self)) || (gives && open)
        };
        let blockers: Vec<&Rival> = rivals.iter().filter(stands).collect();
        blockers.into_iter()
    }

    fn turn(&mut self, ctx: &Context, rivals: &[Rival], out: &mut Outbox) -> Option<Turn> {
        if self.release.is_some() {
            return None;
        }
        if self.deaf {
            self.explain_unusable(rivals, out);
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
        // Where there may be another owner, of which the one that lets go need not know, the wire is asked all the same.
        let trusted = blockers.is_empty() && self.unheard_owner(ctx).is_none();
        let offered = rivals.iter().find_map(|rival| rival.offers).filter(|_| trusted);
        let defer = if rank == 0 { Duration::ZERO } else { DEFER + DEFER_STEP * rank as u32 };
        let base = match blockers.iter().filter_map(|rival| rival.peer.dead_at()).max() {
            Some(dead_at) => dead_at,
            None => self.vacant_since?,
        };
        if rank > 0 && !ctx.rules.hold(Rule::DeferEnds) {
            return None;
        }
        // Where the wire is not asked, a host's word that its agent has ended is no reason to hurry.
        let gone = self.candidate.nodes.iter().filter_map(|node| ctx.peers.get(node)).filter(|peer| !peer.heard);
        let silent = gone.filter_map(super::peer::PeerState::silent_at).filter(|_| self.wire().is_none());
        let base = silent.fold(base, Instant::max);
        let at = (base + defer).max(started);
        let lead = self.probe_time(ctx);
        let suspect = blockers.iter().filter_map(|rival| rival.peer.suspect_at(lead)).max();
        let lead = at.checked_sub(lead).unwrap_or(at);
        let from = match suspect {
            Some(suspect) if rank == 0 => suspect,
            _ if rank == 0 => lead.max(base).min(at),
            _ => lead,
        };
        if blockers.is_empty() && rank > 0 && offered.is_none() {
            let first = line.first().map(|contender| contender.name.to_string()).unwrap_or_default();
            self.explain(format!("nobody is Active; {first} comes first and may claim"), out);
        }
        Some(Turn { from, at, offered })
    }

    /// Probes, and asks for the lease when the time has come and nobody answers.
    fn approach(&mut self, ctx: &Context, turn: &Turn, rivals: &[Rival], out: &mut Outbox) {
        if let Some(round) = turn.offered {
            return self.take_offer(ctx, round, rivals, out);
        }
        if ctx.now < turn.from {
            self.rest();
            return out.wake_at(turn.from);
        }
        let may = self.may_claim(ctx, turn, rivals, out);
        let proof_needed = rivals.iter().any(|rival| rival.active() && !rival.verified);
        match self.probe(ctx, turn.at, may, out) {
            Some(ready) if ready.verified || !proof_needed => {
                let because = self.because(ctx, rivals);
                self.ask_for_lease(ctx, ready, because, false, out);
            }
            _ => self.explain_waiting(ctx, out),
        }
    }

    /// Nothing but the wire stands against a claim now.
    fn may_claim(&mut self, ctx: &Context, turn: &Turn, rivals: &[Rival], out: &mut Outbox) -> bool {
        if self.vacant_since.is_none() || ctx.now < turn.at || self.removing {
            if turn.at > ctx.now {
                out.wake_at(turn.at);
            }
            return false;
        }
        if let Some((why, until)) = self.heard_having(ctx) {
            out.wake_at(until);
            self.explain(format!("nobody is Active, but {why}"), out);
            return false;
        }
        !self.deterred(ctx, rivals)
    }

    /// The old owner has let go: the lease is taken on the ticket of the question that the offer answers.
    fn take_offer(&mut self, ctx: &Context, round: u64, rivals: &[Rival], out: &mut Outbox) {
        if self.tried_offer == Some(round) || self.removing {
            return;
        }
        self.tried_offer = Some(round);
        let mut ticket = super::facts::ticket(round, self.serial);
        if !ctx.rules.hold(Rule::OfferExpires) {
            ticket = ctx.ticket(self.serial);
            out.tickets.push((ticket, OFFER_TICKET_FOR));
        }
        let because = self.because(ctx, rivals);
        self.ask_for_lease(ctx, Ready { ticket, verified: true }, because, true, out);
    }

    /// The kernel has answered, in the turn in which it was asked.
    fn granted(&mut self, ctx: &Context, rivals: &[Rival], out: &mut Outbox) {
        let Some(granting) = self.granting.take() else { return };
        if granting.answer != Some(true) {
            // Asked for too late, or never carried out: whatever was known is too old.
            self.probing = None;
            out.wake_at(ctx.now);
            return;
        }
        self.leased.extend(&granting.ips);
        if self.blockers(ctx, rivals).next().is_some() {
            return self.revoke(out);
        }
        self.take(ctx, &granting, out);
    }

    /// How long the probes before a claim take.
    fn probe_time(&self, ctx: &Context) -> Duration {
        let segment = self.wire().and_then(|link| ctx.segments.get(&link));
        let suspects: Vec<&Name> = self.suspects(ctx);
        segment.map_or(Duration::ZERO, |segment| segment.probe_time(ctx.now, &suspects))
    }

    fn explain_waiting(&mut self, ctx: &Context, out: &mut Outbox) {
        let Some(probing) = &self.probing else { return };
        if let Some((ip, mac)) = self.foreign {
            return self
                .explain(format!("nobody is Active, but {ip} is answered by {mac}, which belongs to no peer"), out);
        }
        if self.vacant_since.is_none() {
            return;
        }
        let recent = |at: Instant| ctx.now < at + super::rules::SIGHT_FOR;
        let seen = self.other.as_ref().filter(|other| recent(other.at));
        let why = match (probing.blind_since, seen.and_then(|other| Some((other.ip, other.peer.as_ref()?)))) {
            (Some(_), _) => "no host on the segment answers this node, so nobody could be served from here".to_owned(),
            (None, Some((ip, peer))) => format!("a device of {peer} still answers for {ip}"),
            (None, None) => match self.unsent.filter(|_| self.answered_at.is_some_and(recent)) {
                Some(ip) => format!("{ip} cannot be probed"),
                None => return,
            },
        };
        self.explain(format!("nobody is Active, but {why}"), out);
    }

    /// Somebody who comes before this node is about to claim, and has not been for long.
    fn deterred(&self, ctx: &Context, rivals: &[Rival]) -> bool {
        let holds = self.holds(ctx);
        rivals.iter().any(|rival| {
            let before = match () {
                () if rival.settled != self.settled && ctx.rules.hold(Rule::UnsettledLast) => rival.settled,
                () if rival.holding != holds => rival.holding,
                () => rival.precedes(ctx, self),
            };
            let new = self.claimers.get(rival.name).is_some_and(|since| ctx.now < *since + DETER_FOR);
            new && rival.takes_part && before && !self.has_refused(ctx.now, rival.name)
        })
    }

    fn note_claimers(&mut self, ctx: &Context, rivals: &[Rival]) {
        let claim = |name: &Name| rivals.iter().any(|rival| rival.name == name && rival.claiming);
        self.claimers.retain(|name, _| claim(name));
        for rival in rivals.iter().filter(|rival| rival.claiming) {
            self.claimers.entry(rival.name.clone()).or_insert(ctx.now);
        }
    }

    fn rest(&mut self) {
        self.probing = None;
        self.claiming = false;
        self.foreign = None;
        self.tried_offer = None;
    }

    fn because(&self, ctx: &Context, rivals: &[Rival]) -> String {
        if self.candidate.nodes.iter().all(|node| node == ctx.me) {
            return "the only node of the Vip".to_owned();
        }
        if let Some(offerer) = rivals.iter().find(|rival| rival.offers.is_some()) {
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
