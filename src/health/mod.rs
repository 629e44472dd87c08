//! Whether backends serve, and whether the addresses that Vips track answer this node.
//!
//! A *check* is one question put to one backend: [`tcp`] asks for a connection, [`http`] for an expected status,
//! [`exchange`] for some bytes, [`smtp`] and [`mysql`] for a greeting.
//! [`checker`] puts the questions at their times and feeds the answers to [`threshold`], which alone decides whether a
//! backend is in rotation: the first answer ever decides at once, later ones only after `rise` or `fall` in a row.
//! The result is a [`HealthTable`](crate::model::HealthTable), which the plan turns into the data plane's pools.
//!
//! [`track`] does the same for the addresses that a Vip pings. Its result is an opinion about *this node*, never about
//! a backend: the health of a pool moves no Vip.
//!
//! [`resolve`] looks up the addresses of backends that go by a name.
//!
//! A new kind of check is one file beside [`tcp`] and one line in `ask`.

pub mod checker;
pub mod exchange;
pub mod http;
pub mod mysql;
#[cfg(test)]
pub(crate) mod scripted;
pub mod smtp;
pub mod resolve;
pub mod tcp;
pub mod threshold;
pub mod track;

use crate::{
    kernel::connect::connect,
    model::{CheckKind, Connecting},
};
use std::{io, net::SocketAddr};
use tokio::{io::AsyncWriteExt, net::TcpStream};

/// What came of one question to a backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// As expected; in words, as `"200 OK"`.
    Good(String),
    /// Not as expected; in words, as `"connection refused"`.
    Bad(String),
    /// The question could not be put because this machine lacks something (descriptors, memory). It says nothing
    /// about the backend: a balancer that runs out of descriptors must not take its whole farm out of rotation.
    Unasked(String),
}

/// The table of kinds: puts the question that `kind` means to `server`. The caller bounds the time.
pub async fn ask(kind: &CheckKind, server: &Server) -> Answer {
    match kind {
        CheckKind::Tcp => tcp::ask(server).await,
        CheckKind::Exchange { send, expect } => exchange::ask(server, send, expect).await,
        CheckKind::Smtp { hello } => smtp::ask(server, hello).await,
        CheckKind::Mysql { user } => mysql::ask(server, user.as_deref()).await,
        CheckKind::Http { path, host, expect } => http::ask(server, path, host.as_deref(), expect).await,
    }
}

/// Who is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// Where it is.
    pub address: SocketAddr,
    /// As its clients' connections are made.
    pub connecting: Connecting,
}

impl Server {
    /// One that needs nothing but a connection.
    pub fn at(address: SocketAddr) -> Self {
        Self { address, connecting: Connecting::default() }
    }

    /// A connection, on which a server that wants a PROXY header has got one: of the balancer's own, for no client.
    async fn connect(&self) -> io::Result<TcpStream> {
        let mut stream = connect(self.address, &self.connecting).await?;
        if let Some(proxy) = self.connecting.proxy {
            stream.write_all(proxy.own()).await?;
        }
        Ok(stream)
    }
}

/// An IO error met while asking, as a person would say it.
pub(crate) fn failed(error: &io::Error) -> Answer {
    match error.raw_os_error() {
        Some(code @ (libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOBUFS | libc::EADDRNOTAVAIL)) => {
            Answer::Unasked(format!("this machine could not ask: {}", io::Error::from_raw_os_error(code)))
        }
        // No source address is on this machine.
        None if error.kind() == io::ErrorKind::AddrNotAvailable => {
            Answer::Unasked(format!("this machine could not ask: {error}"))
        }
        _ => Answer::Bad(words(error)),
    }
}

fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => "connection reset".to_owned(),
        io::ErrorKind::HostUnreachable => "no route to host".to_owned(),
        io::ErrorKind::NetworkUnreachable => "network unreachable".to_owned(),
        io::ErrorKind::TimedOut => "connection timed out".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ProxyProtocol;
    use tokio::io::AsyncReadExt;

    #[test]
    fn errors_read_as_a_person_would_say_them() {
        let bad = |code| failed(&io::Error::from_raw_os_error(code));
        assert_eq!(bad(libc::ECONNREFUSED), Answer::Bad("connection refused".into()));
        assert_eq!(bad(libc::ECONNRESET), Answer::Bad("connection reset".into()));
        assert_eq!(bad(libc::EHOSTUNREACH), Answer::Bad("no route to host".into()));
        assert_eq!(bad(libc::ENETUNREACH), Answer::Bad("network unreachable".into()));
    }

    #[tokio::test]
    async fn a_server_that_wants_a_proxy_header_gets_one_of_the_balancers_own() {
        for proxy in [ProxyProtocol::V1, ProxyProtocol::V2] {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let connecting = Connecting { proxy: Some(proxy), ..Connecting::default() };
            let server = Server { connecting, ..Server::at(listener.local_addr().unwrap()) };
            let answer = ask(&CheckKind::Tcp, &server).await;
            assert_eq!(answer, Answer::Good("connection accepted".into()));
            let mut got = Vec::new();
            listener.accept().await.unwrap().0.read_to_end(&mut got).await.unwrap();
            assert_eq!(got, proxy.own());
        }
    }

    #[tokio::test]
    async fn without_the_source_address_a_check_says_nothing_about_the_backend() {
        let connecting = Connecting { sources: vec!["203.0.113.1".parse().unwrap()], ..Connecting::default() };
        let server = Server { connecting, ..Server::at("127.0.0.1:1".parse().unwrap()) };
        let words = "this machine could not ask: no source address is on this machine: 203.0.113.1";
        assert_eq!(ask(&CheckKind::Tcp, &server).await, Answer::Unasked(words.into()));
    }

    #[test]
    fn what_this_machine_lacks_is_not_held_against_a_backend() {
        for code in [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::ENOBUFS, libc::EADDRNOTAVAIL] {
            let answer = failed(&io::Error::from_raw_os_error(code));
            assert!(matches!(answer, Answer::Unasked(_)), "{code}: {answer:?}");
        }
    }
}
