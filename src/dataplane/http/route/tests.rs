use super::*;
use crate::model::{FieldMatch, Protocol, ValueMatch};
use proptest::prelude::*;

/// A request as a test has it.
#[derive(Debug, Clone, Default)]
struct Ask {
    host: Option<String>,
    path: String,
    method: String,
    fields: Vec<(String, String)>,
}

impl Asked for Ask {
    fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    fn path(&self) -> &str {
        &self.path
    }

    fn method(&self) -> &str {
        &self.method
    }

    fn has(&self, name: &str, is: impl Fn(&[u8]) -> bool) -> bool {
        self.fields.iter().any(|(known, value)| known.eq_ignore_ascii_case(name) && is(value.as_bytes()))
    }
}

fn get(host: &str, path: &str) -> Ask {
    Ask { host: Some(host.into()), path: path.into(), method: "GET".into(), fields: Vec::new() }
}

/// A route that leads to `name`.
fn to(name: &str) -> Route {
    Route::to(RouteAction::Redirect(Redirect { scheme: None, host: Some(name.into()), status: 302 }))
}

fn route(host: Option<&str>, path: Option<PathMatch>, name: &str) -> Route {
    let host = host.map(|host| match host.strip_prefix("*.") {
        Some(above) => HostMatch::Below(above.into()),
        None => HostMatch::Exact(host.into()),
    });
    Route { host, path, ..to(name) }
}

fn prefix(path: &str) -> Option<PathMatch> {
    Some(PathMatch::Prefix(path.into()))
}

fn exact(path: &str) -> Option<PathMatch> {
    Some(PathMatch::Exact(path.into()))
}

fn routes(routes: Vec<Route>) -> Routes {
    Routes::new(&Listener { routes, ..Listener::new(80, Protocol::Http, None) }, &BTreeMap::new())
}

fn found<'a>(routes: &'a Routes, asked: &Ask) -> &'a str {
    match routes.find(asked) {
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
        route(Some("www.example.com"), None, "www"),
        route(Some("www.example.com"), prefix("/img/"), "www-img"),
        route(Some("www.example.com"), prefix("/img"), "www-img-second"),
        route(Some("*.example.com"), None, "below"),
        route(Some("*.deep.example.com"), prefix("/x"), "deep"),
        route(Some("one.deep.example.com"), exact("/x"), "one"),
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
        ("a.b.Example.com", "/", "below"),
        (".example.com", "/", "any"),
        ("xexample.com", "/", "any"),
        ("deep.example.com", "/x", "below"),
        ("a.deep.example.com", "/x/y", "deep"),
        ("a.deep.example.com", "/", "below"),
        ("one.deep.example.com", "/x", "one"),
        ("one.deep.example.com", "/x/", "deep"),
        ("[2001:db8::1]", "/", "any"),
    ] {
        assert_eq!(found(&routes, &get(host, path)), wanted, "{host} {path}");
    }
}

#[test]
fn methods_and_fields_are_looked_at_last() {
    let post = || Route { methods: vec!["POST".into(), "PUT".into()], ..to("post") };
    let field = |name: &str, value| FieldMatch { name: name.into(), value };
    let canary = |value, target: &str| Route { fields: vec![field("x-canary", value)], ..to(target) };
    let both = Route {
        fields: vec![field("x-canary", ValueMatch::Present), field("x-user", ValueMatch::Exact("eve".into()))],
        ..to("both")
    };
    let routes = routes(vec![
        to("any"),
        canary(ValueMatch::Prefix("v2".into()), "v2"),
        canary(ValueMatch::Present, "canary"),
        both,
        post(),
        Route { fields: vec![field("x-canary", ValueMatch::Present)], ..post() },
    ]);
    let ask = |method: &str, fields: &[(&str, &str)]| Ask {
        method: method.into(),
        fields: fields.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect(),
        ..get("h", "/")
    };
    assert_eq!(found(&routes, &ask("GET", &[])), "any");
    assert_eq!(found(&routes, &ask("post", &[])), "any", "methods are case-sensitive");
    assert_eq!(found(&routes, &ask("PUT", &[])), "post");
    assert_eq!(found(&routes, &ask("PUT", &[("X-Canary", "1"), ("X-User", "eve")])), "post");
    assert_eq!(found(&routes, &ask("GET", &[("X-Canary", "v1")])), "canary");
    assert_eq!(found(&routes, &ask("GET", &[("X-Canary", "v1"), ("x-canary", "v2.1")])), "v2", "one of the lines");
    assert_eq!(found(&routes, &ask("GET", &[("X-Canary", ""), ("x-user", "eve")])), "both");
    assert_eq!(found(&routes, &ask("GET", &[("X-Canary", ""), ("x-user", "Eve")])), "canary");
}

#[test]
fn what_no_route_takes_is_not_found() {
    let routes = routes(vec![route(Some("a"), None, "a"), route(None, prefix("/x/"), "x")]);
    assert_eq!(found(&routes, &get("b", "/")), "404");
    assert_eq!(found(&routes, &get("b", "/x")), "x");
    assert!(routes.find(&Ask { host: None, ..get("", "/") }).is_none(), "a request without a host matches no host");
}

