use super::*;
use crate::desired::{Source, decode};
use proptest::prelude::*;
use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

fn durations() -> impl Strategy<Value = Duration> {
    (10_000u64..86_400_000_000).prop_map(Duration::from_micros)
}

fn names() -> impl Strategy<Value = Name> {
    "[a-zA-Z0-9]([a-z0-9._-]{0,10}[a-z0-9])?".prop_map(|text| Name::new(&text).unwrap())
}

fn addresses() -> impl Strategy<Value = std::net::IpAddr> {
    let v4 = (1u8..=254).prop_map(|last| format!("198.51.100.{last}").parse().unwrap());
    let v6 = any::<u16>().prop_map(|last| format!("2001:db8::{last:x}").parse().unwrap());
    prop_oneof![v4, v6]
}

fn sockets() -> impl Strategy<Value = SocketAddr> {
    (addresses(), 1u16..).prop_map(|(ip, port)| SocketAddr::new(ip, port))
}

fn peers() -> impl Strategy<Value = Object> {
    let interfaces = prop::collection::btree_map("[a-z]{1,15}", "[a-z]{1,15}", 0..3);
    let heartbeat = (5_000u64..10_000_000, 4u64..50, 0u64..1000).prop_map(|(interval, times, more)| Heartbeat {
        interval: Duration::from_micros(interval),
        dead_after: Duration::from_micros(interval * times + more),
    });
    let heartbeat = prop_oneof![Just(Heartbeat::default()), heartbeat];
    (names(), prop::collection::btree_set(sockets(), 1..4), interfaces, heartbeat).prop_map(
        |(name, addresses, interfaces, heartbeat)| {
            let addresses = addresses.into_iter().collect();
            Object::Peer(Arc::new(Peer { name, addresses, interfaces, heartbeat }))
        },
    )
}

fn checks() -> impl Strategy<Value = Check> {
    let range =
        (100u16..=599, 0u16..100).prop_map(|(first, more)| StatusRange { first, last: (first + more).min(599) });
    let expect = prop::collection::vec(range, 1..4);
    let http = ("/[a-z0-9?=]{0,10}", prop::option::of("[a-z]{1,5}\\.example(:80)?"), expect);
    let bytes = || prop::collection::vec(any::<u8>(), 1..20);
    let expect = prop_oneof![bytes().prop_map(Expect::Contains), bytes().prop_map(Expect::Begins)];
    let kind = prop_oneof![
        Just(CheckKind::Tcp),
        http.prop_map(|(path, host, expect)| CheckKind::Http { path, host, expect }),
        (prop_oneof![Just(Vec::new()), bytes()], expect)
            .prop_map(|(send, expect)| CheckKind::Exchange { send, expect }),
        "localhost|[a-z]{1,9}\\.example".prop_map(|hello| CheckKind::Smtp { hello }),
        prop::option::of("[a-zé]{1,9}").prop_map(|user| CheckKind::Mysql { user }),
    ];
    let check = (kind, durations(), durations(), 1u32..=1000, 1u32..=1000);
    let check = check.prop_map(|(kind, one, two, rise, fall)| Check {
        kind,
        interval: one.max(two),
        timeout: one.min(two),
        rise,
        fall,
    });
    prop_oneof![Just(Check::default()), check]
}

fn stickies() -> impl Strategy<Value = Sticky> {
    let domain = prop::option::of("[a-z]{1,5}\\.example");
    let max_age = prop::option::of((1u64..=86_400).prop_map(Duration::from_secs));
    let same_site = prop::sample::select(vec![SameSite::Strict, SameSite::Lax, SameSite::None]);
    let cookie = ("[A-Za-z]{1,8}", same_site, any::<bool>(), domain, max_age);
    let cookie = cookie.prop_map(|(name, same_site, secure, domain, max_age)| {
        let secure = secure || same_site == SameSite::None;
        Sticky::Cookie(StickyCookie { name, same_site, secure, domain, max_age })
    });
    let app = "[A-Za-z]{1,8}".prop_map(|name| Sticky::AppCookie { name });
    prop_oneof![cookie, app, Just(Sticky::Source)]
}

