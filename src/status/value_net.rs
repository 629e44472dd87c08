//! The sections of [`Status`](super::Status) that say how the Vips, peers and pools are.

use super::{Condition, StandingStatus, Timestamp};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

/// A Vip as this node sees it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VipStatus {
    /// `metadata.name`.
    pub name: String,
    /// `Active`, `Backup` or `Initialize`; `null` if this node is none of the Vip's nodes.
    pub role: Option<String>,
    /// Since when this node has the role.
    pub since: Option<Timestamp>,
    /// Why it has the role.
    pub why: String,
    /// The node that owns the addresses, as far as this one knows.
    pub owner: Option<String>,
    /// Of the last claim known.
    pub epoch: u64,
    /// The order of preference.
    pub nodes: Vec<String>,
    /// `auto` or `manual`.
    pub failback: String,
    /// Why this node is not fit to own it; empty if it is.
    pub ineligible: Vec<String>,
    /// They move as a unit.
    pub addresses: Vec<VipAddressStatus>,
    /// A host that is no peer answers for one of the addresses.
    pub foreign: Option<ForeignStatus>,
    /// Heard nodes that say that they are Active while this node is Active too: it should last a heartbeat or two.
    pub rivals: Vec<String>,
    /// How often this node has become Active.
    pub became_active: u64,
    /// Time in which this node was Active and heard, or saw on the wire, another that had the addresses.
    pub dual_owner_seconds: f64,
    /// When that was seen last.
    pub dual_owner_last: Option<Timestamp>,
    /// The last claim rested on silence beside answered references, or has been borne out since.
    pub verified: bool,
    /// The kernel lets this node speak for the addresses now.
    pub leased: bool,
    /// `Fenced`, while this node has addresses of the Vip on a device.
    pub conditions: Vec<Condition>,
    /// Every node of the Vip as this one sees it, in the order of preference.
    pub standings: Vec<StandingStatus>,
    /// The rules that led to the decision, in the order in which they were looked at.
    pub rules: Vec<String>,
    /// Open on Active and Backup alike. Empty if this node is none of the Vip's nodes.
    pub listeners: Vec<ListenerStatus>,
}

/// One address of a Vip.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VipAddressStatus {
    /// Without prefix length.
    pub address: IpAddr,
    /// With which it is (to be) added.
    pub prefix_length: u8,
    /// On a device of this machine right now, whoever put it there.
    pub held: bool,
    /// Put there by lbagent. False while not `held`.
    pub ours: bool,
    /// The kernel lets this node speak for it now.
    #[serde(default)]
    pub leased: bool,
    /// The device that has it.
    #[serde(default)]
    pub interface: Option<String>,
}

/// Somebody else who answers for an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ForeignStatus {
    /// The address of the Vip.
    pub address: IpAddr,
    /// The Ethernet address that answered.
    pub mac: String,
}

/// One listening address, and what its clients did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenerStatus {
    /// Address and port.
    pub address: SocketAddr,
    /// `http` or `tcp`.
    pub protocol: String,
    /// Connections are accepted.
    pub open: bool,
    /// Why it is not open.
    #[serde(default)]
    pub error: Option<String>,
    /// Client connections open now.
    #[serde(default)]
    pub connections: u64,
    /// Client connections accepted.
    #[serde(default)]
    pub accepted: u64,
    /// HTTP requests begun, refused ones included.
    #[serde(default)]
    pub requests: u64,
    /// HTTP responses by class, `1xx` to `5xx`.
    #[serde(default)]
    pub responses: BTreeMap<String, u64>,
    /// Bytes from clients.
    #[serde(default)]
    pub bytes_in: u64,
    /// Bytes to clients.
    #[serde(default)]
    pub bytes_out: u64,
    /// HTTP requests refused as malformed, too large or too slow.
    #[serde(default)]
    pub refused: u64,
    /// Connections and HTTP requests turned away because their client had as much as it may.
    #[serde(default)]
    pub limited: u64,
    /// Connections closed because they did not begin with the PROXY header that is wanted there, or came from elsewhere.
    #[serde(default)]
    pub proxy_refused: u64,
}

/// A node.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PeerStatus {
    /// `metadata.name`.
    pub name: String,
    /// This node itself: what follows says nothing then.
    pub me: bool,
    /// Heard within its dead time.
    pub heard: bool,
    /// It says that it hears this node.
    pub hears_us: bool,
    /// Its kernel ends its ownership when its agent stops proving it; `null` if it is not heard.
    pub fenced: Option<bool>,
    /// Since when `heard` has its value.
    pub since: Option<Timestamp>,
    /// How often it vanished within the last ten minutes: fell silent or started anew.
    pub vanished: u32,
    /// The release of lbagent there; empty if never heard.
    pub version: String,
    /// It has the same state for every Vip that it shares with this node.
    pub in_sync: bool,
    /// Addresses of Vips for which its state differs.
    pub differs: Vec<IpAddr>,
    /// Its role by address, as announced.
    pub roles: BTreeMap<IpAddr, String>,
    /// Ethernet addresses that it announced.
    pub macs: Vec<String>,
    /// The heartbeat paths, by index.
    pub paths: Vec<PathStatus>,
}

