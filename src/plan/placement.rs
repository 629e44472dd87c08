//! Which device carries a Vip on this node.

use crate::{
    kernel::netlink::device_for,
    model::{Desired, Kind, Link, Name, ObjectRef, ObservedNetwork, Problem, Vip},
};
use std::{collections::BTreeMap, sync::Arc};

/// The Vips that list this node, each with the device that carries it here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Placements {
    /// By name.
    pub vips: BTreeMap<Name, Placement>,
    /// Devices that were named and are not there.
    pub problems: Vec<Problem>,
}

/// A Vip on this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// As desired.
    pub vip: Arc<Vip>,
    /// Where its addresses go. `None`: nowhere, for the reason among the problems.
    pub link: Option<Link>,
    /// Why there is no link, in words.
    pub missing: Option<String>,
}

impl Placements {
    /// Resolves every Vip that lists `me` against the devices that are there.
    pub fn resolve(me: &Name, desired: &Desired, network: &ObservedNetwork) -> Self {
        let mut placements = Self::default();
        if !desired.peers.is_empty() && !desired.peers.contains_key(me) {
            placements.problems.push(unknown_node(me, desired));
        }
        for (name, vip) in desired.vips.iter().filter(|(_, vip)| vip.nodes.contains(me)) {
            let (link, missing) = match (locate(me, desired, vip, network), present(vip, network)) {
                (Ok(link), _) => (Some(link), None),
                (Err(message), present) => {
                    let effect = if present.is_some() { "; the addresses stay where they are" } else { "" };
                    let about = ObjectRef { kind: Kind::Vip, name: name.clone() };
                    let problem = Problem::error("UnknownInterface", format!("{message}{effect}"));
                    placements.problems.push(problem.about(about));
                    let missing = present.is_none().then_some(message);
                    (present.cloned(), missing)
                }
            };
            placements.vips.insert(name.clone(), Placement { vip: vip.clone(), link, missing });
        }
        placements
    }
}

/// The device that has an address of ours that is the Vip's: a slip of the pen in its `interface` takes nothing away.
fn present<'a>(vip: &Vip, network: &'a ObservedNetwork) -> Option<&'a Link> {
    let ours = network.addresses.iter().filter(|observed| observed.ours);
    let link = ours.filter(|observed| vip.addresses.iter().any(|address| address.ip == observed.ip)).map(|it| it.link);
    link.filter_map(|link| network.links.get(&link)).next()
}

fn unknown_node(me: &Name, desired: &Desired) -> Problem {
    let known: Vec<&str> = desired.peers.keys().map(|name| &**name).collect();
    Problem::error(
        "UnknownNode",
        format!(
            "this node is {me:?}, and no Peer has that name (there is {}): it holds nothing; start the agent with --node, \
             or add the Peer",
            known.join(", ")
        ),
    )
}

fn locate(me: &Name, desired: &Desired, vip: &Vip, network: &ObservedNetwork) -> Result<Link, String> {
    let Some(wanted) = &vip.interface else {
        let Some(first) = vip.addresses.first() else {
            return Err("the Vip has no address".to_owned());
        };
        return device_for(network, first.ip).and_then(|index| network.links.get(&index)).cloned().ok_or_else(|| {
            format!(
                "no device has a connected subnet that holds {}: name the device in the Vip's spec.interface",
                first.ip
            )
        });
    };
    let device = desired.peers.get(me).map_or(wanted.as_str(), |peer| peer.resolve_interface(wanted));
    network.link_named(device).cloned().ok_or_else(|| {
        let alias = if device == wanted { String::new() } else { format!(" (which is what {wanted:?} means here)") };
        let present: Vec<&str> = network.links.values().map(|link| link.name.as_str()).collect();
        format!("there is no device {device:?}{alias} on this node, which has {}", present.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ObservedAddress;
    use crate::plan::fixture::{desired, name, network};

    #[test]
    fn a_named_device_is_found() {
        let placements = Placements::resolve(&name("lb1"), &desired(), &network());
        assert_eq!(placements.vips[&name("web")].link.as_ref().unwrap().name, "eth0");
        assert!(placements.problems.is_empty());
    }

    #[test]
    fn an_alias_means_what_the_peer_says() {
        let mut desired = desired();
        let peer = Arc::make_mut(desired.peers.get_mut("lb1").unwrap());
        peer.interfaces.insert("eth0".into(), "eth1".into());
        let placements = Placements::resolve(&name("lb1"), &desired, &network());
        assert_eq!(placements.vips[&name("web")].link.as_ref().unwrap().name, "eth1");
    }

    #[test]
    fn without_a_name_the_connected_subnet_decides() {
        let mut desired = desired();
        Arc::make_mut(desired.vips.get_mut("web").unwrap()).interface = None;
        let placements = Placements::resolve(&name("lb1"), &desired, &network());
        assert_eq!(placements.vips[&name("web")].link.as_ref().unwrap().name, "eth0");
    }

    #[test]
    fn an_unknown_device_is_a_problem_that_names_what_there_is() {
        let mut desired = desired();
        Arc::make_mut(desired.vips.get_mut("web").unwrap()).interface = Some("eno9".into());
        let placements = Placements::resolve(&name("lb1"), &desired, &network());
        assert_eq!(placements.vips[&name("web")].link, None);
        assert!(placements.problems[0].message.contains("eno9"));
        assert!(placements.problems[0].message.contains("eth0, eth1"), "{}", placements.problems[0].message);
    }

    #[test]
    fn an_unknown_device_takes_nothing_away_that_is_served() {
        let (mut desired, mut network) = (desired(), network());
        Arc::make_mut(desired.vips.get_mut("web").unwrap()).interface = Some("eno9".into());
        let ip = "198.51.100.10".parse().unwrap();
        network.addresses.push(ObservedAddress { link: 2, ip, prefix_len: 32, ours: true, valid_for: None });
        let placements = Placements::resolve(&name("lb1"), &desired, &network);
        let placement = &placements.vips[&name("web")];
        assert_eq!((placement.link.as_ref().unwrap().index, &placement.missing), (2, &None));
        assert!(placements.problems[0].message.ends_with("the addresses stay where they are"));
    }

    #[test]
    fn a_vip_of_other_nodes_is_none_of_ours_and_a_node_in_no_peer_is_told_so() {
        let placements = Placements::resolve(&name("lb9"), &desired(), &network());
        assert!(placements.vips.is_empty());
        assert!(placements.problems[0].message.contains("there is lb1, lb2"), "{}", placements.problems[0].message);
    }
}