fn pools() -> impl Strategy<Value = Object> {
    let states = prop::sample::select(vec![BackendState::Ready, BackendState::Drain, BackendState::Maint]);
    let host = prop::option::weighted(0.2, "[a-z]{1,9}\\.example");
    let backend = (sockets(), host, 1u16..=256, any::<bool>(), prop::option::of(1u16..), states);
    let backends = prop::collection::btree_map(names(), backend, 1..4).prop_map(|backends| {
        let mut seen: BTreeMap<SocketAddr, ()> = BTreeMap::new();
        let backends = backends.into_iter().filter(|(_, (address, ..))| seen.insert(*address, ()).is_none());
        let bare = |name, host: Option<String>, address: SocketAddr| match host {
            Some(host) => Backend::named(name, host, address.port()),
            None => Backend::new(name, address),
        };
        let backend = |(name, (address, host, weight, backup, max_connections, state))| Backend {
            weight,
            backup,
            max_connections,
            state,
            ..bare(name, host, address)
        };
        backends.map(backend).collect::<Vec<_>>()
    });
    let sticky = prop::option::of(stickies());
    let timeouts = prop_oneof![
        Just(PoolTimeouts::default()),
        (durations(), durations()).prop_map(|(connect, response)| PoolTimeouts { connect, response })
    ];
    (names(), prop::sample::select(Balance::all().to_vec()), sticky, checks(), backends, timeouts, servings()).prop_map(
        |(name, balance, sticky, check, backends, timeouts, serving)| {
            Object::Pool(Arc::new(Pool { name, balance, sticky, check, backends, timeouts, serving }))
        },
    )
}

fn servings() -> impl Strategy<Value = Serving> {
    let idle = (any::<u16>(), durations()).prop_map(|(max, expiry)| IdleLimits { max, expiry });
    let queue = (any::<u16>(), durations()).prop_map(|(max, timeout)| QueueLimits { max, timeout });
    let ejection = (1u16..=1000, durations(), any::<bool>());
    let ejection = ejection.prop_map(|(errors, period, on_5xx)| Ejection { errors, period, on_5xx });
    let ejection = prop::option::of(prop_oneof![Just(Ejection::default()), ejection]);
    let resolve = (100u64..86_400_000).prop_map(Duration::from_millis);
    let serving = (0u16..=100, idle, queue, prop::option::of(durations()), ejection, resolve, connectings());
    let serving = serving.prop_map(|(retries, idle, queue, slow_start, ejection, resolve, connecting)| Serving {
        retries,
        idle,
        queue,
        slow_start,
        ejection,
        resolve,
        connecting,
    });
    prop_oneof![Just(Serving::default()), serving]
}

fn tcp_options() -> impl Strategy<Value = TcpOptions> {
    let seconds = || (1u64..=32767).prop_map(Duration::from_secs);
    let keepalive = (seconds(), seconds(), 1u16..=127);
    let keepalive = keepalive.prop_map(|(idle, interval, count)| TcpKeepalive { idle, interval, count });
    let keepalive = prop::option::of(prop_oneof![Just(TcpKeepalive::default()), keepalive]);
    let user_timeout = prop::option::of((1u64..86_400_000).prop_map(Duration::from_millis));
    (keepalive, user_timeout).prop_map(|(keepalive, user_timeout)| TcpOptions { keepalive, user_timeout })
}

fn connectings() -> impl Strategy<Value = Connecting> {
    let sources = prop::collection::btree_set(addresses(), 0..4);
    let proxy = prop::option::of(prop::sample::select(vec![ProxyProtocol::V1, ProxyProtocol::V2]));
    (sources, tcp_options(), proxy).prop_map(|(sources, tcp, proxy)| Connecting {
        sources: sources.into_iter().collect(),
        tcp,
        proxy,
    })
}

