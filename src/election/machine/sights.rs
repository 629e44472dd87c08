//! What the wire shows of a Vip without being read by a decision yet: who has it, who asks for it.

use super::{
    Machine,
    facts::Context,
    peer::PeerState,
    rules::{ANSWER_PATIENCE, HEARD_HAVING_FOR, MAKE_WAY, Rule, Rules, SIGHT_FOR},
    vip::VipState,
};
use crate::model::{Mac, Name, Role, Sight, SightKind};
use std::{net::IpAddr, time::Instant};

/// Another host that has one of the addresses.
#[derive(Debug)]
pub(super) struct Other {
    pub(super) ip: IpAddr,
    pub(super) mac: Mac,
    pub(super) peer: Option<Name>,
    /// Its Ethernet address is lower than this node's.
    pub(super) comes_first: bool,
    /// Since when it has been seen again and again.
    pub(super) since: Instant,
    pub(super) at: Instant,
}

/// A host that is not heard and had one of the addresses: if it is a node of the Vip, it may own them too, whatever those
/// that are heard know of it.
#[derive(Debug)]
pub(super) struct Unheard {
    peer: Option<Name>,
    at: Instant,
}

/// Of whom a frame is.
struct Who<'a> {
    mac: Mac,
    peer: Option<&'a Name>,
    comes_first: bool,
    /// Its kernel's answers delay a claim, though perhaps not for ever.
    counts: bool,
}

impl Machine {
    /// Something was seen on the wire.
    pub fn handle_sight(&mut self, now: Instant, sight: Sight) {
        let Sight { link, ip, mac, kind } = sight;
        if self.macs.contains(&mac) {
            return;
        }
        let elsewhere = self.segments.contains_key(&link);
        let here = |segment: u32| segment == link || !elsewhere;
        let heard = self.peers.iter().find(|(_, peer)| peer.macs.contains(&mac));
        for (_, segment) in self.segments.iter_mut().filter(|(own, _)| here(**own)) {
            let news = match kind {
                SightKind::Has => segment.sight(now, ip, mac, heard.map(|(name, _)| name)),
                SightKind::Asks(_) => false,
            };
            self.pending |= news && self.out.hunting;
        }
        // A node that was never heard is known by the Ethernet address that answers for its own address.
        let answers = || self.segments.values().find_map(|segment| segment.node_of(mac));
        let known = heard.or_else(|| self.peers.get_key_value(answers()?));
        let own_mac = self.fronts.iter().find(|front| front.link == link).and_then(|front| front.mac);
        let own_mac = own_mac.or(self.macs.iter().min().copied());
        let mut learned = Vec::new();
        let vips = self.vips.values_mut().filter(|vip| vip.candidate.addresses.contains(&ip));
        for vip in vips.filter(|vip| vip.candidate.link.is_none_or(here)) {
            match kind {
                SightKind::Has => {
                    let counts = known.is_none_or(|(_, peer)| vip.respects(now, peer, self.rules));
                    let comes_first = own_mac > Some(mac);
                    let who = Who { mac, peer: known.map(|(name, _)| name), comes_first, counts };
                    if known.is_none_or(|(_, peer)| !peer.heard) {
                        vip.unheard = Some(Unheard { peer: who.peer.cloned(), at: now });
                    }
                    if vip.foreign.is_none_or(|(_, told)| told != mac) && who.peer.is_none() && vip.matters() {
                        let text = format!("{mac}, which belongs to no peer, answers for {ip}");
                        self.out.event(now, &*vip.candidate.vip, text);
                    }
                    self.pending |= vip.sees_owner(now, ip, &who, self.rules);
                }
                SightKind::Asks(None) => {
                    // By the files' order alone. What else ranks nodes (who has just started, who leaves) each knows of the
                    // other only as long as it hears it: where heartbeats pass one way, both would think to come first.
                    let first = known.is_some_and(|(name, _)| vip.comes_before(name, self.me.as_ref()));
                    // A stranger may be a node only while there is one whose Ethernet addresses are not known: others
                    // who ask (monitors, address configuration) hold nothing up.
                    let unmet = |node| self.peers.get(node).is_some_and(PeerState::is_unmet);
                    if known.is_none() && !vip.candidate.nodes.iter().any(unmet) {
                        continue;
                    }
                    let stranger = known.is_none().then_some((mac, own_mac < Some(mac)));
                    vip.sees_prober(now, first, stranger, self.rules);
                }
                SightKind::Asks(Some(asker)) => {
                    let stranger = known.is_none() && !vip.candidate.addresses.contains(&asker);
                    if stranger && self.rules.hold(Rule::LearnsReferences) {
                        learned.push((vip.wire(), asker));
                        self.pending |= self.out.hunting;
                    }
                }
            }
        }
        for (link, asker) in learned {
            if let Some(segment) = link.and_then(|link| self.segments.get_mut(&link)) {
                segment.learn(now, asker);
            }
        }
    }

