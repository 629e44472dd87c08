use super::*;
use crate::dataplane::http::engine::{RequestEvent, Requests};

fn request<T>(fields: &str, f: impl FnOnce(&Request<'_>) -> T) -> T {
    let head = format!("GET / HTTP/1.1\r\nHost: www.example.com:8080\r\n{fields}\r\n");
    match Requests::default().next(head.as_bytes()) {
        Ok((_, RequestEvent::Head(request))) => f(&request),
        other => panic!("{other:?}"),
    }
}

fn told(x_forwarded: bool, rfc7239: bool, earlier: Earlier) -> Told {
    Told { x_forwarded, rfc7239, earlier }
}

/// What a backend gets besides the request line and the host.
fn forwarded(told: Told, rules: Option<&HeaderRules>, peer: &str, fields: &str) -> String {
    let mut out = Vec::new();
    let local = "198.51.100.10:80".parse().unwrap();
    let forwarding = Forwarding { told, rules, ..Forwarding::new(peer.parse().unwrap(), local, "http") };
    request(fields, |request| request.write_forward(&forwarding, &mut out));
    let text = String::from_utf8(out).unwrap();
    let text = text.strip_prefix("GET / HTTP/1.1\r\nHost: www.example.com:8080\r\n").unwrap();
    text.strip_suffix("Via: 1.1 lbagent\r\n\r\n").unwrap_or(text).replace("\r\n", "\n")
}

const SAID: &str = "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: shop.example\r\n\
                    X_Forwarded_For: 1.2.3.4\r\nForwarded: for=203.0.113.9;proto=https\r\nAccept: a\r\n";

#[test]
fn by_default_the_list_is_extended_and_the_rest_is_what_is_seen_here() {
    assert_eq!(
        forwarded(Told::default(), None, "192.0.2.9", SAID),
        "Forwarded: for=203.0.113.9;proto=https\nAccept: a\nX-Forwarded-For: 203.0.113.9, 192.0.2.9\n\
         X-Forwarded-Proto: http\nX-Forwarded-Host: www.example.com:8080\n"
    );
}

#[test]
fn what_strangers_say_does_not_survive_in_any_spelling() {
    assert_eq!(
        forwarded(told(true, true, Earlier::Dropped), None, "2001:db8::9", SAID),
        "Accept: a\nX-Forwarded-For: 2001:db8::9\nX-Forwarded-Proto: http\nX-Forwarded-Host: www.example.com:8080\n\
         Forwarded: for=\"[2001:db8::9]\";host=\"www.example.com:8080\";proto=http\n"
    );
    let only_x = forwarded(told(true, false, Earlier::Dropped), None, "192.0.2.9", SAID);
    assert!(!only_x.contains("\nForwarded") && !only_x.starts_with("Forwarded"), "{only_x}");
    let only_rfc = forwarded(told(false, true, Earlier::Dropped), None, "::ffff:192.0.2.9", SAID);
    assert_eq!(only_rfc, "Accept: a\nForwarded: for=192.0.2.9;host=\"www.example.com:8080\";proto=http\n");
}

#[test]
fn what_trusted_proxies_say_is_kept_and_extended() {
    assert_eq!(
        forwarded(told(true, true, Earlier::Kept), None, "192.0.2.9", SAID),
        "X-Forwarded-Proto: https\nX-Forwarded-Host: shop.example\nAccept: a\nX-Forwarded-For: 203.0.113.9, 192.0.2.9\n\
         Forwarded: for=203.0.113.9;proto=https, for=192.0.2.9;host=\"www.example.com:8080\";proto=http\n"
    );
    let silent = forwarded(told(true, false, Earlier::Kept), None, "192.0.2.9", "");
    let own = "X-Forwarded-For: 192.0.2.9\nX-Forwarded-Proto: http\nX-Forwarded-Host: www.example.com:8080\n";
    assert_eq!(silent, own, "what is not said is said here");
    let nominated =
        "Connection: X-Forwarded-For, x-forwarded-proto\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\n";
    assert_eq!(forwarded(told(true, false, Earlier::Kept), None, "192.0.2.9", nominated), own);
}

#[test]
fn told_in_one_spelling_the_other_passes() {
    let rfc = forwarded(told(false, true, Earlier::Extended), None, "192.0.2.9", SAID);
    assert!(rfc.starts_with("X-Forwarded-For: 203.0.113.9\nX-Forwarded-Proto: https\n"), "{rfc}");
    let none = forwarded(told(false, false, Earlier::Extended), None, "192.0.2.9", SAID);
    assert_eq!(none, SAID.replace("\r\n", "\n"), "nothing is added and nothing removed");
}

#[test]
fn rules_have_the_last_word() {
    let mut rules = HeaderRules::default();
    rules.set("X-Forwarded-Proto", "https");
    rules.remove("x-forwarded-host");
    rules.remove("Accept");
    rules.remove("Cookie");
    rules.add("X-Edge", "lb");
    let fields = format!("{SAID}Cookie: a=b\r\n");
    assert_eq!(
        forwarded(told(true, false, Earlier::Dropped), Some(&rules), "192.0.2.9", &fields),
        "X-Forwarded-For: 192.0.2.9\nVia: 1.1 lbagent\nX-Forwarded-Proto: https\nX-Edge: lb\n\n"
    );
    rules.remove("X-Forwarded-For");
    rules.remove("Forwarded");
    let silent = forwarded(told(true, true, Earlier::Kept), Some(&rules), "192.0.2.9", &fields);
    assert_eq!(silent, "Via: 1.1 lbagent\nX-Forwarded-Proto: https\nX-Edge: lb\n\n");
}

fn ips(list: &[Option<&str>]) -> Vec<Option<IpAddr>> {
    list.iter().map(|ip| ip.map(|ip| ip.parse().unwrap())).collect()
}

#[test]
fn the_way_is_read_from_its_end() {
    let way = |fields: &str| request(fields, |request| request.x_forwarded_for().collect::<Vec<_>>());
    let two =
        "X-Forwarded-For: 203.0.113.1, ,unknown\r\nX-Forwarded-For: 203.0.113.3:81,[2001:db8::4]:82 , 2001:db8::5\r\n";
    let wanted = [Some("2001:db8::5"), Some("2001:db8::4"), Some("203.0.113.3"), None, Some("203.0.113.1")];
    assert_eq!(way(two), ips(&wanted));
    assert_eq!(way("X-Forwarded-For: [203.0.113.1], 203.0.113.1x, [2001:db8::1, a b\r\n"), vec![None; 4]);
    assert_eq!(way("Connection: x-forwarded-for\r\nX-Forwarded-For: 203.0.113.1\r\n"), vec![]);
}

#[test]
fn forwarded_is_read_with_its_quotes() {
    let hops = |value: &str| {
        let field = format!("Forwarded: {value}\r\n");
        request(&field, |r| {
            r.forwarded().iter().map(|hop| (hop.from, hop.proto.map(<[u8]>::to_vec))).collect::<Vec<_>>()
        })
    };
    let from = |value: &str| hops(value).into_iter().map(|(from, _)| from).collect::<Vec<_>>();
    assert_eq!(from("for=192.0.2.60;proto=http;by=203.0.113.43"), ips(&[Some("192.0.2.60")]));
    assert_eq!(
        from("For=\"[2001:db8:cafe::17]:4711\", for=192.0.2.1;host=\"a,b;c\\\"d\", , for=\"192.0.2.2:_x\""),
        ips(&[Some("192.0.2.2"), Some("192.0.2.1"), Some("2001:db8:cafe::17")])
    );
    assert_eq!(
        from("for=192.0.2.1, for=unknown, for=_hidden, proto=http"),
        ips(&[None, None, None, Some("192.0.2.1")])
    );
    assert_eq!(from("for=192.0.2.1, by=\"for=192.0.2.2, for=192.0.2.3"), ips(&[None, Some("192.0.2.1")]));
    assert_eq!(hops("for=192.0.2.1; Proto=\"https\"")[0].1.as_deref(), Some(&b"https"[..]));
}
