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
    /// Hosts on that device's segment that should answer ARP or ND whoever owns the Vip: gateways, pinged targets, other
    /// nodes' own addresses there, learned neighbours. Silence about the Vip counts only beside their answers. Never an
    /// address of a Vip or of this host; at most [`MAX_REFERENCES`], the most dependable first.
    pub references: Vec<IpAddr>,
    /// The other nodes' own addresses on that segment, as far as the files tell.
    pub node_addresses: BTreeMap<Name, IpAddr>,
    /// False on fabrics that answer ARP or ND for hosts that are gone: answers to probes then prove nothing, and a
    /// claim rests on heartbeats alone.
    pub trust_probe: bool,
}

/// References that a [`Candidate`] names at most.
pub const MAX_REFERENCES: usize = 8;

/// A device of this node that carries Vips.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Front {
    /// `ifindex`.
    pub link: u32,
    /// Its Ethernet address.
    pub mac: Option<Mac>,
    /// This host's own address there (not a Vip's, not link-local unless there is no other), if it has one. Heartbeats
    /// take this way too if it is on no path that the files list.
    pub address: Option<IpAddr>,
}

/// What the wire shows of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sight {
    /// `ifindex` of the device on which it was seen.
    pub link: u32,
    /// The address.
    pub ip: IpAddr,
    /// Ethernet address of the host that shows it.
    pub mac: Mac,
    /// What that host does.
    pub kind: SightKind,
}

/// See [`Sight`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SightKind {
    /// It answers for the address, announces it, or speaks from it.
    Has,
    /// It asks who has the address: from an address of its own, or (`None`) as a probe, which says nothing of itself.
    Asks(Option<IpAddr>),
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
    /// Time in which this node was Active and heard, or saw on the wire, another that has the addresses.
    pub dual_owner: Duration,
    /// The last claim rested on silence beside answered references; or has been borne out since.
    pub verified: bool,
    /// The kernel lets this node speak for the addresses now.
    pub leased: bool,
    /// While Active: addresses that were added to the Vip and that this node does not have yet, because it still asks
    /// the wire for them. They must not be put on a device.
    pub unleased: BTreeSet<IpAddr>,
    /// Every node of the Vip as this one sees it, in the order of preference: what the decision rests on.
    pub standings: Vec<Standing>,
    /// The rules that led to the decision, in the order in which they were looked at, as a person would say them.
    pub rules: Vec<String>,
}

/// One node of a Vip as another (or itself) sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The node.
    pub node: Name,
    /// It is this node.
    pub me: bool,
    /// It is heard; this node always is.
    pub heard: bool,
    /// Its role, if it is heard.
    pub role: Option<Role>,
    /// Of its last claim, or the highest it has heard.
    pub epoch: u64,
    /// It has the addresses on a device.
    pub holding: bool,
    /// Nothing speaks against it.
    pub eligible: bool,
    /// What speaks against it, in words; empty if nothing does.
    pub reason: String,
    /// It has run for longer than the failback hold time.
    pub settled: bool,
    /// Its kernel ends its ownership when its agent stops proving it.
    pub fenced: bool,
    /// Its claim rests on proof.
    pub verified: bool,
    /// Its state is the same as this node's as far as the Vip goes.
    pub same_state: bool,
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
    /// Its kernel ends its ownership when its agent stops proving it, by its word.
    pub fenced: bool,
    /// How often it vanished within the last ten minutes: fell silent or started anew.
    pub vanished: u32,
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
    /// Heartbeats lost of a thousand that should have come in the last ten seconds or so. Without heartbeats at all it
    /// stays what it was.
    pub loss_permille: u16,
    /// The path of the Vips' own device, which is there whatever the files list.
    pub front: bool,
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
