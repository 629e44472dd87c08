//! Raw Ethernet frames: one socket that hears ARP and ND on every device, and one that sends.
//!
//! The listener takes `ETH_P_ALL` and has the kernel filter, instead of asking for `ETH_P_ARP`: packets for "all" are
//! handed over before the netdev ingress hook, so a fence that drops the frames of an address does not make this host
//! deaf to them (measured; an `ETH_P_ARP` socket hears nothing behind such a fence). Frames that this host sends are
//! not heard (`PACKET_IGNORE_OUTGOING`, which also spares the transmit path a copy, and the filter for kernels before
//! 4.20), nor are frames of a VLAN on the device below it: they come again on the VLAN's own device.
//!
//! The socket's receive buffer is the bounded queue: what does not fit is dropped by the kernel, and counted.

#![allow(unsafe_code, reason = "sockaddr_ll has no safe interface")]

use super::{
    KernelError,
    frames::{ETHERTYPE_ARP, ETHERTYPE_IPV6, NEIGHBOUR_ADVERTISEMENT, NEIGHBOUR_SOLICITATION, NEXT_HEADER_ICMPV6},
    raw,
};
use socket2::{Domain, SockAddr, SockAddrStorage, SockFilter, Socket, Type};
use std::{
    io,
    sync::atomic::{AtomicU64, Ordering},
};
use tokio::io::unix::AsyncFd;

/// Frames are cut to this length: more than any ARP or ND message that is of use here.
pub const MAX_FRAME: usize = 256;

/// Hears ARP and ND (solicitations and advertisements) on all devices of the namespace that it was made in, also on
/// those that appear later.
#[derive(Debug)]
pub struct PacketListener {
    socket: AsyncFd<Socket>,
    dropped: AtomicU64,
}

/// A frame that was heard.
#[derive(Debug, Clone, Copy)]
pub struct Heard {
    /// `ifindex` of the device.
    pub link: u32,
    len: usize,
    bytes: [u8; MAX_FRAME],
}

impl Heard {
    /// From the Ethernet header on.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl PacketListener {
    /// In the namespace of the calling thread; needs `CAP_NET_RAW` and a tokio runtime with IO.
    pub fn open() -> Result<Self, KernelError> {
        let open = || {
            // Protocol 0 hears nothing, so no frame slips in before the filter is there.
            let socket = raw_socket()?;
            socket.attach_filter(&filter())?;
            ignore_outgoing(&socket)?;
            socket.bind(&address(libc::ETH_P_ALL as u16, 0))?;
            Ok(Self { socket: raw::readable(socket)?, dropped: AtomicU64::new(0) })
        };
        open().map_err(|cause| KernelError::new("listen for ARP and ND frames", cause))
    }

    /// The next frame. Cancelling loses none.
    pub async fn recv(&self) -> io::Result<Heard> {
        self.socket.async_io(tokio::io::Interest::READABLE, receive).await
    }

    /// How many frames were lost since the socket was opened, because they came faster than they were read.
    pub fn dropped(&self) -> u64 {
        // The kernel resets its counter whenever it is read.
        let stats = raw::get::<libc::tpacket_stats>(self.socket.get_ref(), libc::SOL_PACKET, libc::PACKET_STATISTICS);
        let new = stats.map_or(0, |stats| u64::from(stats.tp_drops));
        self.dropped.fetch_add(new, Ordering::Relaxed) + new
    }
}

/// Sends whole Ethernet frames out of a device, past neighbour caches and routes.
#[derive(Debug)]
pub struct PacketSender(Socket);

impl PacketSender {
    /// In the namespace of the calling thread; needs `CAP_NET_RAW`.
    pub fn open() -> Result<Self, KernelError> {
        Ok(Self(raw_socket().map_err(|cause| KernelError::new("open a socket for ARP and ND frames", cause))?))
    }

