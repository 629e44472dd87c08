//! One Vip on this node: its role and what the role rests on.
//!
//! ```text
//!                  an owner is heard, or the others are
//!                  heard (or silent) and we hold nothing
//!   ┌────────────┐ ───────────────────────────────▶ ┌────────┐
//!   │ Initialize │                                  │ Backup │ ◀─┐ at once, the lease revoked:
//!   └────────────┘                                  └────────┘   │   a higher epoch is heard, or its answers seen
//!         │ we hold the addresses,                       │       │   the lease was lost, the machine slept
//!         │ nobody is Active,                   vacant,  │       │   the device is gone, deaf, or the agent unfit
//!         │ the wire is silent             our turn, and │       │ gracefully, the lease muted and revoked at the end:
//!         │                           the wire is silent,│       │   a peer asks and is entitled
//!         │                          or it was offered us│       │   nobody sees this node's answers
//!         │                                              │       │   this node leaves
//!         └───────────────▶ grant ◀──────────────────────┘       │
//!                   refused: │ │ the kernel leases              │
//!                ask anew ◀──┘ └──────────────────▶ ┌────────┐   │
//!                                                   │ Active │ ──┘
//!                                                   └────────┘
//! ```
//!
//! Nobody is Active without a lease. After a lost lease or a sleep the start rule applies anew: nothing is claimed
//! before the others have been heard again, or are silent for good.
//!
//! A Vip is *vacant* while no peer that is heard owns, has or offers any of its addresses. [`step`](VipState::step)
//! looks at the whole situation each time; nothing depends on having seen the moment at which something changed.

use super::{
    audit::Audit,
    facts::{Contender, Context, Rival},
    handover::{Refusal, Release},
    outbox::Outbox,
    probe::{Granting, Probing},
    rules::{LOST_FOR, Rule},
    sights::{Other, Unheard},
};
use crate::model::{Candidate, Mac, Name, Role};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::{Duration, Instant},
};

#[derive(Debug)]
pub(super) struct VipState {
    pub(super) candidate: Candidate,
    /// Tells the Vips of this node apart in tickets.
    pub(super) serial: u64,
    pub(super) role: Role,
    pub(super) since: Instant,
    pub(super) why: String,
    /// Of this node's last claim.
    pub(super) epoch: u64,
    /// The highest one ever heard.
    pub(super) seen_epoch: u64,
    pub(super) graceful: bool,
    pub(super) announcement: u64,
    pub(super) became_active: u64,
    pub(super) owner: Option<Name>,
    /// It has the addresses on its device.
    pub(super) owner_holds: bool,
    pub(super) foreign: Option<(IpAddr, Mac)>,
    /// The reconcile loop may have been told to add the addresses and has not reported since that it was told to remove
    /// them: what it last saw on the devices proves nothing.
    pub(super) may_hold: bool,
    /// A pass of the reconcile loop may be under way that removes the addresses and ends their leases: a lease that is
    /// granted now would be ended with them.
    pub(super) removing: bool,
    /// When Initialize began.
    pub(super) created: Instant,
    /// The others have been heard or are silent for good.
    pub(super) started: bool,
    pub(super) vacant_since: Option<Instant>,
    pub(super) probing: Option<Probing>,
    pub(super) release: Option<Release>,
    pub(super) refused: BTreeMap<Name, Refusal>,
    /// Since when others say that they are about to claim.
    pub(super) claimers: BTreeMap<Name, Instant>,
    /// Said in heartbeats; see [`crate::election::wire::Claim`].
    pub(super) asks: bool,
    pub(super) claiming: bool,
    /// Since when nothing speaks against this node.
    pub(super) eligible_since: Option<Instant>,
    /// Since when it is Active without having the addresses.
    pub(super) unheld_since: Option<Instant>,
    /// It could not get the addresses onto its device: not eligible until then.
    pub(super) cannot_hold_until: Option<Instant>,
    pub(super) conflict_since: Option<Instant>,
    pub(super) dual_owner: Duration,
    pub(super) others_occupy: bool,
    /// Addresses that the kernel lets this node speak for; also, until it ends, after a graceful release.
    pub(super) leased: BTreeSet<IpAddr>,
    pub(super) granting: Option<Granting>,
    /// The offer that was tried last.
    pub(super) tried_offer: Option<u64>,
    /// What was found out about this node between two steps that ends any ownership, in words.
    pub(super) fallen: Option<&'static str>,
    /// See [`crate::election::wire::Claim::verified`].
    pub(super) verified: bool,
    pub(super) proven_since: Option<Instant>,
    /// It was handed over by the owner before.
    pub(super) by_offer: bool,
    /// The last answer that stands against a claim.
    pub(super) answered_at: Option<Instant>,
    /// A probe for this address could not be sent.
    pub(super) unsent: Option<IpAddr>,
    /// Another host that has an address, as last seen.
    pub(super) other: Option<Other>,
    /// A host that is not heard and had an address, as last seen.
    pub(super) unheard: Option<Unheard>,
    /// This node claimed in spite of the answers of an unfenced peer's kernel: it is the other's turn to leave, if
    /// anybody there still can.
    pub(super) by_patience: bool,
    /// It left because of answers: they are not disregarded after that.
    pub(super) patience_spent: bool,
    pub(super) audit: Audit,
    /// This node sees silence while another one owns; see [`crate::election::wire::Claim`].
    pub(super) sees_silence: bool,
    pub(super) has_references: bool,
    /// Nothing comes in on the device.
    pub(super) deaf: bool,
    /// References once answered here, and none does now.
    pub(super) blind: bool,
    pub(super) settled: bool,
    /// Until when this node says that it lost a conflict.
    pub(super) lost_until: Option<Instant>,
    /// A rival says so.
    pub(super) rival_lost: bool,
    pub(super) announced_at: Option<Instant>,
    /// A node was about to be taken for dead at the last look.
    pub(super) doubt: bool,
    /// Until when it does not want the addresses back that it gave to somebody who is seen better.
    pub(super) yielded_until: Option<Instant>,
    /// It leaves and has handed over, but its agent still runs: if everybody else falls silent, it serves.
    pub(super) last_resort: bool,
    /// What keeps the agent from owning anything.
    pub(super) unfit: String,
}

