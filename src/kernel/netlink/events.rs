use rtnetlink::{
    MulticastGroup,
    sys::{AsyncSocket, SocketAddr, TokioSocket, protocols::NETLINK_ROUTE},
};
use std::{future::poll_fn, io, sync::Arc, time::Duration};
use tokio::{sync::Notify, task::JoinHandle};

const GROUPS: [MulticastGroup; 3] = [MulticastGroup::Link, MulticastGroup::Ipv4Ifaddr, MulticastGroup::Ipv6Ifaddr];
const RECONNECT_AFTER: Duration = Duration::from_millis(250);

/// Wakes when a device or an address of the namespace changed, whoever changed it.
///
/// An event says nothing but "look again": any number of changes between two looks is one. Lost events (`ENOBUFS`) and a
/// broken socket wake as well, so no change stays unseen.
#[derive(Debug)]
pub struct Events {
    changed: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Events {
    pub(super) fn subscribe() -> io::Result<Self> {
        let socket = subscribe()?;
        let changed = Arc::new(Notify::new());
        let task = tokio::spawn(follow(socket, Arc::clone(&changed)));
        Ok(Self { changed, task })
    }

    /// Waits for the next change since the last call, or since the subscription; cancelling loses none. For one waiter.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }
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

async fn follow(mut socket: TokioSocket, changed: Arc<Notify>) {
    loop {
        let result = poll_fn(|context| socket.poll_recv_from_full(context)).await;
        changed.notify_one();
        let Err(error) = result else { continue };
        // The kernel says this once, and the socket goes on.
        if error.raw_os_error() == Some(libc::ENOBUFS) {
            tracing::debug!("the kernel dropped netlink events; looking at everything again");
            continue;
        }
        tracing::warn!(%error, "lost the subscription to changes of devices and addresses; subscribing again");
        socket = resubscribe().await;
        changed.notify_one();
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