fn routes() -> impl Strategy<Value = Route> {
    let path =
        prop_oneof!["/[a-z/%0-9]{0,8}".prop_map(PathMatch::Prefix), "/[a-z/%0-9]{0,8}".prop_map(PathMatch::Exact)];
    let redirect = ("[a-z]{1,5}\\.example(:8080)?", any::<bool>(), prop::sample::select(vec![301, 302, 308]));
    let redirect = redirect.prop_map(|(host, tls, status)| Redirect {
        scheme: tls.then_some(Scheme::Https),
        host: Some(host),
        status,
    });
    let action = prop_oneof![names().prop_map(RouteAction::Pool), redirect.prop_map(RouteAction::Redirect)];
    let host = || "[a-z]{1,5}\\.example";
    let host = prop::option::of(prop_oneof![host().prop_map(HostMatch::Exact), host().prop_map(HostMatch::Below)]);
    let value = prop_oneof![
        Just(ValueMatch::Present),
        "[!-~]{1,5}".prop_map(ValueMatch::Prefix),
        "[!-~]{0,5}".prop_map(ValueMatch::Exact)
    ];
    let field = ("x-[a-z]{1,3}", value).prop_map(|(name, value)| FieldMatch { name, value });
    let fields = prop::collection::btree_set(field, 0..3).prop_map(|fields| fields.into_iter().collect::<Vec<_>>());
    let methods =
        prop::collection::btree_set("GET|POST|PURGE", 0..3).prop_map(|set| set.into_iter().collect::<Vec<_>>());
    (host, prop::option::of(path), methods, fields, edits(), action).prop_map(
        |(host, path, methods, fields, edits, action)| {
            let passes = matches!(action, RouteAction::Pool(_));
            let edits = if passes { edits } else { MessageEdits::default() };
            Route { host, path, methods, fields, edits, action }
        },
    )
}

fn edits() -> impl Strategy<Value = MessageEdits> {
    let names = || prop::collection::btree_set("X-[a-z]{1,3}", 0..3);
    let pairs = || prop::collection::btree_map("X-[a-z]{1,3}", "[!-~é]{0,5}", 0..3);
    let one = (names(), pairs(), pairs()).prop_map(|(remove, set, add)| FieldEdits {
        remove: remove.into_iter().collect(),
        set: set.into_iter().collect(),
        add: add.into_iter().collect(),
    });
    let one = || prop_oneof![Just(FieldEdits::default()), one.clone()];
    (one(), one()).prop_map(|(request, response)| MessageEdits { request, response })
}

fn error_pages() -> impl Strategy<Value = Vec<ErrorPage>> {
    let statuses = prop::collection::btree_set(prop::sample::select(ErrorPage::STATUSES.to_vec()), 1..4);
    let kind = prop_oneof![Just("text/html; charset=utf-8".to_owned()), Just("text/plain".to_owned())];
    let page = (statuses, kind, "[\\PC\t\r\n]{0,20}").prop_map(|(statuses, content_type, body)| ErrorPage {
        statuses: statuses.into_iter().collect(),
        content_type,
        body,
    });
    prop::collection::vec(page, 0..2)
}

fn networks() -> impl Strategy<Value = Vec<Network>> {
    let network = prop::sample::select(vec!["192.0.2.0/24", "198.51.100.7", "2001:db8::/32", "2001:db8::1"]);
    prop::collection::btree_set(network.prop_map(|text| text.parse::<Network>().unwrap()), 0..4)
        .prop_map(|networks| networks.into_iter().collect())
}

fn forwardeds() -> impl Strategy<Value = Forwarded> {
    let styles = [ForwardedStyle::XForwarded, ForwardedStyle::Rfc7239, ForwardedStyle::Both, ForwardedStyle::None];
    (prop::option::of(networks()), prop::sample::select(styles.to_vec()))
        .prop_map(|(trusted, style)| Forwarded { trusted: trusted.filter(|_| style != ForwardedStyle::None), style })
}

