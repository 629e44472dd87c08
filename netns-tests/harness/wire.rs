//! Heartbeats as they are on the wire: recorded, forged, replayed. Nothing here can read them.

use super::{Failure, Outcome, wait::now};
use lbagent::kernel::netns::NetNs;
use nix::libc;
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io::{self, Read},
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket},
    time::Duration,
};

/// The port of heartbeats.
pub(crate) const PORT: u16 = 694;

/// A heartbeat that was seen.
#[derive(Debug, Clone)]
pub(crate) struct Datagram {
    /// Who sent it.
    pub(crate) from: SocketAddr,
    /// To whom.
    pub(crate) to: SocketAddr,
    /// The whole payload.
    pub(crate) payload: Vec<u8>,
}

/// Records the heartbeats (over IPv4) that `sender` sends to a host, as that host sees them, for `duration`.
pub(crate) fn record(host: &NetNs, sender: &[Ipv4Addr], duration: Duration) -> Result<Vec<Datagram>, Failure> {
    let protocol = Protocol::from(i32::from((libc::ETH_P_IP as u16).to_be()));
    // DGRAM: from the IP header on.
    let socket = host.run(|| Socket::new(Domain::PACKET, Type::DGRAM, Some(protocol)))??;
    socket.set_read_timeout(Some(Duration::from_millis(50)))?;
    let (start, mut buffer, mut seen) = (now(), vec![0; 65536], Vec::new());
    while start.elapsed() < duration {
        match (&socket).read(&mut buffer) {
            Ok(length) => seen.extend(parse(&buffer[..length]).filter(|datagram| is_from(datagram, sender))),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(seen)
}

/// Sends `payload` out of `host` as the sender of `like` would: from its address, and from its port if that is free.
pub(crate) fn send(host: &NetNs, like: &Datagram, payload: &[u8]) -> Outcome {
    let socket = host.run(|| {
        let any_port = SocketAddr::new(like.from.ip(), 0);
        UdpSocket::bind(like.from).or_else(|_| UdpSocket::bind(any_port))
    })??;
    match socket.send_to(payload, like.to) {
        // An earlier datagram met a closed port.
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        sent => Ok(sent.map(drop)?),
    }
}

fn is_from(datagram: &Datagram, sender: &[Ipv4Addr]) -> bool {
    datagram.to.port() == PORT && sender.iter().any(|ip| datagram.from.ip() == *ip)
}

/// A UDP datagram out of an IPv4 packet (RFC 791 §3.1, RFC 768).
fn parse(packet: &[u8]) -> Option<Datagram> {
    let header = usize::from(packet.first()? & 0x0f) * 4;
    let udp = packet.get(header..)?;
    if packet.get(9)? != &17 || udp.len() < 8 {
        return None;
    }
    let ip = |at: usize| Some(Ipv4Addr::from(<[u8; 4]>::try_from(packet.get(at..at + 4)?).ok()?));
    let port = |at: usize| u16::from_be_bytes([udp[at], udp[at + 1]]);
    let end = usize::from(port(4)).clamp(8, udp.len());
    let from = SocketAddrV4::new(ip(12)?, port(0)).into();
    let to = SocketAddrV4::new(ip(16)?, port(2)).into();
    Some(Datagram { from, to, payload: udp[8..end].to_vec() })
}
