//! Heartbeats from a tape: recorded once, played again and again, from the very addresses and ports that sent them.
//!
//! They are put onto the receiver's cable as Ethernet frames, so that no socket of the sender is in the way and no switch
//! learns where the sender seems to be.

use super::{Failure, wire::Datagram};
use lbagent::{drill::lab::Lab, kernel::packet_socket::PacketSender, model::Mac};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

/// Between two datagrams of a tape: several times as fast as they were sent.
const PACE: Duration = Duration::from_millis(2);

/// The cables of a balancer, to put frames onto.
pub(crate) struct Injector {
    sender: PacketSender,
    /// What an address of the balancer is reached by: the switch's port and its own Ethernet address.
    cables: Vec<(SocketAddr, u32, Mac)>,
}

/// A tape that plays. Dropping it stops it.
pub(crate) struct Tape {
    played: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Injector {
    /// For datagrams to `node`, which must be there.
    pub(crate) fn new(lab: &Lab, node: &str) -> Result<Self, Failure> {
        let room = lab.switch_room();
        let mut cables = Vec::new();
        for nic in &lab.balancer(node)?.plan().interfaces {
            let port = lab.port_name(node, &nic.name)?;
            let index = room.run(|| nix::net::if_::if_nametoindex(port.as_str()))??;
            cables.extend(nic.addresses.iter().map(|address| (SocketAddr::new(address.ip, 0), index, nic.mac)));
        }
        Ok(Self { sender: room.run(PacketSender::open)??, cables })
    }

    /// Puts `payload` onto the cable, in the name of who sent `like`. False: the cable is gone or full.
    pub(crate) fn inject(&self, like: &Datagram, payload: &[u8]) -> bool {
        let cable = self.cables.iter().find(|(address, ..)| address.ip() == like.to.ip());
        let frame = cable.and_then(|(_, port, mac)| Some((port, frame(*mac, like, payload)?)));
        frame.is_some_and(|(port, frame)| self.sender.send(*port, &frame).is_ok())
    }
}

impl Tape {
    /// Plays `tape` to `node` from the beginning to the end, and then again.
    pub(crate) fn play(lab: &Lab, node: &str, tape: Vec<Datagram>) -> Result<Self, Failure> {
        let injector = Injector::new(lab, node)?;
        let (stop, played) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (stopped, count) = (stop.clone(), played.clone());
        let thread = std::thread::spawn(move || {
            for datagram in tape.iter().cycle() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                count.fetch_add(usize::from(injector.inject(datagram, &datagram.payload)), Ordering::Relaxed);
                std::thread::sleep(PACE);
            }
        });
        Ok(Self { played, stop, thread: Some(thread) })
    }

    /// Datagrams so far.
    pub(crate) fn played(&self) -> usize {
        self.played.load(Ordering::Relaxed)
    }
}

impl Drop for Tape {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// UDP (without checksum) in IPv4 in Ethernet; nothing for IPv6 and for what does not fit into a packet.
fn frame(to: Mac, like: &Datagram, payload: &[u8]) -> Option<Vec<u8>> {
    let (SocketAddr::V4(source), SocketAddr::V4(destination)) = (like.from, like.to) else { return None };
    let length = u16::try_from(payload.len()).ok()?.checked_add(28)?;
    // Version and header length, no fragments, a lifetime of 64, UDP.
    let mut ip = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17, 0, 0];
    ip[2..4].copy_from_slice(&length.to_be_bytes());
    ip.extend(source.ip().octets());
    ip.extend(destination.ip().octets());
    let sum: u32 = ip.chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]]))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    ip[10..12].copy_from_slice(&(!(folded as u16)).to_be_bytes());
    // A sender's address that no device has.
    let mut frame = [&to.0[..], &[0x02, b'l', b'b', 0xff, 0xff, 0xff], &[0x08, 0x00]].concat();
    frame.extend(ip);
    for number in [source.port(), destination.port(), length - 20, 0] {
        frame.extend(number.to_be_bytes());
    }
    frame.extend(payload);
    Some(frame)
}
