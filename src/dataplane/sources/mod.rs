//! How much one client may have of a listener: connections at one time, and requests within a time, over all workers.
//!
//! A client is an IPv4 address, or the /64 of an IPv6 address: who has one address of a /64 has them all. What is known
//! of clients is kept in [`table`]s of a fixed size that workers read and write without a lock. When so many clients are
//! there that one finds no room, it is let through uncounted: the limits protect from few who want much, and must not
//! themselves become what many can exhaust.
//!
//! The rate is judged by the generic cell rate algorithm (GCRA): so many at once, and then one whenever its part of the
//! time has passed. It needs one number per client, and unlike a window it has no edge to wait for.
//!
//! No part of this reads a clock.

mod table;
#[cfg(test)]
mod tests;

use crate::model::{RequestRate, SourceLimits};
use std::{
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};
use table::{Rates, Seats, Taken};
use tokio::time::Instant;

/// Slots of a table: so many clients may be known at one time, and some more are let through uncounted.
const CLIENTS: usize = 64 * 1024;

/// The limits of one listener, and who has used how much of them.
pub(super) struct Sources {
    connections: Option<(u16, Arc<Seats>)>,
    requests: Option<(Rate, Arc<Rates>)>,
    /// The beginning of time.
    started: Instant,
}

/// One client's connection, counted until this is dropped.
#[derive(Debug)]
pub(super) struct Seat(Option<(Arc<Seats>, usize)>);

/// A client has as much as it may.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

/// Of requests, as GCRA has it.
#[derive(Debug, Clone, Copy)]
struct Rate {
    /// Nanoseconds that one request takes of the client's time.
    each: u64,
    /// How far a client may be ahead of its time, in nanoseconds.
    ahead: u64,
}

impl Sources {
    /// `None` if there is no limit. What was counted under the limits `before` counts on.
    pub(super) fn new(limits: SourceLimits, before: Option<&Self>, now: Instant) -> Option<Arc<Self>> {
        let seats = || before.and_then(|b| Some(b.connections.as_ref()?.1.clone()));
        let rates = || before.and_then(|b| Some(b.requests.as_ref()?.1.clone()));
        let connections =
            limits.connections.map(|most| (most, seats().unwrap_or_else(|| Arc::new(Seats::new(CLIENTS)))));
        let requests =
            limits.requests.map(|rate| (Rate::new(rate), rates().unwrap_or_else(|| Arc::new(Rates::new(CLIENTS)))));
        let started = before.map_or(now, |before| before.started);
        let any = connections.is_some() || requests.is_some();
        any.then(|| Arc::new(Self { connections, requests, started }))
    }

    /// A connection of `client`, if it may have one more.
    pub(super) fn connect(&self, client: IpAddr) -> Result<Seat, Full> {
        let Some((most, seats)) = &self.connections else { return Ok(Seat(None)) };
        match seats.take(source(client), *most) {
            Taken::Seat(index) => Ok(Seat(Some((seats.clone(), index)))),
            Taken::NoRoom => Ok(Seat(None)),
            Taken::Full => Err(Full),
        }
    }

    /// A request of `client`, if it may have one more now; otherwise after how long it may.
    pub(super) fn request(&self, client: IpAddr, now: Instant) -> Result<(), Duration> {
        let Some((rate, rates)) = &self.requests else { return Ok(()) };
        let now = u64::try_from(now.duration_since(self.started).as_nanos()).unwrap_or(u64::MAX / 2);
        rates.admit(source(client), rate.each, rate.ahead, now).map_err(Duration::from_nanos)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some((seats, index)) = &self.0 {
            seats.give_back(*index);
        }
    }
}

impl Rate {
    fn new(rate: RequestRate) -> Self {
        let per = u64::try_from(rate.per.as_nanos()).unwrap_or(u64::MAX / 4);
        let each = (per / u64::from(rate.count)).max(1);
        Self { each, ahead: each * u64::from(rate.count) }
    }
}

/// Whom `client` belongs to.
fn source(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
    }
}
