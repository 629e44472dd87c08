//! Whom the kernel knows on the links: neighbours, and the gateways of default routes.

use crate::model::{Mac, ObservedNeighbour};
use rtnetlink::packet_route::{
    neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState},
    route::{RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteType, RouteVia},
};
use std::{collections::BTreeMap, net::IpAddr};

/// Those of which the kernel has a MAC that it would use.
pub(super) fn neighbours(messages: &[NeighbourMessage]) -> Vec<ObservedNeighbour> {
    let mut all: Vec<_> = messages.iter().filter_map(neighbour).collect();
    all.sort_unstable();
    all
}

/// The next hops of the main table's default routes, by device, each once.
pub(super) fn gateways(messages: &[RouteMessage]) -> BTreeMap<u32, Vec<IpAddr>> {
    let mut all: BTreeMap<u32, Vec<IpAddr>> = BTreeMap::new();
    for (link, gateway) in messages.iter().filter(|it| is_default(it)).flat_map(next_hops) {
        let of_link = all.entry(link).or_default();
        if !of_link.contains(&gateway) {
            of_link.push(gateway);
        }
    }
    all
}

fn neighbour(message: &NeighbourMessage) -> Option<ObservedNeighbour> {
    use NeighbourState::{Delay, Permanent, Probe, Reachable, Stale};
    if !matches!(message.header.state, Reachable | Stale | Delay | Probe | Permanent) {
        return None;
    }
    let (mut ip, mut mac) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(it)) => ip = Some(IpAddr::from(*it)),
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(it)) => ip = Some(IpAddr::from(*it)),
            NeighbourAttribute::LinkLayerAddress(bytes) => mac = bytes.as_slice().try_into().ok().map(Mac),
            _ => {}
        }
    }
    let (ip, mac) = (ip?, mac?);
    // The lowest bit of the first byte: sent to a group.
    let unicast = !ip.is_multicast() && mac.0[0] & 1 == 0 && mac != Mac([0; 6]);
    unicast.then_some(ObservedNeighbour { link: message.header.ifindex, ip, mac })
}

fn is_default(message: &RouteMessage) -> bool {
    let RouteHeader { destination_prefix_length, kind, table, .. } = message.header;
    destination_prefix_length == 0 && kind == RouteType::Unicast && table == RouteHeader::RT_TABLE_MAIN
}

/// With device; none for a route that has no gateway.
fn next_hops(message: &RouteMessage) -> Vec<(u32, IpAddr)> {
    let link = message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Oif(link) => Some(*link),
        _ => None,
    });
    let mut hops: Vec<_> = link.into_iter().filter_map(|link| Some((link, gateway(&message.attributes)?))).collect();
    for attribute in &message.attributes {
        if let RouteAttribute::MultiPath(several) = attribute {
            hops.extend(several.iter().filter_map(|hop| Some((hop.interface_index, gateway(&hop.attributes)?))));
        }
    }
    hops
}

fn gateway(attributes: &[RouteAttribute]) -> Option<IpAddr> {
    attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Gateway(RouteAddress::Inet(ip)) | RouteAttribute::Via(RouteVia::Inet(ip)) => {
            Some(IpAddr::from(*ip))
        }
        RouteAttribute::Gateway(RouteAddress::Inet6(ip)) | RouteAttribute::Via(RouteVia::Inet6(ip)) => {
            Some(IpAddr::from(*ip))
        }
        _ => None,
    })
}
