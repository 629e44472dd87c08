//! A world of its own for a process that makes namespaces: what it starts, mounts and builds ends with it.
//!
//! [`enter`] is the first thing that `main` of the drill and of the kernel tests calls. It splits the process in three:
//!
//! ```text
//! outer   waits, passes signals on, exits as main exited
//!  └ init   process 1 of a new PID namespace: reaps, passes signals on; dies with outer (PDEATHSIG)
//!     └ main   returns from enter(): no thread yet, root in its own namespaces
//! ```
//!
//! When `main` ends, or anything kills one of the three, `init` ends, and with it the kernel kills every process in the
//! PID namespace; with the last process go the mounts, the temporary files ([`SCRATCH`] is a tmpfs of its own) and every
//! network namespace. So nothing is left behind, whoever is killed and however.
//!
//! Without root the three live in a user namespace. That must happen before any thread exists: the kernel refuses
//! `unshare(CLONE_NEWUSER)` to a threaded process.

#![allow(unsafe_code, reason = "fork, while there is one thread, and sigtimedwait")]

use nix::{
    errno::Errno,
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    sys::{
        prctl,
        signal::{SigSet, SigmaskHow, Signal, kill},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::{ForkResult, Pid, fork, getegid, geteuid},
};
use std::{
    fs, io,
    os::fd::OwnedFd,
    process, ptr,
    time::{Duration, Instant},
};

/// Where temporary files go after [`enter`]: a tmpfs that nobody else sees and that ends with the process.
pub const SCRATCH: &str = "/run";

/// How long a process that was asked to end may take before it is killed.
const GRACE: Duration = Duration::from_millis(800);

/// `CAP_NET_ADMIN`, `CAP_NET_RAW` and `CAP_SYS_ADMIN` (capability.h): what building a lab takes.
const NEEDED_CAPABILITIES: u64 = 1 << 12 | 1 << 13 | 1 << 21;

/// Why there is no world of its own to be had.
#[derive(Debug, thiserror::Error)]
pub enum IsolateError {
    /// Too late: see the module's words on threads.
    #[error("namespaces must be entered before the first thread starts, and this process has {0} threads")]
    Threads(usize),
    /// Not root, and the system keeps user namespaces from ordinary users.
    #[error(
        "this needs root, or a user namespace, and the kernel refuses one to user {user}: {error}\n{hints}run it as root (sudo)"
    )]
    NoUserNamespace {
        /// Effective user id.
        user: u32,
        /// What `unshare` said.
        error: Errno,
        /// The settings that stand in the way, a line each.
        hints: String,
    },
    /// Something that works on any system that allows namespaces did not.
    #[error("cannot {what}: {error}")]
    Step {
        /// What was tried.
        what: &'static str,
        /// What the kernel said.
        error: io::Error,
    },
}

/// Moves the calling process into new PID, mount and network namespaces (and a user namespace, without root) and
/// returns in the innermost process, as `main` of the picture above. The caller's own process never returns: it exits
/// as that one exits, with 128 + the signal if a signal ended it.
pub fn enter() -> Result<(), IsolateError> {
    let threads = fs::read_dir("/proc/self/task").map(Iterator::count).unwrap_or(1);
    if threads > 1 {
        return Err(IsolateError::Threads(threads));
    }
    new_namespaces()?;
    private_mounts()?;
    let signals = supervised_signals();
    let before = signals.thread_swap_mask(SigmaskHow::SIG_BLOCK).map_err(step("block signals"))?;
    let (alive, held) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC | nix::fcntl::OFlag::O_NONBLOCK)
        .map_err(step("make a pipe"))?;
    // SAFETY: this process has one thread (checked above), so the child may do anything that the parent may.
    match unsafe { fork() }.map_err(step("fork"))? {
        ForkResult::Parent { child } => {
            process::exit(supervise(child, Some(child), &signals));
        }
        ForkResult::Child => drop(held),
    }
    die_with_parent(&alive)?;
    drop(alive);
    // Docker masks parts of /proc, and the kernel then allows no new mount of it in a user namespace. The old one shows
    // the wrong process ids, and nothing here reads any.
    let _ = mount(Some("proc"), "/proc", Some("proc"), MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC, None::<&str>);
    // SAFETY: as above: still one thread.
    match unsafe { fork() }.map_err(step("fork"))? {
        ForkResult::Parent { child } => process::exit(supervise(child, None, &signals)),
        ForkResult::Child => before.thread_set_mask().map_err(step("unblock signals")),
    }
}

/// The settings that keep user namespaces from ordinary users, and what to do about them, a line each; empty if none
/// does. `read` gives the text of a file.
fn hints(read: impl Fn(&str) -> Option<String>) -> String {
    // File, the value that stands in the way, what to write there.
    const SETTINGS: [(&str, &str, &str); 3] = [
        ("/proc/sys/kernel/unprivileged_userns_clone", "0", "1"),
        ("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1", "0"),
        ("/proc/sys/user/max_user_namespaces", "0", "10000"),
    ];
    let in_the_way =
        SETTINGS.into_iter().filter(|(file, obstacle, _)| read(file).is_some_and(|text| text.trim() == *obstacle));
    in_the_way
        .map(|(file, value, remedy)| format!("  {file} is {value}; to allow it, as root: echo {remedy} > {file}\n"))
        .collect()
}

