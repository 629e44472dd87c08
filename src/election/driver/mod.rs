//! The shell around the [machine](super::machine): sockets, leases, the key file, the clocks. It decides nothing.
//!
//! It runs on a current-thread runtime of its own, so that no other work delays a heartbeat. Each turn of the loop
//! first makes sure that what this node owns is still its own, takes in what has arrived (a bounded batch per socket,
//! so that a flood cannot keep the timer waiting), lets the machine decide, and carries out what it wants, in order.
//! What the kernel says to a grant decides what follows, so the machine hears it in the same turn. Everything that can
//! change while it runs – the state, the peers' timers and addresses, the key file – takes effect without a restart.
//!
//! An idle node has 80 heartbeats a second to send and as many to hear. So nothing here asks the kernel for what it has
//! told already, no wake-up is for nothing, and counters are published once a second.

mod act;
mod clocks;
mod epoch;
mod keyfile;
mod sockets;
#[cfg(test)]
mod tests;
mod turn;

use super::{lease::Beat, machine::HeldReport};
use crate::model::{Candidate, ElectionView, Front, Link, Mac, Name, Peer, Problem, Sight};
use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    io,
    net::IpAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::watch;
use turn::Driver;

/// What the election works from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElectionInput {
    /// This node's name.
    pub node: Name,
    /// Every node, this one included.
    pub peers: Vec<Arc<Peer>>,
    /// The Vips, resolved for this node.
    pub candidates: Vec<Candidate>,
    /// Ethernet addresses of this node.
    pub macs: Vec<Mac>,
    /// This node's devices, by `ifindex`.
    pub links: BTreeMap<u32, Link>,
    /// Those of them that carry Vips, as [`Machine::handle_fronts`] wants them.
    pub fronts: Vec<Front>,
}

/// Sends ARP and ND probes and tells what is seen on the wire.
pub trait ProbeIo {
    /// What is to be told from now on: sights of `ips`, unless they are of this host's own devices, `links`.
    fn watch(&self, ips: &BTreeSet<IpAddr>, links: &BTreeMap<u32, Link>);
    /// Asks on `link` who has `ip`.
    fn send(&self, link: &Link, ip: IpAddr) -> io::Result<()>;
    /// The next thing seen of a watched address. Dropping the future must lose none.
    fn recv(&self) -> impl Future<Output = Sight>;
    /// Packets that `link` has received since it came up; grows while the device hears anything at all.
    fn rx_packets(&self, link: &Link) -> io::Result<u64>;
}

/// Permission to use addresses, which ends by itself unless it is renewed.
pub trait LeaseIo {
    /// Whether the kernel enforces the leases.
    fn fenced(&self) -> bool;
    /// See [`Transmit::Ticket`].
    fn ticket(&self, id: u64, ttl: Duration) -> Result<(), String>;
    /// See [`Transmit::Grant`]. `Ok(false)`: the ticket has expired.
    fn grant(&self, ticket: u64, ips: &[IpAddr]) -> Result<bool, String>;
    /// See [`Transmit::Revoke`].
    fn revoke(&self, ips: &[IpAddr]);
    /// Leased addresses whose lease has ended without being revoked, since the last call. Checks against the clock, so
    /// that an agent that was stopped learns of it before it says anything.
    fn lost(&self, now: Instant) -> Vec<IpAddr>;
    /// What keeps the leases from being renewed, in words: parts of the agent that make no progress.
    fn unfit(&self, now: Instant) -> Vec<String>;
}

/// How the driver is connected to the rest of the agent.
#[derive(Debug)]
pub struct Channels {
    /// The driver ends when the sender is gone.
    pub input: watch::Receiver<ElectionInput>,
    /// Sent after every pass of the reconcile loop. Must hold what is really there from the start (with a default
    /// `acted_on`): a new agent goes by it.
    pub held: watch::Receiver<HeldReport>,
    /// Published on every change, and once a second for its counters.
    pub view: watch::Sender<Arc<ElectionView>>,
    /// What is wrong now; all of it, each time.
    pub problems: watch::Sender<Vec<Problem>>,
}

/// Files that the driver keeps.
#[derive(Debug, Clone)]
pub struct Files {
    /// The keys of the heartbeats; read, again whenever it changes.
    pub key: PathBuf,
    /// Where the highest epoch is remembered; need not be there.
    pub epoch: PathBuf,
}

/// Takes part in the election until the sender of [`Channels::input`] is dropped. Must run on a runtime with IO. `beat`
/// is given each turn. The error is one of the system that leaves nothing to go on with: no random numbers, no thread,
/// no timer.
pub async fn run(
    files: Files,
    probes: impl ProbeIo,
    leases: impl LeaseIo,
    beat: Beat,
    channels: Channels,
) -> io::Result<()> {
    let mut driver = Driver::new(files, probes, leases, beat, channels)?;
    while driver.turn().await? {}
    Ok(())
}
