//! A real agent: `lbagent run` as a process of its own inside a host's namespace.

use super::{LabError, clock::wait_until};
use crate::kernel::netns::NetNs;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs::{self, OpenOptions},
    io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

/// Where every agent of a lab serves its status, inside its own namespace.
pub const HTTP: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9694);

/// What an agent is started with.
#[derive(Debug, Clone)]
pub struct AgentConfig {
    /// The `lbagent` binary.
    pub program: PathBuf,
    /// `--state-dir`
    pub state_dir: PathBuf,
    /// `--key-file`
    pub key_file: PathBuf,
    /// Further arguments of `run`.
    pub arguments: Vec<String>,
    /// `LBAGENT_LOG` of the agent.
    pub log_filter: Option<String>,
}

/// A running agent. Dropping it kills it.
pub struct Agent {
    child: Child,
    log: PathBuf,
    socket: PathBuf,
}

impl Agent {
    /// Starts `lbagent run` as node `name` inside `namespace`; its output is appended to `dir/NAME.log`.
    ///
    /// The process dies with the thread that starts it (see [`NetNs::adopt`]).
    pub fn start(namespace: &NetNs, name: &str, config: &AgentConfig, dir: &Path) -> Result<Self, LabError> {
        let log = dir.join(format!("{name}.log"));
        let socket = dir.join(format!("{name}.sock"));
        let open =
            || OpenOptions::new().create(true).append(true).open(&log).and_then(|file| Ok((file.try_clone()?, file)));
        let (out, err) = open().map_err(LabError::on(format!("open {}", log.display())))?;
        let mut command = Command::new(&config.program);
        command.env_clear().envs(std::env::vars_os().filter(|(key, _)| !key.to_string_lossy().starts_with("LBAGENT_")));
        command.env("RUST_BACKTRACE", "1");
        if let Some(filter) = &config.log_filter {
            command.env("LBAGENT_LOG", filter);
        }
        command.arg("run").args(["--node", name]).arg("--state-dir").arg(&config.state_dir);
        command.arg("--key-file").arg(&config.key_file).arg("--socket").arg(&socket);
        command.arg("--http").arg(HTTP.to_string()).args(&config.arguments);
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        let child = namespace.adopt(&mut command).spawn();
        let child = child.map_err(LabError::on(format!("start {}", config.program.display())))?;
        Ok(Self { child, log, socket })
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where it takes commands.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// All that it has said, over all its lives in this lab.
    pub fn log(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Sends a signal: `SIGSTOP`, `SIGCONT`, `SIGHUP`, `SIGTERM`. One to a process that has ended goes nowhere.
    pub fn signal(&mut self, signal: Signal) {
        // The child has not been waited for unless try_wait says so, so its number cannot mean another process.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = kill(Pid::from_raw(self.child.id() as i32), signal);
        }
    }

    /// Ends it at once, as `kill -9` does, and waits until it is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Whether it has ended, and how.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Asks it to stop and waits for that, at most `limit`; then it is killed, and that is an error.
    pub fn stop(&mut self, limit: Duration) -> Result<ExitStatus, LabError> {
        self.signal(Signal::SIGTERM);
        self.wait(limit)
    }

    /// Waits until it ends by itself, at most `limit`; then it is killed, and that is an error.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus, LabError> {
        if !wait_until(limit, || self.ended().is_some()) {
            self.kill();
            return Err(LabError::on(format!("see the agent end within {limit:?}"))(io::ErrorKind::TimedOut.into()));
        }
        self.child.wait().map_err(LabError::on("wait for the agent"))
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.kill();
    }
}
