//! The one way to write an object: JSON with sorted keys, no space, every text in its shortest spelling and nothing
//! that is a default. Two files mean the same exactly when this is the same, however they are formatted. It is what
//! digests are made over and what the last good objects are kept as; the decoder reads it back.

mod around;
mod http;
mod connecting;

use super::{
    Object,
    convert::{FAILBACK_AFTER, TRUST_PROBE},
    schema::*,
};
use crate::model::*;
use serde::Serialize;
use serde_json::Value;
use std::time::Duration;

/// The canonical document of `object`, envelope and all.
pub(super) fn canonical(object: &Object) -> Value {
    match object {
        Object::Vip(vip) => document(VipKind::Vip, &vip.name, vip_spec(vip)),
        Object::Pool(pool) => document(PoolKind::Pool, &pool.name, pool_spec(pool)),
        Object::Peer(peer) => document(PeerKind::Peer, &peer.name, peer_spec(peer)),
    }
}

fn document(kind: impl Serialize, name: &Name, spec: impl Serialize) -> Value {
    let metadata = Metadata { name: name.to_string() };
    let envelope = Envelope { _schema: None, api_version: ApiVersion::V1, kind, metadata, spec };
    // Structs with text keys always are JSON; serde_json cannot know.
    let mut value = serde_json::to_value(envelope).unwrap_or_default();
    value.sort_all_objects();
    value
}

fn vip_spec(vip: &Vip) -> VipSpec {
    VipSpec {
        addresses: vip.addresses.iter().map(|address| address_text(*address)).collect(),
        interface: vip.interface.clone(),
        nodes: texts(&vip.nodes),
        failback: unless_empty(FailbackSpec {
            mode: (vip.failback.mode == FailbackMode::Manual).then_some(FailbackModeSpec::Manual),
            after: duration(vip.failback.after, FAILBACK_AFTER),
        }),
        track: unless_empty(TrackSpec { interfaces: vip.track.interfaces.clone(), ping: texts(&vip.track.ping) }),
        trust_probe: unless(vip.trust_probe, TRUST_PROBE),
        listeners: vip.listeners.iter().map(listener).collect(),
    }
}

fn address_text(address: VipAddress) -> String {
    if address == VipAddress::host(address.ip) { address.ip.to_string() } else { address.to_string() }
}

fn listener(listener: &Listener) -> ListenerSpec {
    let (limits, default) = (listener.timeouts, ListenerTimeouts::default());
    ListenerSpec {
        port: listener.port.into(),
        protocol: match listener.protocol {
            Protocol::Http => ProtocolSpec::Http,
            Protocol::Tcp => ProtocolSpec::Tcp,
        },
        pool: listener.pool.as_ref().map(Name::to_string),
        routes: listener.routes.iter().map(http::route).collect(),
        access_log: listener.access_log.as_ref().map(around::access_log),
        limits: around::limits(listener.limits),
        request_headers: http::edits(&listener.edits.request),
        response_headers: http::edits(&listener.edits.response),
        error_pages: listener.error_pages.iter().map(http::error_page).collect(),
        forwarded: http::forwarded(&listener.forwarded),
        proxy_protocol: http::proxy_protocol(&listener.proxy_from),
        tcp_keepalive: connecting::keepalive(listener.tcp),
        timeouts: unless_empty(ListenerTimeoutsSpec {
            request: duration(limits.request, default.request),
            idle: duration(limits.idle, default.idle),
            keep_alive: duration(limits.keep_alive, limits.idle),
            tunnel: duration(limits.tunnel, default.tunnel),
            half_closed: duration(limits.half_closed, limits.tunnel),
            tcp_user_timeout: connecting::user_timeout(listener.tcp),
        }),
    }
}

fn pool_spec(pool: &Pool) -> PoolSpec {
    let (default, how) = (PoolTimeouts::default(), &pool.serving.connecting);
    PoolSpec {
        balance: balance(&pool.balance),
        sticky: pool.sticky.as_ref().map(sticky),
        check: check(&pool.check),
        backends: pool.backends.iter().map(backend).collect(),
        timeouts: unless_empty(PoolTimeoutsSpec {
            connect: duration(pool.timeouts.connect, default.connect),
            response: duration(pool.timeouts.response, default.response),
            tcp_user_timeout: connecting::user_timeout(how.tcp),
        }),
        retries: unless(pool.serving.retries, Serving::default().retries).map(Into::into),
        idle: idle(pool.serving.idle),
        queue: queue(pool.serving.queue, pool.timeouts.connect),
        slow_start: pool.serving.slow_start.map(format_duration),
        ejection: pool.serving.ejection.map(ejection),
        resolve: unless_empty(ResolveSpec { interval: duration(pool.serving.resolve, Serving::default().resolve) }),
        source_address: connecting::sources(how),
        proxy_protocol: connecting::proxy(how),
        tcp_keepalive: connecting::keepalive(how.tcp),
    }
}

