use std::time::Instant;

/// An operator has taken this node out of service: it owns nothing while another node can.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standby {
    /// Since when.
    pub since: Instant,
    /// The operator's words; may be empty.
    pub reason: String,
    /// Asked for although no other node was eligible.
    pub forced: bool,
}
