//! The two tables as transactions: how they are made, changed and hooked into the devices.

use super::concerns::{self, Direction, Right, Role};
use crate::kernel::nft::{Action, Batch, Family, Hook, Key, Match, Rule, Table};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

const PERMIT_PRIORITY: i32 = -451;
/// Before the permit table, the fence takes the bit from packets that bring one along: it is worth something only if
/// the permit table has set it.
const CLEAR_PRIORITY: i32 = -452;
const FENCE_PRIORITY: i32 = -450;

/// `LOOPBACK_IFINDEX`
const LOOPBACK_INDEX: u32 = 1;
const BOTH: [bool; 2] = [false, true];

/// The set of tickets; it is in the netdev family's permit table.
pub(super) const TICKETS: &str = "tickets";

/// Where what leaves this host is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// At the devices, raw frames too (Linux ≥ 5.16).
    Egress,
    /// In the network stack's output (Linux 5.12–5.15): raw frames pass.
    Output,
}

/// One family's share of the tables: a table of nftables has one family, and sets of its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    pub(super) family: Family,
    directions: &'static [Direction],
}

/// What is fenced, and where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Layout {
    /// By name, with their `ifindex`: a device that was removed and made again has lost its chains.
    pub(super) devices: BTreeMap<String, u32>,
    pub(super) ips: BTreeSet<IpAddr>,
}

impl Layout {
    /// With those of the `devices` that the calling thread's namespace has.
    pub(super) fn of(devices: &BTreeSet<String>, ips: &BTreeSet<IpAddr>) -> Self {
        let index = |name: &String| Some((name.clone(), nix::net::if_::if_nametoindex(name.as_str()).ok()?));
        Self { devices: devices.iter().filter_map(index).collect(), ips: ips.clone() }
    }
}

impl Mode {
    pub(super) fn parts(self) -> &'static [Part] {
        use Direction::{In, Out};
        match self {
            Self::Egress => &[Part { family: Family::Netdev, directions: &[In, Out] }],
            Self::Output => &[
                Part { family: Family::Netdev, directions: &[In] },
                Part { family: Family::Arp, directions: &[Out] },
                Part { family: Family::Inet, directions: &[Out] },
            ],
        }
    }

    /// Removes whatever is there under this name, and makes the table anew.
    pub(super) fn rebuild(self, batch: &mut Batch, role: Role, layout: &Layout) {
        for part in self.parts() {
            // So that there is something to delete, and the deletion cannot fail.
            batch.new_table(part.table(role), role == Role::Permit);
            batch.delete_table(part.table(role));
            part.create(batch, role);
        }
        self.change(batch, role, &Layout::default(), layout);
    }

    /// Makes a table that is like `before` like `after`.
    pub(super) fn change(self, batch: &mut Batch, role: Role, before: &Layout, after: &Layout) {
        for part in self.parts() {
            part.fence(batch, role, &(&after.ips - &before.ips), &(&before.ips - &after.ips));
            let gone = before.devices.keys().filter(|device| !after.devices.contains_key(*device));
            part.hook(batch, role, &after.devices, gone);
        }
    }
}

