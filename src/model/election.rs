use super::{Digest, Failback, Mac, Name};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

/// What a node is for a Vip, in the words of RFC 9568.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Just started: it has neither heard the others nor made sure of their silence. Addresses stay as they were found.
    Initialize,
    /// Another node owns the addresses, or should.
    Backup,
    /// This node owns the addresses.
    Active,
}

impl Role {
    /// The word that status and metrics use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Initialize => "Initialize",
            Self::Backup => "Backup",
            Self::Active => "Active",
        }
    }
}

/// A Vip as the election sees it: [`crate::model::Vip`] resolved for this node by the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The Vip's name; peers may call it otherwise, ownership goes by address.
    pub vip: Name,
    /// The addresses that move as a unit.
    pub addresses: Vec<IpAddr>,
    /// Order of preference, this node included.
    pub nodes: Vec<Name>,
    /// As desired.
    pub failback: Failback,
    /// Of the Vip and all that it refers to.
    pub digest: Digest,
    /// The device that carries the addresses here, if there is one. Without it this node is not eligible.
    pub link: Option<u32>,
    /// Whether addresses can be probed and announced on that device (it is no loopback and has an Ethernet address).
    pub probed: bool,
    /// Whether this node could serve, and if not why.
    pub eligibility: Eligibility,
}

/// Whether a node may own a Vip.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Eligibility {
    /// In words, one each: `"eth0 has no carrier"`. Empty means eligible.
    pub reasons: Vec<String>,
    /// True while the agent is leaving on purpose (SIGTERM): it does not take part even if nobody else is eligible.
    pub leaving: bool,
}

impl Eligibility {
    /// Nothing speaks against it.
    pub fn is_eligible(&self) -> bool {
        self.reasons.is_empty() && !self.leaving
    }
}

/// Which Vip addresses this node has on its devices right now, as the last pass of the reconcile loop saw them.
pub type Held = BTreeSet<IpAddr>;

/// What the election has decided and what it knows: published on every change, read by the plan and by status.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ElectionView {
    /// By Vip.
    pub vips: BTreeMap<Name, VipView>,
    /// The other nodes.
    pub peers: BTreeMap<Name, PeerView>,
    /// The last events, oldest first, bounded.
    pub events: Vec<Arc<ElectionEvent>>,
}

/// The decision for one Vip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VipView {
    /// What this node is to be.
    pub role: Role,
    /// Since when.
    pub since: Instant,
    /// Of the last claim known, this node's or another's.
    pub epoch: u64,
    /// Why the role is what it is, as a person would say it.
    pub why: String,
    /// The node that owns it as far as this one knows.
    pub owner: Option<Name>,
    /// Whether the owner has the addresses on its device already.
    pub owner_holds: bool,
    /// Grows by one each time the addresses must be announced anew although nothing changed here (a heal).
    pub announcement: u64,
    /// Backup by agreement, and the heir does not have the addresses yet: they leave at a quiet moment, not at once.
    pub graceful: bool,
    /// A host that is no peer answers for one of the addresses: nothing is claimed while it does.
    pub foreign: Option<(IpAddr, Mac)>,
    /// How often this node has become Active since it started.
    pub became_active: u64,
    /// Time in which this node was Active and heard another Active node.
    pub dual_owner: Duration,
}

/// What is known of another node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerView {
    /// Heard within its dead time on at least one path.
    pub heard: bool,
    /// It says that it hears this node.
    pub hears_us: bool,
    /// Since when `heard` has its value.
    pub since: Instant,
    /// By index of the path.
    pub paths: Vec<PathView>,
    /// Ethernet addresses that it announced.
    pub macs: Vec<Mac>,
    /// Its role per address, as announced.
    pub roles: BTreeMap<IpAddr, Role>,
    /// Addresses for which its state differs from this node's.
    pub differs: BTreeSet<IpAddr>,
    /// The release of lbagent that it runs.
    pub version: String,
}

/// One heartbeat path to a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathView {
    /// This node's end.
    pub local: SocketAddr,
    /// The peer's end.
    pub remote: SocketAddr,
    /// Heard within the dead time.
    pub up: bool,
    /// Of the last heartbeat that echoed one of ours.
    pub rtt: Option<Duration>,
    /// Accepted heartbeats.
    pub received: u64,
    /// Sent heartbeats.
    pub sent: u64,
    /// Gaps in the peer's sequence.
    pub lost: u64,
    /// Refused packets, by reason.
    pub rejected: BTreeMap<&'static str, u64>,
}

/// Something that happened to a Vip or a peer, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElectionEvent {
    /// When.
    pub at: Instant,
    /// The Vip or the peer.
    pub subject: String,
    /// What and why.
    pub message: String,
}
