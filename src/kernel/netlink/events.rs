use super::address::KernelAddress;
use rtnetlink::{
    MulticastGroup,
    packet_core::{NetlinkMessage, NetlinkPayload},
    packet_route::{
        RouteNetlinkMessage,
        address::{AddressAttribute, AddressHeaderFlags, AddressMessage},
    },
    sys::{AsyncSocket, SocketAddr, TokioSocket, protocols::NETLINK_ROUTE},
};
use std::{
    collections::HashMap,
    future::poll_fn,
    io,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::{sync::Notify, task::JoinHandle};

const GROUPS: [MulticastGroup; 3] = [MulticastGroup::Link, MulticastGroup::Ipv4Ifaddr, MulticastGroup::Ipv6Ifaddr];
const RECONNECT_AFTER: Duration = Duration::from_millis(250);

/// Wakes when a device or an address of the namespace changed, whoever changed it. That an address lasts longer (or
/// shorter) is no change: refreshes do not wake.
///
/// An event says nothing but "look again": any number of changes between two looks is one. Lost events (`ENOBUFS`) and a
/// broken socket wake as well, so no change stays unseen.
#[derive(Debug)]
pub struct Events {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Events {
    pub(super) fn subscribe() -> io::Result<Self> {
        let socket = subscribe()?;
        let shared = Arc::new(Shared::default());
        let task = tokio::spawn(follow(socket, Arc::clone(&shared)));
        Ok(Self { shared, task })
    }

    /// Waits for the next change since the last call, or since the subscription; cancelling loses none. For one waiter.
    pub async fn changed(&self) {
        self.shared.changed.notified().await;
    }

    /// The netlink port of whoever made the last change that woke; [`Netlink::port`](super::Netlink::port) is our own.
    /// `None` if the kernel does not say, as for all changes of IPv6 addresses, or made it itself.
    pub fn last_port(&self) -> Option<u32> {
        Some(self.shared.last_port.load(Ordering::Relaxed)).filter(|port| *port != 0)
    }
}

#[derive(Debug, Default)]
struct Shared {
    changed: Notify,
    /// 0: not known.
    last_port: AtomicU32,
}

impl Shared {
    fn wake(&self, port: u32) {
        self.last_port.store(port, Ordering::Relaxed);
        self.changed.notify_one();
    }
}

/// What was last said of each address, but for its lifetime: by that a refresh is known. The kernel does not tell who
/// refreshed an IPv6 address, so it cannot be known by that.
#[derive(Debug, Default)]
struct Known(HashMap<(u32, IpAddr, u8), AddressMessage>);

impl Known {
    /// Whether it says something new.
    fn is_news(&mut self, message: &RouteNetlinkMessage) -> bool {
        let (address, is_there) = match message {
            RouteNetlinkMessage::NewAddress(address) => (address, true),
            RouteNetlinkMessage::DelAddress(address) => (address, false),
            _ => return true,
        };
        let Some(parsed) = KernelAddress::parse(address.clone()) else { return true };
        let place = (parsed.link, parsed.ip, parsed.prefix_len);
        if !is_there {
            self.0.remove(&place);
            return true;
        }
        let said = without_lifetime(parsed.message);
        self.0.insert(place, said.clone()).as_ref() != Some(&said)
    }
}

fn without_lifetime(mut message: AddressMessage) -> AddressMessage {
    message.attributes.retain(|it| !matches!(it, AddressAttribute::CacheInfo(_) | AddressAttribute::Flags(_)));
    // Whether it has a lifetime at all.
    message.header.flags.remove(AddressHeaderFlags::Permanent);
    message
}

/// A datagram may hold several.
fn parts(mut datagram: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let length = u32::from_ne_bytes(datagram.get(..4)?.try_into().ok()?) as usize;
        let part = datagram.get(..length).filter(|part| !part.is_empty())?;
        datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(part)
    })
}

impl Drop for Events {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn subscribe() -> io::Result<TokioSocket> {
    let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
    let groups = GROUPS.iter().fold(0, |mask, group| mask | 1 << (*group as u32 - 1));
    socket.socket_mut().bind(&SocketAddr::new(0, groups))?;
    Ok(socket)
}

async fn follow(mut socket: TokioSocket, shared: Arc<Shared>) {
    let mut known = Known::default();
    loop {
        match poll_fn(|context| socket.poll_recv_from_full(context)).await {
            Ok((datagram, _)) => {
                if let Some(port) = parts(&datagram).filter_map(|part| news(part, &mut known)).last() {
                    shared.wake(port);
                }
            }
            // The kernel says this once, and the socket goes on.
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                tracing::debug!("the kernel dropped netlink events; looking at everything again");
                known = Known::default();
                shared.wake(0);
            }
            Err(error) => {
                tracing::warn!(%error, "lost the subscription to changes of devices and addresses; subscribing again");
                socket = resubscribe().await;
                known = Known::default();
                shared.wake(0);
            }
        }
    }
}

/// Whose change it tells of; `None` if it tells of none.
fn news(part: &[u8], known: &mut Known) -> Option<u32> {
    match NetlinkMessage::<RouteNetlinkMessage>::deserialize(part) {
        Ok(NetlinkMessage { header, payload: NetlinkPayload::InnerMessage(message), .. }) => {
            known.is_news(&message).then_some(header.port_number)
        }
        // Better to look once too often.
        _ => Some(0),
    }
}

async fn resubscribe() -> TokioSocket {
    loop {
        tokio::time::sleep(RECONNECT_AFTER).await;
        match subscribe() {
            Ok(socket) => return socket,
            Err(error) => tracing::warn!(%error, "cannot subscribe to changes of devices and addresses; trying again"),
        }
    }
}
