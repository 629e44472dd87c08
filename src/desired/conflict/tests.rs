use super::*;
use crate::desired::fixtures::{document, loaded, peer, pool, vip};

/// The objects in `texts`, which must be good by themselves.
fn objects<const N: usize>(texts: [String; N]) -> Objects {
    let names = ["0.json", "1.json", "2.json", "3.json", "4.json"];
    let files = loaded(names.into_iter().zip(texts)).files;
    let object = |file: crate::desired::LoadedFile| {
        let Some(object) = file.decoded.object else { panic!("{:#?}", file.decoded.diagnostics) };
        (object.reference(), object)
    };
    files.into_iter().map(object).collect()
}

/// Each conflict as `OBJECT POINTER: MESSAGE`, both sides.
fn told(objects: &Objects) -> Vec<String> {
    let side = |side: &Side| format!("{} {}: {}", side.object, side.pointer, side.message);
    let told = conflicts(objects).into_iter().flat_map(|conflict| match conflict {
        Conflict::Missing { by, .. } => vec![side(&by)],
        Conflict::Between(one, other) => vec![side(&one), side(&other)],
    });
    told.collect()
}

fn lb(number: u8) -> String {
    peer(&format!("lb{number}"), &format!("\"192.0.2.{number}\""))
}

#[test]
fn objects_that_get_along_are_in_no_conflict() {
    let web = pool("web", "192.0.2.102:80");
    assert!(told(&objects([lb(1), lb(2), web, vip("web", "198.51.100.10", "\"lb1\",\"lb2\"", "web")])).is_empty());
    assert!(told(&Objects::new()).is_empty());
}

#[test]
fn a_name_that_nobody_bears_dangles() {
    let found = told(&objects([lb(1), vip("web", "198.51.100.10", "\"lb1\",\"lb2\"", "web")]));
    assert_eq!(
        found,
        ["Vip/web /spec/nodes/1: there is no Peer \"lb2\"", "Vip/web /spec/listeners/0/pool: there is no Pool \"web\"",]
    );
}

#[test]
fn an_address_belongs_to_one_object_however_it_is_spelt() {
    let web = || pool("web", "192.0.2.102:80");
    let one = |address| vip("a", address, "\"lb1\"", "web");
    let two = vip("b", "2001:db8:0::10/64", "\"lb1\"", "web");
    assert_eq!(told(&objects([lb(1), web(), one("2001:DB8::10"), two])).len(), 2);
    let found = told(&objects([lb(1), web(), one("192.0.2.1")]));
    assert_eq!(
        found,
        [
            "Vip/a /spec/addresses/0: the address 192.0.2.1 is also that of Peer/lb1",
            "Peer/lb1 /spec/addresses/0: the address 192.0.2.1 is also that of Vip/a",
        ]
    );
    let found = told(&objects([lb(1), web(), one("192.0.2.102")]));
    assert_eq!(found[1], "Pool/web /spec/backends/0/address: the address 192.0.2.102 is also that of Vip/a");
}

#[test]
fn on_loopback_only_the_same_port_is_a_conflict() {
    let local = |port| pool("web", &format!("127.0.0.1:{port}"));
    let node = || peer("lb1", "\"127.0.0.1\"");
    let on_lo = || vip("web", "127.0.0.1", "\"lb1\"", "web");
    assert!(told(&objects([node(), local(8080), on_lo()])).is_empty());
    assert_eq!(told(&objects([node(), local(80), on_lo()])).len(), 2);
}

#[test]
fn peers_pair_up_by_count_and_family() {
    let one = || peer("lb1", "\"192.0.2.1\", \"2001:db8::1\"");
    let told = |other| told(&objects([one(), other]));
    assert!(told(peer("lb2", "\"192.0.2.2\", \"2001:db8::2\"")).is_empty());
    let found = told(peer("lb2", "\"192.0.2.2\""));
    assert!(found[0].starts_with("Peer/lb1 /spec/addresses: ") && found[0].ends_with("2 here, but 1 in Peer/lb2"));
    assert!(found[1].starts_with("Peer/lb2 /spec/addresses: ") && found[1].ends_with("1 here, but 2 in Peer/lb1"));
    let found = told(peer("lb2", "\"192.0.2.2\", \"192.0.2.3\""));
    assert!(found[1].ends_with("/spec/addresses/1: the addresses of the Peers do not pair up: this address is IPv4, but that of Peer/lb1 is IPv6"));
    assert_eq!(told(peer("lb2", "\"2001:db8::2\", \"192.0.2.2\"")).len(), 2);
}

#[test]
fn two_peers_do_not_share_an_endpoint() {
    assert_eq!(told(&objects([peer("lb1", "\"192.0.2.1\""), peer("lb2", "\"192.0.2.1:694\"")])).len(), 2);
    assert!(told(&objects([peer("lb1", "\"127.0.0.1:7001\""), peer("lb2", "\"127.0.0.1:7002\"")])).is_empty());
}

#[test]
fn a_sticky_pool_is_for_http() {
    let sticky = r#"{"sticky":{"cookie":{"name":"LB"}},"backends":[{"name":"a","address":"192.0.2.102:80"}]}"#;
    let listener = |protocol| {
        let spec =
            r#"{"addresses":["198.51.100.10"],"nodes":["lb1"],"listeners":[{"port":80,"protocol":"P","pool":"web"}]}"#;
        document("Vip", "web", &spec.replace('P', protocol))
    };
    assert!(told(&objects([lb(1), document("Pool", "web", sticky), listener("http")])).is_empty());
    let found = told(&objects([lb(1), document("Pool", "web", sticky), listener("tcp")]));
    assert_eq!(
        found[0],
        "Vip/web /spec/listeners/0/pool: a TCP listener cannot use Pool/web, which is sticky by a cookie"
    );
    assert!(found[1].starts_with("Pool/web /spec/sticky: "));
    let by_path = sticky.replace(r#""sticky":{"cookie":{"name":"LB"}}"#, r#""balance":"uri""#);
    assert!(told(&objects([lb(1), document("Pool", "web", &by_path), listener("http")])).is_empty());
    let found = told(&objects([lb(1), document("Pool", "web", &by_path), listener("tcp")]));
    assert!(found[1].starts_with("Pool/web /spec/balance: "), "{found:?}");
    let by_address = sticky.replace(r#"{"cookie":{"name":"LB"}}"#, r#"{"source":{}}"#);
    assert!(told(&objects([lb(1), document("Pool", "web", &by_address), listener("tcp")])).is_empty());
}

#[test]
fn an_alias_is_an_alias_on_every_node_of_the_vip() {
    let node = |name: &str, last: u8, interfaces: &str| {
        document("Peer", name, &format!(r#"{{"addresses":["192.0.2.{last}"],"interfaces":{interfaces}}}"#))
    };
    let spec = r#"{"addresses":["198.51.100.10"],"interface":"front","nodes":["lb1","lb2"]}"#;
    let count = |two: &str| {
        let front = r#"{"front":"eno1"}"#;
        oddities(&objects([node("lb1", 1, front), node("lb2", 2, two), document("Vip", "web", spec)])).len()
    };
    assert_eq!(count("{}"), 1);
    assert_eq!(count(r#"{"front":"enp3s0"}"#), 0);
}
