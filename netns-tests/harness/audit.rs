//! The auditor: a third host on the front segment that asks who has an address, and hears everyone who answers.

use super::Failure;
use lbagent::{
    drill::lab::{Lab, topology::HostRole},
    kernel::{
        frames::{self, ArpOperation, Body, NeighbourKind},
        packet_socket::{PacketListener, PacketSender},
    },
    model::Mac,
};
use std::{collections::BTreeSet, net::IpAddr, time::Duration};

/// Probes per question.
const ROUNDS: usize = 3;
/// How long answers to one probe are waited for; a kernel gives one within a millisecond.
const WAIT: Duration = Duration::from_millis(30);

/// The Ethernet addresses that answer for `ip` on the front segment.
pub(crate) fn answering(lab: &Lab, ip: IpAddr) -> Result<BTreeSet<Mac>, Failure> {
    let auditor = lab.host(HostRole::Targets, "auditor")?;
    let link = auditor.rtnl().link_index("eth0")?;
    let mac = auditor.plan().interfaces.first().ok_or("the auditor has no device")?.mac;
    let asked = auditor.namespace().run(|| ask(link, mac, ip).map_err(|error| error.to_string()))?;
    Ok(asked?)
}

fn ask(link: u32, mac: Mac, ip: IpAddr) -> Result<BTreeSet<Mac>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (listener, sender) = (PacketListener::open()?, PacketSender::open()?);
        let mut answering = BTreeSet::new();
        for _ in 0..ROUNDS {
            sender.send(link, &frames::probe(mac, ip))?;
            let deadline = tokio::time::Instant::now() + WAIT;
            while let Ok(heard) = tokio::time::timeout_at(deadline, listener.recv()).await {
                answering.extend(answer(heard?.bytes(), ip));
            }
        }
        Ok(answering)
    })
}

/// Who says in this frame to have `ip`, in answer to a question or unasked.
fn answer(frame: &[u8], ip: IpAddr) -> Option<Mac> {
    let frame = frames::parse(frame)?;
    let answers = match frame.body {
        Body::Arp(arp) => arp.operation == ArpOperation::Reply,
        Body::Neighbour(neighbour) => matches!(neighbour.kind, NeighbourKind::Advertisement { .. }),
    };
    frame.claim().filter(|(claimed, _)| answers && *claimed == ip).map(|(_, mac)| mac)
}
