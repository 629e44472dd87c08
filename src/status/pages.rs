//! What each address of the admin endpoint answers: pure, a request's method, path and host in, a [`Page`] out.

use super::{Status, metrics};
use std::net::IpAddr;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) code: u16,
    pub(super) content_type: &'static str,
    /// For 405.
    pub(super) allow: Option<&'static str>,
    pub(super) body: String,
}

/// A path, what is to be had there, and how it is made.
type Route = (&'static str, &'static str, fn(&Status) -> Page);

const ROUTES: [Route; 4] = [
    ("/", "this page", index),
    ("/status", "the status as JSON", json),
    ("/metrics", "the status for Prometheus", prometheus),
    ("/healthz", "200 if the agent is ready, else 503 and why", healthz),
];

/// Whether anything but 404 may come of `path`; so that nobody makes a status for nothing.
pub(super) fn exists(path: &str) -> bool {
    ROUTES.iter().any(|(route, ..)| *route == path)
}

/// The answer to `method` on `path`. A HEAD is answered as a GET; the caller leaves the body out.
pub(super) fn answer(method: &str, path: &str, status: &Status) -> Page {
    let Some((.., make)) = ROUTES.iter().find(|(route, ..)| *route == path) else { return not_found() };
    match method {
        "GET" | "HEAD" => make(status),
        _ => method_not_allowed(),
    }
}

/// The objects in force. Only those who may ask for actions are told.
pub(super) const STATE: &str = "/state";

/// The answer to `method` on [`STATE`].
pub(super) fn state(method: &str, state: impl Fn() -> String) -> Page {
    match method {
        "GET" | "HEAD" => Page { content_type: "application/jsonl", ..plain(200, state()) },
        _ => method_not_allowed(),
    }
}

pub(super) fn not_found() -> Page {
    plain(404, "there is /, /status, /metrics and /healthz\n")
}

pub(super) fn method_not_allowed() -> Page {
    Page { allow: Some("GET, HEAD"), ..plain(405, "this endpoint can only be read\n") }
}

pub(super) fn wrong_host() -> Page {
    plain(421, "this endpoint answers to IP addresses, localhost and its own host name only\n")
}

pub(super) fn unavailable() -> Page {
    plain(503, "the agent did not give its status in time: its control loop may be stuck\n")
}

pub(super) fn only_post() -> Page {
    Page { allow: Some("POST"), ..plain(405, "this is asked for with POST\n") }
}

pub(super) fn bad_request(why: &str) -> Page {
    plain(400, format!("{why}\n"))
}

pub(super) fn busy() -> Page {
    plain(503, "the agent has not come to what was asked before, or is ending: nothing was done\n")
}

pub(super) fn unanswered() -> Page {
    plain(503, "the agent did not answer in time: `lbagent status` shows whether it was done\n")
}

/// What the agent says to an action: done, or refused.
pub(super) fn decided(decision: Result<String, String>) -> Page {
    match decision {
        Ok(text) => plain(200, text + "\n"),
        Err(refusal) => plain(409, refusal + "\n"),
    }
}

/// Whether a request for `host` (the `Host` field) may be answered on a TCP socket. A page in somebody's browser can
/// make a name of its own resolve to 127.0.0.1 (DNS rebinding) and would then read what is answered here; it cannot
/// make the browser send an address, `localhost` or this machine's name instead of its own.
pub(super) fn host_is_ours(host: Option<&str>, hostname: &str) -> bool {
    // HTTP/1.0 clients may send none; browsers always do.
    let Some(host) = host else { return true };
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    name.parse::<IpAddr>().is_ok() || name.eq_ignore_ascii_case("localhost") || name.eq_ignore_ascii_case(hostname)
}

fn plain(code: u16, body: impl Into<String>) -> Page {
    Page { code, content_type: "text/plain; charset=utf-8", allow: None, body: body.into() }
}

fn json(status: &Status) -> Page {
    match serde_json::to_string_pretty(status) {
        Ok(body) => Page { content_type: "application/json", ..plain(200, body + "\n") },
        Err(error) => plain(500, format!("the status cannot be written: {error}\n")),
    }
}

fn prometheus(status: &Status) -> Page {
    Page { content_type: metrics::CONTENT_TYPE, ..plain(200, metrics::encode(status)) }
}

