//! What the agent tells people and machines about itself.
//!
//! There is one value, [`Status`]. [`Status::build`] makes it, a pure function of what the other stages know
//! ([`Inputs`]); everything that is seen is made from it and from nothing else:
//!
//! ```text
//! Inputs ─ build ─► Status ─┬─ metrics  Prometheus text           GET /metrics
//!                           ├─ json     the value itself          GET /status, lbagent status -o json
//!                           ├─ Ready    one word                  GET /healthz
//!                           ├─ text     a table                   lbagent status
//!                           └─ nagios   Monitoring Plugins' line  lbagent check
//! ```
//!
//! So a metric, the page and a check can never disagree. [`server`] is the only part that does IO, and it only reads:
//! nothing that arrives over HTTP can change anything.

mod build;
mod conditions;
pub mod metrics;
pub mod nagios;
mod pages;
pub mod process;
mod sections;
pub mod server;
mod socket;
pub mod text;
mod time;
mod value;
mod value_net;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod shipped_tests;

pub use build::{Clock, Inputs, StateInputs};
pub use time::{Timestamp, TimestampError};
pub use value::{
    Condition, ConditionStatus, EventStatus, ObjectStatus, ProblemStatus, ProcessStatus, ProxyStatus, ReconcileStatus,
    StateStatus, Status,
};
pub use value_net::{
    BackendStatus, CheckStatus, ForeignStatus, ListenerStatus, PathStatus, PeerStatus, PoolStatus, VipAddressStatus,
    VipStatus,
};
