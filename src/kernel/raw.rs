//! What raw sockets need beyond socket2's safe interface, in one place.

#![allow(unsafe_code, reason = "socket options and readiness of raw sockets have no safe interface")]

use socket2::{SockAddr, Socket};
use std::{io, mem::MaybeUninit, os::fd::AsRawFd};
use tokio::io::{Interest, unix::AsyncFd};

/// Option values: C data without pointers and without padding that matters, valid in every bit pattern.
///
/// # Safety
/// Implementors are such types.
pub(super) unsafe trait OptionValue: Copy {}

// SAFETY: an integer.
unsafe impl OptionValue for libc::c_int {}
// SAFETY: an integer.
unsafe impl OptionValue for u32 {}
// SAFETY: an array of integers.
unsafe impl OptionValue for [u32; 8] {}
// SAFETY: two unsigned ints.
unsafe impl OptionValue for libc::tpacket_stats {}

/// A socket of which a tokio task waits to become readable. Needs a runtime with IO.
pub(super) fn readable(socket: Socket) -> io::Result<AsyncFd<Socket>> {
    socket.set_nonblocking(true)?;
    // SAFETY: a socket2 socket owns its descriptor, always gives the same one, and closes it only when it is dropped.
    let registered = unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) };
    registered.map_err(io::Error::from)
}

/// One packet, cut to `N` bytes: the buffer, how much of it is filled, and from where it came.
pub(super) fn receive<const N: usize>(socket: &Socket) -> io::Result<([u8; N], usize, SockAddr)> {
    let mut buffer = [const { MaybeUninit::<u8>::uninit() }; N];
    let (len, from) = socket.recv_from(&mut buffer)?;
    let mut bytes = [0; N];
    for (byte, received) in bytes.iter_mut().zip(&buffer[..len]) {
        // SAFETY: recv_from initialised the first `len` bytes of the buffer.
        *byte = unsafe { received.assume_init() };
    }
    Ok((bytes, len, from))
}

/// `setsockopt`; `value` must be of the type that the option takes.
pub(super) fn set<T: OptionValue>(socket: &Socket, level: libc::c_int, name: libc::c_int, value: T) -> io::Result<()> {
    let len = size_of::<T>() as libc::socklen_t;
    // SAFETY: the descriptor is open, and the kernel reads at most `len` bytes of `value`, which lives across the call.
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const value).cast(), len) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// `getsockopt`
pub(super) fn get<T: OptionValue>(socket: &Socket, level: libc::c_int, name: libc::c_int) -> io::Result<T> {
    let mut len = size_of::<T>() as libc::socklen_t;
    let mut value = MaybeUninit::<T>::zeroed();
    // SAFETY: the descriptor is open, and the kernel writes at most `len` bytes into `value`.
    let result = unsafe { libc::getsockopt(socket.as_raw_fd(), level, name, value.as_mut_ptr().cast(), &raw mut len) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: zeroed, then written by the kernel; an OptionValue is valid in every bit pattern.
    Ok(unsafe { value.assume_init() })
}
