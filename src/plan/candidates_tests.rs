use super::*;
use crate::{
    model::{Desired, ElectionView, ObservedNetwork},
    plan::fixture::{desired, ip, name, network, start},
};
use std::{sync::Arc, time::Duration};

struct Case {
    me: &'static str,
    desired: Desired,
    network: ObservedNetwork,
    pings: BTreeMap<IpAddr, bool>,
    windows: Windows,
    standby: Option<&'static str>,
    previous: Vec<Candidate>,
}

impl Case {
    fn new() -> Self {
        Self {
            me: "lb1",
            desired: desired(),
            network: network(),
            pings: BTreeMap::new(),
            windows: Windows::default(),
            standby: None,
            previous: Vec::new(),
        }
    }

    fn track(&mut self) -> &mut crate::model::Track {
        &mut Arc::make_mut(self.desired.vips.get_mut("web").unwrap()).track
    }

    fn placements(&self) -> Placements {
        Placements::resolve(&name(self.me), &self.desired, &self.network)
    }

    fn look(&mut self, now: std::time::Instant) {
        let placements = self.placements();
        self.windows.update(now, &name(self.me), &self.desired, &placements, &self.network);
    }

    fn candidates(&self) -> Vec<Candidate> {
        let (me, placements) = (name(self.me), self.placements());
        let election = ElectionView::default();
        let around = Surroundings { me: &me, desired: &self.desired, network: &self.network, election: &election };
        candidates(CandidateInputs {
            around,
            placements: &placements,
            pings: &self.pings,
            windows: &self.windows,
            leaving: false,
            standby: self.standby,
            previous: &self.previous,
        })
    }

    fn candidate(&self) -> Candidate {
        self.candidates().remove(0)
    }

    fn reasons(&self) -> Vec<String> {
        self.candidate().eligibility.reasons
    }
}

#[test]
fn a_healthy_node_is_eligible() {
    let candidate = Case::new().candidate();
    assert!(candidate.eligibility.is_eligible());
    assert_eq!((candidate.link, candidate.probed, candidate.trust_probe), (Some(2), true, true));
}

#[test]
fn each_thing_that_is_missing_is_a_reason_in_words() {
    let mut case = Case::new();
    case.track().interfaces = vec!["eth0".into(), "eth7".into()];
    case.track().ping = vec![ip("198.51.100.1"), ip("198.51.100.254")];
    case.network.links.get_mut(&2).unwrap().running = false;
    case.pings = BTreeMap::from([(ip("198.51.100.1"), false), (ip("198.51.100.254"), true)]);
    case.standby = Some("new memory");
    case.look(start());
    assert_eq!(
        case.reasons(),
        [
            "standby: new memory",
            "eth0 has no carrier",
            "there is no device \"eth7\"",
            "198.51.100.1 does not answer pings"
        ]
    );
}

#[test]
fn a_tracked_device_goes_by_the_name_that_the_peer_gives_it_and_counts_after_its_window() {
    let (mut case, now) = (Case::new(), start());
    let peer = Arc::make_mut(case.desired.peers.get_mut("lb1").unwrap());
    peer.interfaces.insert("back".into(), "eth1".into());
    case.track().interfaces = vec!["back".into()];
    case.look(now);
    case.network.links.get_mut(&3).unwrap().running = false;
    case.look(now);
    assert_eq!(case.reasons(), [""; 0]);
    case.look(now + windows::LOST);
    assert_eq!(case.reasons(), ["eth1 has no carrier"]);
    case.network.links.get_mut(&3).unwrap().running = true;
    case.look(now + windows::LOST);
    assert_eq!(case.reasons(), ["eth1 has had no carrier until just now"]);
    case.look(now + windows::LOST + Duration::from_millis(500));
    assert_eq!(case.reasons(), [""; 0]);
}

#[test]
fn the_vips_own_device_without_carrier_counts_at_once() {
    let (mut case, now) = (Case::new(), start());
    case.track().interfaces = vec!["eth0".into()];
    case.look(now);
    case.network.links.get_mut(&2).unwrap().running = false;
    case.look(now);
    assert_eq!(case.reasons(), ["eth0 has no carrier"]);
}

#[test]
fn a_target_that_has_not_been_asked_yet_counts_as_answering() {
    let mut case = Case::new();
    case.track().ping = vec![ip("2001:db8::1")];
    assert_eq!(case.reasons(), [""; 0]);
    case.pings = BTreeMap::from([(ip("2001:db8::1"), false)]);
    assert_eq!(case.reasons(), ["2001:db8::1 does not answer pings"]);
}

#[test]
fn a_node_on_standby_stands_for_its_vips_all_the_same() {
    let mut case = Case::new();
    case.standby = Some("set by an operator");
    let eligibility = case.candidate().eligibility;
    assert!(!eligibility.is_eligible() && !eligibility.leaving);
}

#[test]
fn loopback_needs_no_carrier_and_is_not_probed() {
    let mut case = Case::new();
    let link = case.network.links.get_mut(&2).unwrap();
    (link.loopback, link.running) = (true, false);
    let candidate = case.candidate();
    assert!(candidate.eligibility.is_eligible());
    assert!(!candidate.probed && candidate.references.is_empty() && candidate.node_addresses.is_empty());
}

#[test]
fn references_and_nodes_of_the_segment_are_told_and_kept() {
    let mut case = Case::new();
    Arc::make_mut(case.desired.vips.get_mut("web").unwrap()).trust_probe = false;
    let neighbour = |last: u8| crate::model::ObservedNeighbour {
        link: 2,
        ip: ip(&format!("198.51.100.{last}")),
        mac: crate::model::Mac([2, 0, 0, 0, 9, last]),
    };
    case.network.neighbours = vec![neighbour(77)];
    case.previous = case.candidates();
    case.network.neighbours = vec![neighbour(70), neighbour(77)];
    let candidate = case.candidate();
    assert_eq!(candidate.references, ["198.51.100.3", "198.51.100.77", "198.51.100.70"].map(ip));
    assert_eq!(candidate.node_addresses, BTreeMap::from([(name("lb2"), ip("198.51.100.3"))]));
    assert!(!candidate.trust_probe);
}

#[test]
fn a_node_in_no_peer_stands_for_nothing() {
    let mut case = Case::new();
    case.desired.peers.remove("lb1");
    assert!(case.candidates().is_empty());
}
