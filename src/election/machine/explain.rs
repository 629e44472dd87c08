//! Why this node is what it is, rule by rule, as a person would say it. Worked out only when somebody looks.

use super::{
    facts::{Context, Rival, owner},
    outbox::Outbox,
    rules::DEFER,
    segment::{Question, Segment},
    vip::VipState,
};
use crate::model::{FailbackMode, Name, Role, Standing, VipView, format_duration};
use std::time::{Duration, Instant};

impl VipState {
    /// The view, with the standings and rules.
    pub(super) fn explained(&self, ctx: &Context) -> VipView {
        let rivals = Rival::gather(ctx, self);
        VipView { standings: self.standings(ctx, &rivals), rules: self.rules(ctx, &rivals), ..self.view(ctx.now) }
    }

    fn standings(&self, ctx: &Context, rivals: &[Rival]) -> Vec<Standing> {
        let nodes = self.candidate.nodes.iter();
        let unlisted = rivals.iter().map(|rival| rival.name).filter(|name| self.place(name).is_none());
        nodes.chain(unlisted).map(|node| self.standing(ctx, rivals, node)).collect()
    }

    fn standing(&self, ctx: &Context, rivals: &[Rival], node: &Name) -> Standing {
        let nothing = Standing {
            node: node.clone(),
            me: node == ctx.me,
            heard: node == ctx.me || ctx.peers.get(node).is_some_and(|peer| peer.heard),
            role: None,
            epoch: 0,
            holding: false,
            eligible: false,
            reason: String::new(),
            settled: false,
            fenced: ctx.peers.get(node).is_some_and(|peer| peer.fenced),
            verified: false,
            same_state: false,
        };
        if nothing.me {
            return Standing {
                role: Some(self.role),
                epoch: self.known_epoch(),
                holding: self.holds(ctx),
                eligible: self.eligible(),
                reason: self.reason(),
                settled: self.settled,
                fenced: ctx.fenced,
                verified: self.verified,
                same_state: true,
                ..nothing
            };
        }
        let Some(rival) = rivals.iter().find(|rival| rival.name == node) else {
            let reason = if nothing.heard { "does not know these addresses" } else { "is not heard" };
            return Standing { reason: reason.to_owned(), ..nothing };
        };
        Standing {
            role: Some(rival.role),
            epoch: rival.epoch,
            holding: rival.holding,
            eligible: rival.eligible,
            reason: rival.reason.to_owned(),
            settled: rival.settled,
            verified: rival.verified,
            same_state: rival.same_state,
            ..nothing
        }
    }

    fn rules(&self, ctx: &Context, rivals: &[Rival]) -> Vec<String> {
        let mut rules = Vec::new();
        self.say_start(ctx, &mut rules);
        self.say_nodes(ctx, rivals, &mut rules);
        match self.role {
            Role::Active => self.say_owner(ctx, rivals, &mut rules),
            _ => self.say_waiting(ctx, rivals, &mut rules),
        }
        self.say_wire(ctx, &mut rules);
        rules
    }

    fn say_start(&self, ctx: &Context, rules: &mut Vec<String>) {
        if !self.started && !ctx.voice {
            rules.push("this node has no key, cannot speak to the others, and so decides nothing".to_owned());
        } else if !self.started {
            rules.push(
                "just started: nothing is claimed before the others have been heard, or are silent for good".to_owned(),
            );
        }
        if !self.eligible() || self.blind {
            let reason = if self.eligible() { "no host on its segment answers".to_owned() } else { self.reason() };
            rules.push(format!("this node is not eligible: {reason}"));
        } else if !self.settled {
            let left = self.eligible_since.map(|since| since.max(self.created) + self.candidate.failback.after);
            let left = left.map_or(String::new(), |at| format!(" for another {}", remaining(ctx.now, at)));
            rules.push(format!("this node has not run for long: it comes after those that have{left}"));
        }
    }

    fn say_nodes(&self, ctx: &Context, rivals: &[Rival], rules: &mut Vec<String>) {
        for node in self.candidate.nodes.iter().filter(|node| *node != ctx.me) {
            let Some(peer) = ctx.peers.get(node) else { continue };
            let rival = rivals.iter().find(|rival| rival.name == node);
            match (peer.last_heard, rival) {
                (_, Some(rival)) if rival.active() && !rival.verified => {
                    rules.push(format!(
                        "{node} is Active, but could not make sure that nobody else is: that counts little"
                    ));
                }
                (Some(at), _) if peer.is_quiet(ctx.now) => {
                    rules.push(format!("{node} is not heard for {}", whole_ms(ctx.now.saturating_duration_since(at))));
                }
                (None, _) => rules.push(format!("{node} has never been heard")),
                (_, Some(rival)) if !rival.eligible => rules.push(format!("{node} is not eligible: {}", rival.reason)),
                _ => {}
            }
            let times = peer.vanished(ctx.now);
            if times > 1 {
                rules.push(format!("{node} vanished {times} times in the last ten minutes"));
            }
        }
    }

