//! Balancers with real agents, servers behind them, clients before them, and an auditor beside them.
//!
//! The network is [`super::network`]'s.

use super::{
    Failure, Outcome, audit, network,
    state::{State, VIP4, VIP6},
    wait::{eventually, now, stays},
    watch::Watch,
};
use lbagent::{
    drill::lab::{
        Lab,
        agent::{AgentConfig, HTTP},
        explain::{complaints, explain},
        host::Host,
        targets::{Ask, Target},
        topology::{HostRole, Topology},
        traffic::Traffic,
    },
    kernel::isolate::SCRATCH,
    model::{Mac, Name},
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{Duration, Instant},
};

/// Long enough for anything that has no limit of its own, on a loaded machine.
pub(crate) const SOON: Duration = Duration::from_secs(10);
/// The Vip's name.
pub(crate) const WEB: &str = "web";

/// A lab with a state directory and agents. See the picture of [`super::network`].
pub(crate) struct World {
    /// The network.
    pub(crate) lab: Lab,
    /// What agents are started with.
    pub(crate) config: AgentConfig,
    nodes: Vec<String>,
    traffic: Option<Traffic>,
    pub(super) watch: Option<Watch>,
    /// From when on two owners are a failure.
    pub(super) judged_from: Option<Instant>,
}

impl World {
    /// Builds the network and writes the state; no agent runs yet.
    pub(crate) fn build(state: &State) -> Result<Self, Failure> {
        Self::build_on(network::topology(state.nodes.len()), state)
    }

    /// The same on another network.
    pub(crate) fn build_on(topology: Topology, state: &State) -> Result<Self, Failure> {
        let lab = Lab::build(&topology, Path::new(SCRATCH))?;
        let config = AgentConfig {
            program: env!("CARGO_BIN_EXE_lbagent").into(),
            state_dir: lab.dir().join("state"),
            key_file: lab.write_key("auth.key")?,
            arguments: vec!["--workers".into(), "1".into()],
            log_filter: std::env::var("RUST_LOG").ok(),
        };
        let world = Self { lab, config, nodes: state.nodes.clone(), traffic: None, watch: None, judged_from: None };
        std::fs::create_dir_all(&world.config.state_dir)?;
        for (name, value) in &state.files {
            world.write(name, value)?;
        }
        Ok(world)
    }

    /// Starts an agent on every balancer and waits until `lb1` has the Vip and serves. It is the first to start, so that
    /// it has it from the beginning, whatever else this machine is busy with.
    pub(crate) fn start_all(&mut self) -> Outcome {
        for node in self.nodes.clone() {
            self.start(&node)?;
            eventually(SOON, "lb1 has the Vip", || Ok(self.owners()? == ["lb1"]))?;
        }
        self.settle("lb1")?;
        for node in self.nodes.iter().filter(|node| *node != "lb1") {
            eventually(SOON, &format!("{node} is Backup"), || {
                Ok(self.vip_status(node).is_ok_and(|vip| vip["role"] == "Backup"))
            })?;
        }
        Ok(())
    }

    /// Starts the agent of one balancer.
    pub(crate) fn start(&mut self, node: &str) -> Outcome {
        Ok(self.lab.start_agent(node, &self.config.clone())?)
    }

    /// Waits until `node` alone has the Vip and all that clients ask is answered well.
    pub(crate) fn settle(&mut self, node: &str) -> Outcome {
        eventually(SOON, &format!("{node} alone has the Vip"), || Ok(self.owners()? == [node]))?;
        let since = now();
        self.traffic()?;
        eventually(SOON, "clients are served", || self.serves_since(since.max(now() - Duration::from_millis(200))))
    }

    /// The balancers whose kernels have both addresses of the Vip.
    pub(crate) fn owners(&self) -> Result<Vec<String>, Failure> {
        let ips = [VIP4.parse()?, VIP6.parse()?];
        Ok(self.lab.holders(&ips)?.iter().map(Name::to_string).collect())
    }

