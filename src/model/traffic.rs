use super::Name;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

/// What the data plane has carried: the sum over its threads at one moment. Counters only grow, for as long as what they
/// are of is configured; those called a gauge go up and down.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrafficSnapshot {
    /// By the address they listen on.
    pub listeners: BTreeMap<SocketAddr, ListenerTraffic>,
    /// By pool and backend.
    pub backends: BTreeMap<(Name, Name), BackendTraffic>,
    /// By pool.
    pub pools: BTreeMap<Name, PoolTraffic>,
    /// By pool and backend: those that get nothing new for a while because too much has failed there.
    pub ejected: BTreeSet<(Name, Name)>,
    /// Times that a thread could not accept for want of descriptors or memory.
    pub accept_failures: u64,
    /// Gauge: connections that clients have open, of all listeners that are or were.
    pub connections: u64,
    /// Gauge: those of them that have been idle for a second or more, and cost little.
    pub parked: u64,
    /// Lines that never reached an access log because its target failed or was too slow.
    pub access_log_dropped: u64,
    /// How many there may be at one time; more wait in the kernel's queues. Constant.
    pub max_connections: u64,
}

/// The clients' side of one listening address. Bytes are counted as HAProxy counts them: *in* comes from the client,
/// *out* goes to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ListenerTraffic {
    /// Connections accepted.
    pub accepted: u64,
    /// Gauge: connections open.
    pub active: u64,
    /// HTTP requests begun, refused ones included. 0 for TCP.
    pub requests: u64,
    /// HTTP responses sent to clients, the proxy's own included.
    pub responses: Responses,
    /// HTTP requests refused as malformed, too large or too slow, with a page that says so.
    pub refused: u64,
    /// Connections (TCP and HTTP) and requests (HTTP) turned away because their client had as much as it may.
    pub limited: u64,
    /// Connections closed because they did not begin with the PROXY header that is wanted there, or came from elsewhere.
    pub proxy_refused: u64,
    /// Bytes read from clients.
    pub bytes_in: u64,
    /// Bytes written to clients.
    pub bytes_out: u64,
}

/// The backends' side of one backend of one pool. Bytes are counted in the client's direction as for a listener, which
/// is HAProxy's way too: *in* is what requests are made of, *out* what responses are made of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BackendTraffic {
    /// Gauge: HTTP exchanges or TCP connections in progress.
    pub active: u64,
    /// Gauge: connections kept for the next request.
    pub idle: u64,
    /// Connections established.
    pub connections: u64,
    /// Connections that could not be established.
    pub connect_errors: u64,
    /// Those of them for want of a free port on this machine; they say nothing about the backend.
    pub port_exhausted: u64,
    /// HTTP requests sent, those that were sent again each time. 0 for TCP.
    pub requests: u64,
    /// HTTP responses received.
    pub responses: Responses,
    /// Requests tried again here, on a new connection, because a kept one had died.
    pub retries: u64,
    /// Requests or connections moved on to another backend because this one had failed.
    pub redispatches: u64,
    /// Responses that never came, came too late, were malformed or broke off.
    pub failures: u64,
    /// Times that too much failed here in a row, so that it got nothing new for a while.
    pub ejections: u64,
    /// Bytes sent to the backend.
    pub bytes_in: u64,
    /// Bytes received from the backend.
    pub bytes_out: u64,
}

/// Those who found every backend of a pool busy with as much as it may.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PoolTraffic {
    /// Gauge: requests and connections that wait for a place at a backend.
    pub queued: u64,
    /// Those that have waited.
    pub queued_total: u64,
    /// Those that have waited in vain for as long as the pool allows.
    pub queue_timeouts: u64,
    /// Those that were turned away because too many were waiting.
    pub queue_refused: u64,
}

/// HTTP responses by the first digit of their status: 1xx (of which only 101 ends an exchange and is counted) to 5xx.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Responses(pub [u64; 5]);

impl Responses {
    /// Where a response with `status` is counted; `None` outside 100–599.
    pub fn class(status: u16) -> Option<usize> {
        (100..600).contains(&status).then(|| usize::from(status / 100) - 1)
    }

    /// Each class (`"1xx"` …) and its count.
    pub fn by_class(&self) -> impl Iterator<Item = (&'static str, u64)> {
        ["1xx", "2xx", "3xx", "4xx", "5xx"].into_iter().zip(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_counts_in_its_class_and_nonsense_nowhere() {
        let name = |class: usize| Responses::default().by_class().nth(class).map(|(name, _)| name);
        for (status, class) in [(100, "1xx"), (101, "1xx"), (200, "2xx"), (302, "3xx"), (404, "4xx"), (599, "5xx")] {
            assert_eq!(Responses::class(status).and_then(name), Some(class), "{status}");
        }
        for status in [0, 1, 99, 600, u16::MAX] {
            assert_eq!(Responses::class(status), None, "{status}");
        }
    }

    #[test]
    fn counts_stay_with_their_names() {
        let counts: Vec<_> = Responses([5, 4, 3, 2, 1]).by_class().collect();
        assert_eq!(counts, [("1xx", 5), ("2xx", 4), ("3xx", 3), ("4xx", 2), ("5xx", 1)]);
    }
}
