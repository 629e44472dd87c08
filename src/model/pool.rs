use super::{BackendState, Name, Serving, Sticky};
use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

/// A set of backends that serve the same thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// `metadata.name`.
    pub name: Name,
    /// How a backend is chosen.
    pub balance: Balance,
    /// How a client is kept at the backend it was given first.
    pub sticky: Option<Sticky>,
    /// How backends are watched.
    pub check: Check,
    /// At least one; names are unique within the pool.
    pub backends: Vec<Backend>,
    /// Limits on the backends' side.
    pub timeouts: PoolTimeouts,
    /// How the backends are used.
    pub serving: Serving,
}

/// `spec.balance`, in HAProxy's words.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Balance {
    /// Smooth weighted round robin.
    #[default]
    RoundRobin,
    /// The fewest connections in proportion to the weight.
    LeastConn,
    /// The less loaded of two drawn by weight.
    Random,
    /// A consistent hash of the client's address.
    Source,
    /// A consistent hash of the path that is asked for. HTTP only.
    Uri {
        /// And of its query.
        query: bool,
    },
    /// A consistent hash of the value of the field of this name, round robin without it. HTTP only.
    Header(String),
    /// The first of the file that has a place.
    First,
}

impl Balance {
    /// Every algorithm, in the order of the documentation, the last but one by the field `X-User`.
    pub fn all() -> [Self; 8] {
        use Balance::*;
        let uri = |query| Uri { query };
        [RoundRobin, LeastConn, Random, Source, uri(false), uri(true), Header("X-User".into()), First]
    }

    /// What it goes by can be seen in HTTP alone.
    pub fn needs_http(&self) -> bool {
        matches!(self, Self::Uri { .. } | Self::Header(_))
    }

    /// The word that state uses.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::RoundRobin => "roundrobin",
            Self::LeastConn => "leastconn",
            Self::Random => "random",
            Self::Source => "source",
            Self::Uri { .. } => "uri",
            Self::Header(_) => "header",
            Self::First => "first",
        }
    }
}

/// `spec.check`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What is asked.
    pub kind: CheckKind,
    /// From the start of a check to the start of the next. Default 2 s.
    pub interval: Duration,
    /// After which a check has failed. Default 1 s; never longer than the interval.
    pub timeout: Duration,
    /// Successes in a row that bring a backend into rotation. Default 2.
    pub rise: u32,
    /// Failures in a row that take it out. Default 3.
    pub fall: u32,
}

impl Default for Check {
    fn default() -> Self {
        Self {
            kind: CheckKind::Tcp,
            interval: Duration::from_secs(2),
            timeout: Duration::from_secs(1),
            rise: 2,
            fall: 3,
        }
    }
}

/// What a check asks of a backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckKind {
    /// A TCP connection is accepted.
    Tcp,
    /// `GET path` is answered with an expected status.
    Http {
        /// Begins with `/`.
        path: String,
        /// The `Host` field; `None`: the backend's address.
        host: Option<String>,
        /// Any of these. Default 200–399.
        expect: Vec<StatusRange>,
    },
    /// A connection is accepted, takes some bytes, and answers with others.
    Exchange {
        /// What is said first; may be empty.
        send: Vec<u8>,
        /// What must come then.
        expect: Expect,
    },
    /// An SMTP server greets, and takes a greeting.
    Smtp {
        /// How the balancer calls itself.
        hello: String,
    },
    /// A MySQL or MariaDB server greets, and lets a user in without a password.
    Mysql {
        /// `None`: its greeting is enough.
        user: Option<String>,
    },
}

/// What must come from a server. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    /// Anywhere.
    Contains(Vec<u8>),
    /// First of all.
    Begins(Vec<u8>),
}

/// HTTP status codes from `first` to `last`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusRange {
    /// At least 100.
    pub first: u16,
    /// At most 599, at least `first`.
    pub last: u16,
}

/// A server behind the balancers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// Unique within the pool.
    pub name: Name,
    /// Where it serves and is checked. Of one with a `host` it is where that name led last, and unspecified (0.0.0.0)
    /// while that is not known.
    pub address: SocketAddr,
    /// The name that is looked up for the address, again and again, in lower case.
    pub host: Option<String>,
    /// Its share, 0–256. Default 1. 0: no new requests except by stickiness.
    pub weight: u16,
    /// Used only while no backend without this mark is in rotation.
    pub backup: bool,
    /// Requests and connections that it may be busy with at one time, over all threads of this balancer; kept idle
    /// connections are not counted. `None`: any number.
    pub max_connections: Option<u16>,
    /// What the operator wants of it.
    pub state: BackendState,
}

impl Backend {
    /// One that has nothing but a name and an address.
    pub fn new(name: Name, address: SocketAddr) -> Self {
        Self { name, address, host: None, weight: 1, backup: false, max_connections: None, state: BackendState::Ready }
    }

    /// One whose name has not been looked up yet.
    pub fn named(name: Name, host: String, port: u16) -> Self {
        Self { host: Some(host), ..Self::new(name, SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port)) }
    }

    /// Whether there is an address to go to.
    pub fn is_known(&self) -> bool {
        !self.address.ip().is_unspecified()
    }

    /// As state writes it: `192.0.2.102:80` or `name.example:80`.
    pub fn address_text(&self) -> String {
        match &self.host {
            Some(host) => format!("{host}:{}", self.address.port()),
            None => self.address.to_string(),
        }
    }

    /// Whether it may get new clients, as far as the operator is concerned.
    pub fn takes_new(&self) -> bool {
        self.weight > 0 && self.state == BackendState::Ready
    }
}

/// Limits on the backends' side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolTimeouts {
    /// To establish a connection. Default 5 s.
    pub connect: Duration,
    /// From the end of a request to the head of its response, and between two reads of a body. Default 60 s.
    pub response: Duration,
}

impl Default for PoolTimeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), response: Duration::from_secs(60) }
    }
}
