//! `lbagent why VIP`: the decision about one Vip as a person would explain it. The verdict first, then how each node
//! stands, the rules that the verdict follows from, and what has happened lately.

use super::{
    EventStatus, PeerStatus, StandbyStatus, StandingStatus, Status, Timestamp, VipStatus,
    layout::{listed, numbered, plain, span},
    text::path_words,
};
use crate::desired::nearest;
use serde::Serialize;
use std::fmt;

/// Events that are shown.
const MOST_EVENTS: usize = 20;

/// All of a [`Status`] that speaks to one Vip. [`fmt::Display`] writes it for people.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Why<'a> {
    /// In one line: who owns it, and what this node is.
    pub verdict: String,
    /// The node that says all this; `null` if it finds itself in no Peer.
    pub node: Option<&'a str>,
    /// When it said so.
    pub now: Timestamp,
    /// Set while an operator has taken this node out of service.
    pub standby: Option<&'a StandbyStatus>,
    /// The Vip, its standings and rules among it.
    pub vip: &'a VipStatus,
    /// Its other nodes, as they are heard.
    pub peers: Vec<&'a PeerStatus>,
    /// What happened to it and to its nodes, oldest first, no more than the last twenty.
    pub events: Vec<&'a EventStatus>,
}

/// There is no such Vip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownVip {
    asked: String,
    known: Vec<String>,
}

impl std::error::Error for UnknownVip {}

impl fmt::Display for UnknownVip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no Vip is called {:?}", self.asked)?;
        if let Some(nearest) = nearest(&self.asked, self.known.iter().map(String::as_str)) {
            write!(f, "; did you mean {nearest:?}?")?;
        }
        match self.known.as_slice() {
            [] => f.write_str(" (there is none at all: see `lbagent status`)"),
            known => write!(f, " (there is: {})", known.join(", ")),
        }
    }
}

/// Picks out what speaks to the Vip called `name`.
///
/// # Errors
/// There is none; the error names the nearest one, and all.
pub fn why<'a>(status: &'a Status, name: &str) -> Result<Why<'a>, UnknownVip> {
    let Some(vip) = status.vips.iter().find(|vip| vip.name == name) else {
        let known = status.vips.iter().map(|vip| vip.name.clone()).collect();
        return Err(UnknownVip { asked: name.to_owned(), known });
    };
    let concerned = |subject: &String| *subject == vip.name || vip.nodes.contains(subject);
    let events: Vec<_> = status.events.iter().filter(|event| concerned(&event.subject)).collect();
    Ok(Why {
        verdict: verdict(vip, status),
        node: status.node.as_deref(),
        now: status.now,
        standby: status.standby.as_ref(),
        vip,
        peers: status.peers.iter().filter(|peer| !peer.me && vip.nodes.contains(&peer.name)).collect(),
        events: events[events.len().saturating_sub(MOST_EVENTS)..].to_vec(),
    })
}

fn verdict(vip: &VipStatus, status: &Status) -> String {
    let me = status.node.as_deref().unwrap_or("a node without a Peer");
    let name = &vip.name;
    let Some(role) = &vip.role else {
        return format!("{name}: {me} (this node) is none of its nodes, which are {}", vip.nodes.join(", "));
    };
    let since = vip.since.map_or_else(String::new, |since| format!(", since {}", span(status.now.since(since))));
    let tail = format!("{since}, epoch {}", vip.epoch);
    match &vip.owner {
        _ if vip.is_active() => format!("{name}: {me} is Active (this node){tail}"),
        Some(owner) => format!("{name}: {owner} owns it; {me} (this node) is {role}{tail}"),
        None if vip.is_initializing() => format!("{name}: not decided yet; {me} (this node) is {role}{tail}"),
        None => format!("{name}: nobody owns it; {me} (this node) is {role}{tail}"),
    }
}

impl fmt::Display for Why<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = format!("{}\n", plain(&self.verdict));
        listed(&mut text, None, self.remarks());
        let nodes = self.vip.nodes.iter().map(|node| self.node_lines(node));
        numbered(&mut text, "Nodes, in the order of preference", nodes);
        let rules = self.vip.rules.iter().map(|rule| vec![rule.clone()]);
        numbered(&mut text, "Rules, in the order in which they were looked at", rules);
        listed(&mut text, Some("Last events"), self.event_lines());
        f.write_str(&text)
    }
}

