//! A network of namespaces with real agents in it: what the drill rehearses on and what the kernel tests run in.
//!
//! A [`Lab`] is built from a [`topology::Topology`]. Each host is a network namespace; one more namespace is the switch
//! room, with a bridge for each segment. Namespaces are anonymous, held by descriptors, and no `ip` or other program
//! runs: see [`crate::kernel::netns`] for why nothing stays behind.
//!
//! ```text
//!  clients   lb1      lb2     192.0.2.102
//!    eth0    eth0     eth0       eth0          a namespace each
//!     │       │        │          │            veth pairs
//!     p0      p1       p2         p3           ┐ the switch room:
//!     └── front ───────┘        path0 …        ┘ a bridge per segment
//! ```
//!
//! Faults are those of hardware: a host falls silent when its bridge *port* is disabled (its own carrier stays, as with a
//! crashed machine or a dead switch), and a crashed host loses its whole namespace, sockets, addresses and all.

pub mod agent;
pub mod answers;
pub mod clock;
pub mod explain;
pub mod host;
pub mod impair;
pub mod nft;
mod plan;
pub mod rtnl;
pub mod server;
pub mod targets;
pub mod topology;
pub mod traffic;

use crate::{kernel::netns::NetNs, model::Name};
use agent::{Agent, AgentConfig};
use host::Host;
use impair::{Frames, Impairment, Way};
use nix::sys::signal::Signal;
use rtnl::Rtnl;
use std::{
    io,
    path::{Path, PathBuf},
    process::ExitStatus,
    time::Duration,
};
use tempfile::TempDir;
use topology::{HostRole, Topology};

/// Something that building or running the lab tried did not work.
#[derive(Debug, thiserror::Error)]
#[error("the lab cannot {what}: {error}")]
pub struct LabError {
    /// What was tried, on what.
    what: String,
    /// What the kernel said.
    #[source]
    error: io::Error,
}

impl LabError {
    /// Makes an error of what the kernel said.
    pub fn on(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |error| Self { what, error }
    }
}

/// The bridges, one per segment.
pub(crate) struct SwitchRoom {
    namespace: NetNs,
    rtnl: Rtnl,
    bridges: Vec<u32>,
}

/// A network that runs. Dropping it ends the agents and, with the last descriptor, the namespaces.
pub struct Lab {
    hosts: Vec<Host>,
    switches: SwitchRoom,
    dir: TempDir,
}

impl Lab {
    /// Builds `topology`, with its servers running; files go into a new directory below `scratch`.
    pub fn build(topology: &Topology, scratch: &Path) -> Result<Self, LabError> {
        let dir = tempfile::Builder::new().prefix("lbagent-lab-").tempdir_in(scratch);
        let dir = dir.map_err(LabError::on(format!("make a directory in {}", scratch.display())))?;
        let switches = SwitchRoom::build(&topology.segments)?;
        let mut hosts = Vec::new();
        for (number, plan) in topology.hosts.iter().enumerate() {
            let mut host = Host::new(number, plan.clone())?;
            host.boot(&switches)?;
            hosts.push(host);
        }
        Ok(Self { hosts, switches, dir })
    }

    /// Where the lab keeps its files.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// All hosts, the balancers first.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// The hosts that run agents.
    pub fn balancers(&self) -> impl Iterator<Item = &Host> {
        self.hosts.iter().filter(|host| host.plan().role == HostRole::Balancer)
    }

    /// The balancer of this Peer name.
    pub fn balancer(&self, name: &str) -> Result<&Host, LabError> {
        self.host(HostRole::Balancer, name)
    }

    /// The host of this role and name.
    pub fn host(&self, role: HostRole, name: &str) -> Result<&Host, LabError> {
        let found = self.hosts.iter().find(|host| host.plan().role == role && host.plan().name == name);
        found.ok_or_else(|| LabError::on(format!("find the host {name}"))(io::ErrorKind::NotFound.into()))
    }

    /// The same, to change it.
    pub fn host_mut(&mut self, role: HostRole, name: &str) -> Result<&mut Host, LabError> {
        let found = self.hosts.iter_mut().find(|host| host.plan().role == role && host.plan().name == name);
        found.ok_or_else(|| LabError::on(format!("find the host {name}"))(io::ErrorKind::NotFound.into()))
    }

    /// The namespace that the traffic comes from.
    pub fn clients(&self) -> Result<&Host, LabError> {
        self.host(HostRole::Clients, "clients")
    }

    /// Starts the agent of the balancer `name`; its log goes on in the same file if it ran before.
    pub fn start_agent(&mut self, name: &str, config: &AgentConfig) -> Result<(), LabError> {
        let dir = self.dir.path().to_owned();
        self.host_mut(HostRole::Balancer, name)?.start_agent(config, &dir)
    }

    /// Ends the agent of the balancer `name` as `kill -9` does.
    pub fn kill_agent(&mut self, name: &str) -> Result<(), LabError> {
        self.agent(name).map(Agent::kill)
    }

    /// Sends the agent of the balancer `name` a signal.
    pub fn signal_agent(&mut self, name: &str, signal: Signal) -> Result<(), LabError> {
        self.agent(name).map(|agent| agent.signal(signal))
    }

    /// Asks the agent of the balancer `name` to stop; see [`Agent::stop`].
    pub fn stop_agent(&mut self, name: &str, limit: Duration) -> Result<ExitStatus, LabError> {
        self.agent(name)?.stop(limit)
    }

