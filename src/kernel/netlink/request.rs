//! Requests and their answers. A dump that a change interrupted is asked for again, and an answer that never ends
//! (because the connection broke) is an error, never an empty list; the next request connects anew.

use futures::StreamExt;
use rtnetlink::{
    Handle,
    packet_core::{
        NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
    },
    packet_route::{
        AddressFamily, RouteNetlinkMessage,
        address::AddressMessage,
        link::{LinkAttribute, LinkExtentMask, LinkMessage},
        neighbour::NeighbourMessage,
        route::{RouteAddress, RouteAttribute, RouteMessage, RouteType},
    },
    sys::AsyncSocket,
};
use std::{
    io,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Set by the kernel on the answers of a dump during which the list changed (`linux/netlink.h`).
const NLM_F_DUMP_INTR: u16 = 0x10;
const DUMP_ATTEMPTS: usize = 20;

#[derive(Debug)]
pub(super) struct Requests(Mutex<Connection>);

#[derive(Debug)]
struct Connection {
    handle: Handle,
    port: u32,
}

impl Requests {
    pub(super) fn connect() -> io::Result<Self> {
        connection().map(|connection| Self(Mutex::new(connection)))
    }

    /// Of the present connection.
    pub(super) fn port(&self) -> u32 {
        self.connection().port
    }

    pub(super) async fn links(&self) -> io::Result<Vec<LinkMessage>> {
        let mut request = LinkMessage::default();
        // Counters are of no use here and most of the size.
        request.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
        self.dump(RouteNetlinkMessage::GetLink(request), |message| match message {
            RouteNetlinkMessage::NewLink(link) => Some(link),
            _ => None,
        })
        .await
    }

    pub(super) async fn addresses(&self) -> io::Result<Vec<AddressMessage>> {
        self.dump(RouteNetlinkMessage::GetAddress(AddressMessage::default()), |message| match message {
            RouteNetlinkMessage::NewAddress(address) => Some(address),
            _ => None,
        })
        .await
    }

    pub(super) async fn neighbours(&self) -> io::Result<Vec<NeighbourMessage>> {
        self.dump(RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default()), |message| match message {
            RouteNetlinkMessage::NewNeighbour(neighbour) => Some(neighbour),
            _ => None,
        })
        .await
    }

    /// IPv4's and IPv6's, of all tables.
    pub(super) async fn routes(&self) -> io::Result<Vec<RouteMessage>> {
        let mut all = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut request = RouteMessage::default();
            request.header.address_family = family;
            let routes = self.dump(RouteNetlinkMessage::GetRoute(request), |message| match message {
                RouteNetlinkMessage::NewRoute(route) => Some(route),
                _ => None,
            });
            all.extend(routes.await?);
        }
        Ok(all)
    }

    /// Whether what comes in on the device `link` for `ip` is for this host.
    pub(super) async fn is_local(&self, link: u32, ip: IpAddr) -> bool {
        let mut request = RouteMessage::default();
        request.header.address_family = if ip.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        request.header.destination_prefix_length = if ip.is_ipv4() { 32 } else { 128 };
        // The device leads to the table that it uses, should it belong to a VRF.
        request.attributes.extend([RouteAttribute::Destination(RouteAddress::from(ip)), RouteAttribute::Oif(link)]);
        // Without a route there is an error instead of an answer. The acknowledgement marks the end of one that is no list.
        let answer = self.request(RouteNetlinkMessage::GetRoute(request), NLM_F_REQUEST | NLM_F_ACK).await;
        answer.is_ok_and(|answer| {
            answer.messages.iter().any(|message| match message {
                RouteNetlinkMessage::NewRoute(route) => route.header.kind == RouteType::Local,
                _ => false,
            })
        })
    }

    pub(super) async fn add_address(&self, message: AddressMessage) -> io::Result<()> {
        let flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
        self.request(RouteNetlinkMessage::NewAddress(message), flags).await.map(drop)
    }

    /// Alters the lifetime of an address that is there; adds it if it is not.
    pub(super) async fn replace_address(&self, message: AddressMessage) -> io::Result<()> {
        let flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_REPLACE;
        self.request(RouteNetlinkMessage::NewAddress(message), flags).await.map(drop)
    }

    pub(super) async fn remove_address(&self, message: AddressMessage) -> io::Result<()> {
        self.request(RouteNetlinkMessage::DelAddress(message), NLM_F_REQUEST | NLM_F_ACK).await.map(drop)
    }

    async fn dump<T>(
        &self,
        request: RouteNetlinkMessage,
        pick: impl Fn(RouteNetlinkMessage) -> Option<T>,
    ) -> io::Result<Vec<T>> {
        for _ in 0..DUMP_ATTEMPTS {
            let answer = self.request(request.clone(), NLM_F_REQUEST | NLM_F_DUMP).await?;
            if !answer.interrupted {
                return Ok(answer.messages.into_iter().filter_map(&pick).collect());
            }
        }
        Err(io::Error::other(format!("the list changed during each of {DUMP_ATTEMPTS} attempts to read it")))
    }

    async fn request(&self, message: RouteNetlinkMessage, flags: u16) -> io::Result<Answer> {
        let mut request = NetlinkMessage::from(message);
        request.header.flags = flags;
        let sent = self.connection().handle.request(request.clone());
        let mut answers = match sent {
            Ok(answers) => answers,
            Err(_) => {
                let fresh = connection()?;
                let mut handle = fresh.handle.clone();
                *self.connection() = fresh;
                handle.request(request).map_err(|_| broken())?
            }
        };
        let mut answer = Answer { messages: Vec::new(), interrupted: false };
        while let Some(message) = answers.next().await {
            answer.interrupted |= message.header.flags & NLM_F_DUMP_INTR != 0;
            match message.payload {
                NetlinkPayload::InnerMessage(inner) => answer.messages.push(inner),
                NetlinkPayload::Error(error) if error.code.is_some() => return Err(error.to_io()),
                NetlinkPayload::Error(_) | NetlinkPayload::Done(_) => return Ok(answer),
                // Answers were lost: as good as a list that changed.
                NetlinkPayload::Overrun(_) => answer.interrupted = true,
                _ => {}
            }
        }
        Err(broken())
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Answer {
    messages: Vec<RouteNetlinkMessage>,
    interrupted: bool,
}

fn connection() -> io::Result<Connection> {
    let (mut connection, handle, _unsolicited) = rtnetlink::new_connection()?;
    // Without these an end and a broken connection look the same.
    connection.set_forward_done(true);
    connection.set_forward_ack(true);
    let port = connection.socket_mut().socket_mut().bind_auto()?.port_number();
    tokio::spawn(connection);
    Ok(Connection { handle, port })
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the connection to rtnetlink broke")
}
