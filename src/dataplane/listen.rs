//! Listening sockets: one per worker and address, which the kernel spreads connections over (SO_REUSEPORT), and bound
//! before the address is there (IP_FREEBIND), so that a takeover is an address and an announcement, nothing more.

use crate::{kernel::connect::set_options, model::TcpOptions};
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io,
    net::{SocketAddr, TcpListener},
};

/// Connections that wait to be accepted, per socket; the kernel cuts it down to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Why an address is not listened on. It is tried again at each apply.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Found before binding: with SO_REUSEPORT the kernel would share the port with that program in silence.
    #[error("cannot listen on {0}: the port is in use by another program; stop it, or give the listener another port")]
    InUse(SocketAddr),
    /// A port below `net.ipv4.ip_unprivileged_port_start`.
    #[error(
        "cannot listen on {0}: not permitted; run as root, or give the agent CAP_NET_BIND_SERVICE \
         (systemd: AmbientCapabilities=)"
    )]
    Denied(SocketAddr),
    /// The kernel has no such socket, no memory or no descriptor.
    #[error("cannot listen on {address}: {source}")]
    Failed {
        /// Where.
        address: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// [`super::Dataplane::shutdown`] was called.
    #[error("cannot listen on {0}: the data plane has been shut down")]
    Stopped(SocketAddr),
}

/// `count` sockets that listen on `address`: all of them or none. `ours` tells that this process may still have it
/// open, so that finding it in use means nothing.
pub(super) fn open(
    address: SocketAddr,
    count: usize,
    ours: bool,
    options: TcpOptions,
) -> Result<Vec<TcpListener>, ListenError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => ListenError::InUse(address),
        io::ErrorKind::PermissionDenied => ListenError::Denied(address),
        _ => ListenError::Failed { address, source },
    };
    if !ours {
        look_first(address).map_err(failed)?;
    }
    (0..count).map(|_| socket(address, options)).collect::<io::Result<_>>().map_err(failed)
}

/// Binds for a moment without SO_REUSEPORT, which fails beside any listener. SO_REUSEADDR lets it pass connections of
/// an earlier run that are still being closed.
fn look_first(address: SocketAddr) -> io::Result<()> {
    unbound(address)?.bind(&address.into())
}

fn socket(address: SocketAddr, options: TcpOptions) -> io::Result<TcpListener> {
    let socket = unbound(address)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    // What is accepted inherits it: the rest of a response must not wait until the client acknowledges what came before.
    socket.set_tcp_nodelay(true)?;
    set_options(&socket, options)?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn unbound(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    match address {
        SocketAddr::V4(_) => socket.set_freebind_v4(true)?,
        SocketAddr::V6(_) => {
            socket.set_only_v6(true)?;
            socket.set_freebind_v6(true)?;
        }
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(address: SocketAddr, count: usize, ours: bool) -> Result<Vec<TcpListener>, ListenError> {
        open(address, count, ours, TcpOptions::default())
    }

    fn free_port(ip: &str) -> SocketAddr {
        TcpListener::bind((ip, 0)).unwrap().local_addr().unwrap()
    }

    #[test]
    fn several_sockets_share_a_port_of_ours() {
        for ip in ["127.0.0.1", "::1"] {
            let address = free_port(ip);
            let first = opened(address, 2, false).unwrap();
            assert_eq!(first.len(), 2);
            assert_eq!(opened(address, 3, true).unwrap().len(), 3);
        }
    }

    #[test]
    fn what_is_accepted_sends_at_once() {
        let listener = opened(free_port("127.0.0.1"), 1, false).unwrap().remove(0);
        listener.set_nonblocking(false).unwrap();
        let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(listener.accept().unwrap().0.nodelay().unwrap());
    }

    #[test]
    fn an_address_that_is_not_there_yet_can_be_listened_on() {
        for address in ["192.0.2.77:8088", "[2001:db8::77]:8088"] {
            assert_eq!(opened(address.parse().unwrap(), 1, false).unwrap().len(), 1, "{address}");
        }
    }

    #[test]
    fn a_port_of_another_program_is_seen_even_if_it_would_share() {
        let address = free_port("127.0.0.1");
        let plain = TcpListener::bind(address).unwrap();
        assert!(matches!(opened(address, 2, false), Err(ListenError::InUse(a)) if a == address));
        drop(plain);
        let sharing = socket(address, TcpOptions::default()).unwrap();
        let error = opened(address, 2, false).unwrap_err();
        assert!(error.to_string().contains("in use by another program"), "{error}");
        drop(sharing);
        let wildcard =
            socket(SocketAddr::new("0.0.0.0".parse().unwrap(), address.port()), TcpOptions::default()).unwrap();
        assert!(matches!(opened(address, 2, false), Err(ListenError::InUse(_))));
        drop(wildcard);
        assert!(opened(address, 2, false).is_ok());
    }
}
