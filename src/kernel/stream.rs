//! Accepting a connection that does not block, in one system call.

#![expect(unsafe_code, reason = "std and socket2 need a second call to make what was accepted not block")]

use socket2::SockAddr;
use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

/// Takes a connection out of the queue, closed on exec and not blocking, and tells whose it is. Fails as `accept4(2)`.
pub fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: both pointers are to a whole zeroed address and its length, which socket2 keeps for the call, and of which
    // the kernel fills in as much as it says.
    let accepted = unsafe {
        SockAddr::try_init(|address, length| {
            match libc::accept4(listener.as_raw_fd(), address.cast(), length, flags) {
                -1 => Err(io::Error::last_os_error()),
                // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
                descriptor => Ok(OwnedFd::from_raw_fd(descriptor)),
            }
        })
    };
    let (stream, address) = accepted?;
    let address = address.as_socket().ok_or(io::ErrorKind::InvalidData)?;
    Ok((stream.into(), address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};

    #[test]
    fn what_is_accepted_does_not_block_and_is_closed_on_exec() {
        for ip in ["127.0.0.1", "::1"] {
            let listener = TcpListener::bind((ip, 0)).unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (stream, address) = accept(&listener).unwrap();
            assert_eq!(address, client.local_addr().unwrap());
            assert!(OFlag::from_bits_retain(fcntl(&stream, FcntlArg::F_GETFL).unwrap()).contains(OFlag::O_NONBLOCK));
            assert_eq!(fcntl(&stream, FcntlArg::F_GETFD).unwrap(), FdFlag::FD_CLOEXEC.bits());
            listener.set_nonblocking(true).unwrap();
            assert_eq!(accept(&listener).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        }
    }
}
