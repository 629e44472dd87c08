//! ICMP echo, IPv4 and IPv6, many at once over one raw socket per family.
//!
//! Raw, because the unprivileged kind of ICMP socket depends on the sysctl `ping_group_range`, which excludes everyone,
//! root included, unless a distribution sets it. An answer counts if it comes from the address that was asked and
//! carries back the identifier, the sequence number and 8 random bytes, so nobody who did not see the request can forge
//! one. The source address is the kernel's choice, which is never a VIP (see [`super::netlink`]).

#![expect(clippy::disallowed_methods, reason = "an IO shell: the round trip is measured here")]

use super::{KernelError, raw};
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU16, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::oneshot,
    task::JoinHandle,
};

/// So many may wait for answers at a time.
pub const MAX_PENDING: usize = 1024;

const HEADER_LEN: usize = 8;
const NONCE_LEN: usize = 8;
const ECHO_LEN: usize = HEADER_LEN + NONCE_LEN;
/// The longest IPv4 header and an echo.
const BUFFER_LEN: usize = 60 + ECHO_LEN;

/// Sends echo requests and matches the answers.
#[derive(Debug)]
pub struct Pinger {
    v4: Option<Family>,
    v6: Option<Family>,
    identifier: u16,
    next_sequence: AtomicU16,
    pending: Arc<Pending>,
}

/// Why there is no round trip time.
#[derive(Debug, thiserror::Error)]
pub enum PingError {
    /// Nothing came back in time.
    #[error("no answer from {target} within {} ms", .timeout.as_millis())]
    Timeout {
        /// Who was asked.
        target: IpAddr,
        /// How long was waited.
        timeout: Duration,
    },
    /// [`MAX_PENDING`] others are waiting.
    #[error("cannot ping {0}: {MAX_PENDING} pings are waiting for their answers; ping fewer targets, or less often")]
    Busy(IpAddr),
    /// The request could not be sent: no route, no such address family.
    #[error(transparent)]
    Send(#[from] KernelError),
}

#[derive(Debug)]
struct Family {
    socket: Arc<AsyncFd<Socket>>,
    reader: JoinHandle<()>,
    kind: Kind,
}

/// How the two families differ.
#[derive(Debug, Clone, Copy)]
struct Kind {
    request: u8,
    reply: u8,
    ipv4: bool,
}

const V4: Kind = Kind { request: 8, reply: 0, ipv4: true };
const V6: Kind = Kind { request: 128, reply: 129, ipv4: false };

#[derive(Debug, Default)]
struct Pending(Mutex<BTreeMap<u16, Waiting>>);

#[derive(Debug)]
struct Waiting {
    target: IpAddr,
    echo: [u8; ECHO_LEN],
    answered: oneshot::Sender<Instant>,
}

impl Pinger {
    /// In the network namespace of the calling thread, on the current tokio runtime (with IO and time); needs
    /// `CAP_NET_RAW`. A kernel without IPv6 can still ping IPv4, and the other way round.
    pub fn new() -> Result<Self, KernelError> {
        let pending = Arc::new(Pending::default());
        let open = |kind| match Family::open(kind, Arc::clone(&pending)) {
            Ok(family) => Ok(Some(family)),
            Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) => Ok(None),
            Err(error) => Err(KernelError::new("open a raw ICMP socket", error)),
        };
        let (v4, v6) = (open(V4)?, open(V6)?);
        let [a, b] = random()?;
        Ok(Self { v4, v6, identifier: u16::from_ne_bytes([a, b]), next_sequence: AtomicU16::new(0), pending })
    }

    /// The time until `target` answered an echo request. Cancelling gives the place in the queue back.
    pub async fn ping(&self, target: IpAddr, timeout: Duration) -> Result<Duration, PingError> {
        let attempt = |cause| PingError::Send(KernelError::new(format!("ping {target}"), cause));
        let family = if target.is_ipv4() { &self.v4 } else { &self.v6 };
        let Some(family) = family else { return Err(attempt(io::Error::from_raw_os_error(libc::EAFNOSUPPORT))) };
        let nonce = random()?;
        let (echo, answered) = self.pending.enter(
            target,
            |sequence| self.echo(family.kind.request, sequence, nonce),
            || self.next_sequence.fetch_add(1, Ordering::Relaxed),
        )?;
        let _leave = Leave { pending: &self.pending, sequence: sequence_of(&echo) };
        let sent = Instant::now();
        family.send(target, &echo).map_err(attempt)?;
        match tokio::time::timeout(timeout, answered).await {
            Ok(Ok(at)) => Ok(at.duration_since(sent)),
            _ => Err(PingError::Timeout { target, timeout }),
        }
    }

    fn echo(&self, kind: u8, sequence: u16, nonce: [u8; NONCE_LEN]) -> [u8; ECHO_LEN] {
        let mut echo = [0; ECHO_LEN];
        echo[0] = kind;
        echo[4..6].copy_from_slice(&self.identifier.to_be_bytes());
        echo[6..8].copy_from_slice(&sequence.to_be_bytes());
        echo[8..].copy_from_slice(&nonce);
        // The kernel fills in ICMPv6's itself, over the pseudo header.
        let sum = checksum(&echo);
        echo[2..4].copy_from_slice(&sum.to_be_bytes());
        echo
    }
}

