//! lbagent keeps virtual IPs on exactly one of a few Linux balancers and spreads what arrives there over pools of
//! backends. It works like a Kubernetes controller: JSON files say what is wanted, and one level-triggered loop keeps
//! making the machine match them.
//!
//! ```text
//! state/*.json → desired ─┐
//! election → Role ────────┼→ plan (pure) → apply → status → metrics · check · page · CLI
//! kernel, dataplane → observed ─┘
//! ```
//!
//! The modules stand in the order of that flow. Imports go strictly down; the floors are written in `tidy`, which holds
//! them. Modules of one floor meet only through `watch` channels of [`model`] types that [`agent`] connects.
//!
//! What the crate promises, said as absences; each has its tests:
//!
//! 1. No role change, file change, kernel event or timer *does* anything: it wakes the loop ([`reconcile`]).
//! 2. No bad file changes anything that runs ([`desired`]).
//! 3. No address, rule or socket that lbagent did not make is ever removed or altered ([`plan::addresses`]).
//! 4. No two nodes that hear each other own an address ([`election`]).
//! 5. No pure code does IO, reads a clock or fails halfway (`tidy`).
//! 6. No unauthenticated byte beyond a fixed-size header is parsed, and none is answered ([`election::wire`]).
//! 7. No backend's health moves a VIP ([`plan::candidates`]).

// The flow.
pub mod desired;
pub mod election;
pub mod health;
pub mod plan;
pub mod dataplane;
pub mod apply;
pub mod reconcile;
pub mod status;

// What the flow is made of.
pub mod balance;
pub mod kernel;
pub mod model;

// What runs it.
pub mod agent;
pub mod cli;
pub mod drill;

#[cfg(test)]
mod tidy;