#[test]
fn the_root_prefix_matches_everything() {
    let routes = routes(vec![route(None, prefix("/"), "root")]);
    for path in ["/", "/a", "//", "*"] {
        assert_eq!(found(&routes, &get("h", path)), "root");
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
    assert_eq!(location(&to(None, Some("b.example")), "https", "a.example", "/"), "https://b.example/");
}

#[test]
fn the_listeners_edits_come_before_the_routes() {
    let pairs = |list: &[(&str, &str)]| list.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    let listener = FieldEdits {
        remove: vec!["X-Gone".into()],
        set: pairs(&[("X-A", "listener"), ("X-B", "listener")]),
        add: pairs(&[("X-C", "listener")]),
    };
    let route = FieldEdits {
        remove: vec!["x-b".into()],
        set: pairs(&[("X-A", "route"), ("X-Gone", "back")]),
        add: pairs(&[("X-C", "route")]),
    };
    let mut wanted = HeaderRules::default();
    wanted.remove("X-Gone");
    wanted.remove("X-A");
    wanted.remove("X-B");
    wanted.add("X-C", "listener");
    wanted.add("X-A", "route");
    wanted.add("X-Gone", "back");
    wanted.add("X-C", "route");
    assert_eq!(rules(&[&listener, &route]), Some(wanted));
    assert_eq!(rules(&[&FieldEdits::default(), &FieldEdits::default()]), None);
}

fn hosts() -> impl Strategy<Value = String> {
    "[ab]{1,2}(\\.[ab]{1,2}){0,3}"
}

fn paths() -> impl Strategy<Value = String> {
    "(/[ab]{0,2}){0,4}/?|\\*"
}

fn fields() -> impl Strategy<Value = Vec<(String, String)>> {
    prop::collection::vec(("x-[ab]", "[ab]{0,3}"), 0..4)
}

fn any_route() -> impl Strategy<Value = Route> {
    let host = prop_oneof![hosts().prop_map(HostMatch::Exact), hosts().prop_map(HostMatch::Below)];
    let path = || paths().prop_filter("as validation has it", |path| path.starts_with('/'));
    let path = prop_oneof![path().prop_map(PathMatch::Exact), path().prop_map(PathMatch::Prefix)];
    let value = prop_oneof![
        Just(ValueMatch::Present),
        "[ab]{1,2}".prop_map(ValueMatch::Prefix),
        "[ab]{0,2}".prop_map(ValueMatch::Exact)
    ];
    let field = ("x-[ab]", value).prop_map(|(name, value)| FieldMatch { name, value });
    let methods = prop::collection::vec("[AB]", 0..2);
    let rest = (methods, prop::collection::vec(field, 0..3));
    (prop::option::of(host), prop::option::of(path), rest).prop_map(|(host, path, (methods, fields))| Route {
        host,
        path,
        methods,
        fields,
        ..to("")
    })
}

fn any_ask() -> impl Strategy<Value = Ask> {
    let host = prop::option::of(prop_oneof![hosts(), hosts().prop_map(|host| host.to_uppercase()), "[ab.]{0,6}"]);
    let path = paths().prop_map(|path| if path.is_empty() { "/".to_owned() } else { path });
    (host, path, "[AB]", fields()).prop_map(|(host, path, method, fields)| Ask { host, path, method, fields })
}

proptest! {
    /// One by one in the documented order is what `lbagent route` does.
    #[test]
    fn what_is_found_is_the_first_that_matches(mut list in prop::collection::vec(any_route(), 0..24), asks in prop::collection::vec(any_ask(), 8)) {
        for (n, route) in list.iter_mut().enumerate() {
            route.action = to(&n.to_string()).action;
        }
        let compiled = routes(list.clone());
        for ask in asks {
            let first = Route::in_order(&list).into_iter().find(|(_, route)| route.mismatch(&ask).is_none());
            let wanted = first.map_or("404".to_owned(), |(n, _)| n.to_string());
            prop_assert_eq!(found(&compiled, &ask), wanted, "{:?}", ask);
        }
    }

    #[test]
    fn what_is_covered_gets_nothing(one in any_route(), other in any_route(), asks in prop::collection::vec(any_ask(), 16)) {
        if one.covers(&other) {
            for ask in asks {
                prop_assert!(other.mismatch(&ask).is_some() || one.mismatch(&ask).is_none(), "{:?}", ask);
            }
        }
        prop_assert!(one.covers(&one));
    }

    /// Only a route for the same hosts and paths can stand before one that it covers.
    #[test]
    fn who_covers_and_comes_first_has_the_same_place(one in any_route(), other in any_route()) {
        let (first, second) = (one.specificity(), other.specificity());
        if one.covers(&other) && first >= second {
            prop_assert!(first.has_same_place(&second), "{:?} {:?}", one, other);
        }
    }
}
