//! UDP for heartbeats: what has arrived is taken with one call, however much it is, and what ICMP says of datagrams
//! that were sent is heard.
//!
//! A socket that is not connected hears of no ICMP error unless it asks (`IP_RECVERR`, ip(7)); then the kernel queues
//! each with the address that the datagram went to, and *also* fails the next call on the socket, whatever that is about.

#![allow(unsafe_code, reason = "recvmmsg and readiness have no safe interface that takes no allocation")]

use super::{limits::closed_first, raw};
use nix::{
    cmsg_space,
    sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg},
};
use socket2::{Domain, SockAddr, SockAddrStorage, Socket, Type};
use std::{
    io::{self, IoSliceMut},
    net::SocketAddr,
    os::fd::AsRawFd,
};
use tokio::io::{Interest, unix::AsyncFd};

/// Room for some thousand datagrams while nobody takes them.
const KERNEL_BUFFER: usize = 1024 * 1024;
/// Datagrams that one call takes.
const BATCH: usize = 16;

/// A UDP socket on a tokio runtime.
#[derive(Debug)]
pub struct DatagramSocket(AsyncFd<Socket>);

/// Room for what one call takes, to be used again and again.
#[derive(Debug)]
pub struct Batch {
    buffers: Vec<Vec<u8>>,
    taken: Vec<(usize, Option<SocketAddr>)>,
}

impl Batch {
    /// For datagrams of up to `size` bytes; of longer ones the rest is lost.
    pub fn new(size: usize) -> Self {
        Self { buffers: vec![vec![0; size]; BATCH], taken: Vec::with_capacity(BATCH) }
    }

    /// What [`DatagramSocket::take`] has taken last: the sources and the bytes.
    pub fn datagrams(&self) -> impl Iterator<Item = (SocketAddr, &[u8])> {
        let each = self.taken.iter().zip(&self.buffers);
        each.filter_map(|((len, source), buffer)| Some(((*source)?, &buffer[..*len])))
    }
}

impl DatagramSocket {
    /// Bound to `local`, whether this host has that address or not (`IP_FREEBIND`), in the network namespace of the
    /// calling thread.
    ///
    /// Without `SO_REUSEADDR`: on UDP it would let another program take the datagrams in silence, and a restart does not
    /// need it.
    pub fn bind(local: SocketAddr) -> io::Result<Self> {
        // When this process is killed, the others' next datagram tells them.
        let socket = closed_first(Socket::new(Domain::for_address(local), Type::DGRAM, None)?);
        match local {
            SocketAddr::V4(_) => {
                socket.set_freebind_v4(true)?;
                raw::set::<libc::c_int>(&socket, libc::SOL_IP, libc::IP_RECVERR, 1)?;
            }
            SocketAddr::V6(_) => {
                socket.set_only_v6(true)?;
                socket.set_freebind_v6(true)?;
                raw::set::<libc::c_int>(&socket, libc::SOL_IPV6, libc::IPV6_RECVERR, 1)?;
            }
        }
        // More is better, but no reason not to start.
        let _ = socket.set_recv_buffer_size(KERNEL_BUFFER);
        socket.bind(&local.into())?;
        // For reading alone: else every datagram that leaves wakes the task, for there is room for the next.
        Ok(Self(raw::readable(socket)?))
    }

    /// Waits until there is something to take, or an error. Cancelling loses nothing.
    pub async fn ready(&self) {
        // An error means that the runtime is ending, and this task with it.
        if self.0.ready(Interest::READABLE | Interest::ERROR).await.is_err() {
            std::future::pending().await
        }
    }

    /// Takes what has arrived, as far as it fits into `batch`. Says whether there may be more. Never waits.
    pub fn take(&self, batch: &mut Batch) -> bool {
        batch.taken.clear();
        let take = |socket: &Socket| match receive(socket, batch) {
            Ok(BATCH) => Ok(true),
            // All there was: the next arrival is an event of its own, and no further call needs to find nothing.
            Ok(_) => Err(io::ErrorKind::WouldBlock.into()),
            Err(error) => Err(error),
        };
        match self.0.try_io(Interest::READABLE, take) {
            Ok(more) => more,
            // An earlier datagram could not be delivered; that is told by `error`, and this call has consumed it.
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        }
    }

