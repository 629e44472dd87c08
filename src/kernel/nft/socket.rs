//! Sends transactions and questions to nftables and reads the answers.
//!
//! The kernel does all of its work within `send`, and has queued every answer when that returns. So nothing here waits,
//! and a call is as long as the kernel's work.

#![allow(unsafe_code, reason = "the netlink socket's type has no safe way from and to a descriptor")]

use super::{
    Message,
    batch::{Batch, Family, REQUEST, SUBSYSTEM, write_message},
    message::messages,
};
use crate::kernel::limits::closed_first;
use nix::sys::socket::{setsockopt, sockopt};
use rtnetlink::sys::{Socket as Raw, SocketAddr};
use std::{
    io,
    os::fd::{FromRawFd, IntoRawFd, OwnedFd},
    sync::atomic::{AtomicU32, Ordering},
};

const NETLINK_NETFILTER: isize = 12;
const DUMP: u16 = 0x300;
/// `NLMSG_ERROR` and `NLMSG_DONE`
const ERROR: u16 = 2;
const DONE: u16 = 3;
/// Set on the answers of a dump during which the rules changed.
const INTERRUPTED: u16 = 0x10;
const DUMP_ATTEMPTS: usize = 20;
/// A batch about some hundreds of addresses takes 100 kB, and as many refusals, each a buffer of its own, about 1 MB.
const BUFFER: usize = 8 << 20;

/// A connection to nftables. Tables that it owns go with it; it is close-on-exec, or a child would keep them alive.
#[derive(Debug)]
pub(in crate::kernel) struct Socket {
    raw: Raw,
    port: u32,
    commits: AtomicU32,
}

/// Why a transaction did not take effect.
#[derive(Debug, thiserror::Error)]
pub(in crate::kernel) enum BatchError {
    /// The kernel refused messages of it, or all of it (message 0). Nothing has changed.
    #[error("{}", refusal(.0))]
    Refused(Vec<Refused>),
    /// It could not be sent, or the answer was lost: whether it took effect is not known.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A message that the kernel refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::kernel) struct Refused {
    /// Its number, as [`Batch`] gave it; 0 for the batch as a whole.
    pub(in crate::kernel) message: u32,
    /// As `errno(3)`.
    pub(in crate::kernel) errno: i32,
}

impl BatchError {
    /// The first refusal, as an error of its own.
    pub(in crate::kernel) fn into_io(self) -> io::Error {
        match self {
            Self::Refused(refused) => io::Error::from_raw_os_error(refused.first().map_or(libc::EIO, |it| it.errno)),
            Self::Io(error) => error,
        }
    }
}

/// When this process is killed, the tables that it owns, and so its leases, end before anything else of it.
fn high(raw: Raw) -> Raw {
    // SAFETY: each gives its only descriptor away, a netlink socket.
    let fd = closed_first(unsafe { OwnedFd::from_raw_fd(raw.into_raw_fd()) });
    unsafe { Raw::from_raw_fd(fd.into_raw_fd()) }
}

impl Socket {
    /// In the network namespace of the calling thread.
    pub(in crate::kernel) fn open() -> io::Result<Self> {
        let mut raw = high(Raw::new(NETLINK_NETFILTER)?);
        let port = raw.bind_auto()?.port_number();
        raw.connect(&SocketAddr::new(0, 0))?;
        raw.set_non_blocking(true)?;
        // Without this a refusal repeats the whole message.
        raw.set_cap_ack(true)?;
        // Beyond the sysctl's limit, if that is permitted; smaller buffers serve fewer addresses.
        let _ = setsockopt(&raw, sockopt::SndBufForce, &BUFFER).or_else(|_| setsockopt(&raw, sockopt::SndBuf, &BUFFER));
        let _ = setsockopt(&raw, sockopt::RcvBufForce, &BUFFER).or_else(|_| setsockopt(&raw, sockopt::RcvBuf, &BUFFER));
        Ok(Self { raw, port, commits: AtomicU32::new(0) })
    }

