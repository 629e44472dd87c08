use super::{AccessLog, Name, SourceLimits, TcpOptions};
use std::{net::IpAddr, time::Duration};

/// A virtual IP: one or more addresses that move between nodes as a unit, and what listens on them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vip {
    /// `metadata.name`.
    pub name: Name,
    /// At least one; IPv4 and IPv6 may be mixed.
    pub addresses: Vec<VipAddress>,
    /// A device, or an alias that a Peer's `interfaces` resolves. `None`: the device whose connected subnet holds the
    /// first address.
    pub interface: Option<String>,
    /// The order of preference: the first eligible node of this list owns the addresses.
    pub nodes: Vec<Name>,
    /// Whether and when a more preferred node takes the addresses back.
    pub failback: Failback,
    /// What a node must have to be eligible.
    pub track: Track,
    /// False on fabrics that answer ARP or ND for hosts that are gone (proxy ARP, some EVPN and cloud networks): what
    /// answers there proves nothing, and a claim rests on heartbeats alone. Default true.
    pub trust_probe: bool,
    /// What is served on every one of the addresses.
    pub listeners: Vec<Listener>,
}

/// An address of a Vip and the prefix length that it is added with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VipAddress {
    /// Never unspecified, loopback only if the file says so, never multicast.
    pub ip: IpAddr,
    /// `/32` or `/128` (a host address) unless the file gives another.
    pub prefix_len: u8,
}

impl VipAddress {
    /// `ip` as a host address.
    pub fn host(ip: IpAddr) -> Self {
        Self { ip, prefix_len: if ip.is_ipv4() { 32 } else { 128 } }
    }
}

impl std::fmt::Display for VipAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.ip, self.prefix_len)
    }
}

/// `spec.failback`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failback {
    /// Whether the preferred node takes over again by itself.
    pub mode: FailbackMode,
    /// How long the preferred node must have been up, and have been hearing the owner, before it does. Default 5 s.
    pub after: Duration,
}

/// What happens when a more preferred node returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailbackMode {
    /// It takes the addresses back.
    Auto,
    /// The present owner keeps them.
    Manual,
}

/// `spec.track`: a node that lacks one of these yields to a node that has them all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Track {
    /// Devices or aliases that must have a carrier.
    pub interfaces: Vec<String>,
    /// Addresses that must answer ICMP echo requests.
    pub ping: Vec<IpAddr>,
}

/// One port of a Vip, on all of its addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// 1–65535.
    pub port: u16,
    /// How connections are understood.
    pub protocol: Protocol,
    /// Where requests go that no route takes. Always there for TCP; without it an HTTP request that no route takes is
    /// answered with 404.
    pub pool: Option<Name>,
    /// Tried in order of specificity: a matching host before none, an exact path before a prefix, a longer prefix before
    /// a shorter one, then the order of the file. Empty for TCP.
    pub routes: Vec<Route>,
    /// Limits on the client's side.
    pub timeouts: ListenerTimeouts,
    /// Where it is written what came and what became of it.
    pub access_log: Option<AccessLog>,
    /// How much one client may have.
    pub limits: SourceLimits,
    /// What the kernel does for the connections that are accepted.
    pub tcp: TcpOptions,
}

/// What a listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// HTTP/1.0 and HTTP/1.1.
    Http,
    /// Bytes.
    Tcp,
}

impl Protocol {
    /// The word that state uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Tcp => "tcp",
        }
    }
}

/// One rule of an HTTP listener: all conditions that are given must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Compared with the request's host, without port, in lower case.
    pub host: Option<String>,
    /// Compared with the request target's path, before decoding.
    pub path: Option<PathMatch>,
    /// What is done with a matching request.
    pub action: RouteAction,
}

/// How a route compares a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathMatch {
    /// The path itself or anything below it, on segment boundaries: `/api` and `/api/` both match `/api`, `/api/` and
    /// `/api/x`, never `/apix`. `/` matches everything.
    Prefix(String),
    /// This path and no other.
    Exact(String),
}

/// What a route does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteAction {
    /// Proxies to the pool of this name.
    Pool(Name),
    /// Answers with a redirect.
    Redirect(Redirect),
}

/// A redirect to another scheme, host or both; path and query stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// `None`: the scheme of the request.
    pub scheme: Option<Scheme>,
    /// May carry a port. `None`: the host of the request.
    pub host: Option<String>,
    /// 301, 302, 303, 307 or 308. Default 302.
    pub status: u16,
}

/// The scheme that a redirect leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// `http`
    Http,
    /// `https`
    Https,
}

/// Limits on the client's side of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenerTimeouts {
    /// From the first byte of a request's head (or the accept) to its last. Default 10 s.
    pub request: Duration,
    /// Between requests of a kept-alive connection, and between two reads or writes of a body. Default 60 s.
    pub idle: Duration,
    /// Without a byte in either direction in a TCP relay or an upgraded connection. Default 1 h.
    pub tunnel: Duration,
}

impl Default for ListenerTimeouts {
    fn default() -> Self {
        Self { request: Duration::from_secs(10), idle: Duration::from_secs(60), tunnel: Duration::from_secs(3600) }
    }
}