    fn say_owner(&self, ctx: &Context, rivals: &[Rival], rules: &mut Vec<String>) {
        let lease = if ctx.fenced {
            "the kernel leases the addresses to this node"
        } else {
            "this node owns the addresses; its kernel enforces no lease"
        };
        rules.push(lease.to_owned());
        if !self.verified {
            rules.push("the claim is unverified: no host could be asked whether silence means anything".to_owned());
        }
        if let Some(other) = self.seen_other(ctx.now) {
            rules.push(format!("{} answers for {} too", other.mac, other.ip));
        }
        for rival in rivals.iter().filter(|rival| self.place(rival.name) < self.place(ctx.me)) {
            let name = rival.name;
            let why = match (self.damped(ctx, rival, &mut Outbox::default()), self.candidate.failback.mode) {
                (_, FailbackMode::Manual) => "failback is manual".to_owned(),
                (Some((until, _)), _) => format!("it vanished too often, and waits for {}", remaining(ctx.now, until)),
                _ if !rival.same_state => "its state differs, so there is no failback".to_owned(),
                _ if self.has_refused(ctx.now, name) => "it did not take them when they were offered".to_owned(),
                _ if !rival.asks => "it has not asked for them yet".to_owned(),
                _ => continue,
            };
            rules.push(format!("{name} comes first in nodes, but {why}"));
        }
    }

    fn say_waiting(&self, ctx: &Context, rivals: &[Rival], rules: &mut Vec<String>) {
        if let Some(owner) = owner(rivals) {
            rules.push(format!("{} is Active with epoch {}", owner.name, owner.epoch));
            match self.failback_at(ctx, owner) {
                Some(at) if ctx.now < at => rules.push(format!("failback in {}", remaining(ctx.now, at))),
                Some(_) if self.asks => rules.push("this node asks for the addresses".to_owned()),
                _ => {}
            }
        }
        for rival in rivals.iter().filter(|rival| rival.offers_elsewhere || rival.releases_to_me) {
            let to = if rival.releases_to_me { "this node" } else { "another node" };
            rules.push(format!("{} is handing the addresses to {to}", rival.name));
        }
        match self.release.as_ref().map(super::handover::Release::state) {
            Some((Some(to), false)) => rules.push(format!("this node hands the addresses to {to}")),
            Some((Some(to), true)) => {
                rules.push(format!("{to} did not take the addresses; waiting until it cannot any more"))
            }
            _ => {}
        }
        if owner(rivals).is_none() && rivals.iter().any(|rival| rival.holding && !self.holds(ctx)) {
            rules.push("nobody is Active, but another node still has the addresses".to_owned());
        }
        if let Some(vacant) = self.vacant_since {
            let time = whole_ms(ctx.now.saturating_duration_since(vacant));
            rules.push(format!(
                "vacant for {time}; whoever comes first may claim, the others wait at least {}",
                format_duration(DEFER)
            ));
        }
    }

    fn say_wire(&self, ctx: &Context, rules: &mut Vec<String>) {
        let Some(segment) = self.wire().and_then(|link| ctx.segments.get(&link)) else {
            let why = if self.candidate.trust_probe {
                "there is nothing to be asked on its device"
            } else {
                "answers to probes are not trusted"
            };
            return rules.push(format!("{why}: claims rest on heartbeats alone"));
        };
        let (answer, all) = segment.answering(ctx.now);
        let references = format!("{answer} of {all} references answer");
        rules.push(match self.probes(ctx, segment) {
            Some(probes) => format!("probes: {probes}, {references}"),
            None => references,
        });
        if let Some((why, until)) = self.heard_having(ctx) {
            rules.push(format!("{why}; no claim for {}", remaining(ctx.now, until)));
        }
        if let Some(until) = self.unheard_owner(ctx).filter(|_| self.role != Role::Active) {
            let left = remaining(ctx.now, until);
            rules.push(format!("a node that is not heard has the addresses: no handover to this one for {left}"));
        }
        if self.sees_silence {
            rules.push("the owner's addresses do not answer this node".to_owned());
        }
    }

    /// How far the probes of a claim have come.
    fn probes(&self, ctx: &Context, segment: &Segment) -> Option<String> {
        let probing = self.probing.as_ref()?;
        if probing.blind_since.is_some() {
            return Some("none, for silence would prove nothing".to_owned());
        }
        if let Some(until) = probing.rests_until.filter(|until| ctx.now < *until) {
            return Some(format!(
                "none for {}: another host has the addresses, or is about to claim them",
                remaining(ctx.now, until)
            ));
        }
        let suspects = self.suspects(ctx);
        let question = Question { from: probing.from, answered_at: self.answered_at, suspects: &suspects };
        let (silent, needed) = segment.progress(question);
        Some(format!("{} of {needed} silent rounds", silent.min(needed)))
    }
}

fn remaining(now: Instant, until: Instant) -> String {
    whole_ms(until.saturating_duration_since(now))
}

fn whole_ms(time: Duration) -> String {
    format_duration(Duration::from_millis(time.as_millis() as u64))
}
