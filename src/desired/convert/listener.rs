use super::{Findings, around, connecting::tcp_options, http, route, text::Complaint};
use crate::{
    desired::{
        Pointer,
        schema::{ListenerSpec, ListenerTimeoutsSpec, ProtocolSpec},
    },
    model::{Listener, ListenerTimeouts, Protocol},
};

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
    let routes = route::routes(&at.key("routes"), spec, findings);
    let timeouts = timeouts(&at.key("timeouts"), spec.timeouts.as_ref(), findings);
    let access_log = around::access_log(&at.key("accessLog"), spec.access_log.as_ref(), findings);
    let limits = around::limits(&at.key("limits"), spec, findings);
    let edits = http::edits(at, spec.request_headers.as_ref(), spec.response_headers.as_ref(), findings);
    let error_pages = http::error_pages(&at.key("errorPages"), &spec.error_pages, findings);
    let forwarded = http::forwarded(&at.key("forwarded"), spec.forwarded.as_ref(), findings);
    let proxy_from = http::proxy_from(&at.key("proxyProtocol"), spec.proxy_protocol.as_ref(), findings);
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
        edits: edits?,
        error_pages: error_pages?,
        forwarded: forwarded?,
        proxy_from: proxy_from?,
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
    if spec.protocol == ProtocolSpec::Http {
        return;
    }
    if !spec.routes.is_empty() {
        let error = Complaint::new("a TCP listener has no routes: it cannot see hosts and paths");
        findings.error(&at.key("routes"), error.help("make the protocol \"http\", or remove the routes"));
    }
    for (key, is_given) in [
        ("requestHeaders", spec.request_headers.is_some()),
        ("responseHeaders", spec.response_headers.is_some()),
        ("errorPages", !spec.error_pages.is_empty()),
        ("forwarded", spec.forwarded.is_some()),
    ] {
        if is_given {
            let error = Complaint::new("a TCP listener sees no requests and responses").of_key();
            findings.error(&at.key(key), error.help("make the protocol \"http\", or remove this"));
        }
    }
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
    let keep_alive = findings.duration(&at.key("keepAlive"), spec.keep_alive.as_deref(), idle.unwrap_or(default.idle));
    let as_tunnel = tunnel.unwrap_or(default.tunnel);
    let half_closed = findings.duration(&at.key("halfClosed"), spec.half_closed.as_deref(), as_tunnel);
    Some(ListenerTimeouts {
        request: request?,
        idle: idle?,
        keep_alive: keep_alive?,
        tunnel: tunnel?,
        half_closed: half_closed?,
    })
}
