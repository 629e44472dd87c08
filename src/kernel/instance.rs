//! One agent per network namespace: two would fight over the same addresses.
//!
//! The lock is a listening unix socket with an abstract name. Such names live in the network namespace, exactly as
//! addresses do, need no file and no directory, and the kernel frees them when the holder dies, however it dies.
//!
//! Abstract names have no owner and no permissions: any local user in the namespace can take this one first and so
//! keep the agent from starting. That user gains nothing else, and the error names the process and its user, so that
//! it can be ended. A secret name would not help: it could be read in `/proc/net/unix`.

use socket2::{Domain, SockAddr, Socket, Type};
use std::{fmt, io};

/// NUL makes it abstract.
const NAME: &str = "\0lbagent.instance";

/// Held as long as the value lives.
#[derive(Debug)]
pub struct InstanceLock {
    _listener: Socket,
}

/// Why the lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum InstanceError {
    /// Somebody holds it.
    #[error(
        "another process holds this network namespace's agent lock: {0}. If it is lbagent, stop it first (for example \
         `systemctl stop lbagent`); anything else has no business with the abstract socket @lbagent.instance: end it"
    )]
    Held(Holder),
    /// Something else went wrong.
    #[error("cannot take this network namespace's agent lock, the abstract socket @lbagent.instance: {0}")]
    Io(#[from] io::Error),
}

/// The process that holds the lock, as far as it can be known from here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// `None` if it lives in another PID namespace, or does not let itself be asked.
    pub pid: Option<u32>,
    /// The user that it runs as.
    pub uid: Option<u32>,
    /// Its command name, which it can choose as it likes.
    pub command: Option<String>,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pid {
            Some(pid) => write!(f, "process {pid}")?,
            None => write!(f, "a process of unknown id (look for @lbagent.instance in `ss -xlp`)")?,
        }
        if let Some(command) = &self.command {
            write!(f, " ({command:?})")?;
        }
        self.uid.map_or(Ok(()), |uid| write!(f, " of user id {uid}"))
    }
}

impl InstanceLock {
    /// Takes the lock of the calling thread's network namespace, or says who has it. Does not wait.
    pub fn acquire() -> Result<Self, InstanceError> {
        let listener = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        match listener.bind(&SockAddr::unix(NAME)?) {
            Ok(()) => {
                // Nobody is ever accepted: connecting is enough to learn the holder's credentials.
                listener.listen(128)?;
                Ok(Self { _listener: listener })
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(InstanceError::Held(holder())),
            Err(error) => Err(error.into()),
        }
    }
}

/// The kernel notes the credentials of whoever calls `listen`, and tells them to whoever connects.
fn holder() -> Holder {
    let credentials = || -> io::Result<_> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        // A squatter with a full backlog would make a blocking connect wait for ever.
        socket.set_nonblocking(true)?;
        socket.connect(&SockAddr::unix(NAME)?)?;
        Ok(nix::sys::socket::getsockopt(&socket, nix::sys::socket::sockopt::PeerCredentials)?)
    };
    let credentials = credentials().ok();
    let pid = credentials.and_then(|it| u32::try_from(it.pid()).ok()).filter(|&pid| pid != 0);
    let command = pid.and_then(|pid| std::fs::read_to_string(format!("/proc/{pid}/comm")).ok());
    Holder { pid, uid: credentials.map(|it| it.uid()), command: command.map(|name| name.trim_end().to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::netns::NetNs;

    fn held() -> Holder {
        match InstanceLock::acquire() {
            Err(InstanceError::Held(holder)) => holder,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_second_is_refused_and_told_who_the_first_is() {
        NetNs::new()
            .unwrap()
            .run(|| {
                let first = InstanceLock::acquire().unwrap();
                let holder = held();
                assert_eq!(holder.pid, Some(std::process::id()));
                assert_eq!(holder.uid, Some(nix::unistd::getuid().as_raw()));
                assert!(holder.command.is_some());
                let message = InstanceLock::acquire().unwrap_err().to_string();
                assert!(message.contains(&format!("process {}", std::process::id())), "{message}");
                assert!(message.contains("stop it first"), "{message}");
                drop(first);
                assert!(InstanceLock::acquire().is_ok(), "free again once the holder is gone");
            })
            .unwrap();
    }

    #[test]
    fn each_namespace_has_its_own() {
        let locks = [(); 2].map(|()| NetNs::new().unwrap().run(InstanceLock::acquire).unwrap());
        assert!(locks.iter().all(Result::is_ok), "{locks:?}");
    }

    #[test]
    fn asking_a_great_many_times_neither_waits_nor_frees_it() {
        NetNs::new()
            .unwrap()
            .run(|| {
                let _first = InstanceLock::acquire().unwrap();
                let holders: Vec<_> = (0..5000).map(|_| held()).collect();
                assert_eq!(holders[0].pid, Some(std::process::id()));
            })
            .unwrap();
    }

    #[test]
    fn a_squatter_that_does_not_listen_is_still_reported() {
        NetNs::new()
            .unwrap()
            .run(|| {
                let squatter = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
                squatter.bind(&SockAddr::unix(NAME).unwrap()).unwrap();
                assert_eq!(held(), Holder { pid: None, uid: None, command: None });
                let message = InstanceLock::acquire().unwrap_err().to_string();
                assert!(message.contains("unknown id") && message.contains("ss -xlp"), "{message}");
            })
            .unwrap();
    }
}
