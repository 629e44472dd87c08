use super::*;
use crate::{
    model::{ObservedNeighbour, VipAddress},
    plan::fixture::{desired, heard, ip, name, network},
};
use proptest::prelude::*;
use std::{sync::Arc, time::Duration};

struct Case {
    desired: Desired,
    network: ObservedNetwork,
    election: ElectionView,
}

impl Case {
    fn new() -> Self {
        let (desired, network) = (desired(), network());
        Self { desired, network, election: ElectionView::default() }
    }

    fn vip(&mut self) -> &mut Vip {
        Arc::make_mut(self.desired.vips.get_mut("web").unwrap())
    }

    fn gateways(mut self, gateways: &[&str]) -> Self {
        self.network.gateways.insert(2, gateways.iter().map(|text| ip(text)).collect());
        self
    }

    fn neighbour(mut self, link: u32, address: &str, mac: u8) -> Self {
        let mac = Mac([2, 0, 0, 0, 9, mac]);
        self.network.neighbours.push(ObservedNeighbour { link, ip: ip(address), mac });
        self
    }

    fn own(mut self, link: u32, address: &str, prefix_len: u8, valid_for: Option<u64>) -> Self {
        let valid_for = valid_for.map(Duration::from_secs);
        self.network.addresses.push(ObservedAddress { link, ip: ip(address), prefix_len, ours: false, valid_for });
        self
    }

    fn surroundings(&self) -> (Name, &Vip) {
        (name("lb1"), &self.desired.vips["web"])
    }

    fn nodes(&self) -> BTreeMap<Name, IpAddr> {
        let (me, vip) = self.surroundings();
        let Self { desired, network, election } = self;
        Surroundings { me: &me, desired, network, election }.node_addresses(vip, 2)
    }

    fn references_after(&self, previous: &[IpAddr]) -> Vec<IpAddr> {
        let (me, vip) = self.surroundings();
        let Self { desired, network, election } = self;
        let around = Surroundings { me: &me, desired, network, election };
        around.references(vip, 2, &self.nodes(), previous)
    }

    fn references(&self) -> Vec<String> {
        self.references_after(&[]).iter().map(ToString::to_string).collect()
    }

    fn fronts(&self) -> Vec<String> {
        let placements = Placements::resolve(&name("lb1"), &self.desired, &self.network);
        let fronts = fronts(&self.desired, &placements, &self.network);
        let shown = |front: &Front| match front.address {
            Some(ip) => format!("{ip} on {}", front.link),
            None => format!("none on {}", front.link),
        };
        fronts.iter().map(shown).collect()
    }
}

#[test]
fn the_most_dependable_come_first() {
    let mut case = Case::new().neighbour(2, "198.51.100.77", 77).gateways(&["198.51.100.254", "198.51.100.1"]);
    case.vip().track.ping = vec![ip("198.51.100.99"), ip("203.0.113.1"), ip("198.51.100.1")];
    let expected = ["198.51.100.1", "198.51.100.254", "198.51.100.99", "198.51.100.3", "198.51.100.77"];
    assert_eq!(case.references(), expected, "203.0.113.1 is behind the gateway");
}

#[test]
fn neither_vips_nor_this_host_nor_what_is_no_host_is_a_reference() {
    let mut case = Case::new()
        .gateways(&["0.0.0.0", "198.51.100.2"])
        .neighbour(2, "198.51.100.10", 10)
        .neighbour(2, "198.51.100.11", 10)
        .neighbour(2, "198.51.100.2", 12)
        .neighbour(2, "224.0.0.1", 13)
        .neighbour(3, "198.51.100.14", 14);
    let group = ObservedNeighbour { link: 2, ip: ip("198.51.100.15"), mac: Mac([0x33, 0x33, 0, 0, 0, 1]) };
    let myself = ObservedNeighbour { link: 2, ip: ip("198.51.100.16"), mac: case.network.links[&3].mac.unwrap() };
    case.network.neighbours.extend([group, myself]);
    case.vip().addresses.push(VipAddress::host(ip("198.51.100.11")));
    case.vip().track.ping = vec![ip("198.51.100.10")];
    assert_eq!(case.references(), ["198.51.100.3"]);
}

#[test]
fn the_family_of_the_vip_comes_first() {
    let case = || {
        let case = Case::new().own(2, "2001:db8::2", 64, None).gateways(&["fe80::1", "198.51.100.1"]);
        case.neighbour(2, "2001:db8::77", 77).neighbour(2, "198.51.100.77", 77).neighbour(2, "198.51.100.78", 78)
    };
    assert_eq!(case().references(), ["198.51.100.1", "198.51.100.3", "198.51.100.77", "198.51.100.78", "fe80::1"]);
    let mut six = case();
    six.vip().addresses = vec![VipAddress::host(ip("2001:db8::10"))];
    assert_eq!(six.references()[..2], ["fe80::1", "2001:db8::77"]);
    let mut both = case();
    both.vip().addresses.push(VipAddress::host(ip("2001:db8::10")));
    assert_eq!(both.references(), ["198.51.100.1", "fe80::1", "198.51.100.3", "198.51.100.77", "198.51.100.78"]);
}

