//! What clients ask for: every address, listener and route of a Vip, so that each is exercised as the files mean it.

use super::plan::fronts::is_local;
use crate::model::{Desired, Listener, Name, PathMatch, Protocol, RouteAction, Vip};
use std::net::{IpAddr, SocketAddr};

/// Something to ask of a Vip, again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// An address of the Vip and the port of a listener.
    pub address: SocketAddr,
    /// What is asked.
    pub ask: Ask,
}

/// A question and what answers it well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// `GET path`; good is an answer of a simulated server.
    Http {
        /// The `Host` field.
        host: String,
        /// The request target.
        path: String,
        /// The listener has redirects: one of those is good, too.
        redirects: bool,
    },
    /// A line, which comes back with the server's name.
    Line,
}

/// The questions for one Vip, in the order in which they take turns; empty if there is none, with the reason.
pub fn targets(desired: &Desired, vip: &Vip) -> Result<Vec<Target>, &'static str> {
    if is_local(desired, vip) {
        return Err("its addresses are on lo, where no client reaches them");
    }
    let asks: Vec<(u16, Ask)> = vip
        .listeners
        .iter()
        .flat_map(|listener| asks(desired, vip, listener).into_iter().map(|ask| (listener.port, ask)))
        .collect();
    if asks.is_empty() {
        return Err("it has no listener that leads to a backend");
    }
    let ips: Vec<IpAddr> = vip.addresses.iter().map(|address| address.ip).collect();
    let turns = asks.iter().flat_map(|(port, ask)| ips.iter().map(move |ip| (*ip, *port, ask.clone())));
    Ok(turns.map(|(ip, port, ask)| Target { address: SocketAddr::new(ip, port), ask }).collect())
}

fn asks(desired: &Desired, vip: &Vip, listener: &Listener) -> Vec<Ask> {
    let default = listener.pool.iter().filter(|pool| serves(desired, pool));
    if listener.protocol == Protocol::Tcp {
        return default.map(|_| Ask::Line).collect();
    }
    let redirects = listener.routes.iter().any(|route| matches!(route.action, RouteAction::Redirect(_)));
    let own_host = vip.addresses.first().map(|address| match address.ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    });
    let own_host = own_host.unwrap_or_default();
    let default = default.map(|_| Ask::Http { host: own_host.clone(), path: "/".into(), redirects });
    let routes = listener.routes.iter().filter(|route| match &route.action {
        RouteAction::Pool(pool) => serves(desired, pool),
        RouteAction::Redirect(_) => true,
    });
    let routes = routes.map(|route| {
        let path = match &route.path {
            Some(PathMatch::Prefix(path) | PathMatch::Exact(path)) => path.clone(),
            None => "/".into(),
        };
        Ask::Http { host: route.host.clone().unwrap_or_else(|| own_host.clone()), path, redirects }
    });
    default.chain(routes).collect()
}

/// Whether a new request to the pool has a backend to go to at all.
fn serves(desired: &Desired, pool: &Name) -> bool {
    desired.pools.get(pool).is_some_and(|pool| pool.backends.iter().any(|backend| backend.weight > 0))
}
