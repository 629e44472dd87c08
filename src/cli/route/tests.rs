use super::*;
use crate::{
    dataplane::Dataplane,
    desired::{documents, fixtures::put},
    model::{ListenerConfig, ProxyConfig},
    status::{BackendStatus, PoolStatus, Status, fixture, server},
};
use clap::Parser;
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read},
    net::{SocketAddr, TcpListener, TcpStream},
    num::NonZeroUsize,
    path::Path,
    sync::Arc,
    thread,
    time::Duration,
};

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: RouteArgs,
}

fn object(kind: &str, name: &str, spec: &str) -> String {
    format!(r#"{{ "apiVersion": "lbagent/v1", "kind": "{kind}", "metadata": {{ "name": "{name}" }}, "spec": {spec} }}"#)
}

fn pool(name: &str, more: &str, backends: &[&str]) -> String {
    let backend = |name: &&str| format!(r#"{{ "name": "{name}", "address": "192.0.2.1{}:80" }}"#, &name[1..]);
    let backends: Vec<String> = backends.iter().map(backend).collect();
    object("Pool", name, &format!(r#"{{ {more} "backends": [{}] }}"#, backends.join(", ")))
}

/// A site with two Vips.
fn site() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let listeners = r#"[
        { "port": 80, "protocol": "http", "pool": "web", "forwarded": { "trusted": ["192.0.2.0/24"] }, "routes": [
            { "redirect": { "scheme": "https" }, "host": "old.example.com" },
            { "host": "*.example.com", "methods": ["PUT"], "pool": "hash" },
            { "host": "*.example.com", "path": "/u", "headers": [{ "name": "X-A", "exact": "1" }], "pool": "uri" },
            { "host": "*.example.com", "path": { "exact": "/u" }, "pool": "uri" },
            { "path": "/dead", "pool": "dead" } ] },
        { "port": 81, "protocol": "http", "routes": [{ "path": "/only", "pool": "web" }] },
        { "port": 25, "protocol": "tcp", "pool": "hash", "proxyProtocol": { "from": ["192.0.2.9"] } } ]"#;
    let web =
        format!(r#"{{ "addresses": ["198.51.100.10", "2001:db8::10"], "nodes": ["lb1"], "listeners": {listeners} }}"#);
    let other = r#"{ "addresses": ["198.51.100.20"], "nodes": ["lb1"],
        "listeners": [{ "port": 81, "protocol": "http", "pool": "web" }] }"#;
    put(dir.path(), "lb1.json", &object("Peer", "lb1", r#"{ "addresses": ["192.0.2.1:694"] }"#));
    put(dir.path(), "web.json", &object("Vip", "web", &web));
    put(dir.path(), "other.json", &object("Vip", "other", other));
    put(dir.path(), "p-web.json", &pool("web", r#""sticky": { "cookie": { "name": "LB" } },"#, &["b1", "b2"]));
    put(dir.path(), "p-hash.json", &pool("hash", r#""balance": "source","#, &["h1", "h2", "h3"]));
    put(dir.path(), "p-uri.json", &pool("uri", r#""balance": "uri","#, &["u1", "u2", "u3", "u4"]));
    let dead = r#"{ "backends": [{ "name": "d1", "address": "192.0.2.99:80", "state": "maint" }] }"#;
    put(dir.path(), "p-dead.json", &object("Pool", "dead", dead));
    dir
}

fn options(words: &[&str], json: bool) -> Options {
    let args = Line::parse_from([&["route"], words].concat()).args;
    Options { args, socket: "/nonexistent/lbagent.sock".into(), json }
}

fn printed(options: &Options) -> (u8, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = print(options, &mut out, &mut err);
    (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

fn of_files(dir: &Path, words: &[&str]) -> (u8, String, String) {
    printed(&options(&[words, &["--state-dir", dir.to_str().unwrap()]].concat(), false))
}

/// The last line.
fn verdict(dir: &Path, words: &[&str]) -> (u8, String) {
    let (code, out, err) = of_files(dir, words);
    (code, out.lines().chain(err.lines()).last().unwrap_or_default().to_owned())
}

#[test]
fn a_request_is_followed_through_the_routes_to_a_backend() {
    let site = site();
    let (code, out, err) = of_files(site.path(), &["GET", "http://www.example.com/u/x", "--header", "Cookie: LB=b2"]);
    let dir = site.path().display();
    let wanted = format!(
        "GET http://www.example.com/u/x
  by the files in {dir}
  note: no check was asked: every backend is taken to be up
Vip web, port 80 (http) on 198.51.100.10, 2001:db8::10
Routes, the most specific first:
  no  routes[0]: host old.example.com – the host is www.example.com, not old.example.com
  no  routes[3]: host *.example.com, path exactly /u – not path exactly /u: the path is /u/x
  no  routes[2]: host *.example.com, path /u and below, x-a exactly \"1\" – there is no x-a exactly \"1\"
  no  routes[1]: host *.example.com, method PUT – the method is GET, not PUT
  no  routes[4]: path /dead and below – not path /dead and below: the path is /u/x
  no route takes it: it is for the listener's own pool
Pool web (roundrobin):
  b1 192.0.2.11:80 weight 1 up
  b2 192.0.2.12:80 weight 1 up
=> b2: its cookie LB names it
"
    );
    assert_eq!((code, out, err), (0, wanted, String::new()));
}

#[test]
fn each_way_to_be_answered_is_told() {
    let site = site();
    let verdict = |words: &[&str]| verdict(site.path(), words);
    for (words, code, wanted) in [
        (&["GET", "http://old.example.com/x?y"][..], 0, "=> redirect 302 to https://old.example.com/x?y"),
        (&["GET", "http://198.51.100.10/"], 0, "=> one of b1, b2, in turn, by weight"),
        (&["GET", "http://h/", "--header", "Cookie: LB=gone"], 0, "=> one of b1, b2, in turn, by weight"),
        (&["PUT", "http://a.example.com/"], 0, "=> one of h1, h2, h3, by the client's address: give it with --from"),
        (&["GET", "http://h/dead"], 1, "=> the proxy itself answers 503: no backend is in rotation"),
        (&["GET", "http://h:81/only", "--vip", "web"], 0, "=> one of b1, b2, in turn, by weight"),
        (
            &["GET", "http://h:81/", "--vip", "web"],
            1,
            "=> the proxy itself answers 404: no route takes it, and the listener has no pool",
        ),
        (&["GET", "http://198.51.100.20:81/"], 0, "=> one of b1, b2, in turn, by weight"),
        (
            &["GET", "http://h/", "--header", "Content-Length: x"],
            1,
            "=> the proxy itself answers 400: Content-Length is not a number",
        ),
        (&["GET", "http://h:8080/"], 1, "error: no Vip listens on port 8080"),
        (&["GET", "http://h/", "--vip", "wbe"], 1, "error: there is no Vip \"wbe\""),
        (&["GET", "http://h:81/"], 2, "error: several Vips listen on port 81: say which one with --vip (other, web)"),
        (
            &["GET", "https://h/"],
            2,
            "error: \"https://h/\" does not begin with http://, which is all that listeners speak",
        ),
        (&["GET", "http:///x"], 2, "error: \"http:///x\" has no host"),
        (&["GET", "http://h:x/"], 2, "error: \"http://h:x/\" has a port that is no port"),
        (&["GET", "http://h/", "--header", "X"], 2, "error: \"X\" is no field: write \"Name: value\""),
        (
            &["GET", "http://h/a b"],
            2,
            "error: a method and a URL have no spaces, and letters beyond ASCII are encoded (%C3%A9)",
        ),
    ] {
        assert_eq!(verdict(words), (code, wanted.to_owned()), "{words:?}");
    }
    let (_, mail) = verdict(&["GET", "http://h:25/", "--from", "203.0.113.9"]);
    assert!(mail.starts_with("=> h") && mail.ends_with(": by a hash of the address 203.0.113.9"), "{mail}");
    let mail = of_files(site.path(), &["GET", "http://h:25/"]).1;
    assert!(mail.contains("only 192.0.2.9 may connect there"), "{mail}");
}

#[test]
fn the_client_is_found_behind_trusted_proxies() {
    let site = site();
    let put = ["PUT", "http://a.example.com/", "--header", "X-Forwarded-For: 203.0.113.9"];
    let told = |from: &str| verdict(site.path(), &[&put[..], &["--from", from]].concat()).1;
    assert!(told("192.0.2.7").ends_with("by a hash of the address 203.0.113.9"));
    assert!(told("198.51.100.7").ends_with("by a hash of the address 198.51.100.7"));
}

#[test]
fn json_says_the_same() {
    let site = site();
    let words = ["GET", "http://www.example.com/u", "--state-dir", site.path().to_str().unwrap()];
    let (code, out, _) = printed(&options(&words, true));
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &json["vip"], &json["port"]), (0, &"web".into(), &80.into()));
    assert_eq!(json["routes"][1]["index"], 3);
    assert_eq!(json["routes"][1]["mismatch"], serde_json::Value::Null);
    assert_eq!((&json["furtherRoutes"], &json["outcome"]["pool"]["pool"]), (&3.into(), &"uri".into()));
}

#[test]
fn what_is_wrong_with_the_files_is_told() {
    let site = site();
    put(site.path(), "web.json", "{");
    let (code, out, err) = of_files(site.path(), &["GET", "http://h/"]);
    assert!(code == 1 && out.is_empty() && err.contains("web.json:1:1"), "{err}");
}

/// What is in force, and how the backends are, comes from the agent.
#[tokio::test]
async fn the_agent_is_asked_where_there_is_one() {
    let site = site();
    let desired = World::find(&Target::Socket("/".into()), Some(site.path())).unwrap().desired;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lbagent.sock");
    let template = fixture::World::new().status().pools[0].backends[0].clone();
    let backend = |name: &str, up, ejected| BackendStatus { name: name.into(), up, ejected, ..template.clone() };
    let backends = vec![backend("b1", false, false), backend("b2", true, false)];
    let hash = vec![backend("h1", true, true), backend("h2", true, false), backend("h3", false, false)];
    let pool = |name: &str, backends| PoolStatus { name: name.into(), backends, ..PoolStatus::default() };
    let status = Arc::new(Status { pools: vec![pool("web", backends), pool("hash", hash)], ..Status::default() });
    let source: server::Source = Arc::new(move || Box::pin(std::future::ready(status.clone())));
    let endpoint = server::Options { http: None, socket: Some(path.clone()), hostname: "lb1".into() };
    let server = server::start(endpoint, source, Arc::new(move || documents(&desired)));
    let opened = async {
        while !path.exists() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), opened).await.unwrap();
    let ask = |words: &'static [&str]| {
        let options = Options { socket: path.clone(), ..options(words, false) };
        tokio::task::spawn_blocking(move || printed(&options))
    };
    let (code, out, _) = ask(&["GET", "http://h/", "--header", "Cookie: LB=b1"]).await.unwrap();
    assert!(code == 0 && out.contains("by the agent at"), "{out}");
    assert!(out.contains("b1 192.0.2.11:80 weight 1 DOWN (gets nothing new)"), "{out}");
    assert!(out.ends_with("=> b2: no other is in rotation\n"), "{out}");
    let (_, out, _) = ask(&["PUT", "http://a.example.com/"]).await.unwrap();
    assert!(
        out.contains("h1 192.0.2.11:80 weight 1 ejected") && out.ends_with("=> h2: no other is in rotation\n"),
        "{out}"
    );
    server.stop().await;
}

/// A server that answers everything with its name.
fn named(name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{name}", name.len());
            let _ = stream.write_all(head.as_bytes());
        }
    });
    address
}

/// Whatever is predicted of hashes is what the data plane does.
#[test]
fn predictions_come_true() {
    let site = site();
    let mut world = World::find(&Target::Socket("/".into()), Some(site.path())).unwrap();
    let pool = Arc::make_mut(world.desired.pools.values_mut().find(|pool| &*pool.name == "uri").unwrap());
    let servers = ["u1", "u2", "u3", "u4"].map(named);
    pool.backends.iter_mut().zip(servers).for_each(|(backend, address)| backend.address = address);
    let vip = world.desired.vips.values().find(|vip| &*vip.name == "web").unwrap().clone();
    let listener = Arc::new(crate::model::Listener { pool: Some(pool.name.clone()), ..vip.listeners[0].clone() });
    let web = Arc::make_mut(world.desired.vips.get_mut(&vip.name).unwrap());
    web.listeners = vec![(*listener).clone()];
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let pools = world.desired.pools.keys().map(|name| (name.clone(), world.pool(name).unwrap())).collect();
    let listeners = BTreeMap::from([(address, ListenerConfig { vip: vip.name.clone(), listener })]);
    let plane = Dataplane::start(NonZeroUsize::MIN).unwrap();
    for result in plane.apply(Arc::new(ProxyConfig { listeners, pools })).into_values() {
        result.unwrap();
    }
    for n in 0..40 {
        let url = format!("http://h/path/{n}?query={n}");
        let asking = Asking::new(&options(&["GET", &url], false).args).unwrap();
        let answer = Answer::find(&asking, &world).unwrap();
        let answer::Outcome::Pool(choice) = answer.outcome else { panic!("{answer}") };
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
        let request = format!("GET /path/{n}?query={n} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        assert_eq!(response.rsplit("\r\n").next(), choice.backend.as_deref(), "{url}");
    }
}