impl Family {
    fn open(kind: Kind, pending: Arc<Pending>) -> io::Result<Self> {
        let (domain, protocol) =
            if kind.ipv4 { (Domain::IPV4, Protocol::ICMPV4) } else { (Domain::IPV6, Protocol::ICMPV6) };
        let socket = Socket::new(domain, Type::RAW, Some(protocol))?;
        only_replies(&socket, kind)?;
        let socket = Arc::new(raw::readable(socket)?);
        let reader = tokio::spawn(read(Arc::clone(&socket), kind, pending));
        Ok(Self { socket, reader, kind })
    }

    fn send(&self, target: IpAddr, echo: &[u8]) -> io::Result<()> {
        self.socket.get_ref().send_to(echo, &SocketAddr::new(target, 0).into()).map(drop)
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Pending {
    /// Finds a free sequence number and waits under it.
    fn enter(
        &self,
        target: IpAddr,
        echo: impl Fn(u16) -> [u8; ECHO_LEN],
        next: impl Fn() -> u16,
    ) -> Result<([u8; ECHO_LEN], oneshot::Receiver<Instant>), PingError> {
        let mut waiting = self.lock();
        if waiting.len() >= MAX_PENDING {
            return Err(PingError::Busy(target));
        }
        let mut sequence = next();
        while waiting.contains_key(&sequence) {
            sequence = next();
        }
        let (answered, receiver) = oneshot::channel();
        let echo = echo(sequence);
        waiting.insert(sequence, Waiting { target, echo, answered });
        Ok((echo, receiver))
    }

    fn answer(&self, from: IpAddr, reply: &[u8], now: Instant) {
        let Some(reply) = reply.first_chunk::<ECHO_LEN>() else { return };
        let mut waiting = self.lock();
        let sequence = sequence_of(reply);
        // Identifier, sequence and nonce come back as they were; type and checksum differ.
        if waiting.get(&sequence).is_some_and(|it| it.target == from && it.echo[4..] == reply[4..])
            && let Some(it) = waiting.remove(&sequence)
        {
            // An error only says that nobody waits any more.
            let _ = it.answered.send(now);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u16, Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Leave<'a> {
    pending: &'a Pending,
    sequence: u16,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.pending.lock().remove(&self.sequence);
    }
}

async fn read(socket: Arc<AsyncFd<Socket>>, kind: Kind, pending: Arc<Pending>) {
    loop {
        match socket.async_io(Interest::READABLE, receive).await {
            Ok((from, buffer, len)) => {
                if let Some(reply) = icmp(kind, &buffer[..len]) {
                    pending.answer(from, reply, Instant::now());
                }
            }
            Err(error) => {
                tracing::warn!(%error, "cannot read ICMP answers");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

fn receive(socket: &Socket) -> io::Result<(IpAddr, [u8; BUFFER_LEN], usize)> {
    let (bytes, len, from) = raw::receive(socket)?;
    let from = from.as_socket().ok_or_else(|| io::Error::other("an ICMP packet without an IP source"))?;
    Ok((from.ip(), bytes, len))
}

/// A raw IPv4 socket gives the IP header too.
fn icmp(kind: Kind, packet: &[u8]) -> Option<&[u8]> {
    let skip = if kind.ipv4 { usize::from(packet.first()? & 0x0f) * 4 } else { 0 };
    packet.get(skip..).filter(|icmp| icmp.first() == Some(&kind.reply))
}

fn sequence_of(echo: &[u8; ECHO_LEN]) -> u16 {
    u16::from_be_bytes([echo[6], echo[7]])
}

fn checksum(bytes: &[u8; ECHO_LEN]) -> u16 {
    let mut sum: u32 = bytes.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

fn random<const N: usize>() -> Result<[u8; N], KernelError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| KernelError::new("get random bytes", io::Error::other(error.to_string())))?;
    Ok(bytes)
}

/// Lets only echo replies through, so that others' ICMP traffic does not fill the queue. A set bit blocks its type.
fn only_replies(socket: &Socket, kind: Kind) -> io::Result<()> {
    /// `linux/icmp.h`
    const ICMP_FILTER: libc::c_int = 1;
    /// `linux/icmpv6.h`
    const ICMPV6_FILTER: libc::c_int = 1;
    let mut blocked = [u32::MAX; 8];
    blocked[usize::from(kind.reply) / 32] &= !(1 << (kind.reply % 32));
    if kind.ipv4 {
        raw::set(socket, libc::SOL_RAW, ICMP_FILTER, blocked[0])
    } else {
        raw::set(socket, libc::IPPROTO_ICMPV6, ICMPV6_FILTER, blocked)
    }
}

#[cfg(test)]
mod tests;
