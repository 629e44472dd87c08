//! The two proxies, each with the same services: HTTP and TCP on a port, both to the one backend.

use super::{backend, client, common::Failure, cores};
use lbagent::{
    drill::lab::{clock::wait_until, rtnl::Rtnl},
    kernel::{isolate::SCRATCH, netns::NetNs},
};
use serde_json::json;
use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

/// Where the bench's own backend listens.
pub(crate) const BACKEND: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9000);
/// To start, or to end; under callgrind it takes some seconds.
const SOON: Duration = Duration::from_secs(30);
/// Connections that either may have.
const CONNECTIONS: usize = 6000;

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Lbagent,
    Haproxy,
}

/// A running proxy. Dropping it ends it.
pub(crate) struct Contestant {
    pub(crate) kind: Kind,
    child: Child,
    log: PathBuf,
}

/// Makes the namespace ready and starts the backend. The calling thread leaves the first core to the proxies.
pub(crate) fn prepare() -> Result<(), Failure> {
    Rtnl::open(&NetNs::current()?)?.set_up("lo", true)?;
    cores::leave_first()?;
    backend::start()
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Lbagent => "lbagent",
            Self::Haproxy => "haproxy",
        }
    }

    pub(crate) fn is_installed(self) -> bool {
        self == Self::Lbagent || Path::new("/usr/sbin/haproxy").exists()
    }

    fn ip(self) -> IpAddr {
        match self {
            Self::Lbagent => IpAddr::from([198, 51, 100, 10]),
            Self::Haproxy => IpAddr::from([127, 0, 0, 2]),
        }
    }

    pub(crate) fn http(self) -> SocketAddr {
        SocketAddr::new(self.ip(), 80)
    }

    pub(crate) fn tcp(self) -> SocketAddr {
        SocketAddr::new(self.ip(), 81)
    }

    fn command(self, dir: &Path) -> Result<Vec<String>, Failure> {
        let path = |name: &str| dir.join(name).to_string_lossy().into_owned();
        let words: Vec<String> = match self {
            Self::Lbagent => {
                write_state(dir)?;
                let program = env!("CARGO_BIN_EXE_lbagent").to_owned();
                let (state, socket) = (path("state"), path("lbagent.sock"));
                let fixed = ["run", "--node", "lb1", "--workers", "1", "--key-file", "/nonexistent", "--state-dir"];
                let fixed = fixed.map(str::to_owned);
                [program].into_iter().chain(fixed).chain([state, "--socket".to_owned(), socket]).collect()
            }
            Self::Haproxy => {
                fs::write(dir.join("haproxy.cfg"), haproxy_config())?;
                ["/usr/sbin/haproxy", "-db", "-f", &path("haproxy.cfg")].map(str::to_owned).into()
            }
        };
        Ok(words)
    }
}

impl Contestant {
    /// Starts it and waits until it serves.
    pub(crate) fn start(kind: Kind) -> Result<Self, Failure> {
        Self::start_under(kind, &[])
    }

    /// The same, as the argument of another program.
    pub(crate) fn start_under(kind: Kind, wrapper: &[&str]) -> Result<Self, Failure> {
        let dir = Path::new(SCRATCH).join(format!("bench-{}", kind.name()));
        fs::create_dir_all(&dir)?;
        let log = dir.join("log");
        let (out, err) = (fs::File::create(&log)?, fs::File::options().append(true).open(&log)?);
        let words: Vec<String> = wrapper.iter().map(|word| (*word).to_owned()).chain(kind.command(&dir)?).collect();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).stdin(Stdio::null()).stdout(out).stderr(err).env("LBAGENT_LOG", "warn");
        let mut contestant = Self { kind, child: cores::start_on_first(|| command.spawn())??, log };
        let mut up = false;
        wait_until(SOON, || {
            up = [kind.http(), kind.tcp()].into_iter().all(|service| client::get(service, "/").is_ok());
            up || !matches!(contestant.child.try_wait(), Ok(None))
        });
        if !up {
            return Err(format!("{} does not serve:\n{}", kind.name(), contestant.log()).into());
        }
        Ok(contestant)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Nanoseconds of CPU of all its threads (`/proc/PID/task/TID/schedstat`, first field).
    pub(crate) fn cpu_ns(&self) -> Result<f64, Failure> {
        let mut sum = 0.0;
        for task in fs::read_dir(format!("/proc/{}/task", self.pid()))? {
            let text = fs::read_to_string(task?.path().join("schedstat"))?;
            sum += text.split(' ').next().ok_or("an empty schedstat")?.parse::<f64>()?;
        }
        Ok(sum)
    }

    /// Proportional memory in bytes, whoever shares it.
    pub(crate) fn memory(&self) -> Result<f64, Failure> {
        let text = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.pid()))?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).ok_or("no Pss")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? * 1024.0)
    }

    /// Ends it with SIGTERM and returns what it has printed.
    pub(crate) fn end(mut self) -> Result<String, Failure> {
        self.terminate()?;
        Ok(self.log())
    }

    fn terminate(&mut self) -> Result<(), Failure> {
        let pid = nix::unistd::Pid::from_raw(self.pid() as i32);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM)?;
        if !wait_until(SOON, || !matches!(self.child.try_wait(), Ok(None))) {
            self.child.kill()?;
            self.child.wait()?;
        }
        Ok(())
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Contestant {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.terminate();
        }
    }
}

/// The namespace has no other device than `lo`; HAProxy gets an address of it, and lbagent makes its own.
fn write_state(dir: &Path) -> Result<(), Failure> {
    let state = dir.join("state");
    fs::create_dir_all(&state)?;
    fs::set_permissions(&state, fs::Permissions::from_mode(0o755))?;
    let timeouts = json!({ "request": "60s", "idle": "60s" });
    let listener = |port, protocol| json!({ "port": port, "protocol": protocol, "pool": "web", "timeouts": timeouts });
    let vip = json!({
        "addresses": [Kind::Lbagent.ip()], "interface": "lo", "nodes": ["lb1"],
        "listeners": [listener(80, "http"), listener(81, "tcp")],
    });
    let backends = json!([{ "name": "own", "address": BACKEND }]);
    let pool = json!({ "balance": "roundrobin", "check": { "tcp": {}, "interval": "2s" }, "backends": backends });
    let peer = json!({ "addresses": ["127.0.0.1:694"] });
    for (kind, name, spec) in [("Vip", "web", vip), ("Pool", "web", pool), ("Peer", "lb1", peer)] {
        let object = json!({ "apiVersion": "lbagent/v1", "kind": kind, "metadata": { "name": name }, "spec": spec });
        fs::write(state.join(format!("{}.json", kind.to_lowercase())), object.to_string())?;
    }
    Ok(())
}

/// Logs off, one thread, as sites do that want speed.
fn haproxy_config() -> String {
    let (ip, backend) = (Kind::Haproxy.ip(), BACKEND);
    format!(
        "global\n  maxconn {CONNECTIONS}\n  nbthread 1\n\
         defaults\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n  maxconn {CONNECTIONS}\n\
         frontend http\n  mode http\n  bind {ip}:80\n  option forwardfor\n  default_backend http\n\
         backend http\n  mode http\n  http-reuse always\n  server own {backend} check\n\
         listen tcp\n  mode tcp\n  bind {ip}:81\n  option splice-auto\n  server own {backend} check\n"
    )
}
