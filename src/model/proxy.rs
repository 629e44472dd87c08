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
        backend.state != BackendState::Maint && backend.is_known() && !self.down.contains(&backend.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_down_unknown_or_in_maintenance_serves_nobody() {
        let name = |text: &str| Name::new(text).unwrap();
        let fixed = |text: &str| Backend::new(name(text), "192.0.2.1:80".parse().unwrap());
        let backends = vec![
            fixed("up"),
            fixed("down"),
            Backend { state: BackendState::Drain, ..fixed("drain") },
            Backend { state: BackendState::Maint, ..fixed("maint") },
            Backend::named(name("unknown"), "web.example".into(), 80),
        ];
        let pool = Pool {
            name: name("pool"),
            balance: Default::default(),
            sticky: None,
            check: Default::default(),
            backends,
            timeouts: Default::default(),
            serving: Default::default(),
        };
        let config = PoolConfig { pool: Arc::new(pool), down: [name("down")].into() };
        let up = config.pool.backends.iter().filter(|backend| config.is_up(backend)).map(|backend| &*backend.name);
        assert_eq!(up.collect::<Vec<_>>(), ["up", "drain"]);
    }
}
