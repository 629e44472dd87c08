//! `splice(2)`: bytes from one socket to another through a pipe, without a copy into this process.

use nix::{
    fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl, splice},
    unistd::pipe2,
};
use std::{
    io,
    os::fd::{AsFd, OwnedFd},
};

/// What a pipe is asked to hold. The kernel grants less to users who have many (`fs.pipe-user-pages-soft`).
const WANTED: usize = 256 * 1024;
/// With less, copying is cheaper.
const ENOUGH: usize = 64 * 1024;

/// A pipe that is filled when it is empty and drained until it is empty again: so that "it would block" has one meaning.
#[derive(Debug)]
pub struct Pipe {
    near: OwnedFd,
    far: OwnedFd,
    capacity: usize,
    held: usize,
}

impl Pipe {
    /// Fails if no descriptor is left, and with [`io::ErrorKind::QuotaExceeded`] if the kernel does not grant enough to make
    /// it worth while.
    pub fn new() -> io::Result<Self> {
        Self::with(WANTED)
    }

    fn with(wanted: usize) -> io::Result<Self> {
        let (far, near) = pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)?;
        let wanted = i32::try_from(wanted).unwrap_or(i32::MAX);
        let granted = fcntl(&near, FcntlArg::F_SETPIPE_SZ(wanted)).or_else(|_| fcntl(&near, FcntlArg::F_GETPIPE_SZ))?;
        match usize::try_from(granted) {
            Ok(capacity @ ENOUGH..) => Ok(Self { near, far, capacity, held: 0 }),
            _ => Err(io::ErrorKind::QuotaExceeded.into()),
        }
    }

    /// Bytes in it.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Takes what a socket has into an empty pipe, `most` bytes of it, and says how much that was; nothing is the end of the
    /// stream. Less than there was room for does not say that there is no more. Fails as `recv(2)`, without waiting.
    pub fn fill(&mut self, from: impl AsFd, most: usize) -> io::Result<usize> {
        debug_assert_eq!(self.held, 0, "its being full could not be told from the socket's being empty");
        self.held = splice(from, None, &self.near, None, self.capacity.min(most), flags())?;
        Ok(self.held)
    }

    /// Gives to a socket what it takes of what is held, and says how much that was. Fails as `send(2)`, without waiting.
    pub fn drain(&mut self, to: impl AsFd) -> io::Result<usize> {
        let taken = splice(&self.far, None, to, None, self.held, flags())?;
        self.held -= taken;
        Ok(taken)
    }
}

fn flags() -> SpliceFFlags {
    SpliceFFlags::SPLICE_F_MOVE | SpliceFFlags::SPLICE_F_NONBLOCK
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::{Read, Write},
        net::{Shutdown, TcpListener, TcpStream},
    };

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let far = listener.accept().unwrap().0;
        near.set_nonblocking(true).unwrap();
        (near, far)
    }

    #[test]
    fn bytes_go_through_in_order_and_the_end_is_told() {
        let ((from, mut source), (to, mut sink)) = (pair(), pair());
        let mut pipe = Pipe::new().unwrap();
        assert!(pipe.capacity >= 4096);
        assert_eq!(pipe.fill(&from, usize::MAX).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        source.write_all(b"hello").unwrap();
        assert_eq!((pipe.fill(&from, usize::MAX).unwrap(), pipe.held()), (5, 5));
        assert_eq!((pipe.drain(&to).unwrap(), pipe.held()), (5, 0));
        let mut got = [0; 5];
        sink.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"hello");
        source.shutdown(Shutdown::Write).unwrap();
        assert_eq!(pipe.fill(&from, usize::MAX).unwrap(), 0);
    }

    #[test]
    fn a_pipe_that_holds_little_is_none() {
        assert_eq!(Pipe::with(ENOUGH / 2).unwrap_err().kind(), io::ErrorKind::QuotaExceeded);
        assert_eq!(Pipe::with(ENOUGH).unwrap().capacity, ENOUGH);
    }

    #[test]
    fn who_takes_nothing_leaves_it_in_the_pipe() {
        let ((from, mut source), (to, mut sink)) = (pair(), pair());
        let (mut pipe, mut passed) = (Pipe::new().unwrap(), 0);
        let piece: Vec<u8> = (0..100_000u32).map(|i| i as u8).collect();
        let full = loop {
            source.write_all(&piece).unwrap();
            while let Ok(1..) = pipe.fill(&from, usize::MAX) {
                while pipe.held() > 0 {
                    match pipe.drain(&to) {
                        Ok(taken) => passed += taken,
                        Err(_) => break,
                    }
                }
                if pipe.held() > 0 {
                    break;
                }
            }
            if pipe.held() > 0 {
                break pipe.held();
            }
        };
        assert_eq!(pipe.drain(&to).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let mut got = vec![0; passed];
        sink.read_exact(&mut got).unwrap();
        while pipe.held() > 0 {
            drop(pipe.drain(&to));
        }
        got.resize(passed + full, 0);
        sink.read_exact(&mut got[passed..]).unwrap();
        assert!(got.iter().enumerate().all(|(i, byte)| *byte == (i % 100_000) as u8), "in order, and nothing is lost");
    }

    #[test]
    fn a_socket_that_is_gone_is_an_error_and_no_signal() {
        let ((from, mut source), (to, sink)) = (pair(), pair());
        let mut pipe = Pipe::new().unwrap();
        socket2::SockRef::from(&sink).set_linger(Some(std::time::Duration::ZERO)).unwrap();
        drop(sink);
        source.write_all(b"x").unwrap();
        while pipe.fill(&from, usize::MAX).is_err() {}
        let mut errors = (0..2).map(|_| pipe.drain(&to).unwrap_err().kind());
        assert!(errors.any(|kind| kind == io::ErrorKind::BrokenPipe));
    }
}