fn new_namespaces() -> Result<(), IsolateError> {
    let flags = CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWNET;
    if has_capabilities() && unshare(flags).is_ok() {
        return Ok(());
    }
    let (user, group) = (geteuid().as_raw(), getegid().as_raw());
    unshare(flags | CloneFlags::CLONE_NEWUSER).map_err(|error| IsolateError::NoUserNamespace {
        user,
        error,
        hints: hints(|file| fs::read_to_string(file).ok()),
    })?;
    // user_namespaces(7): without CAP_SETGID outside, setgroups must be given up before the group map is written.
    write("/proc/self/setgroups", "deny")?;
    write("/proc/self/uid_map", &format!("0 {user} 1"))?;
    write("/proc/self/gid_map", &format!("0 {group} 1"))
}

fn has_capabilities() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0);
    effective & NEEDED_CAPABILITIES == NEEDED_CAPABILITIES
}

fn write(file: &str, text: &str) -> Result<(), IsolateError> {
    fs::write(file, text).map_err(|error| IsolateError::Step { what: "map the user into a user namespace", error })
}

fn private_mounts() -> Result<(), IsolateError> {
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
        .map_err(step("make mounts private"))?;
    mount(Some("lbagent"), SCRATCH, Some("tmpfs"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV, Some("mode=0755"))
        .map_err(step("mount a tmpfs on /run"))
}

/// Asks the kernel for a SIGKILL when the parent dies, and looks whether it has died before it was asked: `alive` is
/// the end of a pipe whose other end only the parent holds.
fn die_with_parent(alive: &OwnedFd) -> Result<(), IsolateError> {
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(step("ask for a signal at the parent's death"))?;
    match nix::unistd::read(alive, &mut [0]) {
        Err(Errno::EAGAIN) => Ok(()),
        _ => process::exit(128 + Signal::SIGKILL as i32),
    }
}

fn supervised_signals() -> SigSet {
    [Signal::SIGCHLD, Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT].into_iter().collect()
}

/// Reaps and passes on signals until `child` ends; then its exit code. After a signal the child has [`GRACE`] before
/// `victim` (if there is one) is killed, and with it all that lives below.
fn supervise(child: Pid, victim: Option<Pid>, signals: &SigSet) -> i32 {
    let mut deadline = None;
    loop {
        if let Some(code) = reap(child) {
            return code;
        }
        match next_signal(signals, deadline) {
            Some(Signal::SIGCHLD) => {}
            Some(signal) => {
                let _ = kill(child, signal);
                deadline = deadline.or(victim.map(|_| now() + GRACE));
            }
            None => {
                if let Some(victim) = victim.filter(|_| deadline.is_some_and(|deadline| now() >= deadline)) {
                    let _ = kill(victim, Signal::SIGKILL);
                    deadline = None;
                }
            }
        }
    }
}

/// Collects every child that has ended; the exit code of `child` if it is among them.
fn reap(child: Pid) -> Option<i32> {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) if pid == child => return Some(code),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == child => return Some(128 + signal as i32),
            Ok(WaitStatus::StillAlive) => return None,
            Ok(_) => {}
            Err(Errno::EINTR) => {}
            Err(_) => return Some(1),
        }
    }
}

/// The next of `signals` (which are blocked), or `None` at the deadline.
fn next_signal(signals: &SigSet, deadline: Option<Instant>) -> Option<Signal> {
    let wait = deadline.map_or(Duration::from_secs(3600), |deadline| deadline.saturating_duration_since(now()));
    let timeout = libc::timespec { tv_sec: wait.as_secs() as _, tv_nsec: wait.subsec_nanos() as _ };
    // SAFETY: both pointers are to values that live through the call; a null siginfo is allowed (sigtimedwait(2)).
    let signal = unsafe { libc::sigtimedwait(signals.as_ref(), ptr::null_mut(), &timeout) };
    Signal::try_from(signal).ok()
}

#[expect(clippy::disallowed_methods, reason = "a shell: bounds how long a process may take to end")]
fn now() -> Instant {
    Instant::now()
}

fn step(what: &'static str) -> impl Fn(Errno) -> IsolateError {
    move |errno| IsolateError::Step { what, error: errno.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_setting_and_the_remedy() {
        let ubuntu = |file: &str| file.contains("apparmor").then(|| "1\n".to_owned());
        let error = IsolateError::NoUserNamespace { user: 1000, error: Errno::EPERM, hints: hints(ubuntu) };
        let text = error.to_string();
        for word in ["user 1000", "EPERM", "echo 0 > /proc/sys/kernel/apparmor_restrict_unprivileged_userns", "sudo"] {
            assert!(text.contains(word), "no {word:?} in {text}");
        }
    }

    #[test]
    fn what_allows_it_is_no_obstacle() {
        let open = |file: &str| Some(if file.contains("apparmor") { "0\n" } else { "12345\n" }.to_owned());
        assert_eq!(hints(open), "");
        assert_eq!(hints(|_| None), "");
        assert_eq!(hints(|_| Some("0".to_owned())).lines().count(), 2);
    }

    #[test]
    fn a_threaded_process_is_refused_before_anything_changes() {
        // The test harness has threads of its own; one more makes sure.
        let (keep, wait) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || wait.recv());
        assert!(matches!(enter(), Err(IsolateError::Threads(count)) if count >= 2));
        drop(keep);
        assert!(thread.join().unwrap().is_err());
    }
}
