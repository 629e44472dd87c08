//! A set of sockets of which any becoming readable makes the set readable: for many that are seldom read, which are not
//! worth a place of their own with whoever waits for them.

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
};

/// Sockets that are looked at in one go.
const BATCH: usize = 64;

/// Level-triggered: a socket stays ready until it is removed or read.
#[derive(Debug)]
pub struct ReadableSet(Epoll);

impl AsFd for ReadableSet {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.0.as_fd()
    }
}

impl ReadableSet {
    /// An empty set. Fails if no descriptor is left.
    pub fn new() -> io::Result<Self> {
        Ok(Self(Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?))
    }

    /// Watches a socket; `key` will tell which it is. The end of its stream counts as readable. Fails if it is in the set
    /// already, or if the kernel has no memory (`fs.epoll.max_user_watches`).
    pub fn add(&self, socket: impl AsFd, key: u64) -> io::Result<()> {
        Ok(self.0.add(socket, EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP, key))?)
    }

    /// Watches it no longer. Fails if it is not in the set.
    pub fn remove(&self, socket: impl AsFd) -> io::Result<()> {
        Ok(self.0.delete(socket)?)
    }

    /// Shows the keys of some of those that are readable to `each`. [`io::ErrorKind::WouldBlock`]: none is.
    pub fn ready(&self, each: impl FnMut(u64)) -> io::Result<()> {
        let mut events = [EpollEvent::empty(); BATCH];
        match self.0.wait(&mut events, EpollTimeout::ZERO)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            count => {
                events[..count].iter().map(EpollEvent::data).for_each(each);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{io::Write, os::unix::net::UnixStream};

    fn next(set: &ReadableSet) -> Vec<u64> {
        let mut keys = Vec::new();
        set.ready(|key| keys.push(key)).unwrap();
        keys.sort();
        keys
    }

    #[test]
    fn it_tells_which_of_many_are_readable_or_ended_until_they_are_removed() {
        let set = ReadableSet::new().unwrap();
        let mut pairs: Vec<_> = (0..200).map(|_| UnixStream::pair().unwrap()).collect();
        for (key, (near, _)) in pairs.iter().enumerate() {
            set.add(near, key as u64).unwrap();
        }
        assert!(set.add(&pairs[0].0, 1).is_err(), "it is in it already");
        assert_eq!(set.ready(|key| panic!("{key} is not")).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        pairs[7].1.write_all(b"x").unwrap();
        drop(pairs[9].1.shutdown(std::net::Shutdown::Both));
        assert_eq!(next(&set), [7, 9]);
        for key in [7, 9] {
            set.remove(&pairs[key].0).unwrap();
        }
        for (_, far) in &mut pairs[10..] {
            far.write_all(b"x").unwrap();
        }
        let mut left: Vec<u64> = (10..200).collect();
        while !left.is_empty() {
            for key in next(&set) {
                left.retain(|it| *it != key);
                let _ = set.remove(&pairs[key as usize].0);
            }
        }
    }
}
