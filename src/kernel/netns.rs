//! Network namespaces held by a descriptor: they have no name, and the kernel removes each of them, with all that is
//! in it, when the last descriptor and the last process are gone. So nothing is left behind, even after `kill -9`.

#![allow(unsafe_code, reason = "pre_exec: runs between fork and exec in the child")]

use std::{
    fs::File,
    io,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd, RawFd},
        unix::process::CommandExt,
    },
    process::Command,
    sync::Arc,
};

/// A network namespace. Clones are the same namespace.
#[derive(Debug, Clone)]
pub struct NetNs(Arc<OwnedFd>);

impl NetNs {
    /// A new, empty one (only `lo`, which is down). Needs `CAP_SYS_ADMIN` in the user namespace.
    pub fn new() -> io::Result<Self> {
        // unshare changes the calling thread for good, so a thread is spent on it.
        std::thread::spawn(|| {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET)?;
            Self::current()
        })
        .join()
        .map_err(|_| io::Error::other("the thread that makes a network namespace panicked"))?
    }

    /// The one that the calling thread is in.
    pub fn current() -> io::Result<Self> {
        Ok(Self(Arc::new(File::open("/proc/thread-self/ns/net")?.into())))
    }

    /// Moves the calling thread into this namespace. Sockets stay in the namespace that they were made in.
    pub fn enter(&self) -> io::Result<()> {
        Ok(nix::sched::setns(self.0.as_fd(), nix::sched::CloneFlags::CLONE_NEWNET)?)
    }

    /// Runs `f` on a thread of its own inside this namespace and waits for it.
    pub fn run<T: Send>(&self, f: impl FnOnce() -> T + Send) -> io::Result<T> {
        std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    self.enter()?;
                    Ok(f())
                })
                .join()
                .map_err(|_| io::Error::other("a thread inside a network namespace panicked"))?
        })
    }

    /// Makes `command` start its process inside this namespace, and makes the kernel kill that process when the thread
    /// that spawned it ends: spawn from a thread that lives as long as the process should.
    pub fn adopt<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        let namespace = self.0.clone();
        // SAFETY: between fork and exec only setns and prctl are called, both async-signal-safe; the closure owns its
        // descriptor and allocates nothing.
        unsafe {
            command.pre_exec(move || {
                if libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) != 0
                    || libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0
                {
                    return Err(io::Error::last_os_error());
                }
                Ok(())
            })
        }
    }
}

impl AsRawFd for NetNs {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
