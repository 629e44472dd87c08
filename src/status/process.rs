//! The agent as a process, read from /proc/self (proc(5)). What cannot be read is 0: numbers about the process are
//! never worth failing for.

use super::{ProcessStatus, log};
use std::fs;

/// Ticks per second of the times in /proc/self/stat: `USER_HZ`, part of the kernel's ABI on every architecture that
/// Rust's std runs on.
const USER_HZ: f64 = 100.0;

/// Reads it now.
pub fn read() -> ProcessStatus {
    let text = |name: &str| fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
    ProcessStatus {
        resident_bytes: resident_bytes(&text("status")).unwrap_or(0),
        cpu_seconds: cpu_seconds(&text("stat")).unwrap_or(0.0),
        // One of them is the directory that is being read.
        open_fds: fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count().saturating_sub(1) as u64),
        max_fds: max_fds(&text("limits")).unwrap_or(0),
        log_dropped: log::dropped(),
    }
}

fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Fields 14 and 15 (utime, stime). Field 2 is the name in parentheses, and may itself hold spaces and parentheses.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11);
    let (user, system): (u64, u64) = (times.next()?.parse().ok()?, times.next()?.parse().ok()?);
    Some((user + system) as f64 / USER_HZ)
}

fn max_fds(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_proc_holds() {
        assert_eq!(resident_bytes("Name:\tlbagent\nVmRSS:\t    1234 kB\nThreads: 3\n"), Some(1234 * 1024));
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194304 100 0 0 0 150 50 0 0 20 0 3 0 100 1000 10 18446744";
        assert_eq!(cpu_seconds(stat), Some(2.0));
        let limits = "Limit   Soft Limit  Hard Limit  Units\nMax open files            1024                 524288               files\n";
        assert_eq!(max_fds(limits), Some(1024));
    }

    #[test]
    fn nonsense_is_nothing() {
        assert_eq!(resident_bytes("VmRSS: many kB"), None);
        assert_eq!(cpu_seconds("42 (a) S 1"), None);
        assert_eq!(max_fds("Max open files unlimited"), None);
    }

    #[test]
    fn this_process_has_memory_and_descriptors() {
        let one = read();
        assert!(one.resident_bytes > 100_000 && one.open_fds >= 3 && one.max_fds >= one.open_fds, "{one:?}");
    }
}
