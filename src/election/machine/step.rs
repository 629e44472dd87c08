//! One step: every Vip decides, the segments' rounds go out, and what comes of it is put in order.

use super::{Machine, Transmit, facts::Context, rules::Rule, segment::Haste, vip::VipState};
use crate::model::Name;
use std::time::Instant;

impl Machine {
    pub(super) fn step_vips(&mut self, now: Instant, newly_heard: bool) {
        let Some(me) = &self.me else { return };
        let (mut vips, mut out) = (std::mem::take(&mut self.vips), std::mem::take(&mut self.out));
        let ctx = self.context(now, me, newly_heard);
        for vip in vips.values_mut() {
            vip.step(&ctx, &mut out);
        }
        self.busy = vips.values().any(VipState::busy);
        (self.vips, self.out) = (vips, out);
    }

    /// Sends the rounds in which Vips take part, and asks the references.
    pub(super) fn step_segments(&mut self, now: Instant) {
        let haste = std::mem::take(&mut self.out.haste);
        let probing = std::mem::take(&mut self.out.probing);
        self.out.hunting = haste.values().any(|haste| *haste == Haste::Hunt);
        for (link, segment) in &mut self.segments {
            let mut asked = Vec::new();
            match probing.contains(link) {
                true if segment.round_due(now) => segment.begin_round(now, &mut |ip| asked.push((*link, ip))),
                true => {}
                false => segment.rest(),
            }
            let haste = haste.get(link).copied().unwrap_or_default();
            let next = segment.ask_references(now, haste, &mut |ip| asked.push((*link, ip)));
            self.out.probes.extend(asked);
            if let Some(next) = next {
                self.out.wake_at(next);
            }
        }
    }

    /// Hands over what the step has come to, in the order in which it is to be carried out: no lease outlasts the word
    /// that it has ended, and a ticket is older than the probes that it stands for.
    pub(super) fn emit(&mut self) {
        let revokes = std::mem::take(&mut self.out.revokes);
        if !revokes.is_empty() {
            self.transmits.push_back(Transmit::Revoke { ips: revokes });
        }
        let tickets = std::mem::take(&mut self.out.tickets).into_iter().map(|(id, ttl)| Transmit::Ticket { id, ttl });
        self.transmits.extend(tickets);
        let probes = std::mem::take(&mut self.out.probes).into_iter().map(|(link, ip)| Transmit::Probe { link, ip });
        self.transmits.extend(probes);
        let grants = std::mem::take(&mut self.out.grants).into_iter();
        self.transmits.extend(grants.map(|(vip, ticket, ips)| Transmit::Grant { vip, ticket, ips }));
    }

    /// What decisions rest on.
    pub(super) fn context<'a>(&'a self, now: Instant, me: &'a Name, newly_heard: bool) -> Context<'a> {
        let elapsed = now.saturating_duration_since(self.wall.1).as_millis() as u64;
        let wall_ms = self.wall.0.saturating_add(elapsed);
        let remembers = self.rules.hold(Rule::EpochRemembered);
        Context {
            now,
            me,
            segments: &self.segments,
            unfit: &self.unfit,
            fenced: self.fenced,
            doubt_until: self.doubt_until,
            round: self.round,
            wall_ms: if remembers { wall_ms.max(self.persisted) } else { wall_ms },
            peers: &self.peers,
            held: &self.held,
            voice: self.voice,
            newly_heard,
            rules: self.rules,
        }
    }
}
