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
}
