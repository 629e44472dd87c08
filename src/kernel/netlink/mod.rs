//! Links and addresses over rtnetlink: what is there, add, remove, and wake on every change.
//!
//! Every address that is added here carries [`ADDRESS_PROTOCOL`] in `IFA_PROTO`, so a restarted agent knows its own
//! addresses and touches no others. Kernels before 5.18 drop the mark: there a [`record`] of what was added takes its
//! place.
//!
//! # A VIP is no source address
//!
//! The node must not use a VIP as the source of its own outgoing connections: they would break when the VIP moves.
//!
//! - **IPv6**: `preferred_lft 0` makes the address deprecated, and source selection takes any other address of
//!   sufficient scope first, from other devices too (RFC 6724 §5, rule 3). Only a node that has no other global
//!   address at all speaks from it. NODAD, or it could not be used for a second.
//! - **IPv4, host address (/32)**: added with scope *host*, which `inet_select_addr` skips for every destination beyond
//!   this host. It answers ARP, accepts connections and can be bound like any other. (`arp_ignore=3` would make it
//!   mute; 0, 1 and 2 do not look at the scope.)
//! - **IPv4, with a prefix length below 32**: beside an address of the node in the same subnet it becomes *secondary*,
//!   which is never selected. **Without one it cannot be had**: the kernel makes the connected route with the VIP as
//!   its source. Scope host would not help against that route, and would make the kernel refuse the node's own address
//!   of that subnet when it comes later (`EINVAL`, "Invalid scope value"): a DHCP client could not get its lease back.
//!   The address is then what `ip address add` would make it. Host addresses are the safe way.
//! - Connections from the node to a VIP that it holds itself have the VIP on both ends; they never leave the host.

mod add;
mod address;
mod device;
mod events;
pub mod record;
mod request;
mod surroundings;

pub use add::{Addition, Refresh};
pub use device::device_for;
pub use events::Events;

use self::{address::KernelAddress, record::Record, request::Requests};
use super::KernelError;
use crate::model::{Link, Mac, ObservedAddress, ObservedNetwork, VipAddress};
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkLayerType, LinkMessage};
use std::{
    io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// `IFA_PROTO` of the addresses that lbagent adds: `L`. 1–3 are the kernel's own; iproute2's `rt_addrprotos` registers
/// no other.
pub const ADDRESS_PROTOCOL: u8 = b'L';

/// A connection to the kernel's rtnetlink. Clones share it.
#[derive(Debug, Clone)]
pub struct Netlink {
    requests: Arc<Requests>,
    record: Arc<Mutex<Record>>,
    mark: bool,
}

/// What [`Netlink::remove_address`] found or did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// It was there, and is gone.
    Removed,
    /// It was not there.
    Absent,
    /// It is there, but somebody else added it: left alone.
    Foreign,
}

/// One of the addresses that [`Netlink::remove_ours`] found.
#[derive(Debug)]
pub struct Removed {
    /// With prefix length.
    pub address: VipAddress,
    /// The name of the device that it was on.
    pub device: String,
    /// What became of it.
    pub result: Result<Removal, KernelError>,
}

impl Netlink {
    /// In the network namespace of the calling thread, on the current tokio runtime. `record` is a file that exists
    /// only where the kernel does not keep marks; it belongs to one network namespace and lives under /run
    /// (`/run/lbagent/addresses`), so that a reboot empties it.
    pub fn connect(record: impl Into<PathBuf>) -> Result<Self, KernelError> {
        Self::open(record.into(), true)
    }

    /// As on a kernel before 5.18, which drops the mark: only the record tells our addresses from others.
    pub fn connect_without_marks(record: impl Into<PathBuf>) -> Result<Self, KernelError> {
        Self::open(record.into(), false)
    }

