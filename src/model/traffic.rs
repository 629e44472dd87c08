use super::Name;
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    ops::{Add, AddAssign},
};

/// What the data plane has carried since the agent started: the sum over its threads at one moment. Counters only
/// grow while their listener or backend is configured; `active` ones go up and down.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrafficSnapshot {
    /// By the address they listen on.
    pub listeners: BTreeMap<SocketAddr, ListenerTraffic>,
    /// By pool and backend.
    pub backends: BTreeMap<(Name, Name), BackendTraffic>,
}

/// The clients' side of one listener.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ListenerTraffic {
    /// Connections accepted.
    pub accepted: u64,
    /// Connections open now.
    pub active: u64,
    /// HTTP requests whose head was read whole. 0 for TCP.
    pub requests: u64,
    /// HTTP responses sent to clients, the proxy's own included.
    pub responses: Responses,
    /// Bytes read from clients.
    pub bytes_in: u64,
    /// Bytes written to clients.
    pub bytes_out: u64,
    /// Connections closed at once because a limit was reached, and accepts that failed.
    pub refused: u64,
    /// Connections that ended badly on the client's side: malformed requests, timeouts, resets.
    pub errors: u64,
}

/// The backends' side of one backend of one pool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BackendTraffic {
    /// Requests (HTTP) or connections (TCP) in progress now.
    pub active: u64,
    /// Connections established.
    pub connections: u64,
    /// HTTP requests sent. 0 for TCP.
    pub requests: u64,
    /// Connections that could not be established.
    pub connect_errors: u64,
    /// HTTP responses received.
    pub responses: Responses,
    /// Bytes sent to the backend.
    pub bytes_in: u64,
    /// Bytes received from the backend.
    pub bytes_out: u64,
    /// Requests or connections tried again at this backend.
    pub retries: u64,
    /// Requests or connections moved to another backend after this one failed.
    pub redispatches: u64,
}

/// HTTP responses by the first digit of their status: 1xx to 5xx.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Responses(pub [u64; 5]);

impl Responses {
    /// Counts a response with `status` (100–599; any other is not counted).
    pub fn count(&mut self, status: u16) {
        if let Some(class) = (status / 100).checked_sub(1).and_then(|index| self.0.get_mut(usize::from(index))) {
            *class += 1;
        }
    }

    /// Each class (`"1xx"` …) and its count.
    pub fn by_class(&self) -> impl Iterator<Item = (&'static str, u64)> {
        ["1xx", "2xx", "3xx", "4xx", "5xx"].into_iter().zip(self.0)
    }
}

impl AddAssign for Responses {
    fn add_assign(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(mine, theirs)| *mine += theirs);
    }
}

impl Add for Responses {
    type Output = Self;
    fn add(mut self, other: Self) -> Self {
        self += other;
        self
    }
}

impl AddAssign for ListenerTraffic {
    fn add_assign(&mut self, other: Self) {
        *self = Self {
            accepted: self.accepted + other.accepted,
            active: self.active + other.active,
            requests: self.requests + other.requests,
            responses: self.responses + other.responses,
            bytes_in: self.bytes_in + other.bytes_in,
            bytes_out: self.bytes_out + other.bytes_out,
            refused: self.refused + other.refused,
            errors: self.errors + other.errors,
        };
    }
}

impl AddAssign for BackendTraffic {
    fn add_assign(&mut self, other: Self) {
        *self = Self {
            active: self.active + other.active,
            connections: self.connections + other.connections,
            requests: self.requests + other.requests,
            connect_errors: self.connect_errors + other.connect_errors,
            responses: self.responses + other.responses,
            bytes_in: self.bytes_in + other.bytes_in,
            bytes_out: self.bytes_out + other.bytes_out,
            retries: self.retries + other.retries,
            redispatches: self.redispatches + other.redispatches,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_counts_in_its_class_and_nonsense_nowhere() {
        let mut responses = Responses::default();
        for status in [100, 200, 204, 302, 404, 599, 0, 99, 600, u16::MAX] {
            responses.count(status);
        }
        assert_eq!(responses, Responses([1, 2, 1, 1, 1]));
        assert_eq!(responses.by_class().nth(1), Some(("2xx", 2)));
    }

    #[test]
    fn threads_add_up_field_by_field() {
        let responses = Responses([1, 2, 3, 4, 5]);
        let one = BackendTraffic {
            active: 1,
            connections: 2,
            requests: 3,
            connect_errors: 4,
            responses,
            bytes_in: 5,
            bytes_out: 6,
            retries: 7,
            redispatches: 8,
        };
        let mut sum = one;
        sum += one;
        let doubled = Responses([2, 4, 6, 8, 10]);
        let expected = BackendTraffic {
            active: 2,
            connections: 4,
            requests: 6,
            connect_errors: 8,
            responses: doubled,
            bytes_in: 10,
            bytes_out: 12,
            retries: 14,
            redispatches: 16,
        };
        assert_eq!(sum, expected);
        let one = ListenerTraffic {
            accepted: 1,
            active: 2,
            requests: 3,
            responses,
            bytes_in: 4,
            bytes_out: 5,
            refused: 6,
            errors: 7,
        };
        let mut sum = one;
        sum += one;
        let expected = ListenerTraffic {
            accepted: 2,
            active: 4,
            requests: 6,
            responses: doubled,
            bytes_in: 8,
            bytes_out: 10,
            refused: 12,
            errors: 14,
        };
        assert_eq!(sum, expected);
    }
}
