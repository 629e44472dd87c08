mod around;

use super::*;
use crate::{
    desired::{canonical::canonical, digest::desired},
    model::{Check, CheckKind, FailbackMode, PathMatch, Protocol, RouteAction, Severity, StatusRange},
};
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use std::time::Duration;

fn read(kind: &str, name: &str, spec: Json) -> Decoded {
    let document = json!({ "apiVersion": "lbagent/v1", "kind": kind, "metadata": { "name": name }, "spec": spec });
    decode(&Arc::new(Source::new("x.json", document.to_string())))
}

fn good(kind: &str, spec: Json) -> Object {
    let decoded = read(kind, "x", spec);
    decoded.object.unwrap_or_else(|| panic!("{:#?}", decoded.diagnostics))
}

fn peer(spec: Json) -> Arc<crate::model::Peer> {
    let Object::Peer(peer) = good("Peer", spec) else { panic!("no Peer") };
    peer
}

fn pool(mut spec: Json) -> Arc<crate::model::Pool> {
    spec["backends"] = json!([{ "name": "a", "address": "192.0.2.102:80" }]);
    let Object::Pool(pool) = good("Pool", spec) else { panic!("no Pool") };
    pool
}

fn messages(decoded: &Decoded) -> Vec<&str> {
    decoded.diagnostics.iter().map(|diagnostic| diagnostic.message.as_str()).collect()
}

#[test]
fn the_example_of_the_design_means_what_it_says() {
    let Object::Vip(vip) = good(
        "Vip",
        json!({
            "addresses": ["198.51.100.10", "2001:db8::10/64"], "interface": "eth0", "nodes": ["lb1", "lb2"],
            "failback": { "mode": "manual", "after": "1m" },
            "track": { "interfaces": ["eth0"], "ping": ["198.51.100.1"] },
            "listeners": [
                { "port": 80, "protocol": "http", "pool": "web",
                  "routes": [{ "host": "WWW.example.com", "path": "/api/", "pool": "api" },
                             { "path": { "exact": "/old" }, "redirect": { "scheme": "https", "status": 301 } }] },
                { "port": 25, "protocol": "tcp", "pool": "smtp", "timeouts": { "tunnel": "2h" } }
            ]
        }),
    ) else {
        panic!("no Vip")
    };
    assert_eq!(vip.addresses[1].prefix_len, 64);
    assert_eq!((vip.failback.mode, vip.failback.after), (FailbackMode::Manual, Duration::from_secs(60)));
    let http = &vip.listeners[0];
    assert_eq!(http.routes[0].host.as_deref(), Some("www.example.com"));
    assert_eq!(http.routes[0].path, Some(PathMatch::Prefix("/api/".into())));
    assert_eq!(http.routes[1].path, Some(PathMatch::Exact("/old".into())));
    assert!(matches!(&http.routes[1].action, RouteAction::Redirect(redirect) if redirect.status == 301));
    assert_eq!(vip.listeners[1].protocol, Protocol::Tcp);
    assert_eq!(vip.listeners[1].timeouts.tunnel, Duration::from_secs(7200));
    assert_eq!(vip.listeners[1].timeouts.idle, Duration::from_secs(60));
}

#[test]
fn what_is_left_out_has_its_default() {
    let pool = pool(json!({}));
    assert_eq!(pool.check, Check::default());
    assert_eq!((pool.backends[0].weight, pool.backends[0].backup, &pool.sticky), (1, false, &None));
    let Object::Vip(vip) = good("Vip", json!({ "addresses": ["192.0.2.9"], "nodes": ["lb1"] })) else { panic!() };
    assert_eq!((vip.failback.mode, vip.failback.after), (FailbackMode::Auto, Duration::from_secs(5)));
    assert!(vip.trust_probe);
}

#[test]
fn a_default_that_is_written_out_changes_no_digest_and_its_opposite_does() {
    let canonical = |spec| canonical(&good("Vip", spec));
    let plain = canonical(json!({ "addresses": ["192.0.2.9"], "nodes": ["lb1"] }));
    let trusting = canonical(json!({ "addresses": ["192.0.2.9"], "nodes": ["lb1"], "trustProbe": true }));
    let wary = canonical(json!({ "addresses": ["192.0.2.9"], "nodes": ["lb1"], "trustProbe": false }));
    assert_eq!(plain, trusting);
    assert_eq!(wary["spec"]["trustProbe"], false);
}

#[test]
fn the_dead_time_follows_a_longer_interval() {
    let millis = |spec: Json| {
        let heartbeat = peer(json!({ "addresses": ["192.0.2.1"], "heartbeat": spec })).heartbeat;
        (heartbeat.interval.as_millis(), heartbeat.dead_after.as_millis())
    };
    assert_eq!(millis(json!({})), (25, 100));
    assert_eq!(millis(json!({ "interval": "10ms" })), (10, 100));
    assert_eq!(millis(json!({ "interval": "100ms" })), (100, 400));
    assert_eq!(millis(json!({ "deadAfter": "1s" })), (25, 1000));
}