fn balance(balance: &Balance) -> Option<BalanceSpec> {
    let word = match balance {
        Balance::RoundRobin => return None,
        Balance::LeastConn => BalanceWord::LeastConn,
        Balance::Random => BalanceWord::Random,
        Balance::Source => BalanceWord::Source,
        Balance::Uri { query: false } => BalanceWord::Uri,
        Balance::Uri { query: true } => {
            return Some(BalanceSpec::By(BalanceBy { uri: Some(UriSpec { query: true }), header: None }));
        }
        Balance::Header(name) => {
            return Some(BalanceSpec::By(BalanceBy { uri: None, header: Some(name.clone()) }));
        }
        Balance::First => BalanceWord::First,
    };
    Some(BalanceSpec::Word(word))
}

fn sticky(sticky: &Sticky) -> StickySpec {
    let nothing = StickySpec { cookie: None, app_cookie: None, source: None };
    match sticky {
        Sticky::Cookie(cookie) => StickySpec { cookie: Some(sticky_cookie(cookie)), ..nothing },
        Sticky::AppCookie { name } => StickySpec { app_cookie: Some(AppCookieSpec { name: name.clone() }), ..nothing },
        Sticky::Source => StickySpec { source: Some(StickySourceSpec {}), ..nothing },
    }
}

fn sticky_cookie(cookie: &StickyCookie) -> CookieSpec {
    CookieSpec {
        name: cookie.name.clone(),
        same_site: match cookie.same_site {
            SameSite::Lax => None,
            SameSite::Strict => Some(SameSiteSpec::Strict),
            SameSite::None => Some(SameSiteSpec::None),
        },
        secure: cookie.secure,
        domain: cookie.domain.clone(),
        max_age: cookie.max_age.map(format_duration),
    }
}

fn idle(limits: IdleLimits) -> Option<IdleSpec> {
    let default = IdleLimits::default();
    unless_empty(IdleSpec {
        max: unless(limits.max, default.max).map(Into::into),
        expiry: duration(limits.expiry, default.expiry),
    })
}

fn queue(limits: QueueLimits, connect: Duration) -> Option<QueueSpec> {
    unless_empty(QueueSpec {
        max: unless(limits.max, QueueLimits::default().max).map(Into::into),
        timeout: duration(limits.timeout, connect),
    })
}

fn ejection(ejection: Ejection) -> EjectionSpec {
    let default = Ejection::default();
    EjectionSpec {
        errors: unless(ejection.errors, default.errors).map(Into::into),
        period: duration(ejection.period, default.period),
        on_5xx: ejection.on_5xx,
    }
}

fn check(check: &Check) -> Option<CheckSpec> {
    let default = Check::default();
    unless_empty(CheckSpec {
        http: match &check.kind {
            CheckKind::Http { path, host, expect } => {
                Some(HttpCheckSpec { path: path.clone(), host: host.clone(), expect: expect_text(expect) })
            }
            _ => None,
        },
        tcp: around::tcp(&check.kind),
        smtp: around::smtp(&check.kind),
        mysql: around::mysql(&check.kind),
        interval: duration(check.interval, default.interval),
        timeout: duration(check.timeout, default.timeout.min(check.interval)),
        rise: unless(check.rise, default.rise).map(Into::into),
        fall: unless(check.fall, default.fall).map(Into::into),
    })
}

fn expect_text(ranges: &[StatusRange]) -> Option<ExpectSpec> {
    let text = |range: &StatusRange| match *range {
        StatusRange { first, last } if first == last => first.to_string(),
        StatusRange { first, last } => format!("{first}-{last}"),
    };
    let text = ranges.iter().map(text).collect::<Vec<_>>().join(",");
    unless(text, "200-399".into()).map(ExpectSpec::Text)
}

fn backend(backend: &Backend) -> BackendSpec {
    BackendSpec {
        name: backend.name.to_string(),
        address: backend.address_text(),
        weight: unless(backend.weight.into(), 1),
        backup: backend.backup,
        max_connections: backend.max_connections.map(Into::into),
        state: match backend.state {
            BackendState::Ready => None,
            BackendState::Drain => Some(StateSpec::Drain),
            BackendState::Maint => Some(StateSpec::Maint),
        },
    }
}

fn peer_spec(peer: &Peer) -> PeerSpec {
    let default = Heartbeat::default();
    let dead_after = default.dead_after.max(peer.heartbeat.interval * 4);
    PeerSpec {
        addresses: texts(&peer.addresses),
        interfaces: peer.interfaces.clone(),
        heartbeat: unless_empty(HeartbeatSpec {
            interval: duration(peer.heartbeat.interval, default.interval),
            dead_after: duration(peer.heartbeat.dead_after, dead_after),
        }),
    }
}

fn texts<T: ToString>(values: &[T]) -> Vec<String> {
    values.iter().map(T::to_string).collect()
}

fn duration(value: Duration, default: Duration) -> Option<String> {
    unless(value, default).map(format_duration)
}

fn unless<T: PartialEq>(value: T, default: T) -> Option<T> {
    (value != default).then_some(value)
}

/// `None` if every field of `spec` has its default.
fn unless_empty<T: Serialize>(spec: T) -> Option<T> {
    let empty = serde_json::to_value(&spec).is_ok_and(|value| value.as_object().is_some_and(serde_json::Map::is_empty));
    (!empty).then_some(spec)
}

#[cfg(test)]
mod tests;
