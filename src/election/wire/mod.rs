//! Heartbeats as bytes. Pure: no sockets, no clock.
//!
//! ```text
//!  0      4       5       6          8          16                    48
//!  ├ magic ┼ major ┼ minor ┼ reserved ┼ key tag ┼ HMAC-SHA256 (32) ───┼ body: TLVs …
//! ```
//!
//! The code covers everything but itself. Nothing behind the fixed-size header is looked at before it has been
//! verified. The body is a list of fields, each `type u16, length u16, value`, all integers big-endian; a receiver
//! skips fields that it does not know and bytes that a later version has added at the end of a field, so version N and
//! N+1 run as a pair. Only a change that an older receiver would misunderstand raises `major`.
//!
//! A node with many addresses sends several datagrams a round, each with all that liveness needs and a slice of the
//! claims ([`slices`]), so that every datagram fits into one Ethernet frame.

mod body;
mod reader;
#[cfg(test)]
mod tests;

use crate::{
    election::key::Keyring,
    model::{Digest, Mac, Name, Role},
};
use std::{net::IpAddr, time::Duration};

/// Bytes of a key's name on the wire: the first ones of the SHA-256 of its id.
pub(crate) const KEY_TAG_LEN: usize = 8;
/// Bytes of the code: HMAC-SHA256, not shortened.
pub(crate) const MAC_LEN: usize = 32;

/// The largest datagram that is sent or accepted: it fits into one Ethernet frame with room for tunnels.
pub const MAX_DATAGRAM: usize = 1400;

const MAGIC: [u8; 4] = *b"LBHB";
const MAJOR: u8 = 1;
const MINOR: u8 = 1;
const PREFIX_LEN: usize = 16;
const HEADER_LEN: usize = PREFIX_LEN + MAC_LEN;

/// Bytes of claims in one datagram. What else a datagram holds is bounded so that the sum stays below
/// [`MAX_DATAGRAM`].
const CLAIMS_LEN: usize = 560;
/// Ethernet addresses in one datagram.
const MAX_MACS: usize = 64;
const MAX_VERSION: usize = 32;
const MAX_REASON: usize = 120;
/// The sender's own addresses in one datagram.
const MAX_FRONTS: usize = 8;

/// One heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Who says it.
    pub sender: Name,
    /// To whom: a heartbeat sent to one node is worth nothing to another.
    pub destination: Name,
    /// Index of the path.
    pub path: u8,
    /// Drawn at random when the sender's agent started.
    pub session: u64,
    /// Grows with each datagram of this session on this path.
    pub seq: u64,
    /// Grows each time the sender states its claims, on all paths alike: of two statements the later one counts.
    pub round: u64,
    /// Which slice of the claims this is, from 0.
    pub slice: u16,
    /// How many slices there are, at least 1.
    pub slices: u16,
    /// Between two heartbeats of the sender on one path.
    pub interval: Duration,
    /// Silence after which the sender asks to be taken for dead.
    pub dead_after: Duration,
    /// What the sender has heard of the destination, if anything.
    pub echo: Option<Echo>,
    /// The release of lbagent that the sender runs.
    pub version: String,
    /// Ethernet addresses of the sender: an answer to a probe from one of them comes from this node.
    pub macs: Vec<Mac>,
    /// The sender's kernel ends its ownership when its agent stops proving it: then an answer to a probe means that
    /// the agent lives, or will end by itself. Peers older than this say no.
    pub fenced: bool,
    /// The sender's own addresses, one on each device that carries Vips and lies on no configured path. At most 8.
    pub fronts: Vec<IpAddr>,
    /// What the sender says of addresses.
    pub claims: Vec<Claim>,
}

/// Proof that the sender hears the destination, and how recently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Echo {
    /// Of the destination.
    pub session: u64,
    /// The last sequence number heard of that session on this path; 0: none.
    pub seq: u64,
    /// Between hearing it and sending this.
    pub hold: Duration,
    /// The sender has heard the destination within its dead time.
    pub hears_you: bool,
}