    /// Queues `frame` at the device. Never waits: `ENOBUFS` means that the device's queue is full, or that an egress
    /// filter dropped the frame; `ENETDOWN` that the device is down, `ENXIO` that it is gone.
    pub fn send(&self, link: u32, frame: &[u8]) -> io::Result<()> {
        let ethertype = frame.get(12..14).map_or(0, |bytes| u16::from_be_bytes([bytes[0], bytes[1]]));
        self.0.send_to(frame, &address(ethertype, link)).map(drop)
    }
}

fn raw_socket() -> io::Result<Socket> {
    let socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// A classic BPF program (`man 7 packet`, kernel `Documentation/networking/filter.rst`): `k` beyond `SKF_AD_OFF` reads
/// the packet's metadata, other offsets its bytes from the Ethernet header on.
fn filter() -> [SockFilter; 15] {
    const LOAD_WORD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const LOAD_BYTE: u16 = (libc::BPF_LD | libc::BPF_B | libc::BPF_ABS) as u16;
    const AND: u16 = (libc::BPF_ALU | libc::BPF_AND | libc::BPF_K) as u16;
    const EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let metadata = |what: libc::c_int| SockFilter::new(LOAD_WORD, 0, 0, (libc::SKF_AD_OFF + what) as u32);
    // Jumps count from the next instruction; DROP is 14, TAKE is 13.
    [
        metadata(libc::SKF_AD_PKTTYPE),
        SockFilter::new(EQUAL, 12, 0, u32::from(libc::PACKET_OUTGOING)),
        metadata(libc::SKF_AD_VLAN_TAG),
        // VLAN 0 is no VLAN, only a priority.
        SockFilter::new(AND, 0, 0, 0x0fff),
        SockFilter::new(EQUAL, 0, 9, 0),
        metadata(libc::SKF_AD_PROTOCOL),
        SockFilter::new(EQUAL, 6, 0, u32::from(ETHERTYPE_ARP)),
        SockFilter::new(EQUAL, 0, 6, u32::from(ETHERTYPE_IPV6)),
        SockFilter::new(LOAD_BYTE, 0, 0, 20),
        SockFilter::new(EQUAL, 0, 4, u32::from(NEXT_HEADER_ICMPV6)),
        SockFilter::new(LOAD_BYTE, 0, 0, 54),
        SockFilter::new(EQUAL, 1, 0, u32::from(NEIGHBOUR_SOLICITATION)),
        SockFilter::new(EQUAL, 0, 1, u32::from(NEIGHBOUR_ADVERTISEMENT)),
        SockFilter::new(RETURN, 0, 0, MAX_FRAME as u32),
        SockFilter::new(RETURN, 0, 0, 0),
    ]
}

fn address(ethertype: u16, link: u32) -> SockAddr {
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: sockaddr_ll is a plain C struct that fits into sockaddr_storage, and all-zero bytes are a valid one.
    let ll = unsafe { storage.view_as::<libc::sockaddr_ll>() };
    ll.sll_family = libc::AF_PACKET as u16;
    ll.sll_protocol = ethertype.to_be();
    ll.sll_ifindex = link as i32;
    // SAFETY: the storage was just filled as a sockaddr_ll, whose length is given.
    unsafe { SockAddr::new(storage, size_of::<libc::sockaddr_ll>() as libc::socklen_t) }
}

fn receive(socket: &Socket) -> io::Result<Heard> {
    let (bytes, len, from) = raw::receive(socket)?;
    // SAFETY: the kernel gives a sockaddr_ll with every frame of a packet socket, and the storage is large enough.
    let link = unsafe { (*from.as_ptr().cast::<libc::sockaddr_ll>()).sll_ifindex };
    Ok(Heard { link: link as u32, len, bytes })
}

fn ignore_outgoing(socket: &Socket) -> io::Result<()> {
    match raw::set::<libc::c_int>(socket, libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, 1) {
        // Before 4.20: the filter drops them just as well.
        Err(error) if error.raw_os_error() == Some(libc::ENOPROTOOPT) => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests;
