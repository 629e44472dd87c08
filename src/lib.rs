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
//! The modules below stand in the order of that flow. Imports go strictly down (see `tidy` at the end of this file for
//! the floors); modules of one floor meet only through `watch` channels of [`model`] types that `agent` connects.

pub mod model;

pub mod cli;
pub mod desired;
pub mod kernel;
