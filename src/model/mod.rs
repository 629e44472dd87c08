//! Plain types that every stage shares: what is wanted, what is there, what is wrong.
//!
//! Nothing here does IO, reads a clock or can fail halfway. A value that exists is valid: text is turned into
//! these types once, in [`crate::desired`], and never checked again.

mod around;
mod connecting;
mod desired;
mod duration;
mod election;
mod health;
mod http;
mod lease;
mod name;
mod names;
mod net;
mod network;
mod peer;
mod pool;
mod problem;
mod proxy;
mod reconcile;
mod route;
mod serving;
mod standby;
mod sticky;
mod traffic;
mod vip;

pub use around::{AccessLog, LogFormat, LogTarget, RequestRate, SourceLimits};
pub use connecting::{Connecting, ProxyProtocol, TcpKeepalive, TcpOptions};
pub use desired::{Desired, Digest, Kind, ObjectRef};
pub use duration::{DurationError, format_duration, parse_duration};
pub use election::{
    Candidate, ElectionEvent, ElectionView, Eligibility, Front, Held, MAX_REFERENCES, PathView, PeerView, Role, Sight,
    SightKind, Standing, VipView,
};
pub use health::{CheckOutcome, Health, HealthTable};
pub use http::{ErrorPage, FieldEdits, Forwarded, ForwardedStyle, MessageEdits};
pub use lease::LeaseView;
pub use name::{Name, NameError};
pub use names::{NameTable, NameView};
pub use net::{Link, Mac, ObservedAddress, ObservedNeighbour, ObservedNetwork};
pub use network::{Network, NetworkError};
pub use peer::{DEFAULT_HEARTBEAT_PORT, Heartbeat, Peer};
pub use pool::{Backend, Balance, Check, CheckKind, Expect, Pool, PoolTimeouts, StatusRange};
pub use problem::{Position, Problem, Severity};
pub use proxy::{ListenerConfig, PoolConfig, ProxyConfig};
pub use reconcile::ReconcileStats;
pub use route::{
    Asked, FieldMatch, HostMatch, Mismatch, PathMatch, Redirect, Route, RouteAction, Scheme, Specificity, ValueMatch,
    stem,
};
pub use serving::{BackendState, Ejection, IdleLimits, QueueLimits, Serving};
pub use standby::Standby;
pub use sticky::{SameSite, Sticky, StickyCookie};
pub use traffic::{BackendTraffic, ListenerTraffic, PoolTraffic, Responses, TrafficSnapshot};
pub use vip::{Failback, FailbackMode, Listener, ListenerTimeouts, Protocol, Track, Vip, VipAddress};
