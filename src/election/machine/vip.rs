//! One Vip on this node: its role and what the role rests on.
//!
//! ```text
//!                  an owner is heard, or the others are
//!                  heard (or silent) and we hold nothing
//!   ┌────────────┐ ───────────────────────────────▶ ┌────────┐
//!   │ Initialize │                                  │ Backup │ ◀─┐
//!   └────────────┘                                  └────────┘   │ a higher epoch is heard (at once)
//!         │ we hold the addresses,                       │       │ a peer asks and is entitled (gracefully)
//!         │ nobody is Active,                   vacant,  │       │ this node leaves (gracefully)
//!         │ the wire is silent             our turn, and │       │ its device is gone (at once)
//!         │                           the wire is silent,│       │
//!         │                          or it was offered us│       │
//!         │                                              ▼       │
//!         └──────────────────────────────────────────▶ ┌────────┐│
//!                                                      │ Active │┘
//!                                                      └────────┘
//! ```
//!
//! A Vip is *vacant* while no peer that is heard owns or has any of its addresses. [`step`](VipState::step) looks at
//! the whole situation each time; nothing depends on having seen the moment at which something changed.

use super::{
    facts::{Contender, Context, Rival},
    handover::{Refusal, Release},
    outbox::Outbox,
    probe::Probing,
    rules::Rule,
};
use crate::{
    election::wire::Claim,
    model::{Candidate, Mac, Name, Role, VipView},
};
use std::{
    collections::BTreeMap,
    net::IpAddr,
    time::{Duration, Instant},
};

#[derive(Debug)]
pub(super) struct VipState {
    pub(super) candidate: Candidate,
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
    /// When Initialize began.
    pub(super) created: Instant,
    /// The others have been heard or are silent for good.
    pub(super) started: bool,
    pub(super) vacant_since: Option<Instant>,
    pub(super) probing: Option<Probing>,
    pub(super) release: Option<Release>,
    pub(super) refused: BTreeMap<Name, Refusal>,
    /// Said in heartbeats; see [`Claim`].
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
            created: now,
            started: false,
            vacant_since: None,
            probing: None,
            release: None,
            refused: BTreeMap::new(),
            asks: false,
            claiming: false,
            eligible_since: None,
            unheld_since: None,
            cannot_hold_until: None,
            conflict_since: None,
            dual_owner: Duration::ZERO,
            others_occupy: false,
        }
    }

    /// Decides anew.
    pub(super) fn step(&mut self, ctx: &Context, out: &mut Outbox) {
        let rivals = Rival::gather(ctx, self);
        self.look(ctx, &rivals, out);
        let before = self.role;
        self.act(ctx, &rivals, out);
        // What follows from the new role is not left to the next step; one change a step is enough for all schedules.
        if self.role != before {
            self.act(ctx, &rivals, out);
        }
        self.note_owner(ctx, &rivals, out);
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
    pub(super) fn acted_on(&mut self, told: Option<&VipView>) {
        if self.role != Role::Active && told.is_some_and(|told| told.role == self.role && told.since == self.since) {
            self.may_hold = false;
        }
    }

    /// This node would claim if it came to it.
    pub(super) fn takes_part(&self) -> bool {
        !self.candidate.eligibility.leaving && self.candidate.link.is_some()
    }

    /// Nothing speaks against this node.
    pub(super) fn eligible(&self) -> bool {
        self.takes_part() && self.candidate.eligibility.is_eligible() && self.cannot_hold_until.is_none()
    }

    /// What speaks against this node, in words.
    pub(super) fn reason(&self) -> String {
        let eligibility = &self.candidate.eligibility;
        if eligibility.leaving {
            return "the agent is leaving".to_owned();
        }
        if !eligibility.reasons.is_empty() {
            return eligibility.reasons.join(", ");
        }
        if self.candidate.link.is_none() {
            return "there is no device for the addresses".to_owned();
        }
        self.cannot_hold_until.map(|_| "the addresses could not be added".to_owned()).unwrap_or_default()
    }

    pub(super) fn contender<'a>(&self, ctx: &Context<'a>) -> Option<Contender<'a>> {
        let holding = self.release.is_none() && self.holds(ctx);
        self.takes_part().then_some(Contender { name: ctx.me, holding, eligible: self.eligible() })
    }

    /// Changes the role, for people with a reason.
    pub(super) fn become_role(&mut self, ctx: &Context, role: Role, why: String, out: &mut Outbox) {
        out.event(ctx.now, &*self.candidate.vip, format!("{} → {}: {why}", self.role.as_str(), role.as_str()));
        self.role = role;
        self.since = ctx.now;
        self.why = why;
        self.unheld_since = None;
        self.probing = None;
        self.claiming = false;
        self.asks = false;
        self.vacant_since = None;
    }

    pub(super) fn explain(&mut self, why: String, out: &mut Outbox) {
        if self.why != why {
            self.why = why;
            out.changed();
        }
    }

    /// Claims the addresses: a new epoch, higher than any known.
    pub(super) fn claim(&mut self, ctx: &Context, because: &str, out: &mut Outbox) {
        if ctx.rules.hold(Rule::EpochGrows) {
            self.epoch = self.epoch.max(self.seen_epoch).max(ctx.wall_ms).saturating_add(1);
        }
        self.became_active += 1;
        // What is there already is not announced by being added.
        if self.holds(ctx) {
            self.announcement += 1;
        }
        let why = format!("{because} (epoch {})", self.epoch);
        self.become_role(ctx, Role::Active, why, out);
        self.graceful = false;
        self.foreign = None;
        self.release = None;
        self.started = true;
        self.may_hold = true;
    }

    pub(super) fn announce(&mut self, out: &mut Outbox) {
        self.announcement += 1;
        out.changed();
    }

    /// What this node says of each address.
    pub(super) fn claims<'a>(&'a self, held: &'a crate::model::Held) -> impl Iterator<Item = Claim> + 'a {
        let reason = if self.eligible() { String::new() } else { self.reason() };
        self.candidate.addresses.iter().map(move |ip| Claim {
            ip: *ip,
            role: self.role,
            epoch: if self.role == Role::Active { self.epoch } else { self.epoch.max(self.seen_epoch) },
            digest: self.candidate.digest,
            holding: held.contains(ip) || (self.may_hold && self.role != Role::Active),
            asks: self.asks,
            claiming: self.claiming,
            eligible: self.eligible(),
            takes_part: self.takes_part(),
            settled: true,
            verified: true,
            lost: false,
            sees_silence: false,
            has_references: false,
            offer: self.release.as_ref().and_then(|release| Some((release.to.clone()?, 0))),
            reason: reason.clone(),
        })
    }

    pub(super) fn view(&self, now: Instant) -> VipView {
        VipView {
            role: self.role,
            since: self.since,
            epoch: if self.role == Role::Active { self.epoch } else { self.epoch.max(self.seen_epoch) },
            why: self.why.clone(),
            owner: self.owner.clone(),
            owner_holds: self.owner_holds,
            announcement: self.announcement,
            graceful: self.graceful,
            foreign: self.foreign,
            became_active: self.became_active,
            dual_owner: self.dual_owner
                + self.conflict_since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since)),
            verified: false,
            leased: false,
            unleased: std::collections::BTreeSet::new(),
            standings: Vec::new(),
            rules: Vec::new(),
        }
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
