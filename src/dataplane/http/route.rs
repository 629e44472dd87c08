//! Which pool or redirect takes a request. Knows no version of HTTP: a host and a path are all it is asked.

use crate::{
    dataplane::config::Pool,
    model::{Listener, Name, PathMatch, Redirect, Route, RouteAction, Scheme},
};
use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

/// The routes of one listener, most specific first.
pub(in crate::dataplane) struct Routes {
    routes: Vec<Compiled>,
    fallback: Option<Target>,
}

struct Compiled {
    /// In lower case.
    host: Option<String>,
    path: Option<PathMatch>,
    target: Target,
}

/// What is done with a request.
pub(super) enum Target {
    Pool(Arc<Pool>),
    /// The pool is not in the configuration; a plan never makes that, but it must not bring anything down.
    NoPool,
    Redirect(Redirect),
}

impl Routes {
    pub(in crate::dataplane) fn new(listener: &Listener, pools: &BTreeMap<Name, Arc<Pool>>) -> Self {
        let pool = |name: &Name| pools.get(name).map_or(Target::NoPool, |pool| Target::Pool(pool.clone()));
        let mut sorted: Vec<&Route> = listener.routes.iter().collect();
        // Stable: equals stay in the order of the file.
        sorted.sort_by_key(|route| Reverse(specificity(route)));
        let routes = sorted.into_iter().map(|route| Compiled {
            host: route.host.as_ref().map(|h| h.to_ascii_lowercase()),
            path: route.path.clone(),
            target: match &route.action {
                RouteAction::Pool(name) => pool(name),
                RouteAction::Redirect(redirect) => Target::Redirect(redirect.clone()),
            },
        });
        Self { routes: routes.collect(), fallback: listener.pool.as_ref().map(pool) }
    }

    /// For a host without port, in any case, and a path before decoding. `None`: not found.
    pub(super) fn find(&self, host: Option<&str>, path: &str) -> Option<&Target> {
        let found = self.routes.iter().find(|route| {
            route.host.as_ref().is_none_or(|wanted| host.is_some_and(|h| h.eq_ignore_ascii_case(wanted)))
                && route.path.as_ref().is_none_or(|wanted| path_matches(wanted, path))
        });
        found.map(|route| &route.target).or(self.fallback.as_ref())
    }

    /// The listener's own pool: where TCP connections go.
    pub(in crate::dataplane) fn fallback(&self) -> Option<&Arc<Pool>> {
        match &self.fallback {
            Some(Target::Pool(pool)) => Some(pool),
            _ => None,
        }
    }
}

/// Host before none, exact before prefix, longer before shorter.
fn specificity(route: &Route) -> (bool, bool, usize) {
    let (exact, length) = match &route.path {
        None => (false, 0),
        // A final slash says nothing: see [`path_matches`].
        Some(PathMatch::Prefix(prefix)) => (false, prefix.trim_end_matches('/').len() + 1),
        Some(PathMatch::Exact(path)) => (true, path.len()),
    };
    (route.host.is_some(), exact, length)
}

fn path_matches(wanted: &PathMatch, path: &str) -> bool {
    match wanted {
        PathMatch::Exact(exact) => path == exact,
        PathMatch::Prefix(prefix) => {
            let rest = path.strip_prefix(prefix.trim_end_matches('/'));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) || prefix == "/"
        }
    }
}