impl VipState {
    pub(super) fn new(now: Instant, candidate: Candidate, epoch: u64) -> Self {
        Self {
            candidate,
            role: Role::Initialize,
            since: now,
            why: "the agent has just started or the Vip is new; addresses stay as they are".to_owned(),
            epoch,
            seen_epoch: epoch,
            graceful: false,
            announcement: 0,
            became_active: 0,
            owner: None,
            owner_holds: false,
            foreign: None,
            may_hold: false,
            removing: false,
            created: now,
            started: false,
            vacant_since: None,
            probing: None,
            release: None,
            refused: BTreeMap::new(),
            claimers: BTreeMap::new(),
            asks: false,
            claiming: false,
            eligible_since: None,
            unheld_since: None,
            cannot_hold_until: None,
            conflict_since: None,
            dual_owner: Duration::ZERO,
            others_occupy: false,
            serial: 0,
            leased: BTreeSet::new(),
            granting: None,
            tried_offer: None,
            fallen: None,
            verified: true,
            proven_since: None,
            by_offer: false,
            answered_at: None,
            unsent: None,
            other: None,
            unheard: None,
            by_patience: false,
            patience_spent: false,
            audit: Audit::default(),
            sees_silence: false,
            has_references: false,
            deaf: false,
            blind: false,
            settled: false,
            lost_until: None,
            rival_lost: false,
            announced_at: None,
            doubt: false,
            yielded_until: None,
            last_resort: false,
            unfit: String::new(),
        }
    }

    /// Decides anew.
    pub(super) fn step(&mut self, ctx: &Context, out: &mut Outbox) {
        let rivals = Rival::gather(ctx, self);
        self.look(ctx, &rivals, out);
        self.look_at_wire(ctx, &rivals, out);
        let before = self.role;
        self.act(ctx, &rivals, out);
        // What follows from the new role is not left to the next step; one change a step is enough for all schedules.
        if self.role != before {
            self.act(ctx, &rivals, out);
        }
        self.audit(ctx, &rivals, out);
        self.note_owner(ctx, &rivals, out);
    }

    /// Something is going on that every heartbeat may change.
    pub(super) fn busy(&self) -> bool {
        let claims = self.role == Role::Initialize || self.probing.is_some() || self.granting.is_some();
        claims || self.release.is_some() || self.asks || self.conflict_since.is_some() || !self.started
    }

    /// Place in the order of preference.
    pub(super) fn place(&self, node: &Name) -> Option<usize> {
        self.candidate.nodes.iter().position(|other| other == node)
    }

    /// Any of the addresses is on a device of this node, or may be.
    pub(super) fn holds(&self, ctx: &Context) -> bool {
        self.may_hold || self.candidate.addresses.iter().any(|ip| ctx.held.contains(ip))
    }

    /// The reconcile loop has reported after acting on a view in which this Vip was `told`.
    pub(super) fn acted_on(&mut self, told: Option<&crate::model::VipView>) {
        let Some(told) = told.filter(|told| told.role == self.role && told.since == self.since) else { return };
        self.removing &= told.graceful != self.graceful;
        if self.role != Role::Active {
            self.may_hold = false;
        }
    }

    /// This node would claim if it came to it.
    pub(super) fn takes_part(&self) -> bool {
        !self.candidate.eligibility.leaving && self.candidate.link.is_some()
    }

    /// Nothing speaks against this node.
    pub(super) fn eligible(&self) -> bool {
        let able = self.unfit.is_empty() && self.cannot_hold_until.is_none() && !self.deaf;
        self.takes_part() && self.candidate.eligibility.is_eligible() && able
    }