#[test]
fn a_checks_timeout_shrinks_with_its_interval_but_is_never_bent() {
    let timeout = |spec: Json| pool(json!({ "check": spec })).check.timeout.as_millis();
    assert_eq!(timeout(json!({ "interval": "500ms" })), 500);
    assert_eq!(timeout(json!({ "interval": "10s" })), 1000);
    let spec = json!({ "check": { "timeout": "5s" }, "backends": [{ "name": "a", "address": "192.0.2.1:80" }] });
    assert_eq!(
        messages(&read("Pool", "x", spec)),
        ["timeout 5s is longer than the interval of 2s at /spec/check/timeout"]
    );
}

#[test]
fn status_codes_may_be_a_text_or_a_list() {
    let expect =
        |expect: Json| match &pool(json!({ "check": { "http": { "path": "/", "expect": expect } } })).check.kind {
            CheckKind::Http { expect, .. } => expect.clone(),
            other => panic!("no HTTP check: {other:?}"),
        };
    let range = |first, last| StatusRange { first, last };
    assert_eq!(expect(json!("200,204")), [range(200, 200), range(204, 204)]);
    assert_eq!(expect(json!(["200", "300-399"])), [range(200, 200), range(300, 399)]);
}

#[test]
fn a_bad_file_still_says_which_object_it_is() {
    let decoded = read("Pool", "web", json!({ "balance": "fastest", "backends": [] }));
    assert_eq!(decoded.identity.unwrap().to_string(), "Pool/web");
    assert_eq!(decoded.object, None);
    assert_eq!(decoded.diagnostics[0].object.as_ref().unwrap().to_string(), "Pool/web");
    assert_eq!(read("Pool", "-", json!({ "backends": [] })).identity, None);
}

#[test]
fn only_so_many_mistakes_of_a_file_are_told() {
    let backends: Vec<_> = (0..5000).map(|_| json!({ "name": "", "address": "nowhere" })).collect();
    let decoded = read("Pool", "x", json!({ "backends": backends }));
    assert_eq!(decoded.diagnostics.len(), 21);
    assert_eq!(decoded.diagnostics[20].message, "and 9980 more");
}

#[test]
fn a_file_full_of_routes_is_read_in_time() {
    let routes: Vec<_> = (0..15_000).map(|i| json!({ "path": format!("/{i}"), "pool": "web" })).collect();
    let listeners = json!([{ "port": 80, "protocol": "http", "pool": "web", "routes": routes }]);
    let decoded = read("Vip", "x", json!({ "addresses": ["192.0.2.9"], "nodes": ["lb1"], "listeners": listeners }));
    assert!(decoded.object.is_some() && decoded.diagnostics.is_empty());
}

#[test]
fn warnings_do_not_hold_an_object_back() {
    let decoded = read("Vip", "x", json!({ "addresses": ["192.0.2.9"], "nodes": ["lb1"] }));
    assert!(decoded.object.is_some());
    assert_eq!(decoded.diagnostics[0].severity, Severity::Warning);
}

fn desired_of(objects: impl IntoIterator<Item = Object>) -> crate::model::Desired {
    desired(&objects.into_iter().map(|object| (object.reference(), object)).collect())
}

fn digest_of(text: &str) -> crate::model::Digest {
    let source = Arc::new(Source::new("x.jsonc", text));
    let decoded = decode(&source);
    let object = decoded.object.unwrap_or_else(|| panic!("{:#?}", decoded.diagnostics));
    *desired_of([object]).digests.values().next().unwrap()
}

#[test]
fn a_digest_sees_the_meaning_and_nothing_else() {
    let digest = digest_of(
        r#"{"apiVersion":"lbagent/v1","kind":"Peer","metadata":{"name":"lb1"},
            "spec":{"addresses":["2001:db8::1"],"heartbeat":{"interval":"1s"}}}"#,
    );
    let same = r#"{
        "$schema": "./.schema/Peer.json", // for the editor
        "spec": { "heartbeat": { "deadAfter": "4000ms", "interval": "1000ms" },
                  "interfaces": {}, "addresses": ["[2001:DB8:0:0::0001]:694"] },
        "metadata": { "name": "lb1" }, "kind": "Peer", "apiVersion": "lbagent/v1"
    }"#;
    assert_eq!(digest_of(same), digest);
    assert_ne!(digest_of(&same.replace("4000ms", "4001ms")), digest);
    assert_ne!(digest_of(&same.replace("lb1", "lb2")), digest);
}

