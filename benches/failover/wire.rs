//! The front segment as a third host sees it: who answers when it asks for an address, and who announces one unasked.

use super::common::Failure;
use lbagent::{
    drill::lab::{Lab, topology::HostRole},
    kernel::{
        frames::{self, ArpOperation, Body},
        netns::NetNs,
        packet_socket::{PacketListener, PacketSender},
    },
    model::Mac,
};
use std::net::{IpAddr, Ipv4Addr};
use tokio::time::{Instant as Deadline, timeout_at};

/// The host that asks, in every lab that has a wire to listen on.
pub(crate) const AUDITOR: &str = "auditor";

/// Where the asking is done from: what a thread needs to take up the post.
#[derive(Clone)]
pub(crate) struct Post {
    pub(crate) namespace: NetNs,
    link: u32,
    mac: Mac,
}

impl Post {
    /// In the auditor's place.
    pub(crate) fn of(lab: &Lab) -> Result<Self, Failure> {
        let auditor = lab.host(HostRole::Targets, AUDITOR)?;
        let mac = auditor.plan().interfaces.first().ok_or("the auditor has no device")?.mac;
        Ok(Self { namespace: auditor.namespace().clone(), link: auditor.rtnl().link_index("eth0")?, mac })
    }
}

/// The Ethernet address that `node` has on the front.
pub(crate) fn front_mac(lab: &Lab, node: &str) -> Result<Mac, Failure> {
    let nics = &lab.balancer(node)?.plan().interfaces;
    Ok(nics.first().ok_or_else(|| format!("{node} has no device"))?.mac)
}

/// Sockets at the post. Needs a thread inside the post's namespace, and a runtime.
pub(crate) struct Wire {
    post: Post,
    listener: PacketListener,
    sender: PacketSender,
}

/// What a frame says, and who sent it.
pub(crate) enum Heard {
    /// In answer to this host's question.
    Answer(Ipv4Addr, Mac),
    /// Unasked, to everyone: a gratuitous request or reply.
    Announcement(Ipv4Addr, Mac),
    /// Of no interest here.
    Other,
}

impl Wire {
    pub(crate) fn open(post: Post) -> Result<Self, Failure> {
        Ok(Self { post, listener: PacketListener::open()?, sender: PacketSender::open()? })
    }

    /// Asks for `ip` in a way that no cache learns from.
    pub(crate) fn ask(&self, ip: IpAddr) -> Result<(), Failure> {
        Ok(self.sender.send(self.post.link, &frames::probe(self.post.mac, ip))?)
    }

    /// The next frame, at the latest at `deadline`; frames that are there already come whatever the time.
    pub(crate) async fn hear(&self, deadline: Deadline) -> Result<Option<Heard>, Failure> {
        match timeout_at(deadline, self.listener.recv()).await {
            Ok(heard) => Ok(Some(self.understand(heard?.bytes()))),
            Err(_) => Ok(None),
        }
    }

    /// Frames that were not heard because they came too fast.
    pub(crate) fn lost(&self) -> u64 {
        self.listener.dropped()
    }

    fn understand(&self, frame: &[u8]) -> Heard {
        let Some(frames::Frame { body: Body::Arp(arp), .. }) = frames::parse(frame) else { return Heard::Other };
        if arp.sender_ip == arp.target_ip {
            Heard::Announcement(arp.sender_ip, arp.sender_mac)
        } else if arp.operation == ArpOperation::Reply && arp.target_mac == self.post.mac {
            Heard::Answer(arp.sender_ip, arp.sender_mac)
        } else {
            Heard::Other
        }
    }
}