#[test]
fn a_node_has_one_address_that_stands_for_it() {
    let mut case = Case::new().own(2, "2001:db8::2", 64, None);
    let peer = Arc::make_mut(case.desired.peers.get_mut("lb2").unwrap());
    peer.addresses =
        ["[2001:db8::3]:694", "192.0.2.3:694", "198.51.100.3:694"].map(|text| text.parse().unwrap()).into();
    assert_eq!(case.nodes(), BTreeMap::from([(name("lb2"), ip("198.51.100.3"))]));
    assert_eq!(case.references(), ["198.51.100.3"], "not its other one too, which would fall silent with it");
    let peer = Arc::make_mut(case.desired.peers.get_mut("lb2").unwrap());
    peer.addresses = vec!["192.0.2.3:694".parse().unwrap()];
    assert!(case.nodes().is_empty());
}

#[test]
fn a_neighbour_with_a_nodes_ethernet_address_is_that_node() {
    let mut case = Case::new().neighbour(2, "198.51.100.3", 3).neighbour(2, "fe80::3", 3).neighbour(2, "fe80::4", 4);
    assert_eq!(case.references(), ["198.51.100.3", "fe80::4"]);
    let mut peer = heard();
    peer.macs = vec![Mac([2, 0, 0, 0, 9, 4])];
    case.election.peers.insert(name("lb2"), peer);
    assert_eq!(case.references(), ["198.51.100.3"]);
}

#[test]
fn what_was_chosen_stays_when_more_is_learned() {
    let one = Case::new().neighbour(2, "198.51.100.77", 77);
    let first = one.references_after(&[]);
    let two = one.neighbour(2, "198.51.100.70", 70);
    let second = two.references_after(&first);
    assert_eq!(second, ["198.51.100.3", "198.51.100.77", "198.51.100.70"].map(ip));
    assert_eq!(two.references_after(&second), second);
    let mut full = two;
    for last in 20..40 {
        full = full.neighbour(2, &format!("198.51.100.{last}"), last);
    }
    let third = full.references_after(&second);
    assert_eq!((third.len(), &third[..3]), (MAX_REFERENCES, &second[..]));
}

#[test]
fn fronts_are_this_nodes_own_addresses_beside_the_vips() {
    let mut case = Case::new();
    assert_eq!(case.fronts(), ["198.51.100.2 on 2"], "eth1 carries no Vip");
    case = case.own(2, "192.0.2.200", 24, None).own(2, "fe80::2", 64, None).own(2, "169.254.1.1", 16, None);
    case =
        case.own(2, "2001:db8::beef", 64, Some(3600)).own(2, "2001:db8::c", 64, None).own(2, "2001:db8::d", 64, None);
    assert_eq!(case.fronts(), ["198.51.100.2 on 2"]);
    case.network.addresses.retain(|address| !address.ip.is_ipv4());
    assert_eq!(case.fronts(), ["2001:db8::c on 2"], "the other family, if it must be");
}

#[test]
fn fronts_come_in_the_order_of_the_vips_addresses_whatever_the_devices_are_called() {
    let mut case = Case::new();
    let mut other = (*case.desired.vips["web"]).clone();
    (other.name, other.interface) = (name("other"), Some("eth1".into()));
    other.addresses = vec![VipAddress::host(ip("192.0.2.10"))];
    case.desired.vips.insert(name("other"), Arc::new(other));
    assert_eq!(case.fronts(), ["192.0.2.1 on 3", "198.51.100.2 on 2"]);
}

#[test]
fn an_address_that_is_a_vips_is_nobodys_front() {
    let mut case = Case::new();
    case.network.addresses.retain(|address| address.link != 2);
    let mut case = case.own(2, "198.51.100.10", 32, None);
    assert_eq!(case.fronts(), ["none on 2"]);
    let ours = ObservedAddress { link: 2, ip: ip("198.51.100.40"), prefix_len: 32, ours: true, valid_for: None };
    case.network.addresses.push(ours);
    assert_eq!(case.fronts(), ["none on 2"]);
}

proptest! {
    /// Whatever order the kernel lists its cache in, and however often it is asked.
    #[test]
    fn an_unchanged_network_gives_an_unchanged_list(
        lasts in prop::collection::btree_set(20u8..90, 0..20).prop_map(Vec::from_iter).prop_shuffle(),
        known in prop::collection::vec(20u8..90, 0..6),
    ) {
        let known: Vec<IpAddr> = known.iter().map(|last| ip(&format!("198.51.100.{last}"))).collect();
        let mut case = Case::new().gateways(&["198.51.100.1"]);
        for last in lasts {
            case = case.neighbour(2, &format!("198.51.100.{last}"), last);
        }
        let first = case.references_after(&known);
        prop_assert!(first.len() <= MAX_REFERENCES);
        case.network.neighbours.reverse();
        prop_assert_eq!(case.references_after(&first), first);
    }
}
