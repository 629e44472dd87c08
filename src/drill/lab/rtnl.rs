//! What `ip` would do, over one blocking netlink socket per namespace: the lab does one thing after the other, so a
//! request and its answer are one call.

use super::{LabError, clock};
use crate::{kernel::netns::NetNs, model::Mac};
use rtnetlink::{
    AddressMessageBuilder, LinkBridge, LinkBridgePort, LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder,
    packet_core::{
        NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
    },
    packet_route::{
        RouteNetlinkMessage as Message,
        address::{AddressAttribute, AddressHeaderFlags, AddressMessage},
        link::{BridgePortState, InfoData, InfoVeth, LinkAttribute, LinkFlags, LinkMessage},
        route::RouteScope,
    },
    sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE},
};
use std::{
    fmt::Display,
    io,
    net::IpAddr,
    os::fd::AsRawFd,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// The most that one answer of the kernel holds (it never fills more than 32 KiB of a dump at a time).
const BUFFER: usize = 64 * 1024;
/// The kernel looks at carriers up to a second late.
const CARRIER_PATIENCE: Duration = Duration::from_secs(2);

/// A netlink socket inside one namespace; usable from threads that are elsewhere.
pub struct Rtnl {
    socket: Mutex<Socket>,
}

/// One end of a veth pair.
#[derive(Debug, Clone, Copy)]
pub struct End<'a> {
    /// At most 15 bytes.
    pub name: &'a str,
    /// `None`: the kernel draws one.
    pub mac: Option<Mac>,
}

/// An address as the kernel has it, and the device that holds it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct HeldAddress {
    /// The device's name.
    pub interface: String,
    /// `IFA_LOCAL`.
    pub ip: IpAddr,
    /// Its prefix length.
    pub prefix_len: u8,
}

impl Rtnl {
    /// Opens a socket in `namespace`.
    pub fn open(namespace: &NetNs) -> Result<Self, LabError> {
        let open = || {
            let mut socket = Socket::new(NETLINK_ROUTE)?;
            socket.bind_auto()?;
            socket.connect(&SocketAddr::new(0, 0))?;
            Ok(socket)
        };
        let socket: io::Result<Socket> = namespace.run(open).and_then(|opened| opened);
        let socket = socket.map_err(LabError::on("open a netlink socket"))?;
        Ok(Self { socket: Mutex::new(socket) })
    }

    /// A bridge that forwards from the first moment on, and all multicast everywhere, as a plain switch does.
    pub fn add_bridge(&self, name: &str) -> Result<u32, LabError> {
        let link = LinkBridge::new(name).forward_delay(0).mcast_snooping(false).up().build();
        self.change(Message::NewLink(link), NLM_F_CREATE | NLM_F_EXCL, || format!("add bridge {name}"))?;
        self.link_index(name)
    }

    /// Makes the device `name` a port of the bridge with this index: frames that come in there go through.
    pub fn add_to_bridge(&self, name: &str, bridge: u32) -> Result<(), LabError> {
        let link = LinkUnspec::new_with_index(self.link_index(name)?).controller(bridge).build();
        self.change(Message::SetLink(link), 0, || format!("make {name} a port of bridge {bridge}"))
    }

