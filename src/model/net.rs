use std::{collections::BTreeMap, fmt, net::IpAddr, time::Duration};

/// An Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A network device as the kernel has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// `ifindex`.
    pub index: u32,
    /// As `ip link` shows it.
    pub name: String,
    /// `None` for devices without an Ethernet address (loopback, tunnels): nothing is announced or probed there.
    pub mac: Option<Mac>,
    /// `IFF_LOOPBACK`.
    pub loopback: bool,
    /// Administratively up, with carrier.
    pub running: bool,
}

/// An address as the kernel has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedAddress {
    /// The device that holds it.
    pub link: u32,
    /// The address itself (`IFA_LOCAL`).
    pub ip: IpAddr,
    /// With which it was added.
    pub prefix_len: u8,
    /// Marked as lbagent's own (`IFA_PROTO`, or the record under /run on kernels before 5.18).
    pub ours: bool,
    /// How much longer the kernel keeps it, in whole seconds (`ifa_valid`). `None`: for ever.
    pub valid_for: Option<Duration>,
}

impl ObservedAddress {
    /// Whether `ip` lies in the subnet that the address came with.
    pub fn connects(&self, ip: IpAddr) -> bool {
        let (difference, width) = match (self.ip, ip) {
            (IpAddr::V4(a), IpAddr::V4(b)) => (u128::from(a.to_bits() ^ b.to_bits()), 32),
            (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits(), 128),
            _ => return false,
        };
        let host_bits = u32::saturating_sub(width, self.prefix_len.into());
        difference.checked_shr(host_bits).unwrap_or(0) == 0
    }
}

/// A host on a link of which the kernel knows the MAC, because it exchanged data with it or heard from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObservedNeighbour {
    /// The device behind which it is.
    pub link: u32,
    /// Unicast.
    pub ip: IpAddr,
    /// As last heard; perhaps long ago.
    pub mac: Mac,
}

/// The devices and addresses of this network namespace at one moment, and what it knows of its surroundings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObservedNetwork {
    /// By `ifindex`.
    pub links: BTreeMap<u32, Link>,
    /// All, ours and foreign.
    pub addresses: Vec<ObservedAddress>,
    /// In order.
    pub neighbours: Vec<ObservedNeighbour>,
    /// The next hops of the main table's default routes, by the device that leads there.
    pub gateways: BTreeMap<u32, Vec<IpAddr>>,
}

impl ObservedNetwork {
    /// The device of this name.
    pub fn link_named(&self, name: &str) -> Option<&Link> {
        self.links.values().find(|link| link.name == name)
    }
    /// Whether `ip` lies in a subnet of the device `link`, going by addresses that are not ours.
    pub fn is_connected(&self, link: u32, ip: IpAddr) -> bool {
        self.addresses.iter().any(|address| address.link == link && !address.ours && address.connects(ip))
    }

    /// Whether `ip` is on the device `link`, whoever put it there.
    pub fn has(&self, link: u32, ip: IpAddr) -> bool {
        self.addresses.iter().any(|address| address.link == link && address.ip == ip)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn connects(a: IpAddr, b: IpAddr, prefix_len: u8) -> bool {
        ObservedAddress { link: 2, ip: a, prefix_len, ours: false, valid_for: None }.connects(b)
    }

    #[test]
    fn a_default_sized_prefix_connects_its_whole_family_and_no_other() {
        let [v4, far, v6] = ["192.0.2.1", "203.0.113.1", "2001:db8::1"].map(|text| text.parse().unwrap());
        assert!(connects(v4, far, 0));
        assert!(!connects(v4, v6, 0));
        assert!(connects(v6, v6, 128));
    }

    #[test]
    fn an_address_of_ours_connects_nothing() {
        let ours =
            ObservedAddress { link: 2, ip: "192.0.2.10".parse().unwrap(), prefix_len: 24, ours: true, valid_for: None };
        let beside = "192.0.2.11".parse().unwrap();
        let mut network = ObservedNetwork { addresses: vec![ours], ..ObservedNetwork::default() };
        assert!(!network.is_connected(2, beside));
        network.addresses[0].ours = false;
        assert!(network.is_connected(2, beside));
        assert!(!network.is_connected(3, beside));
        assert!(network.has(2, "192.0.2.10".parse().unwrap()) && !network.has(2, beside));
    }

    proptest! {
        #[test]
        fn agrees_with_comparing_bit_by_bit(a: u32, b: u32, flip in 0..33u32, len in 0..=32u8) {
            // Mostly unrelated addresses would always differ in the first bits.
            let b = if flip < 32 { a ^ (1 << flip) } else { b };
            let same = (0..u32::from(len)).all(|bit| (a >> (31 - bit)) & 1 == (b >> (31 - bit)) & 1);
            let [a, b] = [a, b].map(|bits| IpAddr::from(std::net::Ipv4Addr::from_bits(bits)));
            prop_assert_eq!(connects(a, b, len), same);
        }
    }
}
