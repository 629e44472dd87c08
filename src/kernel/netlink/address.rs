//! Addresses as rtnetlink messages, there and back.

use super::{ADDRESS_PROTOCOL, record::Entry};
use crate::model::VipAddress;
use rtnetlink::packet_route::{
    AddressFamily,
    address::{
        AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressProtocol, AddressScope, CacheInfo,
    },
};
use std::{net::IpAddr, time::Duration};

/// `lo` in every network namespace (`LOOPBACK_IFINDEX` of the kernel).
const LOOPBACK_INDEX: u32 = 1;
/// `INFINITY_LIFE_TIME`
const FOREVER: u32 = u32::MAX;

/// An address that is to be added.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    pub(super) link: u32,
    pub(super) address: VipAddress,
    pub(super) mark: bool,
    pub(super) lifetime: Option<Duration>,
}

/// An address that the kernel has, with the message that told so.
#[derive(Debug, Clone)]
pub(super) struct KernelAddress {
    pub(super) link: u32,
    pub(super) ip: IpAddr,
    pub(super) prefix_len: u8,
    pub(super) protocol: Option<u8>,
    pub(super) message: AddressMessage,
}

impl Candidate {
    /// The module docs of [`super`] say why it is made like this. `existing` is what the namespace has already.
    pub(super) fn message(self, existing: &[KernelAddress]) -> AddressMessage {
        let VipAddress { ip, prefix_len } = self.address;
        let mut message = AddressMessage::default();
        message.header.index = self.link;
        message.header.prefix_len = prefix_len;
        message.attributes.extend([AddressAttribute::Local(ip), AddressAttribute::Address(ip)]);
        let mut flags = AddressFlags::empty();
        if ip.is_ipv4() {
            message.header.family = AddressFamily::Inet;
            message.header.scope = self.scope(existing);
        } else {
            message.header.family = AddressFamily::Inet6;
            flags |= AddressFlags::Nodad;
        }
        if ip.is_ipv6() || self.lifetime.is_some() {
            message.attributes.push(AddressAttribute::CacheInfo(lifetimes(ip, self.lifetime)));
        }
        if self.link == LOOPBACK_INDEX {
            // On lo the prefix route would make this host the owner of the whole subnet.
            flags |= AddressFlags::Noprefixroute;
        }
        message.attributes.push(AddressAttribute::Flags(flags));
        if self.mark {
            message.attributes.push(AddressAttribute::Protocol(AddressProtocol::Other(ADDRESS_PROTOCOL)));
        }
        message
    }

    /// The kernel refuses two scopes within a subnet of a device.
    fn scope(self, existing: &[KernelAddress]) -> AddressScope {
        if let Some(neighbour) = existing.iter().find(|it| it.link == self.link && it.same_subnet(self.address)) {
            return neighbour.message.header.scope;
        }
        let alone = self.address.prefix_len == 32 || self.link == LOOPBACK_INDEX;
        if alone { AddressScope::Host } else { AddressScope::Universe }
    }
}

impl KernelAddress {
    /// `None` for what is neither IPv4 nor IPv6.
    pub(super) fn parse(message: AddressMessage) -> Option<Self> {
        let (mut ip, mut local, mut protocol) = (None, None, None);
        for attribute in &message.attributes {
            match attribute {
                AddressAttribute::Address(address) => ip = Some(*address),
                AddressAttribute::Local(address) => local = Some(*address),
                AddressAttribute::Protocol(value) => protocol = Some(u8::from(*value)),
                _ => {}
            }
        }
        // IPv6 has IFA_LOCAL only on point-to-point links, where IFA_ADDRESS is the other end, as it is with IPv4.
        let ip = local.or(ip)?;
        Some(Self { link: message.header.index, ip, prefix_len: message.header.prefix_len, protocol, message })
    }

    /// `None`: for ever.
    pub(super) fn valid_for(&self) -> Option<Duration> {
        self.message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::CacheInfo(info) if info.ifa_valid != FOREVER => {
                Some(Duration::from_secs(info.ifa_valid.into()))
            }
            _ => None,
        })
    }

    /// The message that changes nothing but how long it lasts.
    pub(super) fn with_lifetime(&self, lifetime: Duration) -> AddressMessage {
        let mut message = self.message.clone();
        message.attributes.retain(|it| !matches!(it, AddressAttribute::CacheInfo(_)));
        message.attributes.push(AddressAttribute::CacheInfo(lifetimes(self.ip, Some(lifetime))));
        message
    }

    pub(super) fn vip_address(&self) -> VipAddress {
        VipAddress { ip: self.ip, prefix_len: self.prefix_len }
    }

    pub(super) fn entry(&self) -> Entry {
        let created = self.message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::CacheInfo(info) => Some(info.cstamp),
            _ => None,
        });
        Entry { link: self.link, ip: self.ip, prefix_len: self.prefix_len, created }
    }

    /// The addresses that the kernel may remove together with this one. None for an address that is secondary itself.
    pub(super) fn secondaries(&self, all: &[Self]) -> Vec<Self> {
        let is_primary = !self.is_secondary();
        let with_it =
            |it: &&Self| is_primary && it.link == self.link && it.is_secondary() && it.same_subnet(self.vip_address());
        all.iter().filter(with_it).cloned().collect()
    }

    /// As `inet_insert_ifa` sees it: IPv4, the same mask, the same network.
    fn same_subnet(&self, address: VipAddress) -> bool {
        let (IpAddr::V4(a), IpAddr::V4(b)) = (self.ip, address.ip) else { return false };
        let mask = u32::MAX.checked_shl(32 - u32::from(address.prefix_len.min(32))).unwrap_or(0);
        self.prefix_len == address.prefix_len && (a.to_bits() ^ b.to_bits()) & mask == 0
    }

    fn is_secondary(&self) -> bool {
        // The same bit means "temporary" in IPv6.
        self.ip.is_ipv4() && self.message.header.flags.contains(AddressHeaderFlags::Secondary)
    }
}

/// Deprecated from the start, so that it is no source address; of no consequence with IPv4, where the kernel wants both
/// to be alike.
fn lifetimes(ip: IpAddr, lifetime: Option<Duration>) -> CacheInfo {
    let seconds = |lifetime: Duration| u32::try_from(lifetime.as_secs_f64().ceil() as u64).unwrap_or(FOREVER).max(1);
    let mut info = CacheInfo::default();
    info.ifa_valid = lifetime.map_or(FOREVER, seconds);
    info.ifa_preferred = if ip.is_ipv6() { 0 } else { info.ifa_valid };
    info
}
