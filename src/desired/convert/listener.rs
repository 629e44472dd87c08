use super::{
    Findings, around,
    connecting::tcp_options,
    text::{self, Complaint},
};
use crate::{
    desired::{
        Pointer,
        schema::{ListenerSpec, ListenerTimeoutsSpec, PathSpec, ProtocolSpec, RedirectSpec, RouteSpec, SchemeSpec},
    },
    model::{Listener, ListenerTimeouts, PathMatch, Protocol, Redirect, Route, RouteAction, Scheme},
};
use std::collections::BTreeMap;

/// The default of [`Redirect::status`].
pub(in crate::desired) const REDIRECT_STATUS: u16 = 302;

/// The listeners that `specs` mean.
pub(super) fn listeners(at: &Pointer, specs: &[ListenerSpec], findings: &mut Findings<'_>) -> Option<Vec<Listener>> {
    if specs.is_empty() {
        findings.warning(at, "no listener: the addresses move, but nothing is served on them,");
    }
    findings.unique(specs.iter().map(|spec| (spec.port, format!("port {}", spec.port))), |i| at.index(i).key("port"));
    // Collected first, so that every one of them is looked at.
    let listeners: Vec<_> = specs.iter().enumerate().map(|(i, spec)| listener(&at.index(i), spec, findings)).collect();
    listeners.into_iter().collect()
}

fn listener(at: &Pointer, spec: &ListenerSpec, findings: &mut Findings<'_>) -> Option<Listener> {
    let port = findings.number(&at.key("port"), spec.port, 1..=u16::MAX);
    let protocol = match spec.protocol {
        ProtocolSpec::Http => Protocol::Http,
        ProtocolSpec::Tcp => Protocol::Tcp,
    };
    let pool = match &spec.pool {
        Some(pool) => findings.name(&at.key("pool"), pool).map(Some),
        None => Some(None),
    };
    check_protocol(at, spec, findings);
    let routes = routes(&at.key("routes"), spec, findings);
    let timeouts = timeouts(&at.key("timeouts"), spec.timeouts.as_ref(), findings);
    let access_log = around::access_log(&at.key("accessLog"), spec.access_log.as_ref(), findings);
    let limits = around::limits(&at.key("limits"), spec, findings);
    let user_timeout = spec.timeouts.as_ref().and_then(|timeouts| timeouts.tcp_user_timeout.as_deref());
    let tcp = tcp_options(at, spec.tcp_keepalive.as_ref(), user_timeout, findings);
    Some(Listener {
        port: port?,
        protocol,
        pool: pool?,
        routes: routes?,
        timeouts: timeouts?,
        access_log: access_log?,
        limits: limits?,
        tcp: tcp?,
    })
}

/// Whether the listener has what its protocol needs, and nothing that it cannot use.
fn check_protocol(at: &Pointer, spec: &ListenerSpec, findings: &mut Findings<'_>) {
    match spec.protocol {
        ProtocolSpec::Tcp if spec.pool.is_none() => findings.error(at, "a TCP listener needs a \"pool\""),
        ProtocolSpec::Http if spec.pool.is_none() && spec.routes.is_empty() => {
            findings.error(at, "an HTTP listener needs a \"pool\", \"routes\" or both");
        }
        _ => {}
    }
    if spec.protocol == ProtocolSpec::Tcp && !spec.routes.is_empty() {
        let error = Complaint::new("a TCP listener has no routes: it cannot see hosts and paths");
        findings.error(&at.key("routes"), error.help("make the protocol \"http\", or remove the routes"));
    }
}

fn routes(at: &Pointer, listener: &ListenerSpec, findings: &mut Findings<'_>) -> Option<Vec<Route>> {
    let specs = &listener.routes;
    // Collected first, so that every one of them is looked at.
    let routes: Vec<_> = specs.iter().enumerate().map(|(i, spec)| route(&at.index(i), spec, findings)).collect();
    let routes: Vec<Route> = routes.into_iter().collect::<Option<_>>()?;
    warn_of_shadowed(at, &routes, findings);
    if listener.pool.is_some()
        && let Some(i) = routes.iter().position(takes_everything)
    {
        findings.warning(&at.index(i), "this route takes everything, so that the listener's own pool gets no request,");
    }
    Some(routes)
}

