use super::harness::*;
use crate::model::{Balance, SameSite, Sticky, StickyCookie};
use std::{collections::BTreeSet, time::Duration};

fn setup(servers: &[Server]) -> Setup {
    Setup::http(&servers.iter().map(|s| s.address).collect::<Vec<_>>())
}

fn named() -> [Server; 3] {
    [Server::named("b0"), Server::named("b1"), Server::named("b2")]
}

/// A request with these field lines: who answered, and what the client is told to keep.
fn ask(lab: &Lab, path: &str, fields: &str) -> (String, Option<String>) {
    let response = lab.connect().ask(&format!("GET {path} HTTP/1.1\r\nHost: t\r\n{fields}\r\n"));
    let who = response.text().split(' ').next().unwrap().to_owned();
    (who, response.field("set-cookie").map(ToOwned::to_owned))
}

#[test]
fn a_cookie_has_the_attributes_that_it_should_have() {
    let servers = named();
    let mut setup = setup(&servers[..1]);
    let cookie = StickyCookie {
        same_site: SameSite::None,
        secure: true,
        domain: Some("example.com".into()),
        max_age: Some(Duration::from_secs(3600)),
        ..StickyCookie::named("LB")
    };
    setup.pool.sticky = Some(Sticky::Cookie(cookie));
    let (_, set) = ask(&setup.run(), "/", "");
    let wanted = "LB=b0; Path=/; Domain=example.com; Max-Age=3600; Secure; HttpOnly; SameSite=None";
    assert_eq!(set.as_deref(), Some(wanted));
}

#[test]
fn a_cookie_of_the_application_leads_back_to_its_backend() {
    let serve = |name: &'static str| {
        Server::http(move |request, _| {
            let set = match request.path() {
                "/login" => format!("Set-Cookie: other=1\r\nset-cookie: id=\"{name}s\"; Path=/\r\n"),
                "/logout" => "Set-Cookie: id=; Max-Age=0\r\n".into(),
                _ => String::new(),
            };
            Act::Send(format!("HTTP/1.1 200 OK\r\n{set}Content-Length: 2\r\n\r\n{name}"))
        })
    };
    let servers = [serve("b0"), serve("b1"), serve("b2")];
    let mut setup = setup(&servers);
    setup.pool.sticky = Some(Sticky::AppCookie { name: "id".into() });
    let lab = setup.run();
    let response = lab.connect().ask("GET /login HTTP/1.1\r\nHost: t\r\n\r\n");
    let first = response.text().to_owned();
    let cookie = format!("id=\"{first}~{first}s\"");
    assert!(response.head.contains("\r\nSet-Cookie: other=1\r\n"), "{}", response.head);
    assert!(response.head.contains(&format!("\r\nSet-Cookie: {cookie}; Path=/\r\n")), "{}", response.head);
    let keeps = format!("Cookie: a=1; {cookie}; b=2\r\nCookie: id=gone~x\r\n");
    for _ in 0..5 {
        assert_eq!(ask(&lab, "/", &keeps), (first.clone(), None));
    }
    let own = servers.iter().find(|s| s.seen().len() >= 5).unwrap();
    let seen = own.seen().pop().unwrap();
    let cookies: Vec<_> = seen.head.lines().filter(|line| line.starts_with("Cookie: ")).collect();
    assert_eq!(cookies, [format!("Cookie: a=1; id=\"{first}s\"; b=2"), "Cookie: id=x".into()]);
    assert_eq!(ask(&lab, "/logout", &keeps), (first.clone(), Some("id=; Max-Age=0".into())), "as it was");
    // Draining keeps its clients and gets no others.
    setup.pool.backends.iter_mut().for_each(|b| b.weight = u16::from(b.name.as_str() != first));
    lab.apply(&setup);
    assert_eq!(ask(&lab, "/", &keeps).0, first);
    assert!((0..6).all(|_| ask(&lab, "/", "").0 != first));
    // Down: another one, which makes a session of its own.
    setup.down.insert(name(&first));
    lab.apply(&setup);
    let (other, _) = ask(&lab, "/", &keeps);
    assert_ne!(other, first);
    let again = lab.connect().ask(&format!("GET /login HTTP/1.1\r\nHost: t\r\n{keeps}\r\n"));
    let who = again.text();
    assert!(who != first && again.head.contains(&format!("id=\"{who}~{who}s\"")), "{}", again.head);
}

#[test]
fn a_client_is_kept_by_its_address_whatever_the_algorithm() {
    let servers = named();
    for protocol in [Setup::http, Setup::tcp] {
        let mut setup = protocol(&servers.each_ref().map(|s| s.address));
        setup.pool.sticky = Some(Sticky::Source);
        let lab = setup.run();
        let first = ask(&lab, "/", "").0;
        assert!((0..9).all(|_| ask(&lab, "/", "") == (first.clone(), None)));
        setup.down.insert(name(&first));
        lab.apply(&setup);
        let second = ask(&lab, "/", "").0;
        assert!(second != first && (0..9).all(|_| ask(&lab, "/", "").0 == second));
        setup.down.clear();
        lab.apply(&setup);
        assert_eq!(ask(&lab, "/", "").0, first, "it is home again");
    }
}

#[test]
fn a_home_that_refuses_is_left_for_another() {
    let servers = named();
    let mut setup = setup(&servers);
    setup.pool.sticky = Some(Sticky::Source);
    let first = ask(&setup.run(), "/", "").0;
    let place: usize = first[1..].parse().unwrap();
    setup.pool.backends[place].address = free_address();
    assert_ne!(ask(&setup.run(), "/", "").0, first);
}

#[test]
fn what_is_asked_for_decides() {
    let servers = named();
    let mut setup = setup(&servers);
    setup.pool.balance = Balance::Uri { query: false };
    let lab = setup.run();
    let of = |path: &str| ask(&lab, path, "").0;
    let all: BTreeSet<_> = (0..30).map(|n| of(&format!("/{n}"))).collect();
    assert_eq!(all.len(), 3, "{all:?}");
    let page = of("/page");
    assert!((0..20).all(|n| of(&format!("/page?{n}")) == page), "the query does not count");
    setup.pool.balance = Balance::Uri { query: true };
    lab.apply(&setup);
    let all: BTreeSet<_> = (0..30).map(|n| of(&format!("/page?{n}"))).collect();
    assert_eq!(all.len(), 3, "{all:?}");
    assert!((0..5).all(|_| of("/page?1") == of("/page?1")));
}

#[test]
fn a_field_decides_and_without_it_requests_take_turns() {
    let servers = named();
    let mut setup = setup(&servers);
    setup.pool.balance = Balance::Header("X-User".into());
    let lab = setup.run();
    let of = |user: &str| ask(&lab, "/", &format!("x-user:  {user} \r\n")).0;
    let all: BTreeSet<_> = (0..30).map(|n| of(&format!("user{n}"))).collect();
    assert_eq!(all.len(), 3, "{all:?}");
    let ann = of("ann");
    assert!((0..9).all(|_| of("ann") == ann));
    let without: BTreeSet<_> = (0..12).map(|_| ask(&lab, "/", "").0).collect();
    assert_eq!(without.len(), 3, "{without:?}");
}
