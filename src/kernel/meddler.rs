use std::fmt;

/// Who has changed something in the kernel over netlink. Shown as `process 1234 (NetworkManager)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meddler {
    /// Of its netlink socket. 0: the kernel itself.
    pub port: u32,
    /// As the host's first pid namespace counts.
    pub pid: Option<u32>,
    /// The first 15 characters of its name.
    pub program: Option<String>,
}

impl Meddler {
    /// Whoever has the netlink port: as a rule, a port is the pid of the process that opened it.
    pub fn behind(port: u32) -> Self {
        let program = std::fs::read_to_string(format!("/proc/{port}/comm")).ok();
        let program = program.map(|name| name.trim_end().to_owned());
        Self { port, pid: program.is_some().then_some(port), program }
    }
}

impl fmt::Display for Meddler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.program, self.pid) {
            (Some(program), Some(pid)) => write!(f, "process {pid} ({program})"),
            (Some(program), None) => write!(f, "program {program}"),
            (None, Some(pid)) => write!(f, "process {pid}"),
            (None, None) => write!(f, "owner of netlink port {}, which is gone", self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_runs_is_named() {
        let own = std::process::id();
        let name = std::fs::read_to_string("/proc/self/comm").unwrap();
        assert_eq!(Meddler::behind(own).to_string(), format!("process {own} ({})", name.trim_end()));
        // Above the largest pid that there can be.
        assert_eq!(Meddler::behind(1 << 30).to_string(), "owner of netlink port 1073741824, which is gone");
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let some = |pid, program: Option<&str>| Meddler { port: 7, pid, program: program.map(str::to_owned) };
        assert_eq!(some(None, Some("nft")).to_string(), "program nft");
        assert_eq!(some(Some(42), None).to_string(), "process 42");
    }
}
