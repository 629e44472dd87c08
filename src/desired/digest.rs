use super::{Object, Objects, canonical::canonical, object::refer};
use crate::model::{Desired, Digest, Kind, Name};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// The [`Desired`] that `objects` make up. They must be valid and closed.
pub(super) fn desired(objects: &Objects) -> Desired {
    let mut desired = Desired::default();
    for (reference, object) in objects {
        desired.digests.insert(reference.clone(), digest([object]));
        let name = reference.name.clone();
        match object {
            Object::Vip(vip) => {
                desired.vip_digests.insert(name.clone(), vip_digest(&name, objects));
                desired.vips.insert(name, vip.clone());
            }
            Object::Pool(pool) => _ = desired.pools.insert(name, pool.clone()),
            Object::Peer(peer) => _ = desired.peers.insert(name, peer.clone()),
        }
    }
    desired
}

/// Of a Vip and all that it names, each once.
fn vip_digest(name: &Name, objects: &Objects) -> Digest {
    let vip = objects.get(&refer(Kind::Vip, name));
    let named: BTreeSet<_> = vip.iter().flat_map(|vip| vip.names()).collect();
    let named: BTreeMap<_, _> = named.iter().filter_map(|name| Some((name, objects.get(name)?))).collect();
    digest(vip.into_iter().chain(named.into_values()))
}

/// Canonical JSON holds no newline, so one between two documents keeps them apart.
fn digest<'a>(objects: impl IntoIterator<Item = &'a Object>) -> Digest {
    let mut hash = Sha256::new();
    for object in objects {
        hash.update(canonical(object).to_string());
        hash.update(b"\n");
    }
    let mut first = [0; 8];
    first.copy_from_slice(&hash.finalize()[..8]);
    Digest(u64::from_be_bytes(first))
}
