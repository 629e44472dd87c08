//! What the fence must cover on this node: every address that this node could ever answer for, on every device.
//!
//! The fence knows nothing of roles: an address is silent unless it is leased, and who is leased is the election's
//! business. So it covers the addresses of all Vips that list this node, Active or not, and what is left on a device of
//! those that no longer do, until it has been removed. It covers every device but loopback, because the kernel answers
//! ARP for an address with the Ethernet address of any of them (measured with two on one switch).

use crate::model::{Desired, Name, ObservedNetwork};
use std::{collections::BTreeSet, net::IpAddr};

/// What the kernel is to enforce.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FencePlan {
    /// By name, so that a device that is made anew is fenced again.
    pub devices: BTreeSet<String>,
    /// Silent unless leased.
    pub ips: BTreeSet<IpAddr>,
}

/// The fence around the Vips of `me`.
pub fn plan(me: &Name, desired: &Desired, network: &ObservedNetwork) -> FencePlan {
    let devices = network.links.values().filter(|link| !link.loopback).map(|link| link.name.clone()).collect();
    let vips = desired.vips.values().filter(|vip| vip.nodes.contains(me));
    let wanted = vips.flat_map(|vip| vip.addresses.iter().map(|address| address.ip));
    let left = network.addresses.iter().filter(|address| address.ours).map(|address| address.ip);
    FencePlan { devices, ips: wanted.chain(left).filter(|ip| !ip.is_loopback()).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{Link, ObservedAddress},
        plan::fixture::{desired, ip, name, network},
    };

    fn planned(me: &str, network: &ObservedNetwork) -> FencePlan {
        plan(&name(me), &desired(), network)
    }

    fn with(mut network: ObservedNetwork, address: &str, ours: bool) -> ObservedNetwork {
        let address = ObservedAddress { link: 3, ip: ip(address), prefix_len: 32, ours, valid_for: None };
        network.addresses.push(address);
        network
    }

    #[test]
    fn every_device_but_loopback_is_fenced_also_those_without_an_ethernet_address() {
        let mut network = network();
        let lo = Link { index: 1, name: "lo".into(), mac: None, loopback: true, running: true };
        let tunnel = Link { index: 9, name: "tun0".into(), mac: None, loopback: false, running: false };
        network.links.extend([(1, lo), (9, tunnel)]);
        let expected = ["eth0", "eth1", "tun0"].map(String::from);
        assert_eq!(planned("lb1", &network).devices, BTreeSet::from(expected));
    }

    #[test]
    fn the_addresses_of_all_vips_of_this_node_are_fenced_whatever_its_role() {
        assert_eq!(planned("lb1", &network()).ips, BTreeSet::from([ip("198.51.100.10")]));
        assert_eq!(planned("lb9", &network()).ips, BTreeSet::new());
    }

    #[test]
    fn what_is_left_behind_stays_fenced_and_what_is_foreign_does_not_begin_to_be() {
        let left = with(with(network(), "198.51.100.77", true), "198.51.100.78", false);
        assert_eq!(planned("lb9", &left).ips, BTreeSet::from([ip("198.51.100.77")]));
    }
}
