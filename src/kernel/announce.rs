//! Tells the neighbours where an address is now.
//!
//! Without an announcement clients stay on the MAC of the previous owner for 33–45 s (measured). One gratuitous ARP
//! request and one reply, or one unsolicited neighbour advertisement, moves every entry that exists, however young.
//! Frames get lost: the caller repeats (0.2, 1 and 3 s have proved themselves), and stops when it gives the address up.

use super::{KernelError, frames, packet_socket::PacketSender};
use crate::model::Link;
use std::net::IpAddr;

/// Sends gratuitous ARP and unsolicited neighbour advertisements. Sending never waits.
#[derive(Debug)]
pub struct Announcer(PacketSender);

impl Announcer {
    /// In the network namespace of the calling thread; needs `CAP_NET_RAW`.
    pub fn new() -> Result<Self, KernelError> {
        PacketSender::open().map(Self)
    }

    /// Tells the neighbours on `link` that `ip` is at `link`'s MAC: once, now. On a device without an Ethernet address
    /// there is no one to tell, and nothing is done.
    ///
    /// To be called once the address is there (and, with a fence, the permission to speak from it: a fence that drops
    /// the frame shows as `ENOBUFS`).
    pub fn announce(&self, link: &Link, ip: IpAddr) -> Result<(), KernelError> {
        let Some(mac) = link.mac else { return Ok(()) };
        for frame in frames::announcement(mac, ip) {
            self.0
                .send(link.index, &frame)
                .map_err(|cause| KernelError::new(format!("announce {ip} on {}", link.name), cause))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