    /// The next thing that ICMP said: to where the datagram went, and what happened to it (`ECONNREFUSED`: that host
    /// lives, but nobody listens there). `None` if there is no more. Never waits.
    pub fn error(&self) -> Option<(SocketAddr, io::Error)> {
        loop {
            match self.0.try_io(Interest::ERROR, read_error) {
                Ok(Some(error)) => return Some(error),
                Ok(None) => {} // of a kind that says nothing
                Err(_) => return None,
            }
        }
    }

    /// Sends one datagram. Never waits; one for which there is no room is lost.
    pub fn send(&self, remote: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        let remote = SockAddr::from(remote);
        let send = || self.0.get_ref().send_to(bytes, &remote).map(drop);
        // An error may be about an earlier datagram, to somebody else; then the second attempt tells.
        send().or_else(|error| if error.kind() == io::ErrorKind::WouldBlock { Err(error) } else { send() })
    }
}

fn receive(socket: &Socket, batch: &mut Batch) -> io::Result<usize> {
    let mut sources: [SockAddrStorage; BATCH] = std::array::from_fn(|_| SockAddrStorage::zeroed());
    // SAFETY: all-zero bytes are a valid mmsghdr and a valid iovec: no address, no buffer, no control data.
    let (mut headers, mut slices): ([libc::mmsghdr; BATCH], [libc::iovec; BATCH]) = unsafe { std::mem::zeroed() };
    for (((header, slice), source), buffer) in
        headers.iter_mut().zip(&mut slices).zip(&mut sources).zip(&mut batch.buffers)
    {
        *slice = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        header.msg_hdr.msg_name = (&raw mut *source).cast();
        header.msg_hdr.msg_namelen = size_of::<SockAddrStorage>() as libc::socklen_t;
        header.msg_hdr.msg_iov = slice;
        header.msg_hdr.msg_iovlen = 1;
    }
    let flags = libc::MSG_DONTWAIT;
    // SAFETY: the descriptor is open, and each of the BATCH headers points to a name, one slice and its buffer, with
    // their true lengths; all of them outlive the call, and nothing else refers to them meanwhile.
    let count = unsafe {
        libc::recvmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), BATCH as _, flags as _, std::ptr::null_mut())
    };
    let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
    for (header, source) in headers.iter().zip(sources).take(count) {
        // SAFETY: the kernel has written an address of this length into the storage.
        let source = unsafe { SockAddr::new(source, header.msg_hdr.msg_namelen) };
        batch.taken.push((header.msg_len as usize, source.as_socket()));
    }
    Ok(count)
}

/// `None`: something that is no error of a datagram.
fn read_error(socket: &Socket) -> io::Result<Option<(SocketAddr, io::Error)>> {
    // What comes after the extended error is the address of who reported it.
    let mut space = cmsg_space!(libc::sock_extended_err, libc::sockaddr_in6);
    let mut no_payload = [0; 1];
    let mut slices = [IoSliceMut::new(&mut no_payload)];
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    let message = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut slices, Some(&mut space), flags)?;
    let errno = message.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::Ipv4RecvErr(error, _) | ControlMessageOwned::Ipv6RecvErr(error, _) => Some(error.ee_errno),
        _ => None,
    });
    let remote = message.address.as_ref().and_then(socket_address);
    Ok(remote.zip(errno).map(|(remote, errno)| (remote, io::Error::from_raw_os_error(errno as i32))))
}

fn socket_address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = storage.as_sockaddr_in().map(|it| SocketAddr::V4((*it).into()));
    v4.or_else(|| storage.as_sockaddr_in6().map(|it| SocketAddr::V6((*it).into())))
}

#[cfg(test)]
mod tests;
