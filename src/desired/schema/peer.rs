use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A node: a machine that runs lbagent.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(in crate::desired) struct PeerSpec {
    /// Where it sends and receives heartbeats (UDP), as `192.0.2.1:694` or `[2001:db8::1]:694`; the port is 694 if left
    /// out. The first address of one Peer and the first of another are the ends of one path, and so on: every Peer
    /// has as many, of the same families.
    #[schemars(length(min = 1))]
    pub(in crate::desired) addresses: Vec<String>,
    /// What an interface is called on this node, by the alias that the Vips use.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("examples" = [{"front": "eno1"}]))]
    pub(in crate::desired) interfaces: BTreeMap<String, String>,
    /// How the others watch this node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) heartbeat: Option<HeartbeatSpec>,
}

/// How the others watch a node.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(in crate::desired) struct HeartbeatSpec {
    /// Between two heartbeats on one path, "5ms" to "10s". Default "25ms".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) interval: Option<String>,
    /// Silence on all paths after which the node is taken for dead, at least four intervals. Default "100ms", or four
    /// intervals if that is more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) dead_after: Option<String>,
}
