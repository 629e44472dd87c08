//! What the others say of a Vip's addresses, in a form that decisions can be made from.
//!
//! Claims are matched by address: a peer that says anything of *any* of a Vip's addresses is a [`Rival`] for the whole
//! Vip, whatever it calls it. So a Vip that one node has renamed, split or merged cannot have two owners.

use super::{
    peer::PeerState,
    rules::{Rule, Rules},
    segment::Segment,
    vip::VipState,
};
use crate::model::{Held, Name, Role};
use std::{cmp::Ordering, collections::BTreeMap, time::Instant};

/// What every Vip's step may look at.
pub(super) struct Context<'a> {
    pub(super) now: Instant,
    pub(super) me: &'a Name,
    pub(super) segments: &'a BTreeMap<u32, Segment>,
    /// What keeps the agent from owning anything, in words.
    pub(super) unfit: &'a str,
    /// This node's kernel enforces leases.
    pub(super) fenced: bool,
    /// Clocks have jumped: owners look closely until then, or until all have been heard anew.
    pub(super) doubt_until: Option<Instant>,
    /// Counts the steps and statements.
    pub(super) round: u64,
    /// For epochs: the wall clock in milliseconds since 1970, or what earlier processes knew.
    pub(super) wall_ms: u64,
    pub(super) peers: &'a BTreeMap<Name, PeerState>,
    pub(super) held: &'a Held,
    /// This node can speak to its peers: it has a key.
    pub(super) voice: bool,
    /// A peer is heard that was not heard in the step before.
    pub(super) newly_heard: bool,
    pub(super) rules: Rules,
}

/// Tickets of one round, one for each Vip.
const TICKETS_OF_A_ROUND: u64 = 1 << 16;

/// The number of the ticket that a Vip gets in a round: none is used twice.
pub(super) fn ticket(round: u64, serial: u64) -> u64 {
    round.wrapping_mul(TICKETS_OF_A_ROUND) | (serial % TICKETS_OF_A_ROUND)
}

impl Context<'_> {
    /// The ticket of the Vip with this serial in this step.
    pub(super) fn ticket(&self, serial: u64) -> u64 {
        ticket(self.round, serial)
    }
}

/// A heard peer that says something of a Vip's addresses.
pub(super) struct Rival<'a> {
    pub(super) name: &'a Name,
    pub(super) peer: &'a PeerState,
    /// Active if it is for any of the addresses.
    pub(super) role: Role,
    /// Of its claims that are Active, or of all if none is.
    pub(super) epoch: u64,
    pub(super) active_since: Option<Instant>,
    /// It has any of the addresses on a device.
    pub(super) holding: bool,
    pub(super) asks: bool,
    pub(super) claiming: bool,
    pub(super) eligible: bool,
    pub(super) takes_part: bool,
    pub(super) settled: bool,
    /// Its claim rests on proof.
    pub(super) verified: bool,
    /// It has just lost a conflict.
    pub(super) lost: bool,
    pub(super) sees_silence: bool,
    pub(super) has_references: bool,
    /// It lets go of the addresses in favour of this node.
    pub(super) releases_to_me: bool,
    /// It has let go of all of them and offers them: the round of this node's question that it answers.
    pub(super) offers: Option<u64>,
    /// It lets go of them in favour of another node.
    pub(super) offers_elsewhere: bool,
    /// The round in which it asked for all of them.
    pub(super) asked_in: u64,
    /// It has the same state as this node, as far as these addresses go.
    pub(super) same_state: bool,
    pub(super) reason: &'a str,
}

/// A node that could own a Vip now, in the order in which they may claim it.
pub(super) struct Contender<'a> {
    pub(super) name: &'a Name,
    pub(super) holding: bool,
    pub(super) eligible: bool,
    pub(super) settled: bool,
}

impl<'a> Rival<'a> {
    /// Every rival of `vip`.
    pub(super) fn gather(ctx: &Context<'a>, vip: &VipState) -> Vec<Self> {
        let rivals = ctx.peers.iter().filter(|(_, peer)| peer.heard);
        rivals.filter_map(|(name, peer)| Self::of(ctx, vip, name, peer)).collect()
    }

