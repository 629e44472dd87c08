//! The front segment as a third host sees it: who answers when it asks for an address, and who announces one unasked.

use super::pair::{Failure, PAIR};
use lbagent::{
    drill::lab::{Lab, topology::HostRole},
    kernel::{
        frames::{self, ArpOperation, Body},
        netns::NetNs,
        packet_socket::{PacketListener, PacketSender},
    },
    model::Mac,
};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
};
use tokio::time::{Instant as Deadline, timeout_at};

/// The host that asks, in every lab that has a wire to listen on.
pub(crate) const AUDITOR: &str = "auditor";
/// A frame of a host that is no balancer.
pub(crate) const STRANGER: &str = "?";

/// Where the asking is done from: what a thread needs to take up the post.
#[derive(Clone)]
pub(crate) struct Post {
    pub(crate) namespace: NetNs,
    link: u32,
    mac: Mac,
    nodes: BTreeMap<Mac, &'static str>,
}

impl Post {
    /// In the auditor's place.
    pub(crate) fn of(lab: &Lab) -> Result<Self, Failure> {
        let auditor = lab.host(HostRole::Targets, AUDITOR)?;
        let mac = auditor.plan().interfaces.first().ok_or("the auditor has no device")?.mac;
        let mut nodes = BTreeMap::new();
        for node in PAIR {
            nodes.extend(lab.balancer(node)?.plan().interfaces.iter().map(|nic| (nic.mac, node)));
        }
        Ok(Self { namespace: auditor.namespace().clone(), link: auditor.rtnl().link_index("eth0")?, mac, nodes })
    }
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
    Answer(Ipv4Addr, &'static str),
    /// Unasked, to everyone: a gratuitous request or reply.
    Announcement(Ipv4Addr, &'static str),
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
        let node = self.post.nodes.get(&arp.sender_mac).copied().unwrap_or(STRANGER);
        if arp.sender_ip == arp.target_ip {
            Heard::Announcement(arp.sender_ip, node)
        } else if arp.operation == ArpOperation::Reply && arp.target_mac == self.post.mac {
            Heard::Answer(arp.sender_ip, node)
        } else {
            Heard::Other
        }
    }
}
