//! What clients ask for: every address, listener and route of a Vip, so that each is exercised as the files mean it.

use super::plan::fronts::is_local;
use crate::model::{
    Desired, FieldMatch, HostMatch, Listener, Name, PathMatch, Protocol, Route, RouteAction, ValueMatch, Vip,
};
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
        /// Further fields, as lines.
        fields: String,
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
    // Of proxies in front of the balancers there is none in a drill.
    if !listener.proxy_from.is_empty() {
        return Vec::new();
    }
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
    let fields = String::new();
    let default =
        default.map(|_| Ask::Http { host: own_host.clone(), path: "/".into(), fields: fields.clone(), redirects });
    let leads_on = |route: &Route| match &route.action {
        RouteAction::Pool(pool) => serves(desired, pool),
        RouteAction::Redirect(_) => true,
    };
    let takes_get = |route: &Route| route.methods.is_empty() || route.methods.iter().any(|method| method == "GET");
    let routes = listener.routes.iter().filter(|route| leads_on(route) && takes_get(route));
    let routes = routes.map(|route| {
        let path = match &route.path {
            Some(PathMatch::Prefix(path) | PathMatch::Exact(path)) => path.clone(),
            None => "/".into(),
        };
        let host = match &route.host {
            None => own_host.clone(),
            Some(HostMatch::Exact(host)) => host.clone(),
            Some(HostMatch::Below(host)) => format!("drill.{host}"),
        };
        Ask::Http { host, path, fields: fields_of(route), redirects }
    });
    default.chain(routes).collect()
}

/// What meets a route's conditions.
fn fields_of(route: &Route) -> String {
    let line = |field: &FieldMatch| {
        let value = match &field.value {
            ValueMatch::Present => "drill",
            ValueMatch::Prefix(value) | ValueMatch::Exact(value) => value,
        };
        format!("{}: {value}\r\n", field.name)
    };
    route.fields.iter().map(line).collect()
}

/// Whether a new request to the pool has a backend to go to at all.
fn serves(desired: &Desired, pool: &Name) -> bool {
    desired.pools.get(pool).is_some_and(|pool| pool.backends.iter().any(|backend| backend.weight > 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        drill::fixture::{listener, name, pair, pool, with_web},
        model::{Redirect, Route},
    };
    use std::sync::Arc;

    fn asked(desired: &Desired) -> Vec<(String, Ask)> {
        let targets = targets(desired, &desired.vips["web"]).unwrap();
        targets.into_iter().map(|target| (target.address.to_string(), target.ask)).collect()
    }

    fn http(host: &str, path: &str, redirects: bool) -> Ask {
        Ask::Http { host: host.into(), path: path.into(), fields: String::new(), redirects }
    }

    fn route(host: Option<&str>, path: Option<PathMatch>, action: RouteAction) -> Route {
        Route { host: host.map(|host| HostMatch::Exact(host.to_owned())), path, ..Route::to(action) }
    }

    #[test]
    fn every_address_and_every_port_takes_its_turn() {
        let mut state = pair();
        state.pools.insert(name("smtp"), Arc::new(pool("smtp", &["192.0.2.102:25"])));
        let state = with_web(state, |web| {
            web.addresses.push(crate::model::VipAddress::host("2001:db8::10".parse().unwrap()));
            web.listeners.push(listener(25, Protocol::Tcp, "smtp"));
        });
        let web = http("198.51.100.10", "/", false);
        let expected = [
            ("198.51.100.10:80".to_owned(), web.clone()),
            ("[2001:db8::10]:80".to_owned(), web),
            ("198.51.100.10:25".to_owned(), Ask::Line),
            ("[2001:db8::10]:25".to_owned(), Ask::Line),
        ];
        assert_eq!(asked(&state), expected);
    }

    #[test]
    fn every_route_is_asked_with_its_own_host_and_path() {
        let state = with_web(pair(), |web| {
            let to_pool = || RouteAction::Pool(name("web"));
            let redirect = Redirect { scheme: None, host: Some("www.example.com".into()), status: 302 };
            web.listeners[0].routes = vec![
                route(Some("www.example.com"), Some(PathMatch::Prefix("/api/".into())), to_pool()),
                route(None, Some(PathMatch::Exact("/one".into())), to_pool()),
                route(Some("example.com"), None, RouteAction::Redirect(redirect)),
            ];
        });
        let asks: Vec<Ask> = asked(&state).into_iter().map(|(_, ask)| ask).collect();
        let expected = [
            http("198.51.100.10", "/", true),
            http("www.example.com", "/api/", true),
            http("198.51.100.10", "/one", true),
            http("example.com", "/", true),
        ];
        assert_eq!(asks, expected);
    }

    #[test]
    fn what_a_route_wants_is_asked_and_what_no_get_reaches_is_not() {
        let state = with_web(pair(), |web| {
            let to_pool = || Route::to(RouteAction::Pool(name("web")));
            let field = |name: &str, value| FieldMatch { name: name.into(), value };
            let fields = vec![
                field("x-a", ValueMatch::Exact("1".into())),
                field("x-b", ValueMatch::Present),
                field("x-c", ValueMatch::Prefix("p".into())),
            ];
            let below = Some(HostMatch::Below("example.com".into()));
            web.listeners[0].routes = vec![
                Route { host: below, fields, methods: vec!["GET".into(), "POST".into()], ..to_pool() },
                Route { methods: vec!["POST".into()], ..to_pool() },
            ];
            let introduced = Listener { proxy_from: vec!["192.0.2.0/24".parse().unwrap()], ..web.listeners[0].clone() };
            web.listeners.push(Listener { port: 81, ..introduced });
        });
        let asks: Vec<Ask> = asked(&state).into_iter().map(|(_, ask)| ask).collect();
        let fields = "x-a: 1\r\nx-b: drill\r\nx-c: p\r\n".to_owned();
        let routed = Ask::Http { host: "drill.example.com".into(), path: "/".into(), fields, redirects: false };
        assert_eq!(asks, [http("198.51.100.10", "/", false), routed]);
    }

    #[test]
    fn what_no_client_can_be_answered_is_not_asked() {
        let local = with_web(pair(), |web| web.interface = Some("lo".into()));
        assert!(targets(&local, &local.vips["web"]).unwrap_err().contains("lo"));
        let mut idle = pair();
        let web = Arc::make_mut(idle.pools.get_mut("web").unwrap());
        web.backends.iter_mut().for_each(|backend| backend.weight = 0);
        assert!(targets(&idle, &idle.vips["web"]).is_err());
        let silent = with_web(pair(), |web| web.listeners.clear());
        assert!(targets(&silent, &silent.vips["web"]).is_err());
    }
}
