//! The election's own thread: heartbeats and probes on a runtime that nothing else runs on.

use super::AgentError;
use crate::{
    election::{
        driver::{self, Channels, ElectionInput, ProbeIo},
        machine::HeldReport,
    },
    kernel::probe::Prober,
    model::{ElectionView, Link, ObservedNetwork, Problem, Sight},
};
use std::{io, net::IpAddr, path::PathBuf, sync::Arc};
use tokio::sync::{oneshot, watch};

/// The running thread. It ends when the sender of `input` is dropped.
pub(super) struct Election {
    pub(super) view: watch::Receiver<Arc<ElectionView>>,
    pub(super) problems: watch::Receiver<Vec<Problem>>,
    ended: oneshot::Receiver<()>,
}

impl Election {
    pub(super) fn start(
        key_file: PathBuf,
        input: watch::Receiver<ElectionInput>,
        held: watch::Receiver<HeldReport>,
    ) -> Result<Self, AgentError> {
        let (view, view_out) = watch::channel(Arc::default());
        let (problems, problems_out) = watch::channel(Vec::new());
        let (end, ended) = oneshot::channel();
        let channels = Channels { input, held, view, problems };
        let run = move || {
            if let Err(error) = run(key_file, channels) {
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

fn run(key_file: PathBuf, channels: Channels) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let prober = Prober::new().map_err(io::Error::other)?;
        let probes = Probes { prober, input: channels.input.clone() };
        driver::run(key_file, probes, channels).await
    })
}

/// The kernel's probes, for the driver.
struct Probes {
    prober: Prober,
    input: watch::Receiver<ElectionInput>,
}

impl ProbeIo for Probes {
    fn send(&self, link: &Link, ip: IpAddr) -> io::Result<()> {
        // A frame of this host that comes back in through another of its devices is no answer.
        let links = self.input.borrow().links.clone();
        self.prober.own(&ObservedNetwork { links, ..ObservedNetwork::default() });
        self.prober.send(link, ip).map_err(io::Error::other)
    }

    async fn recv(&self) -> Sight {
        self.prober.recv().await
    }

    fn rx_packets(&self, link: &Link) -> io::Result<u64> {
        crate::kernel::rx::rx_packets(&link.name)
    }
}