    fn open(record: PathBuf, mark: bool) -> Result<Self, KernelError> {
        let attempt = |cause| KernelError::new(format!("read the record of addresses {}", record.display()), cause);
        let record = Record::load(&record).map_err(attempt)?;
        let requests =
            Requests::connect().map_err(|cause| KernelError::new("open a connection to rtnetlink", cause))?;
        Ok(Self { requests: Arc::new(requests), record: Arc::new(Mutex::new(record)), mark })
    }

    /// All devices and addresses, as they are now, with the neighbours and gateways that the kernel knows.
    pub async fn observe(&self) -> Result<ObservedNetwork, KernelError> {
        let links = self.requests.links().await.map_err(|cause| KernelError::new("list network devices", cause))?;
        let links = links.iter().filter_map(link).map(|link| (link.index, link)).collect();
        let addresses = self.addresses().await?;
        let addresses = addresses.iter().map(|it| self.observed(it)).collect();
        let neighbours =
            self.requests.neighbours().await.map_err(|cause| KernelError::new("list neighbours", cause))?;
        let routes = self.requests.routes().await.map_err(|cause| KernelError::new("list routes", cause))?;
        Ok(ObservedNetwork {
            links,
            addresses,
            neighbours: surroundings::neighbours(&neighbours),
            gateways: surroundings::gateways(&routes),
        })
    }

    /// [`Netlink::remove_addresses`] of one.
    pub async fn remove_address(&self, link: u32, address: VipAddress) -> Result<Removal, KernelError> {
        self.remove_addresses(&[(link, address)]).await.pop().unwrap_or(Ok(Removal::Absent))
    }

    /// Removes exactly these devices', ips' and prefix lengths' addresses, each if it is marked as ours; an absent one is
    /// no error. The results are in the order of `unwanted`. The marks are read just before: between the two, somebody
    /// would have to remove ours and add their own.
    ///
    /// Where the kernel removes other addresses of the same IPv4 subnet with it (its secondaries, while the sysctl
    /// `promote_secondaries` is 0), they are put back at once. Routes that named one of them as source are not: another
    /// reason for host addresses, which have no secondaries.
    pub async fn remove_addresses(&self, unwanted: &[(u32, VipAddress)]) -> Vec<Result<Removal, KernelError>> {
        let before = match self.addresses().await {
            Ok(before) => before,
            Err(error) => return add::all_failed(unwanted, &error),
        };
        let ours =
            |&&(link, address): &&(u32, VipAddress)| find(&before, link, address).is_some_and(|it| self.is_ours(it));
        let going: Vec<_> = unwanted.iter().filter(ours).copied().collect();
        let mut results = Vec::new();
        for &(link, address) in unwanted {
            results.push(self.remove(link, address, &before, &going).await);
        }
        results
    }

    /// Whatever else the kernel takes away with it comes back, but for what is `going` as well.
    async fn remove(
        &self,
        link: u32,
        address: VipAddress,
        before: &[KernelAddress],
        going: &[(u32, VipAddress)],
    ) -> Result<Removal, KernelError> {
        let attempt = |cause| KernelError::new(format!("remove {address} from {}", device_name(link)), cause);
        let Some(existing) = find(before, link, address) else {
            self.forget(link, address);
            return Ok(Removal::Absent);
        };
        if !self.is_ours(existing) {
            return Ok(Removal::Foreign);
        }
        let removal = match self.requests.remove_address(existing.message.clone()).await {
            Ok(()) => Removal::Removed,
            Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => Removal::Absent,
            Err(cause) => return Err(attempt(cause)),
        };
        self.forget(link, address);
        let mut secondaries = existing.secondaries(before);
        secondaries.retain(|it| !going.contains(&(it.link, it.vip_address())));
        self.restore(secondaries).await?;
        Ok(removal)
    }

