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

use crate::model::{Backend, CheckKind};
use std::io;

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

/// The table of kinds: puts the question that `kind` means to `backend`. The caller bounds the time.
pub async fn ask(kind: &CheckKind, backend: &Backend) -> Answer {
    match kind {
        CheckKind::Tcp => tcp::ask(backend.address).await,
        CheckKind::Exchange { send, expect } => exchange::ask(backend.address, send, expect).await,
        CheckKind::Smtp { hello } => smtp::ask(backend.address, hello).await,
        CheckKind::Mysql { user } => mysql::ask(backend.address, user.as_deref()).await,
        CheckKind::Http { path, host, expect } => http::ask(backend.address, path, host.as_deref(), expect).await,
    }
}

/// An IO error met while asking, as a person would say it.
pub(crate) fn failed(error: &io::Error) -> Answer {
    match error.raw_os_error() {
        Some(code @ (libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOBUFS | libc::EADDRNOTAVAIL)) => {
            Answer::Unasked(format!("this machine could not ask: {}", io::Error::from_raw_os_error(code)))
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

    #[test]
    fn errors_read_as_a_person_would_say_them() {
        let bad = |code| failed(&io::Error::from_raw_os_error(code));
        assert_eq!(bad(libc::ECONNREFUSED), Answer::Bad("connection refused".into()));
        assert_eq!(bad(libc::ECONNRESET), Answer::Bad("connection reset".into()));
        assert_eq!(bad(libc::EHOSTUNREACH), Answer::Bad("no route to host".into()));
        assert_eq!(bad(libc::ENETUNREACH), Answer::Bad("network unreachable".into()));
    }

    #[test]
    fn what_this_machine_lacks_is_not_held_against_a_backend() {
        for code in [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::ENOBUFS, libc::EADDRNOTAVAIL] {
            let answer = failed(&io::Error::from_raw_os_error(code));
            assert!(matches!(answer, Answer::Unasked(_)), "{code}: {answer:?}");
        }
    }
}