    /// A veth pair: `near` here and up (a port of the bridge `controller`, if one is given), `far` in the
    /// namespace `there`. Returns the index of the near end.
    pub fn add_veth(
        &self,
        near: End<'_>,
        controller: Option<u32>,
        far: End<'_>,
        there: &NetNs,
    ) -> Result<u32, LabError> {
        let peer = hardware(LinkUnspec::new_with_name(far.name), far.mac).setns_by_fd(there.as_raw_fd()).build();
        let mut link = hardware(LinkMessageBuilder::<LinkVeth>::new(near.name, far.name), near.mac)
            .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)))
            .up();
        if let Some(controller) = controller {
            link = link.controller(controller);
        }
        self.change(Message::NewLink(link.build()), NLM_F_CREATE | NLM_F_EXCL, || {
            format!("add veth {} – {}", near.name, far.name)
        })?;
        self.link_index(near.name)
    }

    /// Removes a device (and the other end of a veth pair).
    pub fn delete_link(&self, index: u32) -> Result<(), LabError> {
        let link = LinkUnspec::new_with_index(index).build();
        self.change(Message::DelLink(link), 0, || format!("delete device {index}"))
    }

    /// Sets a device administratively up or down.
    pub fn set_up(&self, name: &str, up: bool) -> Result<(), LabError> {
        let link = LinkUnspec::new_with_index(self.link_index(name)?);
        let link = if up { link.up() } else { link.down() }.build();
        self.change(Message::SetLink(link), 0, || format!("set {name} {}", if up { "up" } else { "down" }))
    }

    /// Lets a bridge port forward, or makes it drop every frame in both directions; the host at its other end keeps its
    /// carrier and notices nothing.
    ///
    /// A silent port is in state *listening*, in which it neither learns nor forwards. From *disabled*, which is the
    /// same on the wire, the kernel brings it back by itself: the notification of this very change makes the bridge look
    /// at the carrier (`br_port_carrier_check`), and *blocking* it lifts again where no STP runs.
    ///
    /// A port whose carrier has only just come is refused (`ENETDOWN`) until the kernel has noticed it.
    pub fn set_port_forwarding(&self, port: u32, forwarding: bool) -> Result<(), LabError> {
        let state = if forwarding { BridgePortState::Forwarding } else { BridgePortState::Listening };
        let set = || {
            let link = LinkBridgePort::new(port).state(state).build();
            self.change(Message::NewLink(link), 0, || format!("set bridge port {port} to {state:?}"))
        };
        let mut result = set();
        clock::wait_until(CARRIER_PATIENCE, || {
            let early = result.as_ref().is_err_and(|error| error.error.kind() == io::ErrorKind::NetworkDown);
            if early {
                result = set();
            }
            !early
        });
        result
    }

    /// Adds an address; an IPv6 one without duplicate address detection.
    pub fn add_address(&self, interface: &str, ip: IpAddr, prefix_len: u8) -> Result<(), LabError> {
        let message = self.address(interface, ip, prefix_len)?;
        self.change(Message::NewAddress(message), NLM_F_CREATE | NLM_F_EXCL, || {
            format!("add {ip}/{prefix_len} to {interface}")
        })
    }

    /// Deletes an address, whoever added it.
    pub fn delete_address(&self, interface: &str, ip: IpAddr, prefix_len: u8) -> Result<(), LabError> {
        let message = self.address(interface, ip, prefix_len)?;
        self.change(Message::DelAddress(message), 0, || format!("delete {ip}/{prefix_len} from {interface}"))
    }

    /// A route to the one host `to`, which is a direct neighbour on `interface`.
    pub fn add_neighbour_route(&self, interface: &str, to: IpAddr, source: Option<IpAddr>) -> Result<(), LabError> {
        let index = self.link_index(interface)?;
        let bits = if to.is_ipv4() { 32 } else { 128 };
        let what = || format!("add a route to {to} on {interface}");
        let mut route = RouteMessageBuilder::<IpAddr>::new()
            .destination_prefix(to, bits)
            .map_err(invalid(what))?
            .output_interface(index)
            .scope(RouteScope::Link);
        if let Some(source) = source {
            route = route.pref_source(source).map_err(invalid(what))?;
        }
        self.change(Message::NewRoute(route.build()), NLM_F_CREATE | NLM_F_EXCL, what)
    }

    /// All addresses of the namespace, without link-local ones.
    pub fn addresses(&self) -> Result<Vec<HeldAddress>, LabError> {
        let links = self.links()?;
        let answers = self.dump(Message::GetAddress(AddressMessage::default()), "list addresses")?;
        let mut addresses: Vec<_> = answers
            .into_iter()
            .filter_map(|answer| match answer {
                Message::NewAddress(message) => Some(message),
                _ => None,
            })
            .filter_map(|message| {
                let ip = held_ip(&message)?;
                let interface = links.iter().find(|link| link.0 == message.header.index)?.1.clone();
                Some(HeldAddress { interface, ip, prefix_len: message.header.prefix_len })
            })
            .filter(|held| !matches!(held.ip, IpAddr::V6(ip) if ip.is_unicast_link_local()))
            .collect();
        addresses.sort();
        Ok(addresses)
    }

    /// Index, name and Ethernet address of every device.
    pub fn links(&self) -> Result<Vec<(u32, String, Option<Mac>)>, LabError> {
        let answers = self.dump(Message::GetLink(LinkMessage::default()), "list devices")?;
        let links = answers.into_iter().filter_map(|answer| match answer {
            Message::NewLink(message) => Some(message),
            _ => None,
        });
        Ok(links.filter_map(describe_link).collect())
    }

    /// The index of the device `name`.
    pub fn link_index(&self, name: &str) -> Result<u32, LabError> {
        Ok(self.link(name)?.header.index)
    }

    /// Whether the device `name` is up and has a carrier (`IFF_LOWER_UP`).
    pub fn has_carrier(&self, name: &str) -> Result<bool, LabError> {
        Ok(self.link(name)?.header.flags.contains(LinkFlags::Up | LinkFlags::LowerUp))
    }

    fn link(&self, name: &str) -> Result<LinkMessage, LabError> {
        let request = Message::GetLink(LinkUnspec::new_with_name(name).build());
        let answers = self.ask(request, NLM_F_ACK).map_err(LabError::on(format!("find device {name}")))?;
        let found = answers.into_iter().find_map(|answer| match answer {
            Message::NewLink(link) => Some(link),
            _ => None,
        });
        found.ok_or_else(|| LabError::on(format!("find device {name}"))(io::ErrorKind::NotFound.into()))
    }

    fn address(&self, interface: &str, ip: IpAddr, prefix_len: u8) -> Result<AddressMessage, LabError> {
        let index = self.link_index(interface)?;
        Ok(match ip {
            IpAddr::V4(ip) => {
                AddressMessageBuilder::<std::net::Ipv4Addr>::new().index(index).address(ip, prefix_len).build()
            }
            IpAddr::V6(ip) => {
                let mut message =
                    AddressMessageBuilder::<std::net::Ipv6Addr>::new().index(index).address(ip, prefix_len).build();
                message.header.flags = AddressHeaderFlags::Nodad;
                message
            }
        })
    }

    fn change(&self, message: Message, flags: u16, what: impl Fn() -> String) -> Result<(), LabError> {
        self.ask(message, flags | NLM_F_ACK).map(drop).map_err(|error| LabError::on(what())(error))
    }

    fn dump(&self, message: Message, what: &str) -> Result<Vec<Message>, LabError> {
        self.ask(message, NLM_F_DUMP).map_err(LabError::on(what))
    }

    /// Sends one request and reads up to its acknowledgement or the end of its dump.
    fn ask(&self, message: Message, flags: u16) -> io::Result<Vec<Message>> {
        let socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        let mut request = NetlinkMessage::new(header, NetlinkPayload::from(message));
        request.finalize();
        let mut bytes = vec![0; request.buffer_len()];
        request.serialize(&mut bytes);
        socket.send(&bytes, 0)?;
        let mut answers = Vec::new();
        let mut buffer = Vec::with_capacity(BUFFER);
        loop {
            buffer.clear();
            socket.recv(&mut buffer, 0)?;
            if read_answers(&buffer, &mut answers)? {
                return Ok(answers);
            }
        }
    }
}

