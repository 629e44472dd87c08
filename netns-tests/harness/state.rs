//! The state that the cases start from, as JSON files that each case bends to its needs.

use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The IPv4 address of the Vip `web`.
pub(crate) const VIP4: &str = "198.51.100.10";
/// The IPv6 address of the Vip `web`.
pub(crate) const VIP6: &str = "2001:db8:1::10";

/// Addresses that move.
pub(crate) type Vips = [std::net::IpAddr];

/// Both of them.
pub(crate) fn vips() -> [std::net::IpAddr; 2] {
    [VIP4, VIP6].map(|ip| ip.parse().expect("an address of this file"))
}

/// Files of a state directory.
#[derive(Debug, Clone)]
pub(crate) struct State {
    /// By name.
    pub(crate) files: BTreeMap<String, Value>,
    /// Names of the balancers, the preferred first.
    pub(crate) nodes: Vec<String>,
}

impl State {
    /// `count` balancers (`lb1` preferred) for one dual-stack Vip with HTTP on port 80 for the pool `web` and TCP on port
    /// 25 for the pool `mail`. Everything that makes people wait is short.
    pub(crate) fn balancers(count: usize) -> Self {
        let nodes: Vec<String> = (1..=count).map(|number| format!("lb{number}")).collect();
        let mut state = Self { files: BTreeMap::new(), nodes: nodes.clone() };
        let vip = json!({
            "addresses": [VIP4, VIP6], "interface": "eth0", "nodes": nodes,
            "failback": { "mode": "auto", "after": "1s" },
            "listeners": [
                { "port": 80, "protocol": "http", "pool": "web" },
                { "port": 25, "protocol": "tcp", "pool": "mail" },
            ],
        });
        state.put("Vip", "web", vip);
        let check =
            json!({ "http": { "path": "/check" }, "interval": "250ms", "timeout": "200ms", "rise": 2, "fall": 2 });
        let backends = json!([
            { "name": "a", "address": "192.0.2.101:80" },
            { "name": "b", "address": "192.0.2.102:80" },
        ]);
        state.put("Pool", "web", json!({ "check": check, "backends": backends }));
        let check = json!({ "tcp": {}, "interval": "250ms", "timeout": "200ms", "rise": 2, "fall": 2 });
        let backends = json!([
            { "name": "a", "address": "192.0.2.101:25" },
            { "name": "b", "address": "192.0.2.102:25" },
        ]);
        state.put("Pool", "mail", json!({ "check": check, "backends": backends }));
        for (number, node) in nodes.iter().enumerate() {
            let number = number + 1;
            let addresses = json!([format!("192.0.2.{number}:694"), format!("198.51.100.{number}:694")]);
            let heartbeat = json!({ "interval": "25ms", "deadAfter": "200ms" });
            state.put("Peer", node, json!({ "addresses": addresses, "heartbeat": heartbeat }));
        }
        state
    }

    /// The usual two.
    pub(crate) fn pair() -> Self {
        Self::balancers(2)
    }

    /// The usual two, watching each other at the pace that files which name none get (25 ms, dead after 100 ms).
    pub(crate) fn swift() -> Self {
        let mut state = Self::pair();
        for node in state.nodes.clone() {
            state.spec("Peer", &node).as_object_mut().map(|spec| spec.remove("heartbeat"));
        }
        state
    }

    /// Who owns it after a move keeps it.
    pub(crate) fn without_failback(self) -> Self {
        self.with_vip(|spec| spec["failback"] = json!({ "mode": "manual" }))
    }

    /// Adds or replaces an object.
    pub(crate) fn put(&mut self, kind: &str, name: &str, spec: Value) {
        let object = json!({ "apiVersion": "lbagent/v1", "kind": kind, "metadata": { "name": name }, "spec": spec });
        self.files.insert(file_name(kind, name), object);
    }

    /// The spec of an object, to change it.
    pub(crate) fn spec(&mut self, kind: &str, name: &str) -> &mut Value {
        &mut self.files.entry(file_name(kind, name)).or_default()["spec"]
    }

    /// The same state with another spec of the Vip.
    pub(crate) fn with_vip(mut self, change: impl FnOnce(&mut Value)) -> Self {
        change(self.spec("Vip", "web"));
        self
    }
}

/// `vip-web.json`
pub(crate) fn file_name(kind: &str, name: &str) -> String {
    format!("{}-{name}.json", kind.to_lowercase())
}
