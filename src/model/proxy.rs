use super::{Backend, BackendState, Listener, Name, Pool};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};

/// All that the data plane needs to know, as one comparable value: the outcome of the plan, swapped in whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProxyConfig {
    /// By the address they listen on.
    pub listeners: BTreeMap<SocketAddr, ListenerConfig>,
    /// Every pool that a listener names, and no other.
    pub pools: BTreeMap<Name, PoolConfig>,
}

/// One listening address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerConfig {
    /// Whose address it is.
    pub vip: Name,
    /// What is spoken there and where it goes.
    pub listener: Arc<Listener>,
}

/// A pool, and which of its backends are in rotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolConfig {
    /// As desired.
    pub pool: Arc<Pool>,
    /// Names of the backends that the checks have taken out.
    pub down: BTreeSet<Name>,
}

impl PoolConfig {
    /// Whether a backend of this pool serves anybody at all.
    pub fn is_up(&self, backend: &Backend) -> bool {
        backend.state != BackendState::Maint && !self.down.contains(&backend.name)
    }
}
