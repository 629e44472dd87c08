//! Ownership: which node has the addresses of a Vip.
//!
//! The nodes of a Vip send each other heartbeats on every path. A heartbeat says, per address, what its sender is
//! (`Active`, `Backup`, `Initialize`), whether the address is on one of its devices, and how recently it heard the
//! receiver. From that each node decides by itself, and the rules see to it that the decisions agree:
//!
//! - the first eligible node of the list claims, the others wait for it, but not for ever;
//! - nobody claims an address that somebody on the wire answers for ([`driver::ProbeIo`]);
//! - a planned move is asked for, granted, and made only when the old owner has let go;
//! - of two owners that come to hear each other, the one with the higher epoch stays.
//!
//! ```text
//!   key ─▶ wire ─▶ session ─▶ machine ─▶ view (roles) ─▶ the plan
//!   (who)  (bytes)  (replay)    │ ▲
//!                               ▼ │
//!                             driver: sockets, probes, clocks ──▶ lease: permission to own, for a moment at a time
//! ```
//!
//! | module | what it is | does IO |
//! |---|---|---|
//! | [`key`] | the key file | reads one file |
//! | [`wire`] | heartbeats as bytes, authenticated | no |
//! | [`session`] | liveness, proof against replay | no |
//! | [`machine`] | every decision | no |
//! | [`lease`] | keeps the kernel's permission alive while the agent proves that it works | asks the fence |
//! | [`driver`] | the shell | all of it |
//! | `sim` | the proof: random and named schedules in a simulated world | – |
//!
//! Invariants, as absences: no decision is made outside [`machine::Machine::handle_timeout`]; no pure module reads a
//! clock; nothing unauthenticated is parsed beyond its fixed-size header; nothing here touches an address.
//!
//! What an agent owns it has leased, so that one which hangs, is stopped or dies owns nothing a moment later, whatever
//! its kernel would go on answering. A true partition of the front has an owner on each side all the same.

pub mod driver;
pub mod key;
pub mod lease;
pub mod machine;
pub mod session;
#[cfg(test)]
mod sim;
pub mod wire;
