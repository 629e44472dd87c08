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
//!                           ├─ why      one decision explained    lbagent why VIP
//!                           └─ nagios   Monitoring Plugins' line  lbagent check
//! ```
//!
//! So a metric, the page and a check can never disagree. [`server`] and [`log`] are the only parts that do IO. Nothing
//! that arrives over TCP can change anything; over the unix socket, which only root can open, an operator can ask for an
//! [`action::Action`], and the agent decides.

pub mod action;
mod build;
mod conditions;
mod layout;
pub mod log;
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
mod value_owner;
pub mod why;

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
pub use value_owner::{FenceStatus, StandbyStatus, StandingStatus};
