use super::Connecting;
use std::time::Duration;

/// How a pool uses its backends: what is kept, what waits, what is tried again, and what gets no work for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serving {
    /// How often a request or connection is tried again after its first try, 0–100. Default 3.
    pub retries: u16,
    /// Connections that are kept for the next request.
    pub idle: IdleLimits,
    /// Who waits while every backend has its `maxConnections`.
    pub queue: QueueLimits,
    /// For so long the share of a backend that has come into rotation grows to its weight. `None`: it has it at once.
    pub slow_start: Option<Duration>,
    /// Which backends are left alone for what clients have met at them. `None`: only the checks take one out.
    pub ejection: Option<Ejection>,
    /// How often the names of backends are looked up. Default 10 s.
    pub resolve: Duration,
    /// How connections to them are made.
    pub connecting: Connecting,
}

impl Default for Serving {
    fn default() -> Self {
        Self {
            retries: 3,
            idle: IdleLimits::default(),
            queue: QueueLimits::default(),
            slow_start: None,
            ejection: None,
            resolve: Duration::from_secs(10),
            connecting: Connecting::default(),
        }
    }
}

/// `spec.idle`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdleLimits {
    /// How many, per backend and thread of the data plane. Default 128.
    pub max: u16,
    /// How long one is kept. Default 30 s: shorter than most servers wait, so that it is mostly this side which closes.
    pub expiry: Duration,
}

impl Default for IdleLimits {
    fn default() -> Self {
        Self { max: 128, expiry: Duration::from_secs(30) }
    }
}

/// `spec.queue`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueLimits {
    /// How many requests and connections may wait. Default 1024.
    pub max: u16,
    /// How long one may wait. Default: as long as a connection to a backend may take.
    pub timeout: Duration,
}

impl Default for QueueLimits {
    fn default() -> Self {
        Self { max: 1024, timeout: super::PoolTimeouts::default().connect }
    }
}

/// `spec.ejection`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ejection {
    /// Failures in a row that take a backend out, 1–1000. Default 5.
    pub errors: u16,
    /// For how long. Default 10 s.
    pub period: Duration,
    /// Responses with a status of 500 to 599 are failures too. Default false.
    pub on_5xx: bool,
}

impl Default for Ejection {
    fn default() -> Self {
        Self { errors: 5, period: Duration::from_secs(10), on_5xx: false }
    }
}

/// `spec.backends[].state`: what the operator wants of a backend, in HAProxy's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BackendState {
    /// It serves if it is up.
    #[default]
    Ready,
    /// No new clients; those that stick to it go on.
    Drain,
    /// Nobody; it is not even checked.
    Maint,
}

impl BackendState {
    /// The word that state uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Drain => "drain",
            Self::Maint => "maint",
        }
    }
}
