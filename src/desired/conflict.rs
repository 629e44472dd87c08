//! What only shows when objects are put side by side: names that nobody bears, addresses that two of them claim, Peers
//! that do not pair up. A conflict is always between two objects and depends on nothing else, so it is gone as soon
//! as one of the two is as it was when they got along.

use super::{Object, Objects, Pointer, object::refer, suggest};
use crate::model::{Kind, Name, ObjectRef, Peer, Pool, Protocol, RouteAction, Sticky, Vip};
use std::{
    collections::{BTreeMap, btree_map::Entry},
    net::{IpAddr, SocketAddr},
};

/// Two objects that cannot both be in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Conflict {
    /// One names another that is not there.
    Missing { by: Side, missing: ObjectRef },
    /// They exclude each other.
    Between(Side, Side),
}

/// A conflict as one of the two sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Side {
    /// Who sees it.
    pub(super) object: ObjectRef,
    /// Where in it.
    pub(super) pointer: Pointer,
    /// As in [`crate::model::Problem::reason`].
    pub(super) reason: &'static str,
    /// What it sees.
    pub(super) message: String,
    /// What could be done.
    pub(super) help: Option<String>,
}

/// All conflicts among `objects`, in a fixed order. None: the objects are valid together, and closed.
pub(super) fn conflicts(objects: &Objects) -> Vec<Conflict> {
    let mut found = Vec::new();
    let world = World::of(objects);
    for vip in &world.vips {
        found.extend(dangling(vip, objects));
        found.extend(unseen_by_tcp(vip, objects));
    }
    found.extend(addresses(&world));
    found.extend(peers(&world.peers));
    found
}

/// What is odd among `objects`, but holds nobody back.
pub(super) fn oddities(objects: &Objects) -> Vec<Side> {
    let world = World::of(objects);
    let aliases = |vip: &&Vip| vip.interface.as_ref().and_then(|name| half_an_alias(vip, name, &world.peers));
    world.vips.iter().copied().filter_map(|vip| aliases(&vip)).collect()
}

/// The objects by kind.
#[derive(Default)]
struct World<'a> {
    vips: Vec<&'a Vip>,
    pools: Vec<&'a Pool>,
    peers: Vec<&'a Peer>,
}

impl<'a> World<'a> {
    fn of(objects: &'a Objects) -> Self {
        let mut world = Self::default();
        for object in objects.values() {
            match object {
                Object::Vip(vip) => world.vips.push(vip),
                Object::Pool(pool) => world.pools.push(pool),
                Object::Peer(peer) => world.peers.push(peer),
            }
        }
        world
    }
}

fn dangling(vip: &Vip, objects: &Objects) -> Vec<Conflict> {
    let nodes = vip.nodes.iter().enumerate().map(|(i, name)| (Kind::Peer, name, spec("nodes").index(i)));
    let pools = pool_references(vip).into_iter().map(|(name, _, at)| (Kind::Pool, name, at));
    let missing = nodes.chain(pools).filter(|(kind, name, _)| !objects.contains_key(&refer(*kind, name)));
    missing
        .map(|(kind, name, pointer)| {
            let known = objects.keys().filter(|known| known.kind == kind).map(|known| known.name.as_str());
            let by = Side {
                object: refer(Kind::Vip, &vip.name),
                pointer,
                reason: "DanglingReference",
                message: format!("there is no {} {name:?}", kind.as_str()),
                help: suggest::nearest(name, known).map(|name| format!("did you mean {name:?}?")),
            };
            Conflict::Missing { by, missing: refer(kind, name) }
        })
        .collect()
}

/// The pools that a Vip names, what is spoken there, and where it names them.
fn pool_references(vip: &Vip) -> Vec<(&Name, Protocol, Pointer)> {
    let mut references = Vec::new();
    for (i, listener) in vip.listeners.iter().enumerate() {
        let at = spec("listeners").index(i);
        references.extend(listener.pool.iter().map(|pool| (pool, listener.protocol, at.key("pool"))));
        for (j, route) in listener.routes.iter().enumerate() {
            if let RouteAction::Pool(pool) = &route.action {
                references.push((pool, listener.protocol, at.key("routes").index(j).key("pool")));
            }
        }
    }
    references
}

/// A cookie, a path or a field cannot be seen in bytes.
fn unseen_by_tcp(vip: &Vip, objects: &Objects) -> Vec<Conflict> {
    let tcp = pool_references(vip).into_iter().filter(|(_, protocol, _)| *protocol == Protocol::Tcp);
    tcp.filter_map(|(name, _, pointer)| {
        let Some(Object::Pool(pool)) = objects.get(&refer(Kind::Pool, name)) else { return None };
        let (field, what, reason) = match &pool.sticky {
            Some(Sticky::Cookie(_) | Sticky::AppCookie { .. }) => {
                ("sticky", "is sticky by a cookie", "StickyNeedsHttp")
            }
            _ if pool.balance.needs_http() => ("balance", "balances by what a request says", "BalanceNeedsHttp"),
            None | Some(Sticky::Source) => return None,
        };
        let (vip, pool) = (refer(Kind::Vip, &vip.name), refer(Kind::Pool, name));
        let of_vip = format!("a TCP listener cannot use {pool}, which {what}");
        let of_pool = format!("this pool {what}, but a TCP listener of {vip} uses it");
        Some(Conflict::Between(
            Side { object: vip, pointer, reason, message: of_vip, help: None },
            Side { object: pool, pointer: spec(field), reason, message: of_pool, help: None },
        ))
    })
    .collect()
}

/// Where an address is claimed.
type Claim = (ObjectRef, Pointer);