    /// A probe for `ip` could not be sent: its silence proves nothing.
    pub fn handle_probe_failed(&mut self, ip: IpAddr) {
        let now = self.stepped_at;
        for vip in self.vips.values_mut().filter(|vip| vip.candidate.addresses.contains(&ip)) {
            vip.audit.asked = 0;
            if vip.probing.as_mut().is_some_and(|probing| probing.unsent(now)) {
                vip.answered_at = Some(now);
                vip.unsent = Some(ip);
            }
        }
    }
}

impl VipState {
    /// A node that is not heard has the addresses, or had them just now: until when it is to be reckoned with. A live
    /// owner announces each second, and is asked more often.
    pub(super) fn unheard_owner(&self, ctx: &Context) -> Option<Instant> {
        let Unheard { peer, at } = self.unheard.as_ref().filter(|_| self.wire().is_some())?;
        let until = *at + HEARD_HAVING_FOR;
        let silent = |node: &Name| ctx.peers.get(node).is_some_and(|peer| !peer.heard);
        let owner = match peer {
            Some(peer) => silent(peer),
            None => self.candidate.nodes.iter().any(|node| ctx.peers.get(node).is_some_and(PeerState::is_unmet)),
        };
        (owner && ctx.now < until && ctx.rules.hold(Rule::OfferIsNoProof)).then_some(until)
    }

    /// Whether somebody else's having the addresses changes anything for this node now.
    fn matters(&self) -> bool {
        self.role == Role::Active || self.probing.is_some()
    }

    /// Whether the answers of this peer's kernel still stand against a claim. A fenced one's always do, for they end by
    /// themselves if its agent does not live.
    fn respects(&self, now: Instant, peer: &PeerState, rules: Rules) -> bool {
        let endless = peer.fenced && rules.hold(Rule::FencedBlocks);
        // Who was Active until just now, as an owner that was stopped for long, meets the answers of whoever took over, not
        // those of an agent that died.
        let since = if peer.heard { self.vacant_since } else { peer.last_heard.map(|at| at.max(self.since)) };
        let over = !endless && since.is_some_and(|since| now >= since + ANSWER_PATIENCE);
        !over || self.patience_spent || !rules.hold(Rule::AnswerPatience)
    }

    fn comes_before(&self, peer: &Name, me: Option<&Name>) -> bool {
        let Some(me) = me else { return false };
        match (self.place(peer), self.place(me)) {
            (Some(theirs), Some(mine)) => theirs < mine,
            (theirs, _) => theirs.is_some(),
        }
    }

    /// Whether a decision is due.
    fn sees_owner(&mut self, now: Instant, ip: IpAddr, who: &Who, rules: Rules) -> bool {
        let turned = self.sees_silence;
        self.audit.asked = 0;
        let stranger = who.peer.is_none();
        if stranger && !rules.hold(Rule::ForeignRespected) {
            return turned;
        }
        let ongoing = self.other.as_ref().filter(|other| other.mac == who.mac && now < other.at + SIGHT_FOR);
        let since = ongoing.map_or(now, |other| other.since);
        self.other =
            Some(Other { ip, mac: who.mac, peer: who.peer.cloned(), comes_first: who.comes_first, since, at: now });
        if who.counts {
            self.answered_at = Some(now);
        }
        if let Some(probing) = &mut self.probing {
            match who.peer {
                Some(peer) if who.counts => probing.heard_having(now, peer),
                Some(_) => {}
                None => probing.stranger(now),
            }
        }
        if stranger && self.matters() {
            self.foreign = Some((ip, who.mac));
            self.claiming = false;
        }
        turned || (self.matters() && since == now)
    }

    /// Somebody asks for the address without saying who it is, as one does before a claim. `stranger`: it is no node that
    /// is known, and whether this node's Ethernet address is lower.
    fn sees_prober(&mut self, now: Instant, first: bool, stranger: Option<(Mac, bool)>, rules: Rules) {
        let Some(probing) = self.probing.as_mut().filter(|_| self.role != Role::Active) else { return };
        if !rules.hold(Rule::TwoProbers) {
            return;
        }
        match stranger {
            Some((mac, own_mac_first)) => probing.unknown_prober(now, mac, own_mac_first),
            None if first => probing.pause(now, MAKE_WAY),
            None => {}
        }
    }
}
