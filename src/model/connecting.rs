use std::{net::IpAddr, time::Duration};

/// How connections to the backends of a pool are made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Connecting {
    /// `spec.sourceAddress`: where they come from. The first of the backend's family that is on this machine; where there
    /// is none of that family, what the kernel chooses. Several, because the same state is on every balancer.
    pub sources: Vec<IpAddr>,
    /// What the kernel does for them.
    pub tcp: TcpOptions,
    /// `spec.proxyProtocol`: the header that they begin with, which tells the backend who the client is.
    pub proxy: Option<ProxyProtocol>,
}

/// What the kernel does for TCP connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TcpOptions {
    /// `tcpKeepalive`. `None`: silence is never questioned.
    pub keepalive: Option<TcpKeepalive>,
    /// `timeouts.tcpUserTimeout`, at least 1 ms: for so long what was sent may go without being acknowledged, or may wait
    /// for room at the other end, before the connection is given up (`TCP_USER_TIMEOUT`). `None`: for as long as the
    /// kernel retransmits, about a quarter of an hour.
    pub user_timeout: Option<Duration>,
}

/// The kernel's questions to a peer that is silent (`SO_KEEPALIVE`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpKeepalive {
    /// Silence before the first one. Whole seconds, 1–32767. Default 60 s.
    pub idle: Duration,
    /// From one to the next. Whole seconds, 1–32767. Default 10 s.
    pub interval: Duration,
    /// So many without an answer end the connection, 1–127. Default 6.
    pub count: u16,
}

impl Default for TcpKeepalive {
    fn default() -> Self {
        Self { idle: Duration::from_secs(60), interval: Duration::from_secs(10), count: 6 }
    }
}

/// A version of the PROXY protocol (HAProxy, `doc/proxy-protocol.txt`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

impl ProxyProtocol {
    /// What a header of version 2 begins with.
    pub const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

    /// The word that state uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }

    /// The header of a connection that the balancer makes for itself, as for a check: `UNKNOWN`, or the command `LOCAL`.
    pub fn own(self) -> &'static [u8] {
        match self {
            Self::V1 => b"PROXY UNKNOWN\r\n",
            Self::V2 => b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_balancers_own_header_names_nobody() {
        assert_eq!(ProxyProtocol::V1.own(), b"PROXY UNKNOWN\r\n");
        let own = ProxyProtocol::V2.own();
        assert_eq!(own[..12], ProxyProtocol::SIGNATURE);
        assert_eq!(own[12..], [0x20, 0x00, 0, 0], "version 2, LOCAL, no family, no addresses");
    }
}
