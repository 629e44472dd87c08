//! Membership in the groups in which IPv6 addresses are asked for.
//!
//! A question for an IPv4 address is broadcast, and heard by everybody. One for an IPv6 address goes to a group (RFC 4291
//! §2.7.1), and frames to a group that nobody on this host has joined are dropped by the network card's filter, and by
//! a switch that does MLD snooping. (A veth has no filter, so in namespaces all of them come.) So whoever is about to ask
//! joins first, to hear others that ask at the same time: RFC 4862 §5.4.2 wants the same before duplicate address
//! detection. Answers need nothing: they go to all nodes.

use crate::kernel::frames::solicited_node;
use socket2::{Domain, Socket, Type};
use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, Ipv6Addr},
};

/// The groups that were joined; dropping it leaves them all.
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// There from the first group on: a host without IPv6 has none.
    socket: Option<Socket>,
    joined: BTreeSet<(u32, Ipv6Addr)>,
}

impl Groups {
    /// Hears on `link` from here on who asks for `ip`.
    pub(super) fn join(&mut self, link: u32, ip: IpAddr) -> io::Result<()> {
        let IpAddr::V6(ip) = ip else { return Ok(()) };
        let group = solicited_node(ip);
        if self.joined.contains(&(link, group)) {
            return Ok(());
        }
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => Socket::new(Domain::IPV6, Type::DGRAM, None)?,
        };
        let socket = self.socket.insert(socket);
        match socket.join_multicast_v6(&group, link) {
            // This very socket has: the device went away and came back under its old number.
            Err(error) if error.kind() != io::ErrorKind::AddrInUse => Err(error),
            _ => {
                self.joined.insert((link, group));
                Ok(())
            }
        }
    }

    /// Leaves the groups of all addresses but `ips`.
    pub(super) fn retain(&mut self, ips: &BTreeSet<IpAddr>) {
        let group = |ip: &IpAddr| match ip {
            IpAddr::V6(ip) => Some(solicited_node(*ip)),
            IpAddr::V4(_) => None,
        };
        let wanted: BTreeSet<Ipv6Addr> = ips.iter().filter_map(group).collect();
        let socket = &self.socket;
        self.joined.retain(|(link, group)| {
            let stays = wanted.contains(group);
            if let Some(socket) = socket.as_ref().filter(|_| !stays) {
                // An error means that the membership went with its device.
                let _ = socket.leave_multicast_v6(group, *link);
            }
            stays
        });
    }
}
