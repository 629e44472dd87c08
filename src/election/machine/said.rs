//! What is told of one Vip: to the other nodes, and to the rest of the agent.

use super::{handover::Release, vip::VipState};
use crate::{
    election::wire::Claim,
    model::{Held, Role, VipView},
};
use std::time::{Duration, Instant};

impl VipState {
    /// What this node says of each address.
    pub(super) fn claims<'a>(&'a self, held: &'a Held) -> impl Iterator<Item = Claim> + 'a {
        let reason = if self.eligible() { String::new() } else { self.reason() };
        let active = self.role == Role::Active;
        self.candidate.addresses.iter().map(move |ip| Claim {
            ip: *ip,
            // An address that was added to the Vip and has no lease yet is not owned.
            role: if active && !self.leased.contains(ip) { Role::Backup } else { self.role },
            epoch: self.known_epoch(),
            digest: self.candidate.digest,
            holding: held.contains(ip) || (self.may_hold && !active),
            asks: self.asks,
            claiming: self.claiming,
            eligible: self.eligible(),
            takes_part: self.takes_part(),
            settled: self.settled,
            verified: self.verified || !active,
            lost: self.lost_until.is_some(),
            sees_silence: self.sees_silence,
            has_references: self.has_references,
            offer: self.release.as_ref().and_then(Release::said),
            reason: reason.clone(),
        })
    }

    /// Of the last claim, or the highest heard.
    pub(super) fn known_epoch(&self) -> u64 {
        if self.role == Role::Active { self.epoch } else { self.epoch.max(self.seen_epoch) }
    }

    /// All but the standings and rules.
    pub(super) fn view(&self, now: Instant) -> VipView {
        let active = self.role == Role::Active;
        let missing = self.candidate.addresses.iter().filter(|ip| active && !self.leased.contains(*ip));
        VipView {
            role: self.role,
            since: self.since,
            epoch: self.known_epoch(),
            why: self.why.clone(),
            owner: self.owner.clone(),
            owner_holds: self.owner_holds,
            announcement: self.announcement,
            graceful: self.graceful,
            foreign: self.foreign,
            became_active: self.became_active,
            dual_owner: self.dual_owner
                + self.conflict_since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since)),
            verified: self.verified,
            leased: active && !self.leased.is_empty(),
            unleased: missing.copied().collect(),
            standings: Vec::new(),
            rules: Vec::new(),
        }
    }
}