    /// The balancers whose kernels have any address of the Vip.
    pub(crate) fn holders_of_any(&self) -> Result<Vec<String>, Failure> {
        let ips: [IpAddr; 2] = [VIP4.parse()?, VIP6.parse()?];
        let mut holders = Vec::new();
        for host in self.lab.balancers() {
            if host.rtnl().addresses()?.iter().any(|held| ips.contains(&held.ip)) {
                holders.push(host.plan().name.clone());
            }
        }
        Ok(holders)
    }

    /// Waits until `node` has the Vip, and sees that it stays there, alone, for `duration`.
    pub(crate) fn stays_at(&self, node: &str, duration: Duration) -> Outcome {
        stays(duration, &format!("{node} alone has the Vip"), || {
            Ok(self.owners()? == [node] && self.holders_of_any()? == [node])
        })
    }

    /// The clients, who start with the first call.
    pub(crate) fn traffic(&mut self) -> Result<&Traffic, Failure> {
        if self.traffic.is_none() {
            let targets = BTreeMap::from([(web()?, targets()?)]);
            self.traffic = Some(Traffic::start(self.lab.clients()?.namespace(), targets)?);
        }
        self.traffic.as_ref().ok_or_else(|| "no clients".into())
    }

    pub(super) fn clients_at_work(&self) -> Result<&Traffic, Failure> {
        self.traffic.as_ref().ok_or_else(|| "no clients".into())
    }

    /// Whether every address and port has answered well since `since`, and none badly.
    pub(crate) fn serves_since(&self, since: Instant) -> Result<bool, Failure> {
        let (traffic, vip) = (self.clients_at_work()?, web()?);
        Ok(traffic.record().serves_since(&vip, &traffic.addresses(&vip), since))
    }

    /// Failed attempts and broken connections since `since`.
    pub(crate) fn losses_since(&self, since: Instant) -> Result<(usize, usize), Failure> {
        let traffic = self.clients_at_work()?;
        let seen = traffic.record().summary(&web()?, since, now());
        Ok((seen.failed, seen.broken))
    }

    /// Good answers since `since` by the server that gave them.
    pub(crate) fn served_since(&self, since: Instant) -> Result<BTreeMap<String, usize>, Failure> {
        let traffic = self.clients_at_work()?;
        let record = traffic.record();
        Ok(record.served_since(since).into_iter().map(|(server, count)| (server.to_owned(), count)).collect())
    }

    /// Writes a file of the state directory in the way editors do: beside it, then renamed.
    pub(crate) fn write(&self, name: &str, value: &Value) -> Outcome {
        self.write_text(name, &serde_json::to_string_pretty(value)?)
    }

    /// The same with any text.
    pub(crate) fn write_text(&self, name: &str, text: &str) -> Outcome {
        let aside = self.config.state_dir.join(format!(".{name}.new"));
        std::fs::write(&aside, text)?;
        Ok(std::fs::rename(aside, self.path(name))?)
    }

