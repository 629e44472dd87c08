//! Keeps this host silent about an address that it still has.
//!
//! In a handover two things must be true at once: the old owner still takes the connections of clients that have not
//! heard of the new one, and only the new one answers ARP and ND. So the old owner mutes the address – its kernel no
//! longer answers for it, nor names it as sender in ARP – until the new owner has announced it, and only then removes it.
//! Without this there is a gap between the two in which a client's SYN gets lost, and waits a second to be sent again.
//!
//! The rules are in one nftables table of the netdev family, programmed over netlink (no `nft` program), and the table
//! belongs to the socket that made it (`NFT_TABLE_F_OWNER`): the kernel destroys it when this process ends, however it
//! ends. Needs Linux ≥ 5.16 (egress hook) with nf_tables, and `CAP_NET_ADMIN`; where that is not to be had,
//! [`Mute::set`] fails and the caller removes the address at once instead.

mod message;

use super::KernelError;
use message::Batch;
use rtnetlink::sys::{Socket, SocketAddr};
use std::{collections::BTreeSet, io, net::IpAddr};

const NETLINK_NETFILTER: isize = 12;
/// No other table of this name can exist while ours does, and nobody else's is touched: an owned table only takes
/// orders from its owner.
const TABLE: &str = "lbagent_mute";

/// The mute addresses of this network namespace.
#[derive(Debug, Default)]
pub struct Mute {
    /// Opened with the first address.
    socket: Option<Socket>,
    now: Muted,
}

/// Addresses, and the devices on which they are mute.
type Muted = (BTreeSet<String>, BTreeSet<IpAddr>);

impl Mute {
    /// Mutes exactly `ips`, on each of the `devices`, in one transaction: at no moment is an address that stays in the
    /// set heard. Nothing is done if nothing has changed. After an error nothing is muted.
    pub fn set(&mut self, devices: BTreeSet<String>, ips: BTreeSet<IpAddr>) -> Result<(), KernelError> {
        let wanted = if ips.is_empty() { Muted::default() } else { (devices, ips) };
        if wanted == self.now {
            return Ok(());
        }
        let result = self.program(&wanted);
        self.now = if result.is_ok() { wanted } else { Muted::default() };
        if result.is_err() || self.now.1.is_empty() {
            // Closing the socket takes the table with it.
            self.socket = None;
        }
        result.map_err(|cause| KernelError::new("mute an address that is being handed over", cause))
    }

    /// Ends the silence of all but `still`.
    pub fn retain(&mut self, still: &BTreeSet<IpAddr>) -> Result<(), KernelError> {
        self.set(self.now.0.clone(), self.now.1.intersection(still).copied().collect())
    }

    /// The addresses that are mute now.
    pub fn ips(&self) -> &BTreeSet<IpAddr> {
        &self.now.1
    }

    fn program(&mut self, (devices, ips): &Muted) -> io::Result<()> {
        let replaces = self.socket.is_some();
        if ips.is_empty() {
            return Ok(());
        }
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => open()?,
        };
        let mut batch = Batch::new();
        if replaces {
            batch.delete_table(TABLE);
        }
        batch.new_table(TABLE);
        for device in devices {
            batch.silence(TABLE, device, ips);
        }
        exchange(&socket, &batch.finish())?;
        self.socket = Some(socket);
        Ok(())
    }
}

fn open() -> io::Result<Socket> {
    let mut socket = Socket::new(NETLINK_NETFILTER)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.set_non_blocking(true)?;
    Ok(socket)
}

/// The kernel works a batch off within `send` and has queued its answers when that returns.
fn exchange(socket: &Socket, batch: &[u8]) -> io::Result<()> {
    socket.send(batch, 0)?;
    loop {
        let mut answer = Vec::with_capacity(8192);
        match socket.recv(&mut answer, 0) {
            Ok(_) => message::check(&answer)?,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests;
