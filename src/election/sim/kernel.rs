//! The kernel of one host, as far as ownership goes: addresses, a fence that outlives the agent, and the agent's own
//! table of leases and tickets, which dies with it. All times are the host's own: they stand still while it is paused.

use super::prng::Rng;
use crate::model::Held;
use std::{
    collections::BTreeMap,
    net::IpAddr,
    time::{Duration, Instant},
};

/// How long a lease lasts,
pub(super) const LEASE: Duration = Duration::from_millis(300);
/// and how often it is renewed.
pub(super) const RENEW_EVERY: Duration = Duration::from_millis(75);
/// The lifetime of an address where there is no fence. The kernel is never early, and up to a quarter late.
const LIFETIME: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(super) struct Kernel {
    /// And when each goes by itself.
    addresses: BTreeMap<IpAddr, Option<Instant>>,
    /// Nothing speaks for a Vip without a lease.
    pub(super) fence: bool,
    leases: BTreeMap<IpAddr, Instant>,
    tickets: BTreeMap<u64, Instant>,
    mute: Held,
    /// Addresses stay for ever where there is no fence: put there by somebody who gives them no lifetime.
    pub(super) endless: bool,
}

impl Kernel {
    /// Answers ARP and ND for `ip`.
    pub(super) fn speaks(&self, now: Instant, ip: &IpAddr) -> bool {
        !self.mute.contains(ip) && self.serves(now, ip)
    }

    /// Exchanges data under `ip` with those who know the way.
    pub(super) fn serves(&self, now: Instant, ip: &IpAddr) -> bool {
        self.has(now, ip) && (!self.fence || self.leased(now, ip))
    }

    pub(super) fn has(&self, now: Instant, ip: &IpAddr) -> bool {
        self.addresses.get(ip).is_some_and(|until| until.is_none_or(|until| now < until))
    }

    pub(super) fn leased(&self, now: Instant, ip: &IpAddr) -> bool {
        self.leases.get(ip).is_some_and(|until| now < *until)
    }

    pub(super) fn held(&self, now: Instant) -> Held {
        self.addresses.keys().filter(|ip| self.has(now, ip) && !self.mute.contains(ip)).copied().collect()
    }

    pub(super) fn add(&mut self, now: Instant, ip: IpAddr, rng: &mut Rng) {
        self.mute.remove(&ip);
        let limited = !self.fence && !self.endless;
        self.addresses.insert(ip, limited.then(|| now + LIFETIME + rng.between(Duration::ZERO, LIFETIME / 4)));
    }

    /// Removes all addresses but these. Leases are the election's alone: what a pass goes by may be old.
    pub(super) fn keep(&mut self, wanted: &Held) {
        self.addresses.retain(|ip, _| wanted.contains(ip));
        self.mute.retain(|ip| wanted.contains(ip));
    }

    /// Keeps `ip` for those who know it, without answering any question for it. Needs what the fence needs.
    pub(super) fn mute(&mut self, ip: IpAddr) -> bool {
        self.fence && (self.mute.contains(&ip) || self.mute.insert(ip))
    }

    pub(super) fn ticket(&mut self, now: Instant, id: u64, ttl: Duration) {
        self.tickets.insert(id, now + ttl);
    }

    /// One step of the kernel: the ticket is taken and the leases begin, or neither.
    pub(super) fn grant(&mut self, now: Instant, ticket: u64, ips: &[IpAddr]) -> bool {
        let valid = self.tickets.remove(&ticket).is_some_and(|until| now < until);
        if valid {
            self.leases.extend(ips.iter().map(|ip| (*ip, now + LEASE)));
        }
        valid
    }

    pub(super) fn revoke(&mut self, ips: &[IpAddr]) {
        self.leases.retain(|ip, _| !ips.contains(ip));
    }

    /// Renews every lease that still runs, and the lifetimes of the addresses that are leased: what an agent merely found
    /// on its devices runs out.
    pub(super) fn renew(&mut self, now: Instant) {
        self.leases.values_mut().filter(|until| now < **until).for_each(|until| *until = now + LEASE);
        let owned = self.addresses.iter_mut().filter(|(ip, _)| self.leases.get(*ip).is_some_and(|until| now < *until));
        let living = owned.filter_map(|(_, until)| until.as_mut()).filter(|until| now < **until);
        living.for_each(|until| *until = (*until).max(now + LIFETIME));
    }

    /// Leases that have ended, once.
    pub(super) fn lost(&mut self, now: Instant) -> Vec<IpAddr> {
        let lost: Vec<IpAddr> = self.leases.iter().filter(|(_, until)| now >= **until).map(|(ip, _)| *ip).collect();
        self.revoke(&lost);
        lost
    }

    pub(super) fn has_leases(&self) -> bool {
        !self.leases.is_empty()
    }

    /// The agent's socket is closed.
    pub(super) fn agent_is_gone(&mut self) {
        self.leases.clear();
        self.tickets.clear();
        self.mute.clear();
    }
}