    /// By which the kernel's messages tell our changes from others.
    pub(in crate::kernel) fn port(&self) -> u32 {
        self.port
    }

    /// How many transactions took effect, as far as is known.
    pub(in crate::kernel) fn commits(&self) -> u32 {
        self.commits.load(Ordering::Relaxed)
    }

    /// Makes `batch` take effect: all of it, or nothing.
    pub(in crate::kernel) fn commit(&self, batch: Batch) -> Result<(), BatchError> {
        let last = batch.messages();
        self.discard()?;
        self.raw.send(&batch.finish(), 0)?;
        let (mut refused, mut answered) = (Vec::new(), false);
        while let Some(datagram) = self.receive()? {
            for message in messages(&datagram).filter(|it| it.kind == ERROR) {
                match message.errno() {
                    0 => answered |= message.sequence == last,
                    errno => refused.push(Refused { message: message.sequence, errno }),
                }
            }
        }
        match (refused.is_empty(), answered) {
            (false, _) => Err(BatchError::Refused(refused)),
            (true, true) => {
                self.commits.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            (true, false) => Err(io::Error::other("nftables did not answer").into()),
        }
    }

    /// The answers to one question. `None`: the kernel has no such object.
    pub(in crate::kernel) fn ask(
        &self,
        kind: u16,
        family: Option<Family>,
        attributes: impl FnOnce(&mut Vec<u8>),
    ) -> io::Result<Option<Vec<Message>>> {
        match self.exchange(&question(kind, 0, family, attributes)).map(|answer| answer.messages) {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
            result => result.map(Some),
        }
    }

    /// All objects of a kind and family, filtered by `attributes` where the kernel knows how to.
    pub(in crate::kernel) fn dump(
        &self,
        kind: u16,
        family: Family,
        attributes: impl FnOnce(&mut Vec<u8>),
    ) -> io::Result<Vec<Message>> {
        let question = question(kind, DUMP, Some(family), attributes);
        for _ in 0..DUMP_ATTEMPTS {
            match self.exchange(&question) {
                Ok(answer) if answer.interrupted => {}
                // Of a table, or a set, that is not there.
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Ok(Vec::new()),
                result => return result.map(|answer| answer.messages),
            }
        }
        Err(io::Error::other(format!("the rules changed during each of {DUMP_ATTEMPTS} attempts to read them")))
    }

    fn exchange(&self, question: &[u8]) -> io::Result<Answer> {
        self.discard()?;
        self.raw.send(question, 0)?;
        let mut answer = Answer { messages: Vec::new(), interrupted: false };
        // The next part of a dump is made when one is read.
        while let Some(datagram) = self.receive()? {
            for message in messages(&datagram) {
                answer.interrupted |= message.flags & INTERRUPTED != 0;
                match message.kind {
                    ERROR if message.errno() != 0 => return Err(io::Error::from_raw_os_error(message.errno())),
                    ERROR | DONE => {}
                    _ => answer.messages.push(message),
                }
            }
        }
        Ok(answer)
    }

    fn receive(&self) -> io::Result<Option<Vec<u8>>> {
        match self.raw.recv_from_full() {
            Ok((datagram, _)) => Ok(Some(datagram)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What an exchange left that ended with an error.
    fn discard(&self) -> io::Result<()> {
        loop {
            match self.receive() {
                Ok(None) => return Ok(()),
                Ok(Some(_)) => {}
                // The kernel says once that something was lost.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

struct Answer {
    messages: Vec<Message>,
    interrupted: bool,
}

fn question(kind: u16, flags: u16, family: Option<Family>, attributes: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    let family = family.map_or(0, |family| family as u8);
    write_message(&mut bytes, SUBSYSTEM << 8 | kind, flags | REQUEST, 0, family, 0, attributes);
    bytes
}

fn refusal(refused: &[Refused]) -> String {
    let first = refused.first().map_or_else(String::new, |it| io::Error::from_raw_os_error(it.errno).to_string());
    match refused.len() {
        0 | 1 => first,
        more => format!("{first}, and {} more refusals", more - 1),
    }
}