/// What a node says of one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The address: ownership goes by address, whatever a node calls the Vip.
    pub ip: IpAddr,
    /// What the sender is for it.
    pub role: Role,
    /// Of the sender's last claim, or the highest it has heard.
    pub epoch: u64,
    /// Of the Vip and all that it refers to, as the sender has them.
    pub digest: Digest,
    /// The address is on one of the sender's devices.
    pub holding: bool,
    /// The sender asks the owner to hand over.
    pub asks: bool,
    /// The sender is probing and about to claim.
    pub claiming: bool,
    /// Nothing speaks against the sender.
    pub eligible: bool,
    /// False while the sender leaves or has no device for the address: it will not claim.
    pub takes_part: bool,
    /// The sender has run and been eligible for longer than the failback hold time: its word that it can serve is worth
    /// something.
    pub settled: bool,
    /// The sender's claim rests on silence that it knows to be real. Only then is it an owner to others.
    pub verified: bool,
    /// The sender has just lost a conflict: whoever remains must announce.
    pub lost: bool,
    /// The sender asks the wire for the address, hears others there, and nobody answers for the address.
    pub sees_silence: bool,
    /// Hosts on the address's segment answer the sender.
    pub has_references: bool,
    /// The sender lets the address go to this node. The number is that of the round in which the node last asked for
    /// it; 0 while there is nothing to be taken: the node has not asked yet, or may not have it any more.
    pub offer: Option<(Name, u64)>,
    /// Why the sender is not eligible. At most 120 bytes are sent.
    pub reason: String,
}

/// Why a datagram is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Shorter than a header, or a field runs past the end.
    #[error("the datagram is cut short")]
    Truncated,
    /// Larger than [`MAX_DATAGRAM`].
    #[error("the datagram is larger than any heartbeat")]
    Oversized,
    /// It does not begin as a heartbeat does.
    #[error("the datagram is no heartbeat of lbagent")]
    NotHeartbeat,
    /// A version that this release would misunderstand.
    #[error("the heartbeat is of a major version that this release does not know")]
    WrongVersion,
    /// Signed with a key that is not in the key file, or altered on the way.
    #[error("no key of the key file verifies the heartbeat")]
    WrongKey,
    /// Authentic, but a field that must be there is missing or makes no sense.
    #[error("the heartbeat lacks a field or holds a senseless one")]
    Malformed,
}

impl DecodeError {
    /// The word under which it is counted.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::Oversized => "oversized",
            Self::NotHeartbeat => "not_heartbeat",
            Self::WrongVersion => "wrong_version",
            Self::WrongKey => "wrong_key",
            Self::Malformed => "malformed",
        }
    }
}

/// Signs and writes `packet`. Claims beyond one slice, Ethernet addresses beyond 64 and overlong texts are left out,
/// so the result is never longer than [`MAX_DATAGRAM`].
pub fn encode(packet: &Packet, keys: &Keyring) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(MAX_DATAGRAM);
    bytes.extend(MAGIC);
    bytes.extend([MAJOR, MINOR, 0, 0]);
    bytes.extend(keys.signing_tag());
    bytes.extend([0; MAC_LEN]);
    body::write(packet, &mut bytes);
    let code = keys.sign(&[&bytes[..PREFIX_LEN], &bytes[HEADER_LEN..]]);
    bytes[PREFIX_LEN..HEADER_LEN].copy_from_slice(&code);
    bytes
}

/// Verifies and reads a datagram.
pub fn decode(bytes: &[u8], keys: &Keyring) -> Result<Packet, DecodeError> {
    if bytes.len() > MAX_DATAGRAM {
        return Err(DecodeError::Oversized);
    }
    if bytes.len() < HEADER_LEN {
        return Err(if MAGIC.starts_with(&bytes[..bytes.len().min(4)]) || bytes.starts_with(&MAGIC) {
            DecodeError::Truncated
        } else {
            DecodeError::NotHeartbeat
        });
    }
    let (header, body) = bytes.split_at(HEADER_LEN);
    let (prefix, code) = header.split_at(PREFIX_LEN);
    if prefix[..4] != MAGIC {
        return Err(DecodeError::NotHeartbeat);
    }
    if prefix[4] != MAJOR {
        return Err(DecodeError::WrongVersion);
    }
    if !keys.verify(&prefix[8..16], &[prefix, body], code) {
        return Err(DecodeError::WrongKey);
    }
    body::read(body)
}

/// Cuts claims into slices that fit into a datagram each; at least one, even without claims.
pub fn slices(claims: Vec<Claim>) -> Vec<Vec<Claim>> {
    let mut slices = vec![Vec::new()];
    let mut room = CLAIMS_LEN;
    for claim in claims {
        let len = body::claim_len(&claim);
        if len > room {
            slices.push(Vec::new());
            room = CLAIMS_LEN;
        }
        room -= len;
        if let Some(last) = slices.last_mut() {
            last.push(claim);
        }
    }
    slices
}
