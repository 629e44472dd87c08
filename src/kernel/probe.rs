//! Asks the wire whether anyone has an address, and hears everyone who shows that they do.
//!
//! A probe (ARP request from 0.0.0.0, neighbour solicitation from `::`) changes no cache, and the kernel of whoever has
//! the address answers it in softirq, whatever its userland does: within 0.3 ms, beside CPU hogs too (measured). So a
//! few silent probes are proof enough – provided that something else answers on that link at all, which the caller
//! has to judge.
//!
//! Not only answers count. Whoever asks from the address, announces it or advertises it has it, too. What this host
//! sends itself is never heard, not even when it comes back in through another of its own devices.

mod groups;

use self::groups::Groups;
use super::{
    KernelError, frames,
    packet_socket::{Heard, PacketListener, PacketSender},
};
use crate::model::{Link, Mac, ObservedNetwork, Sight, SightKind};
use std::{
    collections::BTreeSet,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Sends probes and hears who has the addresses that it watches. One serves all addresses and all devices, also those
/// that appear later.
#[derive(Debug)]
pub struct Prober {
    sender: PacketSender,
    listener: PacketListener,
    interest: Mutex<Interest>,
}

#[derive(Debug, Default)]
struct Interest {
    ips: BTreeSet<IpAddr>,
    own_macs: BTreeSet<Mac>,
    groups: Groups,
}

/// Frames about other addresses that are read in one go before other tasks get their turn.
const BATCH: usize = 64;

impl Prober {
    /// In the network namespace of the calling thread; needs `CAP_NET_RAW` and a tokio runtime with IO and time.
    pub fn new() -> Result<Self, KernelError> {
        let sender = PacketSender::open()?;
        Ok(Self { sender, listener: PacketListener::open()?, interest: Mutex::default() })
    }

    /// Replaces the set of addresses that [`Prober::recv`] tells about. To be called with every address of every Vip
    /// and every reference whenever they change; [`Prober::send`] adds what it probes.
    pub fn watch(&self, ips: impl IntoIterator<Item = IpAddr>) {
        let mut interest = self.interest();
        interest.ips = ips.into_iter().collect();
        let Interest { ips, groups, .. } = &mut *interest;
        groups.retain(ips);
    }

    /// Learns which MACs are this host's own, so that a frame which leaves through one device and comes back through
    /// another is not taken for somebody else's. To be called with every observation.
    pub fn own(&self, network: &ObservedNetwork) {
        self.interest().own_macs = network.links.values().filter_map(|link| link.mac).collect();
    }

    /// Asks once, now, on `link`, who has `ip`, and listens for it from here on, to others who ask as well. Never waits. On a device without an
    /// Ethernet address nobody else can have it, and nothing is sent.
    pub fn send(&self, link: &Link, ip: IpAddr) -> Result<(), KernelError> {
        let Some(mac) = link.mac else { return Ok(()) };
        let mut interest = self.interest();
        interest.ips.insert(ip);
        interest.own_macs.insert(mac);
        if let Err(error) = interest.groups.join(link.index, ip) {
            // Whoever has the address is heard all the same.
            tracing::warn!(%ip, link = link.name, %error, "cannot hear others who ask for the address");
        }
        drop(interest);
        self.sender
            .send(link.index, &frames::probe(mac, ip))
            .map_err(|cause| KernelError::new(format!("probe {ip} on {}", link.name), cause))
    }

    /// The next sign that someone else has one of the watched addresses, or asks who does. Cancelling loses none. The
    /// same frame may be told more than once (bridges, bonds: a port's `link` shows beside the bridge's), and the same
    /// host as often as it speaks.
    pub async fn recv(&self) -> Sight {
        let mut since_yield = 0;
        loop {
            match self.listener.recv().await {
                Ok(heard) => {
                    if let Some(sight) = self.sight(&heard) {
                        return sight;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot read ARP and ND frames");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
            since_yield = (since_yield + 1) % BATCH;
            if since_yield == 0 {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Frames lost because they came faster than [`Prober::recv`] was called, since the start.
    pub fn dropped(&self) -> u64 {
        self.listener.dropped()
    }

    /// Having an address says more than asking for another one, where a frame does both.
    fn sight(&self, heard: &Heard) -> Option<Sight> {
        let frame = frames::parse(heard.bytes())?;
        let interest = self.interest();
        let watched = |ip: &IpAddr| interest.ips.contains(ip);
        let has = frame.claim().filter(|(ip, _)| watched(ip)).map(|(ip, mac)| (ip, mac, SightKind::Has));
        let asks = || {
            let (ip, asker) = frame.question().filter(|(ip, _)| watched(ip))?;
            Some((ip, frame.source, SightKind::Asks(asker)))
        };
        let (ip, mac, kind) = has.or_else(asks)?;
        let own = [mac, frame.source].iter().any(|mac| interest.own_macs.contains(mac));
        (!own).then_some(Sight { link: heard.link, ip, mac, kind })
    }

    fn interest(&self) -> MutexGuard<'_, Interest> {
        self.interest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
