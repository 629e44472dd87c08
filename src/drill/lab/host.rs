//! A host of the lab: a namespace, its devices and their switch ports, its servers and its agent.

use super::{
    LabError, SwitchRoom,
    agent::{Agent, AgentConfig},
    rtnl::{End, Rtnl},
    server::Server,
    topology::{HostPlan, InterfacePlan},
};
use crate::kernel::netns::NetNs;
use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    time::Duration,
};

/// How long an answer of a host's own HTTP endpoint may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// A host that runs, or that has crashed and holds nothing.
pub struct Host {
    number: usize,
    plan: HostPlan,
    namespace: NetNs,
    rtnl: Rtnl,
    /// Device and switch port of each interface.
    ports: Vec<(String, u32)>,
    servers: Vec<Server>,
    agent: Option<Agent>,
}

impl Host {
    /// A host without devices; `number` is unique in the lab.
    pub(super) fn new(number: usize, plan: HostPlan) -> Result<Self, LabError> {
        let (namespace, rtnl) = empty_namespace()?;
        Ok(Self { number, plan, namespace, rtnl, ports: Vec::new(), servers: Vec::new(), agent: None })
    }

    /// What was planned.
    pub fn plan(&self) -> &HostPlan {
        &self.plan
    }

    /// Where it lives. After a crash it is another one.
    pub fn namespace(&self) -> &NetNs {
        &self.namespace
    }

    /// To look at its addresses and change them.
    pub fn rtnl(&self) -> &Rtnl {
        &self.rtnl
    }

    /// Its agent, if one was started and has not been let go.
    pub fn agent(&self) -> Option<&Agent> {
        self.agent.as_ref()
    }

    /// The same, to stop it.
    pub fn agent_mut(&mut self) -> Option<&mut Agent> {
        self.agent.as_mut()
    }

    /// Its simulated servers end: their connections are reset and new ones refused.
    pub fn stop_servers(&mut self) {
        self.servers.clear();
    }

    /// Its simulated servers run (again).
    pub fn start_servers(&mut self) -> Result<(), LabError> {
        self.servers.clear();
        for plan in &self.plan.servers {
            self.servers.push(Server::start(&self.namespace, plan.clone())?);
        }
        Ok(())
    }

    /// `GET path` of an HTTP server inside the host; status and body.
    pub fn get(&self, server: SocketAddr, path: &str) -> Result<(u16, String), LabError> {
        let answer = self.namespace.run(|| http_get(server, path)).and_then(|answer| answer);
        answer.map_err(LabError::on(format!("get http://{server}{path} on {}", self.plan.name)))
    }

    /// Builds the devices, addresses and routes, and starts the servers.
    pub(super) fn boot(&mut self, switches: &SwitchRoom) -> Result<(), LabError> {
        self.rtnl.set_up("lo", true)?;
        for (position, interface) in self.plan.interfaces.clone().iter().enumerate() {
            self.connect(position, interface, switches)?;
        }
        self.start_servers()
    }

    /// Ends the agent and the servers and leaves an empty namespace; the switch forgets the host.
    pub(super) fn halt(&mut self, switches: &SwitchRoom) -> Result<(), LabError> {
        if let Some(agent) = &mut self.agent {
            agent.kill();
        }
        self.servers.clear();
        for (_, port) in self.ports.drain(..) {
            switches.rtnl.delete_link(port)?;
        }
        (self.namespace, self.rtnl) = empty_namespace()?;
        Ok(())
    }

    /// Sets the port of `device`, or of all devices.
    pub(super) fn set_forwarding(
        &self,
        switches: &SwitchRoom,
        device: Option<&str>,
        forwarding: bool,
    ) -> Result<(), LabError> {
        let on_switch = |name: &str| self.plan.interfaces.iter().any(|nic| nic.name == name && nic.segment.is_some());
        for (name, port) in self.ports.iter().filter(|(name, _)| device.is_none_or(|device| device == name)) {
            if on_switch(name) {
                switches.rtnl.set_port_forwarding(*port, forwarding)?;
            }
        }
        Ok(())
    }

    /// The switch's end of a device.
    pub(super) fn port_name(&self, device: &str) -> Option<String> {
        let position = self.plan.interfaces.iter().position(|nic| nic.name == device)?;
        Some(port_name(self.number, position))
    }

    /// Removes a device.
    pub(super) fn unplug(&mut self, switches: &SwitchRoom, device: &str) -> Result<(), LabError> {
        for (_, port) in self.ports.extract_if(.., |(name, _)| name == device) {
            switches.rtnl.delete_link(port)?;
        }
        Ok(())
    }

    /// Makes a device anew that was removed.
    pub(super) fn plug(&mut self, switches: &SwitchRoom, device: &str) -> Result<(), LabError> {
        let interfaces = self.plan.interfaces.clone();
        for (position, interface) in interfaces.iter().enumerate().filter(|(_, nic)| nic.name == device) {
            self.connect(position, interface, switches)?;
        }
        Ok(())
    }

    pub(super) fn start_agent(&mut self, config: &AgentConfig, dir: &Path) -> Result<(), LabError> {
        if let Some(mut old) = self.agent.take() {
            old.kill();
        }
        self.agent = Some(Agent::start(&self.namespace, &self.plan.name, config, dir)?);
        Ok(())
    }

    fn connect(&mut self, position: usize, plan: &InterfacePlan, switches: &SwitchRoom) -> Result<(), LabError> {
        let port = port_name(self.number, position);
        let bridge = plan.segment.map(|segment| switches.bridges[segment]);
        let far = End { name: &plan.name, mac: Some(plan.mac) };
        let port = switches.rtnl.add_veth(End { name: &port, mac: None }, bridge, far, &self.namespace)?;
        self.ports.push((plan.name.clone(), port));
        self.rtnl.set_up(&plan.name, true)?;
        for address in &plan.addresses {
            self.rtnl.add_address(&plan.name, address.ip, address.prefix_len)?;
        }
        for (to, source) in &plan.neighbours {
            self.rtnl.add_neighbour_route(&plan.name, *to, *source)?;
        }
        Ok(())
    }
}

fn port_name(host: usize, position: usize) -> String {
    format!("p{host}-{position}")
}

fn empty_namespace() -> Result<(NetNs, Rtnl), LabError> {
    let namespace = NetNs::new().map_err(LabError::on("make a network namespace"))?;
    let rtnl = Rtnl::open(&namespace)?;
    Ok((namespace, rtnl))
}

fn http_get(server: SocketAddr, path: &str) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let text = String::from_utf8_lossy(&answer);
    let (head, body) = text.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.ok_or(io::ErrorKind::InvalidData)?, body.to_owned()))
}
