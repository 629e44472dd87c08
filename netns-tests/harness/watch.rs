//! The watch: a third host on the front segment that asks every 2 ms who has the Vip's addresses, and writes down
//! everyone who says so, asked or unasked.
//!
//! It asks with frames of its own making, from no address (0.0.0.0, `::`), so that no cache learns anything from it and
//! no cache of its own can answer for the wire. What follows from what it saw is in [`super::sightings`].

use super::{Failure, sightings::*, state::Vips, wait::now};
use lbagent::{
    drill::lab::{Lab, topology::HostRole},
    kernel::{
        frames::{self, ArpOperation, Body, NeighbourKind},
        netns::NetNs,
        packet_socket::{PacketListener, PacketSender},
    },
    model::Mac,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread::JoinHandle,
    time::Duration,
};
use tokio::{sync::oneshot, time::MissedTickBehavior};

/// From one question to the next.
const PACE: Duration = Duration::from_millis(2);
/// When the last question was so long ago, the watch has slept.
const ASLEEP: Duration = Duration::from_millis(20);

/// The watch at work. Dropping it ends it.
pub(crate) struct Watch {
    seen: Arc<Mutex<Sightings>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread needs.
struct Post {
    namespace: NetNs,
    link: u32,
    mac: Mac,
    vips: BTreeSet<IpAddr>,
    names: BTreeMap<Mac, String>,
    seen: Arc<Mutex<Sightings>>,
}

impl Watch {
    /// Starts it on the lab's auditor and waits until it listens.
    pub(crate) fn start(lab: &Lab, vips: &Vips) -> Result<Self, Failure> {
        let auditor = lab.host(HostRole::Targets, "auditor")?;
        let nics = lab.hosts().iter().flat_map(|host| host.plan().interfaces.iter().map(move |nic| (host, nic)));
        let post = Post {
            namespace: auditor.namespace().clone(),
            link: auditor.rtnl().link_index("eth0")?,
            mac: auditor.plan().interfaces.first().ok_or("the auditor has no device")?.mac,
            vips: vips.iter().copied().collect(),
            names: nics.map(|(host, nic)| (nic.mac, host.plan().name.clone())).collect(),
            seen: Arc::default(),
        };
        let seen = post.seen.clone();
        let (stop, stopped) = oneshot::channel();
        let (ready, started) = mpsc::sync_channel(1);
        let thread = std::thread::Builder::new().name("watch".into()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let entered = post.namespace.enter().and(runtime);
            let watched = entered.and_then(|runtime| runtime.block_on(watch(&post, &ready, stopped)));
            if let Err(error) = watched {
                let _ = ready.try_send(Err(error));
            }
        })?;
        started.recv()??;
        Ok(Self { seen, stop: Some(stop), thread: Some(thread) })
    }

    /// What it has seen so far. Holding it stops the watch: look, and let go.
    pub(crate) fn seen(&self) -> MutexGuard<'_, Sightings> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.stop.take());
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

async fn watch(
    post: &Post,
    ready: &mpsc::SyncSender<io::Result<()>>,
    mut stop: oneshot::Receiver<()>,
) -> io::Result<()> {
    let open = || Ok::<_, lbagent::kernel::KernelError>((PacketListener::open()?, PacketSender::open()?));
    let (listener, sender) = open().map_err(io::Error::other)?;
    let mut ticks = tokio::time::interval(PACE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let _ = ready.send(Ok(()));
    let mut asked = now();
    loop {
        tokio::select! {
            biased;
            _ = &mut stop => return Ok(()),
            heard = listener.recv() => write_down(post, heard?.bytes()),
            _ = ticks.tick() => {
                let before = std::mem::replace(&mut asked, now());
                if asked.duration_since(before) > ASLEEP {
                    post.seen.lock().unwrap_or_else(PoisonError::into_inner).add_blind(before, asked);
                }
                for vip in &post.vips {
                    // A full queue is the machine's load; the next question comes soon.
                    let _ = sender.send(post.link, &frames::probe(post.mac, *vip));
                }
            }
        }
    }
}

fn write_down(post: &Post, bytes: &[u8]) {
    let Some(frame) = frames::parse(bytes) else { return };
    let Some((ip, mac)) = frame.claim().filter(|(ip, _)| post.vips.contains(ip)) else { return };
    let announces = match frame.body {
        Body::Arp(arp) => arp.sender_ip == arp.target_ip || arp.operation == ArpOperation::Request,
        // An advertisement that answers a question from `::` goes to all nodes and is not "solicited" either: with
        // this watch on, nobody can tell it from an announcement.
        Body::Neighbour(nd) => nd.kind == NeighbourKind::Solicitation,
    };
    let host = post.names.get(&mac).cloned().unwrap_or_else(|| mac.to_string());
    let sighting = Sighting { at: now(), ip, host: host.into(), announces };
    post.seen.lock().unwrap_or_else(PoisonError::into_inner).add(sighting);
}