    /// Where a state file is.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.config.state_dir.join(name)
    }

    /// What the agent of `node` says of itself.
    pub(crate) fn status(&self, node: &str) -> Result<Value, Failure> {
        let (code, body) = self.lab.balancer(node)?.get(HTTP, "/status")?;
        if code == 200 { Ok(serde_json::from_str(&body)?) } else { Err(format!("/status gave {code}: {body}").into()) }
    }

    /// What the agent of `node` says of the Vip `web`.
    pub(crate) fn vip_status(&self, node: &str) -> Result<Value, Failure> {
        let status = self.status(node)?;
        let vips = status["vips"].as_array().into_iter().flatten();
        vips.into_iter().find(|vip| vip["name"] == WEB).cloned().ok_or_else(|| "the status has no Vip web".into())
    }

    /// What the agent of `node` says of another balancer.
    pub(crate) fn peer(&self, node: &str, other: &str) -> Result<Value, Failure> {
        let status = self.status(node)?;
        let found = status["peers"].as_array().into_iter().flatten().find(|peer| peer["name"] == other);
        found.cloned().ok_or_else(|| format!("{node} knows no {other}").into())
    }

    /// What the agent of `node` says to Prometheus.
    pub(crate) fn metrics(&self, node: &str) -> Result<String, Failure> {
        Ok(self.lab.balancer(node)?.get(HTTP, "/metrics")?.1)
    }

    /// Whether something that the agent of `node` complains of (a problem, of its files or otherwise, or a condition
    /// that is not met) has all of `words` in it.
    pub(crate) fn reports(&self, node: &str, words: &[&str]) -> Result<bool, Failure> {
        let status = self.status(node)?;
        let mut complaints = complaints(&status).map(Value::to_string);
        Ok(complaints.any(|complaint| words.iter().all(|word| complaint.contains(word))))
    }

    /// The balancers that answer for `ip` on the wire; a host that is none counts as `?`.
    pub(crate) fn answering(&self, ip: &str) -> Result<Vec<String>, Failure> {
        let macs = audit::answering(&self.lab, ip.parse()?)?;
        let name = |mac: &Mac| {
            let has = |host: &&Host| host.plan().interfaces.iter().any(|nic| nic.mac == *mac);
            self.lab.balancers().find(has).map_or_else(|| "?".to_owned(), |host| host.plan().name.clone())
        };
        Ok(macs.iter().map(name).collect())
    }

    /// Runs `lbagent` with `arguments` beside the agent of `node`.
    pub(crate) fn lbagent(&self, node: &str, arguments: &[&str]) -> Result<Output, Failure> {
        let mut command = Command::new(&self.config.program);
        command.args(arguments);
        Ok(self.lab.balancer(node)?.namespace().adopt(&mut command).output()?)
    }

    /// The exit code of `lbagent check` with `arguments` beside the agent of `node`, and what it printed.
    pub(crate) fn check(&self, node: &str, arguments: &[&str]) -> Result<(i32, String), Failure> {
        let socket = self.socket(node)?;
        let output = self.lbagent(node, &[&["check", "--socket", &socket], arguments].concat())?;
        Ok((output.status.code().ok_or("killed")?, String::from_utf8(output.stdout)?))
    }

    /// Where the agent of `node` takes commands.
    pub(crate) fn socket(&self, node: &str) -> Result<String, Failure> {
        let agent = self.lab.balancer(node)?.agent().ok_or("no agent")?;
        Ok(agent.socket().to_string_lossy().into_owned())
    }

    /// The host of this name behind the balancers.
    pub(crate) fn server(&mut self, ip: &str) -> Result<&mut Host, Failure> {
        Ok(self.lab.host_mut(HostRole::Server, ip)?)
    }

    /// What there is to know when a case has failed.
    pub(crate) fn explain(&self) {
        eprint!("{}", explain(&self.lab));
        if let Some(traffic) = &self.traffic {
            let record = traffic.record();
            let seen = web().map(|vip| record.summary(&vip, now() - Duration::from_secs(5), now()));
            eprintln!("── the last 5 s of clients: {seen:?}");
        }
        if let (Some(watch), Some(from)) = (&self.watch, self.judged_from) {
            eprintln!("── who answered or announced, as the auditor saw it, in seconds from when it began to judge");
            for tenure in watch.seen().tenures(from, now()) {
                let at = |instant: Instant| instant.duration_since(from).as_secs_f64();
                eprintln!("   {:8.3} – {:8.3} {} {}", at(tenure.from), at(tenure.to), tenure.ip, tenure.host);
            }
        }
    }
}

/// The Vip's name.
pub(super) fn web() -> Result<Name, Failure> {
    Ok(Name::new(WEB)?)
}

/// Both ports on both addresses.
fn targets() -> Result<Vec<Target>, Failure> {
    let http = Ask::Http { host: "www.example.com".into(), path: "/".into(), fields: String::new(), redirects: false };
    let mut targets = Vec::new();
    for ip in [VIP4, VIP6] {
        let ip: IpAddr = ip.parse()?;
        targets.push(Target { address: SocketAddr::new(ip, 80), ask: http.clone() });
        targets.push(Target { address: SocketAddr::new(ip, 25), ask: Ask::Line });
    }
    Ok(targets)
}
