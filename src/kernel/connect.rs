//! TCP connections to elsewhere, and what the kernel does for connections.
//!
//! A source address is bound without its port (`IP_BIND_ADDRESS_NO_PORT`): the kernel chooses one when it knows the
//! destination too, so a port in use towards one backend is free towards another. What is not configured costs no system
//! call.

use crate::model::{Connecting, TcpOptions};
use nix::sys::socket::{setsockopt, sockopt::IpBindAddressNoPort};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use std::{
    io,
    net::{IpAddr, SocketAddr},
    os::fd::AsFd,
};
use tokio::net::{TcpSocket, TcpStream};

/// Connects to `address`. Call it within a tokio runtime, and bound the time. Fails as [`socket`] and as `connect(2)`.
pub async fn connect(address: SocketAddr, how: &Connecting) -> io::Result<TcpStream> {
    TcpSocket::from_std_stream(socket(address, how)?.into()).connect(address).await
}

/// A socket that does not block, to be connected to `address`: with `EADDRNOTAVAIL` that fails when every port towards
/// `address` is in use ([`is_out_of_ports`]).
///
/// Fails as `socket(2)`. An error of the same kind as the above, but without a number, says that none of the source
/// addresses is on this machine.
pub fn socket(address: SocketAddr, how: &Connecting) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    if how.tcp != TcpOptions::default() {
        set_options(&socket, how.tcp)?;
    }
    let mut sources = how.sources.iter().filter(|source| source.is_ipv4() == address.is_ipv4()).peekable();
    if sources.peek().is_some() {
        bind(&socket, sources)?;
    }
    Ok(socket)
}

/// Sets `options` on a connection, or on a listening socket, of which accepted connections inherit them.
pub fn set_options(socket: &impl AsFd, options: TcpOptions) -> io::Result<()> {
    let socket = SockRef::from(socket);
    match options.keepalive {
        None => socket.set_keepalive(false)?,
        Some(keepalive) => {
            let params = TcpKeepalive::new().with_time(keepalive.idle).with_interval(keepalive.interval);
            socket.set_tcp_keepalive(&params.with_retries(keepalive.count.into()))?;
        }
    }
    socket.set_tcp_user_timeout(options.user_timeout)
}

/// Whether `connect` failed because every port of this machine towards that address is in use.
pub fn is_out_of_ports(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EADDRNOTAVAIL)
}

/// To the first of `sources` that this machine has.
fn bind<'a>(socket: &Socket, sources: impl Iterator<Item = &'a IpAddr>) -> io::Result<()> {
    setsockopt(socket, IpBindAddressNoPort, &true)?;
    let mut absent = Vec::new();
    for source in sources {
        match socket.bind(&SocketAddr::new(*source, 0).into()) {
            Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => absent.push(source.to_string()),
            result => return result,
        }
    }
    let message = format!("no source address is on this machine: {}", absent.join(", "));
    Err(io::Error::new(io::ErrorKind::AddrNotAvailable, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{kernel::testing::Host, model};
    use std::{net::TcpListener, time::Duration};

    fn from(sources: &[&str]) -> Connecting {
        Connecting { sources: sources.iter().map(|s| s.parse().unwrap()).collect(), ..Connecting::default() }
    }

    fn keepalive() -> model::TcpKeepalive {
        model::TcpKeepalive { idle: Duration::from_secs(7), interval: Duration::from_secs(3), count: 4 }
    }

    /// What the kernel says: whether it asks, after which silence, how often, how many times; the user timeout.
    fn options(socket: &impl AsFd) -> (bool, u64, u64, u32, Option<Duration>) {
        let socket = SockRef::from(socket);
        (
            socket.keepalive().unwrap(),
            socket.tcp_keepalive_time().unwrap().as_secs(),
            socket.tcp_keepalive_interval().unwrap().as_secs(),
            socket.tcp_keepalive_retries().unwrap(),
            socket.tcp_user_timeout().unwrap(),
        )
    }

    #[tokio::test]
    async fn the_first_source_of_the_family_that_is_here_is_used() {
        let v4 = TcpListener::bind("127.0.0.1:0").unwrap();
        let v6 = TcpListener::bind("[::1]:0").unwrap();
        let all = from(&["203.0.113.1", "2001:db8::1", "127.0.0.9", "127.0.0.8", "::1"]);
        for (listener, source) in [(&v4, "127.0.0.9"), (&v6, "::1")] {
            let stream = connect(listener.local_addr().unwrap(), &all).await.unwrap();
            assert_eq!(listener.accept().unwrap().1, stream.local_addr().unwrap());
            assert_eq!(stream.local_addr().unwrap().ip().to_string(), source);
        }
        let other = connect(v4.local_addr().unwrap(), &from(&["2001:db8::1"])).await.unwrap();
        assert_eq!(
            other.local_addr().unwrap().ip().to_string(),
            "127.0.0.1",
            "none of this family: the kernel's choice"
        );
    }

    #[tokio::test]
    async fn no_source_here_is_an_error_that_names_them() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let how = from(&["203.0.113.1", "203.0.113.2"]);
        let error = connect(listener.local_addr().unwrap(), &how).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable);
        assert_eq!(error.to_string(), "no source address is on this machine: 203.0.113.1, 203.0.113.2");
        assert!(!is_out_of_ports(&error));
    }

    #[tokio::test]
    async fn options_are_set_on_what_is_connected() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let plain = connect(address, &Connecting::default()).await.unwrap();
        assert!(!SockRef::from(&plain).keepalive().unwrap());
        let tcp = TcpOptions { keepalive: Some(keepalive()), user_timeout: Some(Duration::from_millis(1500)) };
        let tuned = connect(address, &Connecting { tcp, ..Connecting::default() }).await.unwrap();
        assert_eq!(options(&tuned), (true, 7, 3, 4, Some(Duration::from_millis(1500))));
        set_options(&tuned, TcpOptions::default()).unwrap();
        let (asks, .., timeout) = options(&tuned);
        assert_eq!((asks, timeout), (false, None), "and taken back");
    }

    #[test]
    fn a_port_in_use_towards_one_backend_is_free_towards_another() {
        let host = Host::new();
        let range = || std::fs::write("/proc/sys/net/ipv4/ip_local_port_range", "50000 50003");
        host.blocking(range).unwrap();
        host.run(async |_| {
            let (one, two) =
                (TcpListener::bind("127.0.0.1:8001").unwrap(), TcpListener::bind("127.0.0.1:8002").unwrap());
            let how = from(&["127.0.0.1"]);
            let mut held = Vec::new();
            let error = loop {
                match connect(one.local_addr().unwrap(), &how).await {
                    Ok(stream) => held.push(stream),
                    Err(error) => break error,
                }
                assert!(held.len() <= 4, "there are no more ports");
            };
            assert!(is_out_of_ports(&error), "{error}");
            assert_eq!(held.len(), 4);
            connect(two.local_addr().unwrap(), &how).await.unwrap();
        });
    }

    #[test]
    fn what_is_accepted_inherits_the_options() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let tcp = TcpOptions { keepalive: Some(keepalive()), user_timeout: Some(Duration::from_secs(2)) };
        set_options(&listener, tcp).unwrap();
        let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert_eq!(options(&listener.accept().unwrap().0), (true, 7, 3, 4, Some(Duration::from_secs(2))));
    }
}
