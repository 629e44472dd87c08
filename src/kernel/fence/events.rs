//! Wakes when somebody else changes the tables of the fence, and says who.

use super::concerns::Role;
use crate::kernel::{
    KernelError, Meddler,
    nft::{Message, kind, messages},
};
use rtnetlink::sys::{AsyncSocket, SocketAddr, TokioSocket};
use std::{
    future::poll_fn,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::Notify, task::JoinHandle};

const NETLINK_NETFILTER: isize = 12;
/// `NFNLGRP_NFTABLES`, as a mask.
const GROUP: u32 = 1 << 6;
const SUBSYSTEM: u16 = 10;
const RECONNECT_AFTER: Duration = Duration::from_millis(250);

/// Wakes when the tables of the fence changed, and it was not the fence itself.
///
/// An event says nothing but "look again" ([`Fence::repair`](super::Fence::repair)): any number of changes between two
/// looks is one. Lost events (`ENOBUFS`) and a broken socket wake as well, so no change stays unseen.
#[derive(Debug)]
pub struct Events {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    changed: Notify,
    meddler: Mutex<Option<Meddler>>,
    own_port: u32,
}

impl Events {
    /// In the network namespace of the calling thread, on the current tokio runtime; `own_port` is
    /// [`Fence::port`](super::Fence::port).
    pub fn subscribe(own_port: u32) -> Result<Self, KernelError> {
        let socket = socket().map_err(|cause| KernelError::new("subscribe to changes of nftables", cause))?;
        let shared = Arc::new(Shared { changed: Notify::new(), meddler: Mutex::default(), own_port });
        let task = tokio::spawn(follow(socket, Arc::clone(&shared)));
        Ok(Self { shared, task })
    }

    /// Waits for the next change since the last call, or since the subscription; cancelling loses none. For one waiter.
    pub async fn changed(&self) {
        self.shared.changed.notified().await;
    }

    /// Who made the last change that was heard of.
    pub fn meddler(&self) -> Option<Meddler> {
        self.shared.meddler.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn hear_all(&self, datagram: &[u8]) {
        let news = messages(datagram).filter(|message| self.hear(message)).count();
        if news > 0 {
            self.changed.notify_one();
        }
    }

    /// Whether it tells of a change that somebody else made to our tables. Who it was is told at the end of the
    /// transaction, in a message of its own.
    fn hear(&self, message: &Message) -> bool {
        if message.port == self.own_port || message.kind >> 8 != SUBSYSTEM {
            return false;
        }
        let mut last = self.meddler.lock().unwrap_or_else(PoisonError::into_inner);
        if message.kind & 0xff == kind::NEW_GENERATION {
            if let Some(meddler) = last.as_mut().filter(|it| it.port == message.port) {
                meddler.pid = message.attributes().number(2);
                meddler.program = message.attributes().text(3).map(str::to_owned);
            }
            return false;
        }
        let ours = message.attributes().text(1).is_some_and(is_ours);
        if ours {
            // Another program may have had the same port before.
            *last = Some(Meddler { port: message.port, pid: None, program: None });
        }
        ours
    }
}

fn is_ours(table: &str) -> bool {
    [Role::Fence, Role::Permit].iter().any(|role| role.name() == table)
}

fn socket() -> io::Result<TokioSocket> {
    let mut socket = TokioSocket::new(NETLINK_NETFILTER)?;
    socket.socket_mut().bind(&SocketAddr::new(0, GROUP))?;
    Ok(socket)
}

async fn follow(mut socket: TokioSocket, shared: Arc<Shared>) {
    loop {
        match poll_fn(|context| socket.poll_recv_from_full(context)).await {
            Ok((datagram, _)) => shared.hear_all(&datagram),
            // The kernel says this once, and the socket goes on.
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                tracing::debug!("the kernel dropped events of nftables; looking at the fence again");
                shared.changed.notify_one();
            }
            Err(error) => {
                tracing::warn!(%error, "lost the subscription to changes of nftables; subscribing again");
                socket = resubscribe().await;
                shared.changed.notify_one();
            }
        }
    }
}

async fn resubscribe() -> TokioSocket {
    loop {
        tokio::time::sleep(RECONNECT_AFTER).await;
        match socket() {
            Ok(socket) => return socket,
            Err(error) => tracing::warn!(%error, "cannot subscribe to changes of nftables; trying again"),
        }
    }
}