/// An address as the key of an element.
pub(super) fn key(ip: &IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

impl Part {
    pub(super) fn table(self, role: Role) -> Table {
        Table { family: self.family, name: role.name() }
    }

    /// Whether a rule of this part asks for this right of an address of this kind.
    pub(super) fn asks(self, right: Right, v6: bool) -> bool {
        self.directions.iter().any(|direction| concerns::asks(self.family, *direction, right, v6))
    }

    /// Whether a rule of this part is about addresses of this kind.
    fn fences(self, v6: bool) -> bool {
        self.asks(Right::Speak, v6) || self.asks(Right::Data, v6)
    }

    /// The table with its sets and rules, and nothing that calls them yet.
    fn create(self, batch: &mut Batch, role: Role) {
        let table = self.table(role);
        batch.new_table(table, role == Role::Permit);
        for v6 in BOTH.into_iter().filter(|v6| self.fences(*v6)) {
            let key = if v6 { Key::Ipv6 } else { Key::Ipv4 };
            batch.new_set(table, role.fenced(v6), key, false);
            for right in [Right::Speak, Right::Data].into_iter().filter(|right| self.asks(*right, v6)) {
                if role == Role::Permit {
                    batch.new_set(table, right.set(v6), key, true);
                }
            }
        }
        if role == Role::Permit && self.family == Family::Netdev {
            batch.new_set(table, TICKETS, Key::Number, true);
        }
        for direction in self.directions {
            for (chain, rules) in concerns::chains(role, self.family, *direction) {
                batch.new_chain(table, chain);
                for rule in &rules {
                    batch.add_rule(table, chain, rule);
                }
            }
        }
    }

    fn fence(self, batch: &mut Batch, role: Role, add: &BTreeSet<IpAddr>, delete: &BTreeSet<IpAddr>) {
        for v6 in BOTH.into_iter().filter(|v6| self.fences(*v6)) {
            let keys =
                |ips: &BTreeSet<IpAddr>| -> Vec<_> { ips.iter().filter(|ip| ip.is_ipv6() == v6).map(key).collect() };
            let (table, set) = (self.table(role), role.fenced(v6));
            for key in keys(delete) {
                batch.delete_element(table, set, &key);
            }
            batch.add_elements(table, set, keys(add).iter().map(Vec::as_slice), None);
        }
    }

    /// Makes the base chains of `devices`, whatever was there before, and removes those of `gone`.
    fn hook<'a>(
        self,
        batch: &mut Batch,
        role: Role,
        devices: &BTreeMap<String, u32>,
        gone: impl Iterator<Item = &'a String>,
    ) {
        let table = self.table(role);
        if self.family != Family::Netdev {
            self.bases(role, None).iter().for_each(|base| base.write(batch, table));
            return;
        }
        for base in gone.flat_map(|device| self.bases(role, Some(device))) {
            // The kernel may have removed it with its device, so it is made first.
            batch.new_chain(table, &base.chain);
            batch.flush_chain(table, &base.chain);
            batch.delete_chain(table, &base.chain);
        }
        for base in devices.keys().flat_map(|device| self.bases(role, Some(device))) {
            base.write(batch, table);
        }
    }

    fn bases(self, role: Role, device: Option<&str>) -> Vec<Base> {
        let base = |direction: Direction, target: &'static str, priority| Base {
            chain: format!("{target}-{}", device.unwrap_or("hook")),
            target,
            hook: self.hook_number(direction),
            priority,
            device: device.map(str::to_owned),
        };
        let of = |direction: &Direction| match role {
            Role::Permit => vec![base(*direction, direction.name(), PERMIT_PRIORITY)],
            Role::Fence => vec![
                base(*direction, direction.clear(), CLEAR_PRIORITY),
                base(*direction, direction.name(), FENCE_PRIORITY),
            ],
        };
        self.directions.iter().flat_map(of).collect()
    }

    /// `NF_NETDEV_INGRESS`, `NF_NETDEV_EGRESS`, `NF_ARP_OUT`, `NF_INET_LOCAL_OUT` and their like.
    fn hook_number(self, direction: Direction) -> u32 {
        match (self.family, direction) {
            (Family::Netdev | Family::Arp, Direction::In) => 0,
            (Family::Netdev | Family::Arp, Direction::Out) => 1,
            (Family::Inet, Direction::In) => 1,
            (Family::Inet, Direction::Out) => 3,
        }
    }
}

/// A chain that the kernel calls; all it does is to call one that is there once.
struct Base {
    chain: String,
    target: &'static str,
    hook: u32,
    priority: i32,
    device: Option<String>,
}

impl Base {
    fn write(&self, batch: &mut Batch, table: Table) {
        let hook = Hook { number: self.hook, priority: self.priority, device: self.device.as_deref() };
        batch.new_base_chain(table, &self.chain, hook);
        batch.flush_chain(table, &self.chain);
        if self.device.is_none() {
            // What a host says to itself is nobody else's business.
            let matches = vec![Match::OutputDevice(LOOPBACK_INDEX)];
            batch.add_rule(table, &self.chain, &Rule { matches, action: Action::Accept });
        }
        batch.add_rule(table, &self.chain, &Rule { matches: Vec::new(), action: Action::Jump(self.target) });
    }
}