    /// What speaks against this node, in words.
    pub(super) fn reason(&self) -> String {
        let eligibility = &self.candidate.eligibility;
        match () {
            () if eligibility.leaving => "the agent is leaving".to_owned(),
            () if !self.unfit.is_empty() => self.unfit.clone(),
            () if !eligibility.reasons.is_empty() => eligibility.reasons.join(", "),
            () if self.candidate.link.is_none() => "there is no device for the addresses".to_owned(),
            () if self.deaf => super::audit::DEAF.to_owned(),
            () if self.cannot_hold_until.is_some() => "the addresses could not be added".to_owned(),
            () => String::new(),
        }
    }

    pub(super) fn contender<'a>(&self, ctx: &Context<'a>) -> Option<Contender<'a>> {
        let holding = self.release.is_none() && self.holds(ctx);
        let serves = self.takes_part() || (self.last_resort && self.candidate.link.is_some());
        serves.then_some(Contender { name: ctx.me, holding, eligible: self.eligible(), settled: self.settled })
    }

    /// Changes the role, for people with a reason.
    pub(super) fn become_role(&mut self, ctx: &Context, role: Role, why: String, out: &mut Outbox) {
        out.event(ctx.now, &*self.candidate.vip, format!("{} → {}: {why}", self.role.as_str(), role.as_str()));
        self.removing = role == Role::Backup && (self.removing || self.holds(ctx));
        self.role = role;
        self.since = ctx.now;
        self.why = why;
        self.unheld_since = None;
        self.probing = None;
        self.claiming = false;
        self.asks = false;
        self.vacant_since = None;
        self.granting = None;
        self.audit = Audit::default();
        self.other = None;
        self.foreign = None;
        self.proven_since = None;
        self.sees_silence = false;
    }

    /// Gives the addresses up at once: the kernel stops answering before anybody hears of it.
    pub(super) fn drop_at_once(&mut self, ctx: &Context, why: String, out: &mut Outbox) {
        self.revoke(out);
        self.graceful = false;
        self.become_role(ctx, Role::Backup, why, out);
    }

    /// The same after a conflict: whoever remains is told.
    pub(super) fn lose(&mut self, ctx: &Context, why: String, out: &mut Outbox) {
        self.drop_at_once(ctx, why, out);
        self.lost_until = Some(ctx.now + LOST_FOR);
    }

    pub(super) fn revoke(&mut self, out: &mut Outbox) {
        out.revokes.extend(std::mem::take(&mut self.leased));
    }

    pub(super) fn explain(&mut self, why: String, out: &mut Outbox) {
        if self.why != why {
            self.why = why;
            out.changed();
        }
    }

    /// Owns the addresses from now on, their lease being granted: a new epoch, higher than any known.
    pub(super) fn take(&mut self, ctx: &Context, granted: &Granting, out: &mut Outbox) {
        if ctx.rules.hold(Rule::EpochGrows) {
            self.epoch = self.epoch.max(self.seen_epoch).max(ctx.wall_ms).saturating_add(1);
        }
        self.became_active += 1;
        // What is there already is not announced by being added.
        if self.holds(ctx) {
            self.announcement += 1;
        }
        let silent = |peer: &Name| ctx.peers.get(peer).is_some_and(|peer| !peer.heard);
        // Answers that counted have ended, or there would be no claim, however recent the last one is.
        let disregarded = |other: &&Other| self.answered_at.is_none_or(|at| at < other.at);
        let other = self.seen_other(ctx.now).filter(disregarded).and_then(|other| other.peer.as_ref());
        self.by_patience = !granted.offered && other.is_some_and(silent);
        let proof = if granted.verified { "" } else { ", unverified" };
        let why = format!("{} (epoch {}{proof})", granted.because, self.epoch);
        self.become_role(ctx, Role::Active, why, out);
        (self.verified, self.by_offer) = (granted.verified, granted.offered);
        self.graceful = false;
        self.release = None;
        self.started = true;
        self.may_hold = true;
        self.lost_until = None;
        self.announced_at = Some(ctx.now);
    }

    pub(super) fn announce(&mut self, out: &mut Outbox) {
        self.announcement += 1;
        out.changed();
    }

    fn act(&mut self, ctx: &Context, rivals: &[Rival], out: &mut Outbox) {
        match self.role {
            Role::Active => self.own(ctx, rivals, out),
            Role::Backup | Role::Initialize => self.stand_by(ctx, rivals, out),
        }
    }

    fn note_owner(&mut self, ctx: &Context, rivals: &[Rival], out: &mut Outbox) {
        let rival = super::facts::owner(rivals);
        let now = match self.role {
            Role::Active => (Some(ctx.me.clone()), self.holds(ctx)),
            _ => (rival.map(|rival| rival.name.clone()), rival.is_some_and(|rival| rival.holding)),
        };
        if now.0 != self.owner || now.1 != self.owner_holds {
            (self.owner, self.owner_holds) = now;
            out.changed();
        }
    }
}
