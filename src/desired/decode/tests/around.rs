//! Access logs, limits, and the checks that speak something other than HTTP.

use super::*;
use crate::model::{Expect, LogTarget, RequestRate};

#[test]
fn a_listener_is_logged_and_its_clients_are_limited() {
    let listener = |more: Json| {
        let mut listener = json!({ "port": 80, "protocol": "http", "pool": "web" });
        listener.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "addresses": ["192.0.2.9"], "nodes": ["lb1"], "listeners": [listener] })
    };
    let vip = |more| match good("Vip", listener(more)) {
        Object::Vip(vip) => vip.listeners[0].clone(),
        _ => panic!(),
    };
    let log = |to: Json| vip(json!({ "accessLog": { "format": "haproxy", "to": to } })).access_log.unwrap().to;
    assert_eq!(log(json!("stdout")), LogTarget::Stdout);
    assert_eq!(log(json!({ "file": "/var/log/x.log" })), LogTarget::File("/var/log/x.log".into()));
    assert_eq!(log(json!({ "syslog": "/dev/log" })), LogTarget::Syslog("/dev/log".into()));
    let limits = json!({ "connectionsPerSource": 9, "requestsPerSource": { "count": 100, "per": "10s" } });
    let limits = vip(json!({ "limits": limits })).limits;
    assert_eq!(limits.connections, Some(9));
    assert_eq!(limits.requests, Some(RequestRate { count: 100, per: Duration::from_secs(10) }));
    for (more, complaint) in [
        (
            json!({ "accessLog": { "format": "haproxy", "to": { "file": "x.log" } } }),
            "\"x.log\" is no absolute path of a file at /spec/listeners/0/accessLog/to/file",
        ),
        (
            json!({ "limits": { "connectionsPerSource": 0 } }),
            "connectionsPerSource 0 is out of range: it lies between 1 and 65535 at /spec/listeners/0/limits/connectionsPerSource",
        ),
        (
            json!({ "limits": { "requestsPerSource": { "count": 1, "per": "1ms" } } }),
            "a period lies between 10ms and 1h, not 1ms at /spec/listeners/0/limits/requestsPerSource/per",
        ),
        (
            json!({ "protocol": "tcp", "limits": { "requestsPerSource": { "count": 1, "per": "1s" } } }),
            "a TCP listener has no requests to count at /spec/listeners/0/limits/requestsPerSource",
        ),
    ] {
        assert_eq!(messages(&read("Vip", "x", listener(more))), [complaint]);
    }
}

#[test]
fn a_check_may_speak_what_the_backend_speaks() {
    let kind = |check: Json| pool(json!({ "check": check })).check.kind.clone();
    assert_eq!(kind(json!({ "tcp": {} })), CheckKind::Tcp);
    let ping = kind(json!({ "tcp": { "send": "PING\\r\n\\x00", "expect": "+PONG" } }));
    let expect = Expect::Contains(b"+PONG".to_vec());
    assert_eq!(ping, CheckKind::Exchange { send: b"PING\r\n\0".to_vec(), expect });
    let greets = kind(json!({ "tcp": { "expect": { "prefix": "SSH-2.0-" } } }));
    assert_eq!(greets, CheckKind::Exchange { send: Vec::new(), expect: Expect::Begins(b"SSH-2.0-".to_vec()) });
    assert_eq!(kind(json!({ "smtp": {} })), CheckKind::Smtp { hello: "localhost".into() });
    assert_eq!(kind(json!({ "smtp": { "hello": "lb1.example" } })), CheckKind::Smtp { hello: "lb1.example".into() });
    assert_eq!(kind(json!({ "mysql": {} })), CheckKind::Mysql { user: None });
    assert_eq!(kind(json!({ "mysql": { "user": "haproxy" } })), CheckKind::Mysql { user: Some("haproxy".into()) });
    let backends = json!([{ "name": "a", "address": "192.0.2.1:80" }]);
    for (check, complaint) in [
        (json!({ "smtp": {}, "mysql": {} }), "a check is either smtp or mysql, not both at /spec/check/mysql"),
        (json!({ "http": { "path": "/" }, "tcp": {} }), "a check is either http or tcp, not both at /spec/check/tcp"),
        (
            json!({ "tcp": { "send": "x" } }),
            "what is sent here is never answered, as far as this check knows, at /spec/check/tcp/send",
        ),
        (json!({ "tcp": { "expect": "" } }), "no byte to expect: at least one is needed at /spec/check/tcp/expect"),
        (json!({ "tcp": { "expect": "\\q" } }), "\"\\\\q\" has an escape that means nothing at /spec/check/tcp/expect"),
        (
            json!({ "smtp": { "hello": "two words" } }),
            "a mail server cannot be told this name at /spec/check/smtp/hello",
        ),
        (json!({ "mysql": { "user": "" } }), "a user's name has 1 to 80 bytes at /spec/check/mysql/user"),
    ] {
        assert_eq!(messages(&read("Pool", "x", json!({ "check": check, "backends": backends }))), [complaint]);
    }
}
