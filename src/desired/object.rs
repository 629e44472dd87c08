use crate::model::{Kind, Name, ObjectRef, Peer, Pool, Protocol, RouteAction, Vip};
use std::{collections::BTreeMap, sync::Arc};

/// One object of the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Object {
    /// [`Kind::Vip`]
    Vip(Arc<Vip>),
    /// [`Kind::Pool`]
    Pool(Arc<Pool>),
    /// [`Kind::Peer`]
    Peer(Arc<Peer>),
}

/// Objects by kind and name.
pub type Objects = BTreeMap<ObjectRef, Object>;

impl Object {
    /// What identifies it.
    pub fn reference(&self) -> ObjectRef {
        let (kind, name) = match self {
            Self::Vip(vip) => (Kind::Vip, &vip.name),
            Self::Pool(pool) => (Kind::Pool, &pool.name),
            Self::Peer(peer) => (Kind::Peer, &peer.name),
        };
        ObjectRef { kind, name: name.clone() }
    }

    /// Every object that it names, some perhaps more than once: a Vip its pools and nodes, the others none.
    pub fn names(&self) -> Vec<ObjectRef> {
        let Self::Vip(vip) = self else { return Vec::new() };
        let nodes = vip.nodes.iter().map(|name| refer(Kind::Peer, name));
        nodes.chain(pools(vip).map(|(name, _)| refer(Kind::Pool, name))).collect()
    }
}

/// `kind` and `name` as one.
pub(super) fn refer(kind: Kind, name: &Name) -> ObjectRef {
    ObjectRef { kind, name: name.clone() }
}

/// The pools that a Vip names, and what is spoken where it does.
pub(super) fn pools(vip: &Vip) -> impl Iterator<Item = (&Name, Protocol)> {
    vip.listeners.iter().flat_map(|listener| {
        let routes = listener.routes.iter().filter_map(|route| match &route.action {
            RouteAction::Pool(pool) => Some(pool),
            RouteAction::Redirect(_) => None,
        });
        listener.pool.iter().chain(routes).map(|pool| (pool, listener.protocol))
    })
}