    /// The agent of the balancer `name`.
    pub fn agent(&mut self, name: &str) -> Result<&mut Agent, LabError> {
        let missing = || LabError::on(format!("find the agent of {name}"))(io::ErrorKind::NotFound.into());
        self.host_mut(HostRole::Balancer, name)?.agent_mut().ok_or_else(missing)
    }

    /// Makes all switch ports of a host forward, or drop every frame in both directions.
    pub fn set_forwarding(&self, role: HostRole, name: &str, forwarding: bool) -> Result<(), LabError> {
        self.host(role, name)?.set_forwarding(&self.switches, None, forwarding)
    }

    /// The same for the port of one of its devices.
    pub fn set_device_forwarding(&self, name: &str, device: &str, forwarding: bool) -> Result<(), LabError> {
        self.balancer(name)?.set_forwarding(&self.switches, Some(device), forwarding)
    }

    /// Where the switches are: for faults that lie on the way between two hosts.
    pub fn switch_room(&self) -> &NetNs {
        &self.switches.namespace
    }

    /// The name, in the switch room, of the port that a device of a balancer is plugged into.
    pub fn port_name(&self, name: &str, device: &str) -> Result<String, LabError> {
        let found = self.balancer(name)?.port_name(device);
        found
            .ok_or_else(|| LabError::on(format!("find the port of {device} of {name}"))(io::ErrorKind::NotFound.into()))
    }

    /// `percent` (0 to 100) of `frames` are lost at the port of a device of the balancer `name`, each by its own throw of
    /// the dice, as long as what this returns lives.
    pub fn impair(
        &self,
        name: &str,
        device: &str,
        way: Way,
        frames: Frames,
        percent: u32,
    ) -> Result<Impairment, LabError> {
        Impairment::new(self.switch_room(), &self.port_name(name, device)?, way, frames, percent)
    }

    /// A device of the balancer `name` is taken out: its addresses, routes and sockets' bindings go with it.
    pub fn unplug(&mut self, name: &str, device: &str) -> Result<(), LabError> {
        let (switches, host) = self.balancer_to_change(name)?;
        host.unplug(switches, device)
    }

    /// The device is put back in, as it was, with the host's own addresses.
    pub fn plug(&mut self, name: &str, device: &str) -> Result<(), LabError> {
        let (switches, host) = self.balancer_to_change(name)?;
        host.plug(switches, device)
    }

    /// The balancer `name` crashes as a machine does: first no frame leaves it any more, then its agent, its addresses
    /// and its connections are gone.
    pub fn crash(&mut self, name: &str) -> Result<(), LabError> {
        self.set_forwarding(HostRole::Balancer, name, false)?;
        let (switches, host) = self.balancer_to_change(name)?;
        host.halt(switches)
    }

    /// The balancer `name` is there again after a crash, with its own addresses and without an agent.
    pub fn boot(&mut self, name: &str) -> Result<(), LabError> {
        let (switches, host) = self.balancer_to_change(name)?;
        host.boot(switches)
    }

    fn balancer_to_change(&mut self, name: &str) -> Result<(&SwitchRoom, &mut Host), LabError> {
        let is_it = |host: &&mut Host| host.plan().role == HostRole::Balancer && host.plan().name == name;
        let missing = || LabError::on(format!("find the host {name}"))(io::ErrorKind::NotFound.into());
        Ok((&self.switches, self.hosts.iter_mut().find(is_it).ok_or_else(missing)?))
    }

    /// The balancers that hold all of `ips`, as their kernels have it.
    pub fn holders(&self, ips: &[std::net::IpAddr]) -> Result<Vec<Name>, LabError> {
        let mut holders = Vec::new();
        for host in self.balancers() {
            let held = host.rtnl().addresses()?;
            let holds = ips.iter().all(|ip| held.iter().any(|address| address.ip == *ip));
            holders.extend(Name::new(&host.plan().name).ok().filter(|_| holds));
        }
        Ok(holders)
    }

    /// Writes a file below the lab's directory and returns its path.
    pub fn write_file(&self, name: &str, bytes: impl AsRef<[u8]>) -> Result<PathBuf, LabError> {
        let path = self.dir.path().join(name);
        let write = || {
            path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
            std::fs::write(&path, bytes)
        };
        write().map_err(LabError::on(format!("write {}", path.display())))?;
        Ok(path)
    }

    /// A key file with one new key, as every agent of a lab shares it.
    pub fn write_key(&self, name: &str) -> Result<PathBuf, LabError> {
        use std::os::unix::fs::PermissionsExt;
        let mut key = [0; 32];
        let drawn = getrandom::fill(&mut key).map_err(|error| io::Error::other(error.to_string()));
        drawn.map_err(LabError::on("draw a key"))?;
        let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        let path = self.write_file(name, format!("1 {hex}\n"))?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))
            .map_err(LabError::on("set the mode of the key file"))?;
        Ok(path)
    }
}

impl SwitchRoom {
    fn build(segments: &[String]) -> Result<Self, LabError> {
        let namespace = NetNs::new().map_err(LabError::on("make a network namespace"))?;
        // A bridge is a switch here, not a host: it must not send router solicitations of its own.
        let quiet = namespace.run(|| std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1"));
        drop(quiet);
        let rtnl = Rtnl::open(&namespace)?;
        let bridges = segments.iter().map(|name| rtnl.add_bridge(name)).collect::<Result<_, _>>()?;
        Ok(Self { namespace, rtnl, bridges })
    }
}
