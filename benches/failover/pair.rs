//! The pair of the shipped state in a lab: `lb1`, which is preferred, and `lb2`.

use super::common::Failure;
use lbagent::{
    desired::{LastGood, is_state_file, load, resolve},
    drill::lab::{
        Lab,
        agent::AgentConfig,
        clock::{now, wait_until},
        explain::explain,
        targets::{Ask, Target},
        topology::Topology,
        traffic::Traffic,
    },
    kernel::isolate::SCRATCH,
    model::{Desired, Name},
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    net::{IpAddr, SocketAddr},
    path::Path,
    time::{Duration, Instant},
};

/// For anything that must happen at all.
pub(crate) const SOON: Duration = Duration::from_secs(15);
/// From one fresh connection of the clients to the next: the grain of every figure about requests.
pub(crate) const PACE: Duration = Duration::from_millis(2);
/// The preferred balancer and the other one.
pub(crate) const PAIR: [&str; 2] = ["lb1", "lb2"];
/// The Vip.
const WEB: &str = "web";

/// The shipped state.
pub(crate) struct Site {
    desired: Desired,
    files: BTreeMap<String, Value>,
}

impl Site {
    /// Reads `state/` of this repository.
    pub(crate) fn shipped() -> Result<Self, Failure> {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("state");
        let desired = resolve(&LastGood::default(), &load(&dir)).desired;
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(&dir)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default();
            if is_state_file(name) {
                files.insert(name.to_string_lossy().into_owned(), serde_json::from_slice(&fs::read(&path)?)?);
            }
        }
        Ok(Self { desired, files })
    }
}

/// A lab with the site in it.
pub(crate) struct Pair {
    pub(crate) lab: Lab,
    /// The Vip's address.
    pub(crate) ip: IpAddr,
    config: AgentConfig,
    files: BTreeMap<String, Value>,
}

impl Pair {
    /// Builds the network and writes the state; no agent runs yet.
    pub(crate) fn build(site: Site) -> Result<Self, Failure> {
        let lab = Lab::build(&Topology::plan(&site.desired), Path::new(SCRATCH))?;
        let vip = site.desired.vips.get(WEB).ok_or("the shipped state has no Vip web")?;
        let ip = vip.addresses.first().ok_or("the Vip web has no address")?.ip;
        let config = AgentConfig {
            program: env!("CARGO_BIN_EXE_lbagent").into(),
            state_dir: lab.dir().join("state"),
            key_file: lab.write_key("auth.key")?,
            arguments: Vec::new(),
            log_filter: None,
        };
        let pair = Self { lab, ip, config, files: site.files };
        fs::create_dir_all(&pair.config.state_dir)?;
        for (name, value) in &pair.files {
            pair.write(name, value)?;
        }
        Ok(pair)
    }

    /// Starts both agents and waits until `lb1` is the owner.
    pub(crate) fn start(&mut self) -> Result<(), Failure> {
        for node in PAIR {
            self.start_agent(node)?;
        }
        self.wait_for_owner(PAIR[0]).map(drop)
    }

    /// Starts one agent.
    pub(crate) fn start_agent(&mut self, node: &str) -> Result<(), Failure> {
        Ok(self.lab.start_agent(node, &self.config.clone())?)
    }

    /// Ends one agent in order, and starts another one.
    pub(crate) fn restart_agent(&mut self, node: &str) -> Result<(), Failure> {
        self.lab.stop_agent(node, SOON)?;
        self.start_agent(node)
    }

    /// Waits until `node` alone has the Vip, and says when that was seen.
    pub(crate) fn wait_for_owner(&self, node: &str) -> Result<Instant, Failure> {
        let owns = || self.lab.holders(&[self.ip]).is_ok_and(|holders| holders.iter().map(Name::as_str).eq([node]));
        eventually(&format!("{node} alone has the Vip"), owns)
    }

    /// Clients with a fresh connection each [`PACE`], and the name that their record has for the Vip.
    pub(crate) fn clients(&self) -> Result<(Traffic, Name), Failure> {
        let ask =
            Ask::Http { host: "www.example.com".into(), path: "/".into(), fields: String::new(), redirects: false };
        let target = Target { address: SocketAddr::new(self.ip, 80), ask };
        let vip = Name::new(WEB)?;
        let targets = BTreeMap::from([(vip.clone(), vec![target])]);
        Ok((Traffic::start_fresh(self.lab.clients()?.namespace(), targets, PACE)?, vip))
    }

    /// A shipped object, to be changed.
    pub(crate) fn object(&self, file: &str) -> Result<Value, Failure> {
        Ok(self.files.get(file).ok_or_else(|| format!("the shipped state has no {file}"))?.clone())
    }

    /// Replaces a file as editors do: written beside it, then renamed. The moment is that before the rename.
    pub(crate) fn write(&self, file: &str, value: &Value) -> Result<Instant, Failure> {
        let aside = self.config.state_dir.join(format!(".{file}.new"));
        fs::write(&aside, serde_json::to_string_pretty(value)?)?;
        let at = now();
        fs::rename(aside, self.config.state_dir.join(file))?;
        Ok(at)
    }

    /// What there is to know when something did not happen.
    pub(crate) fn explain(&self) {
        eprint!("{}", explain(&self.lab));
    }
}

/// Waits until `condition` holds, at most [`SOON`], and says when it was seen to.
pub(crate) fn eventually(what: &str, condition: impl FnMut() -> bool) -> Result<Instant, Failure> {
    if wait_until(SOON, condition) { Ok(now()) } else { Err(format!("not within {SOON:?}: {what}").into()) }
}
