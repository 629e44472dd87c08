use super::Name;
use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

/// The UDP port of a Peer address that names none: that of Heartbeat (ha-cluster, IANA).
pub const DEFAULT_HEARTBEAT_PORT: u16 = 694;

/// A node, this one included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// `metadata.name`: what `--node` or the host name says.
    pub name: Name,
    /// Where it sends and receives heartbeats. Address *i* of one Peer and address *i* of another are the two ends of
    /// path *i*.
    pub addresses: Vec<SocketAddr>,
    /// What the aliases that Vips use are called on this node.
    pub interfaces: BTreeMap<String, String>,
    /// How the others watch this node.
    pub heartbeat: Heartbeat,
}

/// `spec.heartbeat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heartbeat {
    /// Between two heartbeats of this node on one path. Default 25 ms, 5 ms–10 s.
    pub interval: Duration,
    /// Silence on all paths after which this node is taken for dead. Default 100 ms; at least four intervals.
    pub dead_after: Duration,
}

impl Default for Heartbeat {
    fn default() -> Self {
        Self { interval: Duration::from_millis(25), dead_after: Duration::from_millis(100) }
    }
}

impl Peer {
    /// The device that `name` (a device or one of this node's aliases) stands for here.
    pub fn resolve_interface<'a>(&'a self, name: &'a str) -> &'a str {
        self.interfaces.get(name).map_or(name, String::as_str)
    }
}
