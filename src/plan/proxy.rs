//! What the data plane is to serve: every listener of every Vip that lists this node, Active or not (the sockets are
//! open before the address comes, so that a takeover is only an address), and the pools they name.

use crate::model::{Desired, HealthTable, ListenerConfig, Name, Pool, PoolConfig, ProxyConfig, RouteAction, Vip};
use std::{collections::BTreeSet, net::SocketAddr, sync::Arc};

/// Joins desired state and health into one comparable value.
pub fn plan(me: &Name, desired: &Desired, health: &HealthTable) -> ProxyConfig {
    let mut config = ProxyConfig::default();
    let known = desired.peers.contains_key(me);
    for vip in desired.vips.values().filter(|vip| known && vip.nodes.contains(me)) {
        for listener in &vip.listeners {
            let shared = Arc::new(listener.clone());
            for address in &vip.addresses {
                let entry = ListenerConfig { vip: vip.name.clone(), listener: shared.clone() };
                config.listeners.insert(SocketAddr::new(address.ip, listener.port), entry);
            }
        }
        for pool in pools_of(vip).filter_map(|name| desired.pools.get(name)) {
            config.pools.entry(pool.name.clone()).or_insert_with(|| with_health(pool, health));
        }
    }
    config
}

fn pools_of(vip: &Vip) -> impl Iterator<Item = &Name> {
    vip.listeners.iter().flat_map(|listener| {
        let routed = listener.routes.iter().filter_map(|route| match &route.action {
            RouteAction::Pool(pool) => Some(pool),
            RouteAction::Redirect(_) => None,
        });
        listener.pool.iter().chain(routed)
    })
}

fn with_health(pool: &Arc<Pool>, health: &HealthTable) -> PoolConfig {
    let is_down = |backend: &Name| health.get(&(pool.name.clone(), backend.clone())).is_some_and(|health| !health.up);
    let down: BTreeSet<Name> = pool.backends.iter().map(|b| b.name.clone()).filter(is_down).collect();
    PoolConfig { pool: pool.clone(), down }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{
            Backend, Balance, Check, Health, Listener, ListenerTimeouts, PathMatch, PoolTimeouts, Protocol, Route,
            Serving, SourceLimits, VipAddress,
        },
        plan::fixture::{desired, ip, name, start},
    };

    fn pool(text: &str) -> Arc<Pool> {
        let backend = |text: &str| Backend::new(name(text), "192.0.2.102:80".parse().unwrap());
        Arc::new(Pool {
            name: name(text),
            balance: Balance::RoundRobin,
            sticky: None,
            check: Check::default(),
            backends: vec![backend("webA"), backend("webB")],
            timeouts: PoolTimeouts::default(),
            serving: Serving::default(),
        })
    }

    fn site() -> Desired {
        let mut desired = desired();
        for text in ["web", "api", "unused"] {
            desired.pools.insert(name(text), pool(text));
        }
        let vip = Arc::make_mut(desired.vips.get_mut("web").unwrap());
        vip.addresses.push(VipAddress::host(ip("2001:db8::10")));
        vip.listeners = vec![Listener {
            port: 80,
            protocol: Protocol::Http,
            pool: Some(name("web")),
            routes: vec![Route {
                host: None,
                path: Some(PathMatch::Prefix("/api".into())),
                action: RouteAction::Pool(name("api")),
            }],
            timeouts: ListenerTimeouts::default(),
            access_log: None,
            limits: SourceLimits::default(),
            tcp: Default::default(),
        }];
        desired
    }

    fn unhealthy() -> HealthTable {
        let health = Health { up: false, since: start(), against: 0, last: None, passed: 0, failed: 3, transitions: 1 };
        HealthTable::from([((name("web"), name("webB")), health)])
    }

    #[test]
    fn every_address_listens_and_only_named_pools_are_kept() {
        let config = plan(&name("lb2"), &site(), &unhealthy());
        let listeners: Vec<String> = config.listeners.keys().map(ToString::to_string).collect();
        assert_eq!(listeners, ["198.51.100.10:80", "[2001:db8::10]:80"]);
        let pools: Vec<&str> = config.pools.keys().map(|pool| &**pool).collect();
        assert_eq!(pools, ["api", "web"]);
        assert_eq!(config.pools["web"].down, BTreeSet::from([name("webB")]));
        assert!(config.pools["api"].down.is_empty(), "a check of one pool says nothing of another");
    }

    #[test]
    fn a_node_that_is_not_listed_serves_nothing() {
        assert_eq!(plan(&name("lb9"), &site(), &unhealthy()), ProxyConfig::default());
    }
}