/// Parses one datagram; true at the end of the answer.
fn read_answers(mut bytes: &[u8], answers: &mut Vec<Message>) -> io::Result<bool> {
    while !bytes.is_empty() {
        let message = NetlinkMessage::<Message>::deserialize(bytes).map_err(io::Error::other)?;
        let length = (message.header.length as usize).next_multiple_of(4).clamp(4, bytes.len());
        match message.payload {
            NetlinkPayload::Done(_) => return Ok(true),
            NetlinkPayload::Error(error) if error.code.is_none() => return Ok(true),
            NetlinkPayload::Error(error) => return Err(error.to_io()),
            NetlinkPayload::InnerMessage(answer) => answers.push(answer),
            _ => {}
        }
        bytes = &bytes[length..];
    }
    Ok(false)
}

fn hardware<T>(link: LinkMessageBuilder<T>, mac: Option<Mac>) -> LinkMessageBuilder<T> {
    match mac {
        Some(mac) => link.address(mac.0.to_vec()),
        None => link,
    }
}

fn invalid<E: Display>(what: impl Fn() -> String) -> impl FnOnce(E) -> LabError {
    move |error| LabError::on(what())(io::Error::other(error.to_string()))
}

fn held_ip(message: &AddressMessage) -> Option<IpAddr> {
    let local = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(ip) => Some(*ip),
        _ => None,
    });
    let address = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Address(ip) => Some(*ip),
        _ => None,
    });
    local.or(address)
}

fn describe_link(message: LinkMessage) -> Option<(u32, String, Option<Mac>)> {
    let name = message.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name.clone()),
        _ => None,
    })?;
    let mac = message.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::Address(bytes) => <[u8; 6]>::try_from(bytes.as_slice()).ok().map(Mac),
        _ => None,
    });
    Some((message.header.index, name, mac))
}
