use super::{Name, Peer, Pool, Vip};
use std::{collections::BTreeMap, fmt, sync::Arc};

/// The kinds of object that state holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub enum Kind {
    /// [`Vip`]
    Vip,
    /// [`Pool`]
    Pool,
    /// [`Peer`]
    Peer,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Vip, Self::Pool, Self::Peer];

    /// The word of the envelope.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Vip => "Vip",
            Self::Pool => "Pool",
            Self::Peer => "Peer",
        }
    }
}

/// One object of the state, by kind and name; written `Vip/web`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectRef {
    /// What it is.
    pub kind: Kind,
    /// What it is called.
    pub name: Name,
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.as_str(), self.name)
    }
}

/// The first eight bytes of a SHA-256 over the canonical JSON of one or more objects. Equal digests mean equal state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub u64);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// All that is wanted: valid, and closed (every name that one object uses for another is there).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Desired {
    /// By name.
    pub vips: BTreeMap<Name, Arc<Vip>>,
    /// By name.
    pub pools: BTreeMap<Name, Arc<Pool>>,
    /// By name.
    pub peers: BTreeMap<Name, Arc<Peer>>,
    /// Of each object by itself.
    pub digests: BTreeMap<ObjectRef, Digest>,
    /// Of each Vip together with all that it refers to (its pools and its nodes' Peers): what two nodes must agree on
    /// before one of them takes the Vip back from the other.
    pub vip_digests: BTreeMap<Name, Digest>,
}
