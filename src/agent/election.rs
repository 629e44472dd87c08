//! The election's own thread: heartbeats and probes on a runtime that nothing else runs on.

use super::AgentError;
use crate::{
    election::{
        driver::{self, Channels, ElectionInput, Files, ProbeIo},
        lease::{Beat, Leases},
        machine::HeldReport,
    },
    kernel::{probe::Prober, rx::RxCounters},
    model::{ElectionView, Link, ObservedNetwork, Problem, Sight},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::IpAddr,
    sync::Arc,
};
use tokio::sync::{oneshot, watch};

/// The running thread. It ends when the sender of `input` is dropped.
pub(super) struct Election {
    pub(super) view: watch::Receiver<Arc<ElectionView>>,
    pub(super) problems: watch::Receiver<Vec<Problem>>,
    ended: oneshot::Receiver<()>,
}

impl Election {
    pub(super) fn start(
        files: Files,
        (leases, beat): (Leases, Beat),
        input: watch::Receiver<ElectionInput>,
        held: watch::Receiver<HeldReport>,
    ) -> Result<Self, AgentError> {
        let (view, view_out) = watch::channel(Arc::default());
        let (problems, problems_out) = watch::channel(Vec::new());
        let (end, ended) = oneshot::channel();
        let channels = Channels { input, held, view, problems };
        let run = move || {
            if let Err(error) = run(files, leases, beat, channels) {
                tracing::error!("the election has ended: {error}");
            }
            // Nobody listens any more if the agent is ending.
            let _ = end.send(());
        };
        std::thread::Builder::new()
            .name("election".to_owned())
            .spawn(run)
            .map_err(|error| AgentError::Io("start the election's thread", error))?;
        Ok(Self { view: view_out, problems: problems_out, ended })
    }

    /// Resolves when the thread has ended, however it did.
    pub(super) async fn ended(&mut self) {
        // An error means that it was dropped by a panic.
        let _ = (&mut self.ended).await;
    }
}

fn run(files: Files, leases: Leases, beat: Beat, channels: Channels) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let probes = Probes { prober: Prober::new().map_err(io::Error::other)?, counters: RxCounters::open()? };
        driver::run(files, probes, leases, beat, channels).await
    })
}

/// The kernel's probes, for the driver.
struct Probes {
    prober: Prober,
    counters: RxCounters,
}

impl ProbeIo for Probes {
    fn watch(&self, ips: &BTreeSet<IpAddr>, links: &BTreeMap<u32, Link>) {
        self.prober.watch(ips.iter().copied());
        self.prober.own(&ObservedNetwork { links: links.clone(), ..ObservedNetwork::default() });
    }

    fn send(&self, link: &Link, ip: IpAddr) -> io::Result<()> {
        self.prober.send(link, ip).map_err(io::Error::other)
    }

    async fn recv(&self) -> Sight {
        self.prober.recv().await
    }

    fn rx_packets(&self, link: &Link) -> io::Result<u64> {
        self.counters.packets(&link.name)
    }
}