fn healthz(status: &Status) -> Page {
    if status.is_ready() {
        return plain(200, "ok\n");
    }
    let why = status.condition("Ready").map(|ready| format!("{}: {}\n", ready.reason, ready.message));
    plain(503, why.unwrap_or_else(|| "not ready\n".to_owned()))
}

fn index(status: &Status) -> Page {
    let node = escape(status.node.as_deref().unwrap_or("a node without a Peer"));
    let routes =
        ROUTES.iter().map(|(route, what, _)| format!("<li><a href=\"{route}\">{route}</a> {}</li>\n", escape(what)));
    let conditions = status.conditions.iter().map(|condition| {
        let (kind, message) = (escape(&condition.r#type), escape(&condition.message));
        format!("<tr><td>{kind}</td><td>{}</td><td>{message}</td></tr>\n", condition.status.as_str())
    });
    let (routes, conditions): (String, String) = (routes.collect(), conditions.collect());
    let version = escape(&status.version);
    let body = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>lbagent on {node}</title></head>\n\
         <body>\n<h1>lbagent {version} on {node}</h1>\n<ul>\n{routes}</ul>\n<table>\n{conditions}</table>\n</body></html>\n"
    );
    Page { content_type: "text/html; charset=utf-8", ..plain(200, body) }
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::fixture::{World, name};

    fn get(path: &str) -> Page {
        answer("GET", path, &World::new().status())
    }

    #[test]
    fn each_address_answers_in_its_own_type() {
        assert_eq!((get("/").code, get("/").content_type), (200, "text/html; charset=utf-8"));
        assert_eq!(get("/status").content_type, "application/json");
        assert_eq!(serde_json::from_str::<Status>(&get("/status").body).unwrap(), World::new().status());
        assert!(get("/metrics").body.contains("lbagent_vip_active{vip=\"web\"} 1\n"));
        assert_eq!((get("/healthz").code, get("/healthz").body.as_str()), (200, "ok\n"));
    }

    #[test]
    fn what_is_not_there_is_not_found_and_nothing_can_be_changed() {
        for path in ["/nothing", "//", "/status/", "/metrics/x", ""] {
            assert!(!exists(path));
            assert_eq!(get(path).code, 404, "{path}");
        }
        for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "get"] {
            let page = answer(method, "/status", &Status::default());
            assert_eq!((page.code, page.allow), (405, Some("GET, HEAD")), "{method}");
        }
        assert_eq!(answer("HEAD", "/healthz", &World::new().status()).code, 200);
    }

    #[test]
    fn an_agent_that_is_not_ready_says_why() {
        let mut world = World::new();
        world.node = name("elsewhere");
        let page = answer("GET", "/healthz", &world.status());
        assert_eq!(page.code, 503);
        assert!(page.body.starts_with("NodeUnknown: no Peer is called elsewhere"), "{}", page.body);
        assert_eq!(answer("GET", "/healthz", &Status::default()).code, 503);
    }

    #[test]
    fn the_index_links_every_address_and_escapes_what_it_shows() {
        let mut status = World::new().status();
        status.conditions[0].message = "<script>alert('1')</script> & \"more\"".to_owned();
        let page = answer("GET", "/", &status).body;
        for (route, ..) in ROUTES {
            assert!(page.contains(&format!("<a href=\"{route}\">")), "{route}");
        }
        assert!(page.contains("&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt; &amp; &quot;more&quot;"), "{page}");
        assert!(!page.contains("<script"));
    }

    #[test]
    fn only_names_that_no_stranger_can_have_are_answered() {
        for good in
            ["127.0.0.1:9694", "127.0.0.1", "[::1]:9694", "[::1]", "localhost", "LOCALHOST:1", "lb1", "LB1:9694"]
        {
            assert!(host_is_ours(Some(good), "lb1"), "{good}");
        }
        for bad in [
            "evil.example.com",
            "127.0.0.1.evil.example.com",
            "localhost.evil.example.com:9694",
            "lb1.",
            "",
            "[",
            ":80",
        ] {
            assert!(!host_is_ours(Some(bad), "lb1"), "{bad}");
        }
        assert!(host_is_ours(None, "lb1"));
    }
}
