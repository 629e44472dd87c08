use crate::model::{Desired, Name, Peer, Vip};
use std::{collections::BTreeMap, net::IpAddr};

/// The device of a Vip that names none.
pub(super) const DEFAULT_DEVICE: &str = "eth0";

/// Vips that share a switch.
pub(super) struct Front<'a> {
    /// In the order of their names.
    pub(super) vips: Vec<&'a Vip>,
    /// By Peer, without repetitions, that of the first Vip first.
    devices: BTreeMap<Name, Vec<&'a str>>,
}

impl<'a> Front<'a> {
    /// The addresses of its Vips.
    pub(super) fn ips(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.vips.iter().flat_map(|vip| &vip.addresses).map(|address| address.ip)
    }

    /// The devices that `peer` has on the switch.
    pub(super) fn devices(&self, peer: &Peer) -> impl Iterator<Item = &'a str> + '_ {
        self.devices.get(&peer.name).into_iter().flatten().copied()
    }
}

/// Groups the Vips by the devices that the Peers resolve for them; Vips on `lo` are in no group.
pub(super) fn group(desired: &Desired) -> Vec<Front<'_>> {
    let mut fronts: Vec<Front> = Vec::new();
    for vip in desired.vips.values().filter(|vip| !is_local(desired, vip)) {
        let mut front = Front { vips: vec![vip], devices: devices_of(desired, vip) };
        let (same, apart) = fronts.into_iter().partition(|other| share_a_device(other, &front));
        fronts = apart;
        for other in same.into_iter().rev() {
            front = merge(other, front);
        }
        fronts.push(front);
    }
    fronts
}

/// Whether the addresses of `vip` are on a loopback device, where no client can reach them.
pub(in crate::drill::lab) fn is_local(desired: &Desired, vip: &Vip) -> bool {
    devices_of(desired, vip).values().flatten().any(|device| *device == "lo")
}

fn devices_of<'a>(desired: &'a Desired, vip: &'a Vip) -> BTreeMap<Name, Vec<&'a str>> {
    let device = |peer: &'a Peer| vip.interface.as_deref().map_or(DEFAULT_DEVICE, |name| peer.resolve_interface(name));
    desired.peers.values().map(|peer| (peer.name.clone(), vec![device(peer)])).collect()
}

fn share_a_device(a: &Front<'_>, b: &Front<'_>) -> bool {
    let on_b = |peer: &Name, device| b.devices.get(peer).is_some_and(|devices| devices.contains(device));
    a.devices.iter().any(|(peer, devices)| devices.iter().any(|device| on_b(peer, device)))
}

fn merge<'a>(mut first: Front<'a>, second: Front<'a>) -> Front<'a> {
    first.vips.extend(second.vips);
    for (peer, devices) in second.devices {
        let known = first.devices.entry(peer).or_default();
        for device in devices {
            if !known.contains(&device) {
                known.push(device);
            }
        }
    }
    first
}
