//! A set of sockets of which any becoming readable wakes one task: for many that are seldom read, which are not worth a
//! registration with the runtime each.

#![expect(unsafe_code, reason = "tokio must be told that a descriptor stays open for as long as it is registered")]

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::{
    io,
    os::fd::{AsFd, AsRawFd, RawFd},
};
use tokio::io::{Interest, unix::AsyncFd};

/// Sockets that are looked at in one go.
const BATCH: usize = 64;

/// Level-triggered: a socket stays ready until it is removed or read.
#[derive(Debug)]
pub struct ReadableSet(AsyncFd<Set>);

#[derive(Debug)]
struct Set(Epoll);

impl AsRawFd for Set {
    fn as_raw_fd(&self) -> RawFd {
        self.0.0.as_raw_fd()
    }
}

impl ReadableSet {
    /// An empty set, which only the runtime that this is called within can wait for. Fails if no descriptor is left.
    pub fn new() -> io::Result<Self> {
        let set = Set(Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?);
        // SAFETY: the registration ends with the AsyncFd, which owns the set and so its descriptor; nobody else closes it.
        let registered = unsafe { AsyncFd::register_with_interest(set, Interest::READABLE) };
        Ok(Self(registered?))
    }

    /// Watches a socket; `key` will tell which it is. The end of its stream counts as readable. Fails if it is in the set
    /// already, or if the kernel has no memory (`fs.epoll.max_user_watches`).
    pub fn add(&self, socket: impl AsFd, key: u64) -> io::Result<()> {
        Ok(self.0.get_ref().0.add(socket, EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP, key))?)
    }

    /// Watches it no longer. Fails if it is not in the set.
    pub fn remove(&self, socket: impl AsFd) -> io::Result<()> {
        Ok(self.0.get_ref().0.delete(socket)?)
    }

    /// Waits until some are readable, and shows the keys of some of them to `each`.
    pub async fn readable(&self, mut each: impl FnMut(u64)) -> io::Result<()> {
        let mut ready = self.0.readable().await?;
        let mut events = [EpollEvent::empty(); BATCH];
        // Interrupted by a signal, it finds the same at its next look.
        let count = self.0.get_ref().0.wait(&mut events, EpollTimeout::ZERO).unwrap_or(BATCH);
        if count < BATCH {
            // All that was ready has been seen; what becomes ready from now on is told anew.
            ready.clear_ready();
        }
        events[..count].iter().filter(|event| !event.events().is_empty()).for_each(|event| each(event.data()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{io::Write, os::unix::net::UnixStream, time::Duration};

    async fn next(set: &ReadableSet) -> Vec<u64> {
        let mut keys = Vec::new();
        tokio::time::timeout(Duration::from_secs(10), set.readable(|key| keys.push(key))).await.unwrap().unwrap();
        keys.sort();
        keys
    }

    #[tokio::test]
    async fn it_tells_which_of_many_are_readable_or_ended_until_they_are_removed() {
        let set = ReadableSet::new().unwrap();
        let mut pairs: Vec<_> = (0..200).map(|_| UnixStream::pair().unwrap()).collect();
        for (key, (near, _)) in pairs.iter().enumerate() {
            set.add(near, key as u64).unwrap();
        }
        assert!(set.add(&pairs[0].0, 1).is_err(), "it is in it already");
        pairs[7].1.write_all(b"x").unwrap();
        drop(pairs[9].1.shutdown(std::net::Shutdown::Both));
        let mut seen = next(&set).await;
        seen.dedup();
        assert_eq!(seen, [7, 9]);
        for key in [7, 9] {
            set.remove(&pairs[key].0).unwrap();
        }
        for (_, far) in &mut pairs[10..] {
            far.write_all(b"x").unwrap();
        }
        let mut left: Vec<u64> = (10..200).collect();
        while !left.is_empty() {
            for key in next(&set).await {
                left.retain(|it| *it != key);
                let _ = set.remove(&pairs[key as usize].0);
            }
        }
    }
}
