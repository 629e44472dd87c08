use super::{
    AccessLog, ErrorPage, Forwarded, MessageEdits, Name, Network, Route, RouteAction, SourceLimits, TcpOptions,
};
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
    /// The most specific one that matches takes a request: see [`Route::specificity`]. Empty for TCP.
    pub routes: Vec<Route>,
    /// Limits on the client's side.
    pub timeouts: ListenerTimeouts,
    /// Where it is written what came and what became of it.
    pub access_log: Option<AccessLog>,
    /// How much one client may have.
    pub limits: SourceLimits,
    /// What is done to every request and response that is passed on. HTTP only.
    pub edits: MessageEdits,
    /// What the proxy answers in place of its own pages. No status is in two of them. HTTP only.
    pub error_pages: Vec<ErrorPage>,
    /// What is believed and told of the way of a request. HTTP only.
    pub forwarded: Forwarded,
    /// Who begins connections with a header of the PROXY protocol; nobody else may connect. Empty: whoever likes
    /// connects, without such a header.
    pub proxy_from: Vec<Network>,
    /// What the kernel does for the connections that are accepted.
    pub tcp: TcpOptions,
}

impl Listener {
    /// With nothing but what it cannot be without.
    pub fn new(port: u16, protocol: Protocol, pool: Option<Name>) -> Self {
        Self {
            port,
            protocol,
            pool,
            routes: Vec::new(),
            timeouts: ListenerTimeouts::default(),
            access_log: None,
            limits: SourceLimits::default(),
            edits: MessageEdits::default(),
            error_pages: Vec::new(),
            forwarded: Forwarded::default(),
            proxy_from: Vec::new(),
            tcp: TcpOptions::default(),
        }
    }

    /// The pools that requests or connections may go to, a pool for each time that it is named.
    pub fn pools(&self) -> impl Iterator<Item = &Name> {
        let routed = self.routes.iter().filter_map(|route| match &route.action {
            RouteAction::Pool(pool) => Some(pool),
            RouteAction::Redirect(_) => None,
        });
        self.pool.iter().chain(routed)
    }
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

/// Limits on the client's side of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenerTimeouts {
    /// From the first byte of a request's head (or the accept) to its last. Default 10 s.
    pub request: Duration,
    /// Between two reads or writes of a body. Default 60 s.
    pub idle: Duration,
    /// From the end of a response to the next request's first byte. Default: [`Self::idle`].
    pub keep_alive: Duration,
    /// Without a byte in either direction in a TCP relay or an upgraded connection. Default 1 h.
    pub tunnel: Duration,
    /// The same once one side has said that it sends no more. Default: [`Self::tunnel`].
    pub half_closed: Duration,
}

impl Default for ListenerTimeouts {
    fn default() -> Self {
        let (idle, tunnel) = (Duration::from_secs(60), Duration::from_secs(3600));
        Self { request: Duration::from_secs(10), idle, keep_alive: idle, tunnel, half_closed: tunnel }
    }
}
