//! What the election must know of the Vips: each that lists this node, where it would go, and whether this node could
//! serve it.

use super::placement::Placements;
use crate::model::{Candidate, Desired, Eligibility, Name, ObservedNetwork};
use std::{collections::BTreeMap, net::IpAddr};

/// One [`Candidate`] per placed Vip. `pings` says which tracked addresses answer; one that is not listed has not been
/// asked yet and counts as answering. `leaving` is true from SIGTERM on.
pub fn candidates(
    me: &Name,
    desired: &Desired,
    placements: &Placements,
    network: &ObservedNetwork,
    pings: &BTreeMap<IpAddr, bool>,
    leaving: bool,
) -> Vec<Candidate> {
    let candidate = |(name, placement): (&Name, &super::placement::Placement)| Candidate {
        vip: name.clone(),
        addresses: placement.vip.addresses.iter().map(|address| address.ip).collect(),
        nodes: placement.vip.nodes.clone(),
        failback: placement.vip.failback,
        digest: desired.vip_digests.get(name).copied().unwrap_or_default(),
        link: placement.link.as_ref().map(|link| link.index),
        probed: placement.link.as_ref().is_some_and(|link| !link.loopback && link.mac.is_some()),
        eligibility: Eligibility { reasons: reasons(me, desired, placement, network, pings), leaving },
        references: Vec::new(),
        node_addresses: BTreeMap::new(),
        trust_probe: true,
    };
    // Without a Peer of its own a node takes part in nothing.
    let known = desired.peers.contains_key(me);
    placements.vips.iter().filter(|_| known).map(candidate).collect()
}

fn reasons(
    me: &Name,
    desired: &Desired,
    placement: &super::placement::Placement,
    network: &ObservedNetwork,
    pings: &BTreeMap<IpAddr, bool>,
) -> Vec<String> {
    let mut reasons: Vec<String> = placement.missing.iter().cloned().collect();
    if let Some(link) = placement.link.as_ref().filter(|link| !link.running && !link.loopback) {
        reasons.push(format!("{} has no carrier", link.name));
    }
    for tracked in &placement.vip.track.interfaces {
        let device = desired.peers.get(me).map_or(tracked.as_str(), |peer| peer.resolve_interface(tracked));
        let reason = match network.link_named(device) {
            None => format!("there is no device {device:?}"),
            Some(link) if !link.running => format!("{device} has no carrier"),
            Some(_) => continue,
        };
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    let silent = placement.vip.track.ping.iter().filter(|target| pings.get(target) == Some(&false));
    reasons.extend(silent.map(|target| format!("{target} does not answer pings")));
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::fixture::{desired, ip, name, network};
    use std::sync::Arc;

    fn candidate(desired: &Desired, network: &ObservedNetwork, pings: &BTreeMap<IpAddr, bool>) -> Candidate {
        let placements = Placements::resolve(&name("lb1"), desired, network);
        candidates(&name("lb1"), desired, &placements, network, pings, false).remove(0)
    }

    #[test]
    fn a_healthy_node_is_eligible() {
        let candidate = candidate(&desired(), &network(), &BTreeMap::new());
        assert!(candidate.eligibility.is_eligible());
        assert_eq!((candidate.link, candidate.probed), (Some(2), true));
    }

    #[test]
    fn each_thing_that_is_missing_is_a_reason_in_words() {
        let (mut desired, mut network) = (desired(), network());
        let vip = Arc::make_mut(desired.vips.get_mut("web").unwrap());
        vip.track.interfaces = vec!["eth0".into(), "eth7".into()];
        vip.track.ping = vec![ip("198.51.100.1"), ip("198.51.100.254")];
        network.links.get_mut(&2).unwrap().running = false;
        let pings = BTreeMap::from([(ip("198.51.100.1"), false), (ip("198.51.100.254"), true)]);
        assert_eq!(
            candidate(&desired, &network, &pings).eligibility.reasons,
            ["eth0 has no carrier", "there is no device \"eth7\"", "198.51.100.1 does not answer pings"]
        );
    }

    #[test]
    fn a_tracked_device_goes_by_the_name_that_the_peer_gives_it() {
        let (mut desired, mut network) = (desired(), network());
        let peer = Arc::make_mut(desired.peers.get_mut("lb1").unwrap());
        peer.interfaces.insert("back".into(), "eth1".into());
        Arc::make_mut(desired.vips.get_mut("web").unwrap()).track.interfaces = vec!["back".into()];
        assert!(candidate(&desired, &network, &BTreeMap::new()).eligibility.is_eligible());
        network.links.get_mut(&3).unwrap().running = false;
        let reasons = candidate(&desired, &network, &BTreeMap::new()).eligibility.reasons;
        assert_eq!(reasons, ["eth1 has no carrier"]);
    }

    #[test]
    fn a_target_that_has_not_been_asked_yet_counts_as_answering() {
        let mut desired = desired();
        Arc::make_mut(desired.vips.get_mut("web").unwrap()).track.ping = vec![ip("2001:db8::1")];
        let reasons = |pings| candidate(&desired, &network(), &pings).eligibility.reasons;
        assert_eq!(reasons(BTreeMap::new()), [""; 0]);
        let silent = BTreeMap::from([(ip("2001:db8::1"), false)]);
        assert_eq!(reasons(silent), ["2001:db8::1 does not answer pings"]);
    }

    #[test]
    fn loopback_needs_no_carrier_and_is_not_probed() {
        let mut network = network();
        let link = network.links.get_mut(&2).unwrap();
        (link.loopback, link.running) = (true, false);
        let candidate = candidate(&desired(), &network, &BTreeMap::new());
        assert!(candidate.eligibility.is_eligible());
        assert!(!candidate.probed);
    }

    #[test]
    fn a_node_in_no_peer_stands_for_nothing() {
        let mut desired = desired();
        desired.peers.remove("lb1");
        let placements = Placements::resolve(&name("lb1"), &desired, &network());
        let candidates = candidates(&name("lb1"), &desired, &placements, &network(), &BTreeMap::new(), false);
        assert!(candidates.is_empty());
    }
}