    /// Removes every address that is marked as ours, and says what came of each.
    pub async fn remove_ours(&self) -> Result<Vec<Removed>, KernelError> {
        let network = self.observe().await?;
        let ours = network.addresses.iter().filter(|address| address.ours);
        let ours: Vec<_> = ours.map(|it| (it.link, VipAddress { ip: it.ip, prefix_len: it.prefix_len })).collect();
        let results = self.remove_addresses(&ours).await;
        let device = |link| network.links.get(&link).map_or("a device", |link| link.name.as_str()).to_owned();
        let each = ours.into_iter().zip(results);
        Ok(each.map(|((link, address), result)| Removed { address, device: device(link), result }).collect())
    }

    /// Wakes on every change of a device or an address from here on; see [`Events`].
    pub fn events(&self) -> Result<Events, KernelError> {
        Events::subscribe().map_err(|cause| KernelError::new("subscribe to changes of devices and addresses", cause))
    }

    /// The netlink port of changes made here, as [`Events::last_port`] names it.
    pub fn port(&self) -> u32 {
        self.requests.port()
    }

    async fn addresses(&self) -> Result<Vec<KernelAddress>, KernelError> {
        let messages = self.requests.addresses().await.map_err(|cause| KernelError::new("list addresses", cause))?;
        Ok(messages.into_iter().filter_map(KernelAddress::parse).collect())
    }

    fn observed(&self, address: &KernelAddress) -> ObservedAddress {
        let KernelAddress { link, ip, prefix_len, .. } = *address;
        ObservedAddress { link, ip, prefix_len, ours: self.is_ours(address), valid_for: address.valid_for() }
    }

    fn is_ours(&self, address: &KernelAddress) -> bool {
        address.protocol == Some(ADDRESS_PROTOCOL) || self.record().holds(&address.entry())
    }

    /// Puts back what the kernel took away beside the removed address, as it was.
    async fn restore(&self, secondaries: Vec<KernelAddress>) -> Result<(), KernelError> {
        if secondaries.is_empty() {
            return Ok(());
        }
        let left = self.addresses().await?;
        let mut put_back = Vec::new();
        for lost in secondaries.into_iter().filter(|it| find(&left, it.link, it.vip_address()).is_none()) {
            let (link, address, ours) = (lost.link, lost.vip_address(), self.is_ours(&lost));
            match self.requests.add_address(lost.message).await {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    let attempt = format!("put {address} back on {}, which the kernel removed", device_name(link));
                    return Err(KernelError::new(attempt, error));
                }
                _ if ours => put_back.push((link, address)),
                _ => {}
            }
        }
        if !put_back.is_empty() {
            let now = self.addresses().await?;
            let recorded = self.note_after(&put_back, &now);
            for (link, address) in put_back {
                drop(self.verify(link, address, &now, &recorded).await);
            }
        }
        Ok(())
    }

    fn forget(&self, link: u32, address: VipAddress) {
        self.record().remove(link, address.ip, address.prefix_len);
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn find(addresses: &[KernelAddress], link: u32, address: VipAddress) -> Option<&KernelAddress> {
    addresses.iter().find(|it| it.link == link && it.vip_address() == address)
}

fn link(message: &LinkMessage) -> Option<Link> {
    let header = &message.header;
    let name = message.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name.clone()),
        _ => None,
    })?;
    let mac = message.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::Address(bytes) => bytes.as_slice().try_into().ok().map(Mac),
        _ => None,
    });
    Some(Link {
        index: header.index,
        name,
        mac: mac.filter(|_| header.link_layer_type == LinkLayerType::Ether),
        loopback: header.flags.contains(LinkFlags::Loopback),
        running: header.flags.contains(LinkFlags::Up | LinkFlags::Running | LinkFlags::LowerUp),
    })
}

/// For messages only.
fn device_name(link: u32) -> String {
    match nix::net::if_::if_indextoname(link) {
        Ok(name) if !name.is_empty() => name.to_string_lossy().into_owned(),
        _ => format!("device {link}"),
    }
}

#[cfg(test)]
mod tests;
