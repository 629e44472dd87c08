//! What the drivers of a test stand on: a wire that they probe, and a kernel that leases.

use super::{super::*, VIP};
use crate::model::SightKind;
use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU64, Ordering::Relaxed},
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// A wire on which hosts have addresses: what the probes of all drivers of one test see.
#[derive(Clone, Default)]
pub(super) struct Wire(pub(super) Arc<Mutex<BTreeMap<IpAddr, Mac>>>, Arc<AtomicU64>);

impl Wire {
    /// How often anybody has counted packets.
    pub(super) fn counted(&self) -> u64 {
        self.1.load(Relaxed)
    }
}

pub(super) struct FakeProbe {
    wire: Wire,
    answers: UnboundedSender<Sight>,
    inbox: tokio::sync::Mutex<UnboundedReceiver<Sight>>,
}

impl FakeProbe {
    pub(super) fn new(wire: Wire) -> Self {
        let (answers, inbox) = unbounded_channel();
        Self { wire, answers, inbox: tokio::sync::Mutex::new(inbox) }
    }
}

impl ProbeIo for FakeProbe {
    fn watch(&self, ips: &BTreeSet<IpAddr>, _: &BTreeMap<u32, Link>) {
        assert!(ips.is_empty() || ips.contains(&VIP));
    }

    fn send(&self, _: &Link, ip: IpAddr) -> io::Result<()> {
        if let Some(mac) = self.wire.0.lock().unwrap().get(&ip) {
            let _ = self.answers.send(Sight { link: 2, ip, mac: *mac, kind: SightKind::Has });
        }
        Ok(())
    }

    async fn recv(&self) -> Sight {
        match self.inbox.lock().await.recv().await {
            Some(sight) => sight,
            None => std::future::pending().await,
        }
    }

    fn rx_packets(&self, _: &Link) -> io::Result<u64> {
        Ok(self.wire.1.fetch_add(1, Relaxed))
    }
}

/// Leases as a well-behaved kernel would give them.
#[derive(Clone, Default)]
pub(super) struct FakeLeases(Arc<Mutex<Granted>>);

#[derive(Default)]
pub(super) struct Granted {
    pub(super) tickets: BTreeSet<u64>,
    pub(super) leased: BTreeSet<IpAddr>,
    pub(super) lost: Vec<IpAddr>,
    pub(super) unfit: Vec<String>,
    /// What was asked, in order.
    pub(super) asked: Vec<&'static str>,
    /// Refuses every ticket and grant, as a kernel would that is out of memory.
    pub(super) broken: bool,
    /// So many tickets will have expired.
    pub(super) late: u32,
}

impl FakeLeases {
    pub(super) fn get(&self) -> MutexGuard<'_, Granted> {
        self.0.lock().unwrap()
    }
}

impl LeaseIo for FakeLeases {
    fn fenced(&self) -> bool {
        true
    }

    fn ticket(&self, id: u64, _: Duration) -> Result<(), String> {
        let mut kernel = self.get();
        kernel.asked.push("ticket");
        if kernel.broken {
            return Err("cannot make a ticket: out of memory".into());
        }
        assert!(kernel.tickets.insert(id), "{id} was used before");
        Ok(())
    }

    fn grant(&self, ticket: u64, ips: &[IpAddr]) -> Result<bool, String> {
        let mut kernel = self.get();
        kernel.asked.push("grant");
        if kernel.broken {
            return Err("cannot grant a lease: out of memory".into());
        }
        if kernel.late > 0 {
            kernel.late -= 1;
            return Ok(false);
        }
        let granted = kernel.tickets.contains(&ticket);
        if granted {
            kernel.leased.extend(ips);
        }
        Ok(granted)
    }

    fn revoke(&self, ips: &[IpAddr]) {
        let mut kernel = self.get();
        kernel.asked.push("revoke");
        kernel.leased.retain(|ip| !ips.contains(ip));
    }

    fn lost(&self, _: Instant) -> Vec<IpAddr> {
        let mut kernel = self.get();
        let lost = std::mem::take(&mut kernel.lost);
        kernel.leased.retain(|ip| !lost.contains(ip));
        lost
    }

    fn unfit(&self, _: Instant) -> Vec<String> {
        self.get().unfit.clone()
    }
}
