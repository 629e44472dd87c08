//! What the election must know of the Vips: each that lists this node, where it would go, who else is there, and
//! whether this node could serve it.

use super::{
    placement::{Placement, Placements},
    segment::Surroundings,
    windows::{self, Windows},
};
use crate::model::{Candidate, Eligibility};
use std::{collections::BTreeMap, net::IpAddr};

/// Everything that [`candidates`] looks at.
#[derive(Debug, Clone, Copy)]
pub struct CandidateInputs<'a> {
    /// This node and what is around it.
    pub around: Surroundings<'a>,
    /// Where the Vips go.
    pub placements: &'a Placements,
    /// Which tracked addresses answer; one that is not listed has not been asked yet and counts as answering.
    pub pings: &'a BTreeMap<IpAddr, bool>,
    /// Which tracked devices have a carrier, brought up to date.
    pub windows: &'a Windows,
    /// True from SIGTERM on.
    pub leaving: bool,
    /// Why an operator has put this node on standby, if so.
    pub standby: Option<&'a str>,
    /// The last result.
    pub previous: &'a [Candidate],
}

/// One [`Candidate`] per placed Vip.
pub fn candidates(inputs: CandidateInputs<'_>) -> Vec<Candidate> {
    // Without a Peer of its own a node takes part in nothing.
    let known = inputs.around.desired.peers.contains_key(inputs.around.me);
    inputs.placements.vips.values().filter(|_| known).map(|placement| candidate(inputs, placement)).collect()
}

fn candidate(inputs: CandidateInputs<'_>, placement: &Placement) -> Candidate {
    let (around, vip) = (inputs.around, &placement.vip);
    let probed = placement.link.as_ref().filter(|link| !link.loopback && link.mac.is_some()).map(|link| link.index);
    let previous = inputs.previous.iter().find(|it| it.vip == vip.name && it.link == probed);
    let previous = previous.map_or(&[][..], |candidate| &candidate.references);
    let nodes = probed.map(|link| around.node_addresses(vip, link)).unwrap_or_default();
    Candidate {
        vip: vip.name.clone(),
        addresses: vip.addresses.iter().map(|address| address.ip).collect(),
        nodes: vip.nodes.clone(),
        failback: vip.failback,
        digest: around.desired.vip_digests.get(&vip.name).copied().unwrap_or_default(),
        link: placement.link.as_ref().map(|link| link.index),
        probed: probed.is_some(),
        eligibility: Eligibility { reasons: reasons(inputs, placement), leaving: inputs.leaving },
        references: probed.map(|link| around.references(vip, link, &nodes, previous)).unwrap_or_default(),
        node_addresses: nodes,
        trust_probe: vip.trust_probe,
    }
}

/// What speaks against this node, the operator's word first.
fn reasons(inputs: CandidateInputs<'_>, placement: &Placement) -> Vec<String> {
    let standby = inputs.standby.map(|reason| format!("standby: {reason}"));
    let mut reasons: Vec<String> = standby.into_iter().chain(placement.missing.clone()).collect();
    if let Some(link) = placement.link.as_ref().filter(|link| !link.running && !link.loopback) {
        reasons.push(format!("{} has no carrier", link.name));
    }
    for reason in placement.vip.track.interfaces.iter().filter_map(|tracked| lost(inputs, tracked)) {
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    let silent = placement.vip.track.ping.iter().filter(|target| inputs.pings.get(target) == Some(&false));
    reasons.extend(silent.map(|target| format!("{target} does not answer pings")));
    reasons
}

/// What is wrong with a tracked device, if it counts.
fn lost(inputs: CandidateInputs<'_>, tracked: &str) -> Option<String> {
    let device = windows::device(inputs.around.me, inputs.around.desired, tracked);
    if inputs.windows.counts(device) != Some(false) {
        return None;
    }
    Some(match inputs.around.network.link_named(device) {
        None => format!("there is no device {device:?}"),
        Some(link) if !link.running => format!("{device} has no carrier"),
        Some(_) => format!("{device} has had no carrier until just now"),
    })
}

#[cfg(test)]
#[path = "candidates_tests.rs"]
mod tests;