    fn of(ctx: &Context<'a>, vip: &VipState, name: &'a Name, peer: &'a PeerState) -> Option<Self> {
        let heard = || vip.candidate.addresses.iter().filter_map(|ip| peer.claim(ctx.now, ip));
        let first = heard().next()?;
        let active = heard().any(|heard| heard.claim.role == Role::Active);
        let role = match () {
            () if active => Role::Active,
            () if heard().any(|heard| heard.claim.role == Role::Initialize) => Role::Initialize,
            () => Role::Backup,
        };
        let offers = || heard().map(|heard| heard.claim.offer.as_ref());
        let to_me = || offers().map(|offer| offer.filter(|(to, _)| to == ctx.me).map(|(_, round)| *round));
        let open = to_me().min().flatten().filter(|round| *round != 0);
        let epochs = heard().filter(|heard| !active || heard.claim.role == Role::Active);
        Some(Self {
            name,
            peer,
            role,
            epoch: epochs.map(|heard| heard.claim.epoch).max().unwrap_or(0),
            active_since: heard().filter_map(|heard| heard.active_since).max(),
            holding: heard().any(|heard| heard.claim.holding),
            asks: heard().any(|heard| heard.claim.asks),
            claiming: heard().any(|heard| heard.claim.claiming),
            eligible: heard().all(|heard| heard.claim.eligible),
            takes_part: heard().all(|heard| heard.claim.takes_part),
            settled: heard().all(|heard| heard.claim.settled),
            verified: heard().all(|heard| heard.claim.verified),
            lost: heard().any(|heard| heard.claim.lost),
            sees_silence: heard().all(|heard| heard.claim.sees_silence),
            has_references: heard().all(|heard| heard.claim.has_references),
            releases_to_me: !active && to_me().any(|round| round.is_some()),
            offers: open.filter(|_| role == Role::Backup && heard().all(|heard| !heard.claim.holding)),
            offers_elsewhere: !active && offers().flatten().any(|(to, _)| to != ctx.me),
            asked_in: heard().map(|heard| if heard.claim.asks { heard.round } else { 0 }).min().unwrap_or(0),
            same_state: heard().all(|heard| heard.claim.digest == vip.candidate.digest),
            reason: &first.claim.reason,
        })
    }

    /// Whether it is Active.
    pub(super) fn active(&self) -> bool {
        self.role == Role::Active
    }

    /// Its claim, if it is one, stops another that rests on proof.
    pub(super) fn stands(&self, ctx: &Context, vip: &VipState) -> bool {
        self.verified || !vip.has_references || !ctx.rules.hold(Rule::UnverifiedLoses)
    }

    /// It has just started and found the addresses on its device, but its kernel does not let it use them: that holds up
    /// nobody, or a node that crashes again and again would keep the Vip without an owner.
    pub(super) fn merely_has(&self, ctx: &Context) -> bool {
        self.role == Role::Initialize && self.peer.fenced && ctx.rules.hold(Rule::UnsettledLast)
    }

    /// It owns the addresses, or has them: nobody else may.
    pub(super) fn occupies(&self) -> bool {
        self.active() || self.holding
    }

    /// Whether it comes before this node where both want the same and nothing else tells them apart. Both sides must
    /// come to the same answer, so the files' order counts only if both have the same files.
    pub(super) fn precedes(&self, ctx: &Context, vip: &VipState) -> bool {
        match (vip.place(self.name), vip.place(ctx.me)) {
            (Some(theirs), Some(mine)) if self.same_state => theirs < mine,
            _ => self.name < ctx.me,
        }
    }

    /// Whether it wins a conflict with this node, both being Active: a proven claim does, or else the higher epoch.
    pub(super) fn beats(&self, ctx: &Context, vip: &VipState) -> bool {
        let wins = match self.epoch.cmp(&vip.epoch) {
            _ if self.verified != vip.verified && ctx.rules.hold(Rule::UnverifiedLoses) => self.verified,
            Ordering::Equal => self.precedes(ctx, vip),
            order => order.is_gt(),
        };
        wins && ctx.rules.hold(Rule::ConflictEnds)
    }
}

/// The strongest owner among the rivals.
pub(super) fn owner<'r, 'a>(rivals: &'r [Rival<'a>]) -> Option<&'r Rival<'a>> {
    rivals.iter().filter(|rival| rival.active()).max_by_key(|rival| (rival.verified, rival.epoch))
}

/// The nodes that could own `vip` now, this one included, in the order of preference, holders
/// first; but those that have just started come last, whatever they hold: a node that crashes again and again would
/// keep all others waiting. Those that are
/// not eligible count only if nobody is ("eligible" is comparative: otherwise the death of a gateway would leave
/// nobody to serve).
pub(super) fn contenders<'r>(
    ctx: &Context<'r>,
    vip: &'r VipState,
    rivals: impl Iterator<Item = &'r Rival<'r>> + Clone,
) -> Vec<Contender<'r>> {
    let find = |name: &Name| {
        let rival = rivals.clone().find(|rival| rival.name == name)?;
        let Rival { name, holding, eligible, settled, .. } = *rival;
        rival.takes_part.then_some(Contender { name, holding, eligible, settled })
    };
    let mut all: Vec<Contender> = vip
        .candidate
        .nodes
        .iter()
        .filter_map(|name| if name == ctx.me { vip.contender(ctx) } else { find(name) })
        .collect();
    if all.iter().any(|contender| contender.eligible) {
        all.retain(|contender| contender.eligible);
    }
    let unsettled = |contender: &Contender| !contender.settled && ctx.rules.hold(Rule::UnsettledLast);
    all.sort_by_key(|contender| (unsettled(contender), !contender.holding));
    all
}