/// One heartbeat path to a peer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PathStatus {
    /// This node's end.
    pub local: SocketAddr,
    /// The peer's end.
    pub remote: SocketAddr,
    /// Heard within the dead time.
    pub up: bool,
    /// Of the last heartbeat that echoed one of ours.
    #[serde(default)]
    pub rtt_seconds: Option<f64>,
    /// Heartbeats sent.
    #[serde(default)]
    pub sent: u64,
    /// Heartbeats accepted.
    #[serde(default)]
    pub received: u64,
    /// Gaps in the peer's sequence.
    #[serde(default)]
    pub lost: u64,
    /// Share of the heartbeats that were lost in the last ten seconds or so, from 0 to 1.
    #[serde(default)]
    pub loss_ratio: f64,
    /// The path over the Vips' own device, which is there whatever the files list.
    #[serde(default)]
    pub front: bool,
    /// Packets refused, by reason.
    #[serde(default)]
    pub rejected: BTreeMap<String, u64>,
}

/// A pool and its backends.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PoolStatus {
    /// `metadata.name`.
    pub name: String,
    /// The algorithm.
    pub balance: String,
    /// The check in words.
    pub check: String,
    /// Backends in rotation, backup ones included.
    pub up: usize,
    /// All backends.
    pub total: usize,
    /// Only backup backends are in rotation.
    pub on_backup: bool,
    /// Requests and connections that wait for a place at a backend now.
    pub queued: u64,
    /// Those that have waited.
    pub queued_total: u64,
    /// Those that have waited in vain for as long as they may.
    pub queue_timeouts: u64,
    /// Those that were turned away because too many were waiting.
    pub queue_refused: u64,
    /// In the order of the file.
    pub backends: Vec<BackendStatus>,
}

/// One backend, and what the proxy did with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendStatus {
    /// Unique within the pool.
    pub name: String,
    /// Where it serves; `0.0.0.0` while its name has not been looked up.
    pub address: SocketAddr,
    /// The name that is looked up for the address, if it has one.
    #[serde(default)]
    pub host: Option<String>,
    /// Its share.
    pub weight: u16,
    /// Used only while no other is in rotation.
    #[serde(default)]
    pub backup: bool,
    /// In rotation.
    pub up: bool,
    /// What the operator wants of it: `ready`, `drain` or `maint`. Empty: an older agent's.
    #[serde(default)]
    pub state: String,
    /// Left alone for a while because too much has failed there, although it is up.
    #[serde(default)]
    pub ejected: bool,
    /// Times that it was.
    #[serde(default)]
    pub ejections: u64,
    /// Connections that could not be made because every local port towards it was in use.
    #[serde(default)]
    pub port_exhausted: u64,
    /// Requests and connections that it may be busy with at one time; `null`: any number.
    #[serde(default)]
    pub max_connections: Option<u16>,
    /// Since when `up` has its value; `null` before the first check.
    #[serde(default)]
    pub since: Option<Timestamp>,
    /// How often `up` has changed.
    #[serde(default)]
    pub transitions: u64,
    /// Checks in a row that speak against the present state.
    #[serde(default)]
    pub against: u32,
    /// Checks that ended well.
    #[serde(default)]
    pub passed: u64,
    /// Checks that ended badly.
    #[serde(default)]
    pub failed: u64,
    /// The last check; `null` before the first.
    #[serde(default)]
    pub last_check: Option<CheckStatus>,
    /// Requests or connections in progress now.
    #[serde(default)]
    pub active: u64,
    /// Connections kept for the next request now.
    #[serde(default)]
    pub idle: u64,
    /// Connections established.
    #[serde(default)]
    pub connections: u64,
    /// Connections that could not be established.
    #[serde(default)]
    pub connect_errors: u64,
    /// HTTP requests sent.
    #[serde(default)]
    pub requests: u64,
    /// HTTP responses by class, `1xx` to `5xx`.
    #[serde(default)]
    pub responses: BTreeMap<String, u64>,
    /// Bytes to the backend: as for a listener, *in* is what requests are made of.
    #[serde(default)]
    pub bytes_in: u64,
    /// Bytes from the backend.
    #[serde(default)]
    pub bytes_out: u64,
    /// Requests tried again here because a kept connection had died.
    #[serde(default)]
    pub retries: u64,
    /// Requests or connections moved on to another backend because this one had failed.
    #[serde(default)]
    pub redispatches: u64,
    /// Responses that never came, came too late, were malformed or broke off.
    #[serde(default)]
    pub failures: u64,
}

impl BackendStatus {
    /// Where it serves, for a table: `192.0.2.102:80`, or `web.example:80 (192.0.2.102)`.
    pub fn place(&self) -> String {
        match &self.host {
            None => self.address.to_string(),
            Some(host) if self.address.ip().is_unspecified() => format!("{host}:{} (not found)", self.address.port()),
            Some(host) => format!("{host}:{} ({})", self.address.port(), self.address.ip()),
        }
    }

    /// How it is, for a table: `up`, `drain`, `ejected`, `DOWN` or `maint`.
    pub fn in_a_word(&self) -> &'static str {
        match (&*self.state, self.up, self.ejected) {
            ("maint", ..) => "maint",
            (_, false, _) => "DOWN",
            (_, _, true) => "ejected",
            ("drain", ..) => "drain",
            _ => "up",
        }
    }
}

/// How a check ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckStatus {
    /// As expected.
    pub ok: bool,
    /// In words.
    pub detail: String,
    /// From start to end.
    pub seconds: f64,
    /// When it ended.
    pub at: Timestamp,
}