fn listeners() -> impl Strategy<Value = Vec<Listener>> {
    let timeouts = (durations(), durations(), durations(), durations(), durations());
    let timeouts = timeouts.prop_map(|(request, idle, keep_alive, tunnel, half_closed)| ListenerTimeouts {
        request,
        idle,
        keep_alive,
        tunnel,
        half_closed,
    });
    let timeouts = prop_oneof![Just(ListenerTimeouts::default()), timeouts];
    let messages = (edits(), error_pages(), forwardeds(), networks(), tcp_options()).boxed();
    let routes = prop::collection::vec(routes(), 0..4).boxed();
    let listener = (names(), any::<bool>(), routes, timeouts, access_logs(), limits(), messages);
    let with = |http: bool, (edits, error_pages, forwarded, proxy_from, tcp)| {
        let bare = Listener { proxy_from, tcp, ..Listener::new(1, Protocol::Tcp, None) };
        if http { Listener { edits, error_pages, forwarded, ..bare } } else { bare }
    };
    prop::collection::btree_map(1u16.., listener, 0..3).prop_map(move |listeners| {
        let limits_of =
            |http: bool, limits: SourceLimits| SourceLimits { requests: limits.requests.filter(|_| http), ..limits };
        let listener = |(port, (pool, http, routes, timeouts, access_log, limits, messages))| Listener {
            port,
            protocol: if http { Protocol::Http } else { Protocol::Tcp },
            pool: Some(pool),
            routes: if http { routes } else { Vec::new() },
            timeouts,
            access_log,
            limits: limits_of(http, limits),
            ..with(http, messages)
        };
        listeners.into_iter().map(listener).collect()
    })
}

fn access_logs() -> impl Strategy<Value = Option<AccessLog>> {
    let path = || "/[a-z]{1,5}(/[a-z]{1,5})?".prop_map(std::path::PathBuf::from);
    let to =
        prop_oneof![Just(LogTarget::Stdout), path().prop_map(LogTarget::File), path().prop_map(LogTarget::Syslog),];
    let format = prop::sample::select(vec![LogFormat::Json, LogFormat::Haproxy]);
    prop::option::of((format, to).prop_map(|(format, to)| AccessLog { format, to }))
}

fn limits() -> impl Strategy<Value = SourceLimits> {
    let rate = (1u16.., 10u64..3_600_000);
    let rate = rate.prop_map(|(count, per)| RequestRate { count, per: Duration::from_millis(per) });
    (prop::option::of(1u16..), prop::option::of(rate))
        .prop_map(|(connections, requests)| SourceLimits { connections, requests })
}

fn vips() -> impl Strategy<Value = Object> {
    let address = (addresses(), any::<bool>()).prop_map(|(ip, host)| {
        let subnet = if ip.is_ipv4() { 24 } else { 64 };
        VipAddress { prefix_len: if host { VipAddress::host(ip).prefix_len } else { subnet }, ip }
    });
    let addresses = prop::collection::vec(address, 1..4).prop_map(|mut addresses| {
        addresses.sort();
        addresses.dedup_by_key(|address| address.ip);
        addresses
    });
    let nodes = prop::collection::btree_set(names(), 1..4).prop_map(|nodes| nodes.into_iter().collect::<Vec<_>>());
    let failback = (any::<bool>(), durations()).prop_map(|(auto, after)| Failback {
        mode: if auto { FailbackMode::Auto } else { FailbackMode::Manual },
        after,
    });
    let interface = prop::option::of("[a-z]{1,15}");
    let tracked = prop::collection::btree_set("[a-z]{1,15}", 0..3);
    (names(), addresses, interface, nodes, failback, tracked, any::<bool>(), listeners()).prop_map(
        |(name, addresses, interface, nodes, failback, tracked, trust_probe, listeners)| {
            let track = Track { interfaces: tracked.into_iter().collect(), ping: vec!["203.0.113.1".parse().unwrap()] };
            Object::Vip(Arc::new(Vip { name, addresses, interface, nodes, failback, track, trust_probe, listeners }))
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read_back_as_it_was(object in prop_oneof![vips(), pools(), peers()]) {
        let text = canonical(&object).to_string();
        let decoded = decode(&Arc::new(Source::new("x.json", text.clone())));
        prop_assert_eq!(decoded.object.as_ref(), Some(&object), "{}: {:#?}", text, decoded.diagnostics);
        prop_assert_eq!(canonical(&object).to_string(), text);
    }
}