fn addresses(world: &World<'_>) -> Vec<Conflict> {
    let mut found = Vec::new();
    let mut owners: BTreeMap<IpAddr, Claim> = BTreeMap::new();
    let mut listening: BTreeMap<SocketAddr, Claim> = BTreeMap::new();
    for vip in &world.vips {
        let object = refer(Kind::Vip, &vip.name);
        for (i, address) in vip.addresses.iter().enumerate() {
            let claim = (object.clone(), spec("addresses").index(i));
            let ports = vip.listeners.iter().map(|listener| SocketAddr::new(address.ip, listener.port));
            listening.extend(ports.map(|socket| (socket, claim.clone())));
            match owners.entry(address.ip) {
                Entry::Vacant(entry) => _ = entry.insert(claim),
                Entry::Occupied(entry) => found.push(shared(&address.ip, entry.get(), &claim)),
            }
        }
    }
    // Many may share a loopback address, as long as they do not share the port.
    let owner = |socket: SocketAddr| match socket.ip().is_loopback() {
        true => listening.get(&socket),
        false => owners.get(&socket.ip()),
    };
    for (socket, claim) in peer_claims(world).chain(backend_claims(world)) {
        found.extend(owner(socket).map(|owner| shared(&socket.ip(), owner, &claim)));
    }
    found
}

fn peer_claims<'a>(world: &'a World<'_>) -> impl Iterator<Item = (SocketAddr, Claim)> + 'a {
    world.peers.iter().flat_map(|peer| {
        let claim = |i| (refer(Kind::Peer, &peer.name), spec("addresses").index(i));
        peer.addresses.iter().enumerate().map(move |(i, address)| (*address, claim(i)))
    })
}

fn backend_claims<'a>(world: &'a World<'_>) -> impl Iterator<Item = (SocketAddr, Claim)> + 'a {
    world.pools.iter().flat_map(|pool| {
        let claim = |i| (refer(Kind::Pool, &pool.name), spec("backends").index(i).key("address"));
        let fixed = pool.backends.iter().enumerate().filter(|(_, backend)| backend.is_known());
        fixed.map(move |(i, backend)| (backend.address, claim(i)))
    })
}

fn shared(address: &dyn std::fmt::Display, one: &Claim, other: &Claim) -> Conflict {
    let side = |me: &Claim, you: &Claim| Side {
        object: me.0.clone(),
        pointer: me.1.clone(),
        reason: "AddressConflict",
        message: format!("the address {address} is also that of {}", you.0),
        help: None,
    };
    Conflict::Between(side(one, other), side(other, one))
}

/// Address *i* of one Peer and address *i* of another are the two ends of path *i*, and nobody else's.
fn peers(peers: &[&Peer]) -> Vec<Conflict> {
    let mut found = Vec::new();
    let mut owners: BTreeMap<SocketAddr, Claim> = BTreeMap::new();
    for peer in peers {
        for (i, address) in peer.addresses.iter().enumerate() {
            let claim = (refer(Kind::Peer, &peer.name), spec("addresses").index(i));
            match owners.entry(*address) {
                Entry::Vacant(entry) => _ = entry.insert(claim),
                Entry::Occupied(entry) => found.push(shared(address, entry.get(), &claim)),
            }
        }
    }
    let Some((first, rest)) = peers.split_first() else { return found };
    found.extend(rest.iter().filter_map(|other| unpaired(first, other)));
    found
}

fn unpaired(one: &Peer, other: &Peer) -> Option<Conflict> {
    let differs = |(a, b): (&SocketAddr, &SocketAddr)| a.is_ipv4() != b.is_ipv4();
    let at = one.addresses.iter().zip(&other.addresses).position(differs);
    if at.is_none() && one.addresses.len() == other.addresses.len() {
        return None;
    }
    let side = |me: &Peer, you: &Peer| {
        let (mine, yours) = (me.addresses.len(), you.addresses.len());
        let you = refer(Kind::Peer, &you.name);
        let (pointer, message) = match at {
            Some(i) => {
                let families = if me.addresses[i].is_ipv4() { ("IPv4", "IPv6") } else { ("IPv6", "IPv4") };
                let message = format!("this address is {}, but that of {you} is {}", families.0, families.1);
                (spec("addresses").index(i), message)
            }
            None => (spec("addresses"), format!("{mine} here, but {yours} in {you}")),
        };
        let help = "every Peer has as many addresses, of the same families, in the order of the heartbeat paths";
        Side {
            object: refer(Kind::Peer, &me.name),
            pointer,
            reason: "PeersDoNotPair",
            message: format!("the addresses of the Peers do not pair up: {message}"),
            help: Some(help.into()),
        }
    };
    Some(Conflict::Between(side(one, other), side(other, one)))
}

/// An alias that one node knows and another does not will be taken for a device there.
fn half_an_alias(vip: &Vip, name: &str, peers: &[&Peer]) -> Option<Side> {
    let nodes = || peers.iter().filter(|peer| vip.nodes.contains(&peer.name));
    let knows = nodes().find(|peer| peer.interfaces.contains_key(name))?;
    let ignorant = nodes().find(|peer| !peer.interfaces.contains_key(name))?;
    let (knows, ignorant) = (refer(Kind::Peer, &knows.name), refer(Kind::Peer, &ignorant.name));
    Some(Side {
        object: refer(Kind::Vip, &vip.name),
        pointer: spec("interface"),
        reason: "Questionable",
        message: format!("{name:?} is an alias in {knows}, but not in {ignorant}, where it is taken for a device,"),
        help: Some(format!("add it to the interfaces of {ignorant}")),
    })
}

fn spec(field: &'static str) -> Pointer {
    Pointer::root().key("spec").key(field)
}

#[cfg(test)]
mod tests;