/// The URI that a redirect leads to. `host` is that of the request, with its port; the port goes where the scheme
/// changes, for it was the other scheme's.
pub(super) fn location(redirect: &Redirect, scheme: &str, host: &str, target: &str) -> String {
    let new_scheme = redirect.scheme.map_or(scheme, |s| match s {
        Scheme::Http => "http",
        Scheme::Https => "https",
    });
    let same_host = || if new_scheme == scheme { host } else { super::engine::split_host(host).0 };
    let host = redirect.host.as_deref().unwrap_or_else(same_host);
    let path = if target.starts_with('/') { target } else { "/" };
    format!("{new_scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ListenerTimeouts, Protocol, SourceLimits};

    fn route(host: Option<&str>, path: Option<PathMatch>, name: &str) -> Route {
        let redirect = Redirect { scheme: None, host: Some(name.into()), status: 302 };
        Route { host: host.map(Into::into), path, action: RouteAction::Redirect(redirect) }
    }

    fn prefix(path: &str) -> Option<PathMatch> {
        Some(PathMatch::Prefix(path.into()))
    }

    fn exact(path: &str) -> Option<PathMatch> {
        Some(PathMatch::Exact(path.into()))
    }

    fn routes(routes: Vec<Route>) -> Routes {
        let timeouts = ListenerTimeouts::default();
        let (protocol, limits) = (Protocol::Http, SourceLimits::default());
        let listener = Listener {
            port: 80,
            protocol,
            pool: None,
            routes,
            timeouts,
            access_log: None,
            limits,
            tcp: Default::default(),
        };
        Routes::new(&listener, &BTreeMap::new())
    }

    fn found<'a>(routes: &'a Routes, host: &str, path: &str) -> &'a str {
        match routes.find(Some(host), path) {
            Some(Target::Redirect(redirect)) => redirect.host.as_deref().unwrap(),
            Some(_) => "pool",
            None => "404",
        }
    }

    #[test]
    fn the_most_specific_route_wins_whatever_the_order_of_the_file() {
        let routes = routes(vec![
            route(None, None, "any"),
            route(None, prefix("/api"), "api"),
            route(None, prefix("/api/v2/"), "api-v2"),
            route(None, exact("/api/v2/exactly"), "exact"),
            route(Some("WWW.Example.com"), None, "www"),
            route(Some("www.example.com"), prefix("/img/"), "www-img"),
            route(Some("www.example.com"), prefix("/img"), "www-img-second"),
        ]);
        for (host, path, wanted) in [
            ("other", "/", "any"),
            ("other", "/api", "api"),
            ("other", "/apix", "any"),
            ("other", "/api/v2", "api-v2"),
            ("other", "/api/v2/exactly", "exact"),
            ("other", "/api/v2/exactly/not", "api-v2"),
            ("www.EXAMPLE.com", "/api/v2/exactly", "www"),
            ("www.example.com", "/img", "www-img"),
            ("www.example.com", "/img/a", "www-img"),
            ("www.example.com", "/imgs", "www"),
            ("example.com", "*", "any"),
        ] {
            assert_eq!(found(&routes, host, path), wanted, "{host} {path}");
        }
    }

    #[test]
    fn what_no_route_takes_is_not_found() {
        let routes = routes(vec![route(Some("a"), None, "a"), route(None, prefix("/x/"), "x")]);
        assert_eq!(found(&routes, "b", "/"), "404");
        assert_eq!(found(&routes, "b", "/x"), "x");
        assert!(routes.find(None, "/").is_none(), "a request without a host matches no host");
    }

    #[test]
    fn the_root_prefix_matches_everything() {
        let routes = routes(vec![route(None, prefix("/"), "root")]);
        for path in ["/", "/a", "//", "*"] {
            assert_eq!(found(&routes, "h", path), "root");
        }
    }

    #[test]
    fn a_redirect_keeps_what_it_does_not_change() {
        let to = |scheme, host: Option<&str>| Redirect { scheme, host: host.map(Into::into), status: 301 };
        let from = |redirect: Redirect, host: &str, target: &str| location(&redirect, "http", host, target);
        let https = Some(Scheme::Https);
        assert_eq!(from(to(https, None), "a.example:80", "/x?y=1"), "https://a.example/x?y=1");
        assert_eq!(from(to(https, None), "[2001:db8::1]:80", "/"), "https://[2001:db8::1]/");
        assert_eq!(from(to(None, Some("b.example:81")), "a.example", "/x"), "http://b.example:81/x");
        assert_eq!(from(to(Some(Scheme::Http), None), "a.example:8080", "/"), "http://a.example:8080/");
        assert_eq!(from(to(https, Some("b.example")), "a.example", "*"), "https://b.example/");
    }
}
