//! A bad stretch of network for heartbeats: they arrive twice, or in another order than they were sent.
//!
//! On one segment, from one host: the switch drops what comes in at the sender's port, and this thread, which hears the
//! frames before they are dropped, hands them out at the receiver's port in its own way.

use super::{Failure, wire::PORT};
use lbagent::{
    drill::lab::{
        Lab,
        impair::{Frames, Impairment, Way},
    },
    kernel::packet_socket::PacketSender,
};
use nix::{
    libc,
    sys::socket::{LinkAddr, recvfrom},
};
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    os::fd::AsRawFd,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

/// Heartbeats of a host go through it. Dropping it puts the segment in order again.
pub(crate) struct Relay {
    handed_out: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    _kept_back: Impairment,
}

/// What the thread needs.
struct Post {
    entry: (Socket, u32),
    exit: (PacketSender, u32),
    stop: Arc<AtomicBool>,
    handed_out: Arc<AtomicUsize>,
}

impl Relay {
    /// Of each two heartbeats that `from` sends on `device`, `to` gets the second first, and both twice.
    pub(crate) fn swap_and_repeat(lab: &Lab, from: &str, to: &str, device: &str) -> Result<Self, Failure> {
        let room = lab.switch_room();
        let (entry, exit) = (lab.port_name(from, device)?, lab.port_name(to, device)?);
        let index = |port: &str| room.run(|| nix::net::if_::if_nametoindex(port));
        let all = Some(Protocol::from(i32::from((libc::ETH_P_ALL as u16).to_be())));
        let listener = room.run(|| Socket::new(Domain::PACKET, Type::RAW, all))??;
        listener.set_read_timeout(Some(Duration::from_millis(50)))?;
        let sender = room.run(PacketSender::open)??;
        let post = Post {
            entry: (listener, index(&entry)??),
            exit: (sender, index(&exit)??),
            stop: Arc::default(),
            handed_out: Arc::default(),
        };
        let kept_back = lab.impair(from, device, Way::Out, Frames::Heartbeats, 100)?;
        let (stop, handed_out) = (post.stop.clone(), post.handed_out.clone());
        let thread = std::thread::spawn(move || pass_on(&post));
        Ok(Self { handed_out, stop, thread: Some(thread), _kept_back: kept_back })
    }

    /// How many frames went through.
    pub(crate) fn handed_out(&self) -> usize {
        self.handed_out.load(Ordering::Relaxed)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn pass_on(post: &Post) {
    let (mut buffer, mut held) = (vec![0; 2048], None);
    while !post.stop.load(Ordering::Relaxed) {
        let Ok((length, Some(from))) = recvfrom::<LinkAddr>(post.entry.0.as_raw_fd(), &mut buffer) else { continue };
        let comes_in = from.ifindex() == post.entry.1 as usize && from.pkttype() != libc::PACKET_OUTGOING;
        let Some(frame) = heartbeat(&buffer[..length]).filter(|_| comes_in) else { continue };
        let Some(first) = held.take() else {
            held = Some(frame);
            continue;
        };
        for frame in [&frame, &first, &frame, &first] {
            if post.exit.0.send(post.exit.1, frame).is_ok() {
                post.handed_out.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// The frame, if it is an IPv4 heartbeat; without its UDP checksum, which a virtual cable leaves to nobody to fill in
/// (0: none, RFC 768).
fn heartbeat(frame: &[u8]) -> Option<Vec<u8>> {
    let mut frame = frame.to_vec();
    if frame.get(12..14)? != (libc::ETH_P_IP as u16).to_be_bytes() || *frame.get(23)? != 17 {
        return None;
    }
    let udp = 14 + usize::from(frame[14] & 0x0f) * 4;
    let is_it = frame.get(udp..udp + 4)?.chunks(2).any(|port| port == PORT.to_be_bytes());
    frame.get_mut(udp + 6..udp + 8)?.fill(0);
    is_it.then_some(frame)
}
