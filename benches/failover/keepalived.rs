//! keepalived as it comes, to compare with: a VRRP instance that holds the addresses, in the foreground of a host.

use super::common::Failure;
use lbagent::{
    drill::lab::{Lab, clock::wait_until},
    kernel::netns::NetNs,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fmt::Write,
    fs::{self, OpenOptions},
    net::IpAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

/// For its process that speaks VRRP to be there.
const STARTED: Duration = Duration::from_secs(5);
/// How many of the last lines of a log are shown.
const LOG_TAIL: usize = 40;

/// What an instance is configured with.
pub(crate) struct Config<'a> {
    /// The host's name.
    pub(crate) node: &'a str,
    /// The higher of two owns the addresses.
    pub(crate) priority: u8,
    /// Seconds between advertisements, as in the file.
    pub(crate) advert: &'a str,
    /// The device that it speaks VRRP on.
    pub(crate) device: &'a str,
    /// On `eth0`.
    pub(crate) ips: &'a [IpAddr],
}

/// Both of its processes. Dropping it kills them.
pub(crate) struct Keepalived {
    parent: Child,
    /// The one that speaks VRRP.
    child: Pid,
}

impl Keepalived {
    /// The program, where its package is installed.
    pub(crate) fn program() -> Option<PathBuf> {
        let places = ["/usr/sbin/keepalived", "/usr/local/sbin/keepalived"];
        places.into_iter().map(PathBuf::from).find(|place| place.exists())
    }

    /// Starts it inside `namespace`; files go into `dir`.
    pub(crate) fn start(namespace: &NetNs, config: &Config<'_>, dir: &Path) -> Result<Self, Failure> {
        let program = Self::program().ok_or("keepalived is not installed")?;
        let file = |kind: &str| file(dir, config.node, kind);
        fs::write(file("conf"), config.text())?;
        let log = OpenOptions::new().create(true).append(true).open(file("log"))?;
        let pids = ["-p", "-r", "-c"].map(|option| (option, file(&format!("pid{option}"))));
        for (_, pid) in &pids {
            // Of the last life of this host: it would be taken for a process that runs.
            let _ = fs::remove_file(pid);
        }
        let mut command = Command::new(program);
        command.args(["-n", "-l", "--vrrp", "-f"]).arg(file("conf"));
        command.args(pids.iter().flat_map(|(option, pid)| [option.as_ref(), pid.as_os_str()]));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let mut parent = namespace.adopt(&mut command).spawn()?;
        let read = || fs::read_to_string(&pids[1].1).ok()?.trim().parse().ok().map(Pid::from_raw);
        let mut child = None;
        wait_until(STARTED, || {
            child = read();
            child.is_some()
        });
        match child {
            Some(child) => Ok(Self { parent, child }),
            None => {
                parent.kill()?;
                parent.wait()?;
                let log = fs::read_to_string(file("log")).unwrap_or_default();
                Err(format!("keepalived did not start on {}:\n{log}", config.node).into())
            }
        }
    }

    /// Stops or resumes both processes.
    pub(crate) fn signal(&self, signal: Signal) -> Result<(), Failure> {
        for process in [self.parent(), self.child] {
            kill(process, signal)?;
        }
        Ok(())
    }

    /// Ends both at once, as `kill -9` does. The parent is stopped first: else it would start its child anew, or the
    /// child would hear of its end and clean up.
    pub(crate) fn kill(&mut self) {
        for (process, signal) in
            [(self.parent(), Signal::SIGSTOP), (self.child, Signal::SIGKILL), (self.parent(), Signal::SIGKILL)]
        {
            let _ = kill(process, signal);
        }
        let _ = self.parent.wait();
    }

    fn parent(&self) -> Pid {
        Pid::from_raw(self.parent.id() as i32)
    }
}

impl Drop for Keepalived {
    fn drop(&mut self) {
        if matches!(self.parent.try_wait(), Ok(None)) {
            self.kill();
        }
    }
}

/// The end of what the daemon of `node` said in this lab.
pub(crate) fn explain(node: &str, lab: &Lab) -> String {
    let log = fs::read(file(lab.dir(), node, "log")).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let count = log.lines().count();
    let mut text = format!("── {node}: the last of {count} lines of its log\n");
    log.lines().skip(count.saturating_sub(LOG_TAIL)).for_each(|line| text += &format!("   {line}\n"));
    text
}

fn file(dir: &Path, node: &str, kind: &str) -> PathBuf {
    dir.join(format!("keepalived-{node}.{kind}"))
}

impl Config<'_> {
    /// What is not named is as it is by default. Less than a second takes version 3 of the protocol.
    fn text(&self) -> String {
        let Self { node, priority, advert, device, ips } = self;
        let version = if advert.contains('.') { 3 } else { 2 };
        let mut text = format!(
            "global_defs {{\n  router_id {node}\n}}\nvrrp_instance web {{\n  state BACKUP\n  interface {device}\n  \
             version {version}\n  virtual_router_id 51\n  priority {priority}\n  advert_int {advert}\n  \
             virtual_ipaddress {{\n"
        );
        for ip in *ips {
            let _ = writeln!(text, "    {ip}/32 dev eth0");
        }
        text + "  }\n}\n"
    }
}