/// A route can only be reached if none before it asks for exactly the same.
fn warn_of_shadowed(at: &Pointer, routes: &[Route], findings: &mut Findings<'_>) {
    let mut seen = BTreeMap::new();
    for (i, route) in routes.iter().enumerate() {
        let first = *seen.entry(question(route)).or_insert(i);
        if first != i {
            let warning = Complaint::new("this route gets no request, because an equal one comes first,");
            findings.warning(&at.index(i), warning.help(format!("the other one is at {}", at.index(first))));
        }
    }
}

/// What a route asks for. Prefixes are equal with and without their last slash; no path is the prefix of all.
fn question(route: &Route) -> (Option<&str>, bool, &str) {
    let (exact, path) = match &route.path {
        None => (false, ""),
        Some(PathMatch::Prefix(path)) => (false, path.strip_suffix('/').unwrap_or(path)),
        Some(PathMatch::Exact(path)) => (true, path.as_str()),
    };
    (route.host.as_deref(), exact, path)
}

fn takes_everything(route: &Route) -> bool {
    question(route) == (None, false, "")
}

fn route(at: &Pointer, spec: &RouteSpec, findings: &mut Findings<'_>) -> Option<Route> {
    let host = match &spec.host {
        Some(host) => findings.take(&at.key("host"), text::host(host)).map(Some),
        None => Some(None),
    };
    let at_path = at.key("path");
    let path = match &spec.path {
        None => Some(None),
        Some(PathSpec::Prefix(path)) => {
            findings.take(&at_path, text::path(path)).map(|path| Some(PathMatch::Prefix(path)))
        }
        Some(PathSpec::Exact(path)) => {
            findings.take(&at_path.key("exact"), text::path(&path.exact)).map(|path| Some(PathMatch::Exact(path)))
        }
    };
    let action = match (&spec.pool, &spec.redirect) {
        (Some(pool), None) => findings.name(&at.key("pool"), pool).map(RouteAction::Pool),
        (None, Some(target)) => redirect(&at.key("redirect"), target, findings).map(RouteAction::Redirect),
        (Some(_), Some(_)) => {
            findings.error(&at.key("redirect"), "a route has either a \"pool\" or a \"redirect\", not both");
            None
        }
        (None, None) => {
            findings.error(at, "a route needs a \"pool\" or a \"redirect\"");
            None
        }
    };
    Some(Route { host: host?, path: path?, action: action? })
}

fn redirect(at: &Pointer, spec: &RedirectSpec, findings: &mut Findings<'_>) -> Option<Redirect> {
    let scheme = spec.scheme.map(|scheme| match scheme {
        SchemeSpec::Http => Scheme::Http,
        SchemeSpec::Https => Scheme::Https,
    });
    let host = match &spec.host {
        Some(host) => findings.take(&at.key("host"), text::host_and_port(host)).map(Some),
        None => Some(None),
    };
    if spec.host.is_none() && !matches!(scheme, Some(Scheme::Https)) {
        let error = Complaint::new("this redirect leads back to where it came from");
        findings.error(at, error.help("give it another \"scheme\" or \"host\""));
    }
    let status = spec.status.unwrap_or(REDIRECT_STATUS.into());
    let known = u16::try_from(status).ok().filter(|status| matches!(status, 301 | 302 | 303 | 307 | 308));
    if known.is_none() {
        let error = Complaint::new(format!("status {status} is no redirect"));
        findings.error(&at.key("status"), error.help("write 301, 302, 303, 307 or 308"));
    }
    Some(Redirect { scheme, host: host?, status: known? })
}

fn timeouts(
    at: &Pointer,
    spec: Option<&ListenerTimeoutsSpec>,
    findings: &mut Findings<'_>,
) -> Option<ListenerTimeouts> {
    let default = ListenerTimeouts::default();
    let Some(spec) = spec else { return Some(default) };
    let request = findings.duration(&at.key("request"), spec.request.as_deref(), default.request);
    let idle = findings.duration(&at.key("idle"), spec.idle.as_deref(), default.idle);
    let tunnel = findings.duration(&at.key("tunnel"), spec.tunnel.as_deref(), default.tunnel);
    Some(ListenerTimeouts { request: request?, idle: idle?, tunnel: tunnel? })
}