impl Why<'_> {
    /// What belongs to the verdict: the reason, what is wrong, what the addresses do.
    fn remarks(&self) -> Vec<String> {
        let vip = self.vip;
        let mut remarks = Vec::new();
        if !vip.why.is_empty() {
            remarks.push(format!("why: {}", vip.why));
        }
        if let Some(standby) = self.standby {
            let (since, words) = (span(self.now.since(standby.since)), standby.words());
            remarks.push(format!("this node is in STANDBY since {since}: {words}"));
        }
        remarks.extend(vip.trouble().map(|(_, words)| format!("NOT WELL: {words}")));
        if let Some(last) = vip.dual_owner_last {
            let (ago, seconds) = (span(self.now.since(last)), vip.dual_owner_seconds);
            remarks.push(format!("two owners were last seen {ago} ago, for {seconds:.3} s in all"));
        }
        let here = vip.addresses.iter().filter(|address| address.held);
        remarks.extend(here.map(|address| {
            let device = address.interface.as_deref().unwrap_or("a device");
            let whose = if address.ours { "" } else { ", put there by somebody else" };
            let lease = if address.leased { "leased" } else { "no lease" };
            format!("{} on {device}{whose}: {lease}", address.address)
        }));
        remarks.extend(vip.fenced().map(|fenced| match fenced.is_true() {
            true => format!("fenced: {}", fenced.message),
            false => format!("NOT fenced: {}", fenced.message),
        }));
        remarks
    }

    /// A node: its name, how it stands, how it is heard.
    fn node_lines(&self, node: &str) -> Vec<String> {
        let me = self.node == Some(node);
        let mut lines = vec![if me { format!("{node}, this node") } else { node.to_owned() }];
        let standing = self.vip.standings.iter().find(|standing| standing.node == node);
        lines.extend(standing.map(standing_words));
        let peer = self.peers.iter().find(|peer| peer.name == node);
        lines.extend(peer.map(|peer| self.peer_words(peer)));
        lines
    }

    fn peer_words(&self, peer: &PeerStatus) -> String {
        let span = peer.since.map_or_else(String::new, |since| format!(" for {}", span(self.now.since(since))));
        let heard = match (peer.heard, peer.hears_us) {
            (true, true) => format!("heard{span}, and hears this node"),
            (true, false) => format!("heard{span}, but does NOT hear this node"),
            (false, _) => format!("SILENT{span}"),
        };
        let vanished = match peer.vanished {
            0 => String::new(),
            times => format!(", vanished {times} times in ten minutes"),
        };
        let heard = heard + &vanished;
        let paths: Vec<String> = peer.paths.iter().map(path_words).collect();
        if paths.is_empty() { heard } else { format!("{heard}: {}", paths.join("; ")) }
    }

    fn event_lines(&self) -> Vec<String> {
        let ages: Vec<String> = self.events.iter().map(|event| span(self.now.since(event.at))).collect();
        let width = |texts: &mut dyn Iterator<Item = usize>| texts.max().unwrap_or(0);
        let age_width = width(&mut ages.iter().map(|age| age.chars().count()));
        let subject_width = width(&mut self.events.iter().map(|event| event.subject.chars().count()));
        let line = |(event, age): (&&EventStatus, &String)| {
            format!("{age:>age_width$} ago  {:<subject_width$}  {}", event.subject, event.message)
        };
        self.events.iter().zip(&ages).map(line).collect()
    }
}

/// `Backup, without the addresses; eligible, settled, fenced, same state`. What is not as it should be is in capitals.
fn standing_words(standing: &StandingStatus) -> String {
    let Some(role) = standing.role.as_ref().filter(|_| standing.heard) else {
        return format!("NOT heard; its last known epoch is {}", standing.epoch);
    };
    let holding = if standing.holding { "has the addresses" } else { "without the addresses" };
    let proof = match (role.as_str(), standing.verified) {
        ("Active", true) => ", verified",
        ("Active", false) => ", NOT verified",
        _ => "",
    };
    let eligible = match (standing.eligible, standing.reason.as_str()) {
        (true, _) => "eligible".to_owned(),
        (false, "") => "NOT eligible".to_owned(),
        (false, reason) => format!("NOT eligible ({reason})"),
    };
    let settled = if standing.settled { "settled" } else { "NOT settled yet" };
    let fenced = if standing.fenced { "fenced" } else { "NOT fenced" };
    let state = match (standing.me, standing.same_state) {
        (true, _) => "",
        (false, true) => ", same state",
        (false, false) => ", state DIFFERS",
    };
    format!("{role}, {holding}{proof}, epoch {}; {eligible}, {settled}, {fenced}{state}", standing.epoch)
}

#[cfg(test)]
#[path = "why_tests.rs"]
mod tests;
