//! A pair of balancers of one make on the common ground, and what is done to them.

use super::{
    common::Failure,
    ground::{self, CABLE},
    keepalived::{self, Keepalived},
    pair::PAIR,
    watch::Watch,
};
use lbagent::{
    drill::lab::{
        Lab,
        agent::AgentConfig,
        clock::{now, wait_until},
        explain::explain,
        topology::HostRole,
    },
    kernel::isolate::SCRATCH,
};
use nix::sys::signal::Signal;
use std::{
    collections::BTreeMap,
    fmt, fs,
    net::IpAddr,
    path::Path,
    time::{Duration, Instant},
};

/// For anything that must happen at all before a run can begin.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long lbagent waits before a failback. An agent that has run for less has not settled.
const AFTER: (&str, Duration) = ("3s", Duration::from_secs(3));
/// Beyond that, for what is done once.
const MARGIN: Duration = Duration::from_millis(500);

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contender {
    /// This crate.
    Lbagent,
    /// With an advertisement every so many seconds.
    Keepalived {
        /// As in its file.
        advert: &'static str,
    },
}

impl Contender {
    /// lbagent, keepalived as it comes, and keepalived tuned as far as sites do.
    pub(crate) const ALL: [Self; 3] =
        [Self::Lbagent, Self::Keepalived { advert: "1" }, Self::Keepalived { advert: "0.05" }];

    /// Whether its program is there.
    pub(crate) fn is_installed(self) -> bool {
        self == Self::Lbagent || Keepalived::program().is_some()
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lbagent => f.pad("lbagent"),
            Self::Keepalived { advert } => f.pad(&format!("keepalived {advert} s")),
        }
    }
}

/// The paths that heartbeats are configured on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heartbeats {
    /// The back segment only.
    Back,
    /// Both. keepalived has one: the front.
    Both,
}

/// A rig to build.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setup {
    pub(crate) contender: Contender,
    pub(crate) heartbeats: Heartbeats,
    /// How many Vips there are.
    pub(crate) vips: u8,
    /// The front is two switches, each with a balancer and clients, and the cable between them can be cut.
    pub(crate) splits: bool,
}

impl Setup {
    /// One Vip, heartbeats everywhere, one front.
    pub(crate) fn plain(contender: Contender) -> Self {
        Self { contender, heartbeats: Heartbeats::Both, vips: 1, splits: false }
    }
}

/// The pair.
pub(crate) struct Rig {
    pub(crate) lab: Lab,
    pub(crate) setup: Setup,
    config: AgentConfig,
    keepalived: BTreeMap<&'static str, Keepalived>,
}

impl Rig {
    pub(crate) fn build(setup: Setup) -> Result<Self, Failure> {
        let lab = Lab::build(&ground::topology(&setup), Path::new(SCRATCH))?;
        let config = AgentConfig {
            program: env!("CARGO_BIN_EXE_lbagent").into(),
            state_dir: lab.dir().join("state"),
            key_file: lab.write_key("auth.key")?,
            arguments: Vec::new(),
            log_filter: None,
        };
        fs::create_dir_all(&config.state_dir)?;
        for (name, value) in ground::files(&setup, AFTER.0) {
            fs::write(config.state_dir.join(name), serde_json::to_string_pretty(&value)?)?;
        }
        if setup.splits {
            ground::join(&lab)?;
        }
        Ok(Self { lab, setup, config, keepalived: BTreeMap::new() })
    }

    /// Both hosts anew and nothing cut; no daemon runs.
    pub(crate) fn reset(&mut self) -> Result<(), Failure> {
        for node in PAIR {
            self.crash(node)?;
            self.lab.boot(node)?;
        }
        if self.setup.splits { self.cut_front(false) } else { Ok(()) }
    }

    /// Both hosts anew, both daemons started; returns when `lb1` has been the sole owner and has served for a while, and
    /// the daemons have settled.
    pub(crate) fn settle(&mut self) -> Result<Watch, Failure> {
        self.reset()?;
        let watch = Watch::start(self)?;
        let started = now();
        for node in PAIR {
            self.start(node)?;
        }
        let owned = || watch.is_quiet(PAIR[0]);
        if !wait_until(PATIENCE, owned) {
            return Err(
                format!("{}: lb1 alone answers and serves: not within {PATIENCE:?}", self.setup.contender).into()
            );
        }
        if self.setup.contender == Contender::Lbagent {
            std::thread::sleep((AFTER.1 + MARGIN).saturating_sub(started.elapsed()));
        }
        Ok(watch)
    }

    /// Starts the daemon of `node`.
    pub(crate) fn start(&mut self, node: &'static str) -> Result<(), Failure> {
        let Contender::Keepalived { advert } = self.setup.contender else {
            return Ok(self.lab.start_agent(node, &self.config)?);
        };
        let ips: Vec<IpAddr> = (0..self.setup.vips).map(ground::vip).collect();
        let device = if self.setup.heartbeats == Heartbeats::Back { "eth1" } else { "eth0" };
        let priority = if node == PAIR[0] { 150 } else { 100 };
        let config = keepalived::Config { node, priority, advert, device, ips: &ips };
        let daemon = Keepalived::start(self.lab.balancer(node)?.namespace(), &config, self.lab.dir())?;
        self.keepalived.insert(node, daemon);
        Ok(())
    }

    /// The host of `node` falls silent, and then is gone with all that ran there. The moment is that between the two:
    /// what is asked from there on can only be answered by the other.
    pub(crate) fn crash(&mut self, node: &'static str) -> Result<Instant, Failure> {
        self.lab.set_forwarding(HostRole::Balancer, node, false)?;
        let silent = now();
        self.keepalived.remove(node);
        self.lab.crash(node)?;
        Ok(silent)
    }

    /// Ends the daemon of `node` as `kill -9` does, and leaves all else.
    pub(crate) fn kill(&mut self, node: &'static str) -> Result<(), Failure> {
        match self.keepalived.remove(node) {
            Some(mut daemon) => daemon.kill(),
            None => self.lab.kill_agent(node)?,
        }
        Ok(())
    }

    /// Stops or resumes the daemon of `node`.
    pub(crate) fn signal(&mut self, node: &'static str, signal: Signal) -> Result<(), Failure> {
        match self.keepalived.get(node) {
            Some(daemon) => daemon.signal(signal),
            None => Ok(self.lab.signal_agent(node, signal)?),
        }
    }

    /// Cuts the back segment between the nodes, or joins it again.
    pub(crate) fn cut_back(&self, cut: bool) -> Result<(), Failure> {
        Ok(self.lab.set_device_forwarding(PAIR[0], "eth1", !cut)?)
    }

    /// The same for the cable between the two halves of a front that splits.
    pub(crate) fn cut_front(&self, cut: bool) -> Result<(), Failure> {
        Ok(self.lab.set_forwarding(HostRole::Targets, CABLE, !cut)?)
    }

    /// What there is to know when something did not happen.
    pub(crate) fn explain(&self) {
        match self.setup.contender {
            Contender::Lbagent => eprint!("{}", explain(&self.lab)),
            Contender::Keepalived { .. } => {
                PAIR.iter().for_each(|node| eprint!("{}", keepalived::explain(node, &self.lab)))
            }
        }
    }
}