#[test]
fn the_canonical_form_is_pinned() {
    let object = good(
        "Pool",
        json!({ "balance": "roundrobin", "check": { "tcp": {}, "interval": "2000ms", "rise": 5 },
                "backends": [{ "name": "a", "address": "192.0.2.102:80", "weight": 1 }] }),
    );
    let expected = r#"{"apiVersion":"lbagent/v1","kind":"Pool","metadata":{"name":"x"},"spec":{"backends":[{"address":"192.0.2.102:80","name":"a"}],"check":{"rise":5}}}"#;
    assert_eq!(canonical(&object).to_string(), expected);
    assert_eq!(desired_of([object]).digests.values().next().unwrap().to_string(), "7045f3d72fe45dd1");
}

#[test]
fn a_vips_digest_covers_what_it_names_and_only_that() {
    let vip = json!({ "addresses": ["198.51.100.10"], "nodes": ["lb1"],
                      "listeners": [{ "port": 80, "protocol": "http", "pool": "web" }] });
    let object = |kind: &str, name: &str, spec: Json| read(kind, name, spec).object.unwrap();
    let pool = |port: u16| json!({ "backends": [{ "name": "a", "address": format!("192.0.2.102:{port}") }] });
    let peer = |port: u16| json!({ "addresses": [format!("192.0.2.1:{port}")] });
    let digest = |web: u16, other: u16, lb1: u16| {
        let objects = [
            object("Vip", "web", vip.clone()),
            object("Pool", "web", pool(web)),
            object("Pool", "other", pool(other)),
            object("Peer", "lb1", peer(lb1)),
        ];
        *desired_of(objects).vip_digests.values().next().unwrap()
    };
    let first = digest(80, 80, 694);
    assert_eq!(digest(80, 81, 694), first);
    assert_ne!(digest(81, 80, 694), first);
    assert_ne!(digest(80, 80, 695), first);
}

/// Values that a spec may hold somewhere, right and wrong.
fn values() -> impl Strategy<Value = Json> {
    let texts = prop::sample::select(vec![
        "198.51.100.10",
        "192.0.2.1:80",
        "2001:db8::10/64",
        "eth0",
        "lb1",
        "web",
        "2s",
        "100ms",
        "http",
        "tcp",
        "/a/",
        "",
        "200-399",
        "www.example.com",
        "roundrobin",
        "source",
        "manual",
        "\u{0}",
        "x",
    ]);
    let leaf = prop_oneof![
        4 => texts.prop_map(|text| json!(text)),
        1 => any::<i64>().prop_map(|number| json!(number)),
        1 => (0i64..70000).prop_map(|number| json!(number)),
        1 => any::<f64>().prop_map(|number| json!(number)),
        1 => any::<bool>().prop_map(|flag| json!(flag)),
        1 => Just(Json::Null),
    ];
    let keys = prop::sample::select(vec![
        "addresses",
        "interface",
        "nodes",
        "failback",
        "track",
        "listeners",
        "port",
        "protocol",
        "pool",
        "routes",
        "host",
        "path",
        "exact",
        "redirect",
        "timeouts",
        "balance",
        "sticky",
        "cookie",
        "appCookie",
        "source",
        "uri",
        "query",
        "header",
        "name",
        "check",
        "http",
        "tcp",
        "expect",
        "interval",
        "timeout",
        "rise",
        "backends",
        "address",
        "weight",
        "heartbeat",
        "deadAfter",
        "interfaces",
        "mode",
    ]);
    leaf.prop_recursive(4, 24, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::Array),
            prop::collection::btree_map(keys.clone().prop_map(String::from), inner, 0..5)
                .prop_map(|map| Json::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(text in "\\PC{0,200}") {
        decode(&Arc::new(Source::new("x.jsonc", text)));
    }

    #[test]
    fn no_json_makes_it_panic_and_whoever_is_refused_is_told_why(
        kind in prop::sample::select(vec!["Vip", "Pool", "Peer"]),
        spec in values(),
    ) {
        let decoded = read(kind, "x", spec);
        let errors = decoded.diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count();
        prop_assert_eq!(decoded.object.is_none(), errors > 0);
        for diagnostic in &decoded.diagnostics {
            prop_assert!(diagnostic.position().is_some_and(|position| position.line > 0));
            crate::desired::render(diagnostic);
        }
    }

    #[test]
    fn no_truncation_and_no_flipped_byte_makes_it_panic(
        file in prop::sample::select(vec!["vip-web", "pool-web", "pool-smtp", "peer-lb1"]),
        end in 0usize..2000,
        at in 0usize..2000,
        byte in 0u8..128,
    ) {
        let path = format!("{}/state/{file}.json", env!("CARGO_MANIFEST_DIR"));
        let mut bytes = std::fs::read(path).unwrap();
        let cut = String::from_utf8(bytes[..end.min(bytes.len())].to_vec()).unwrap();
        let whole = cut.trim_end().ends_with('}') && end >= bytes.len() - 1;
        prop_assert_eq!(decode(&Arc::new(Source::new("x.json", cut))).object.is_some(), whole);
        let at = at % bytes.len();
        bytes[at] = byte;
        decode(&Arc::new(Source::new("x.json", String::from_utf8(bytes).unwrap())));
    }
}
