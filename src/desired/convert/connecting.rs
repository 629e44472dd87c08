//! How connections are made, and what the kernel does for them.

use super::{
    Findings,
    text::{self, Complaint},
};
use crate::{
    desired::{
        Pointer,
        schema::{PoolSpec, ProxyVersionSpec, SourceAddressSpec, TcpKeepaliveSpec},
    },
    model::{Connecting, ProxyProtocol, TcpKeepalive, TcpOptions, format_duration},
};
use std::{net::IpAddr, time::Duration};

/// The kernel's limits (`MAX_TCP_KEEPIDLE`, `MAX_TCP_KEEPCNT`).
const LONGEST_SILENCE: Duration = Duration::from_secs(32767);
const MOST_QUESTIONS: u16 = 127;

/// How a pool's connections are made.
pub(super) fn connecting(at: &Pointer, spec: &PoolSpec, findings: &mut Findings<'_>) -> Option<Connecting> {
    let sources = sources(&at.key("sourceAddress"), spec.source_address.as_ref(), findings);
    let timeout = spec.timeouts.as_ref().and_then(|timeouts| timeouts.tcp_user_timeout.as_deref());
    let tcp = tcp_options(at, spec.tcp_keepalive.as_ref(), timeout, findings);
    let proxy = spec.proxy_protocol.map(|version| match version {
        ProxyVersionSpec::V1 => ProxyProtocol::V1,
        ProxyVersionSpec::V2 => ProxyProtocol::V2,
    });
    if proxy.is_some() && spec.idle.is_some() {
        let warning =
            "a connection that begins with a client's address is never kept for another: nothing will be idle,";
        findings.warning(&at.key("idle"), warning);
    }
    Some(Connecting { sources: sources?, tcp: tcp?, proxy })
}

/// Of `tcpKeepalive` and `timeouts.tcpUserTimeout`, which are called alike wherever there are connections.
pub(super) fn tcp_options(
    at: &Pointer,
    keepalive: Option<&TcpKeepaliveSpec>,
    user_timeout: Option<&str>,
    findings: &mut Findings<'_>,
) -> Option<TcpOptions> {
    let keepalive = match keepalive {
        None => Some(None),
        Some(spec) => self::keepalive(&at.key("tcpKeepalive"), spec, findings).map(Some),
    };
    let user_timeout = match user_timeout {
        None => Some(None),
        Some(text) => self::user_timeout(&at.key("timeouts").key("tcpUserTimeout"), text, findings).map(Some),
    };
    Some(TcpOptions { keepalive: keepalive?, user_timeout: user_timeout? })
}

fn sources(at: &Pointer, spec: Option<&SourceAddressSpec>, findings: &mut Findings<'_>) -> Option<Vec<IpAddr>> {
    match spec {
        None => Some(Vec::new()),
        Some(SourceAddressSpec::One(text)) => Some(vec![findings.take(at, text::ip(text))?]),
        Some(SourceAddressSpec::Several(list)) => {
            findings.not_empty(at, list, "address");
            let sources = findings.each(at, list, text::ip)?;
            findings.unique(sources.iter().map(|ip| (*ip, *ip)), |i| at.index(i));
            Some(sources)
        }
    }
}

fn keepalive(at: &Pointer, spec: &TcpKeepaliveSpec, findings: &mut Findings<'_>) -> Option<TcpKeepalive> {
    let default = TcpKeepalive::default();
    let idle = silence(&at.key("idle"), spec.idle.as_deref(), default.idle, findings);
    let interval = silence(&at.key("interval"), spec.interval.as_deref(), default.interval, findings);
    let count = spec.count.unwrap_or(default.count.into());
    let count = findings.number(&at.key("count"), count, 1..=MOST_QUESTIONS);
    Some(TcpKeepalive { idle: idle?, interval: interval?, count: count? })
}

/// The kernel counts it in seconds.
fn silence(at: &Pointer, text: Option<&str>, default: Duration, findings: &mut Findings<'_>) -> Option<Duration> {
    let silence = findings.duration(at, text, default)?;
    if silence.subsec_nanos() > 0 || !(Duration::from_secs(1)..=LONGEST_SILENCE).contains(&silence) {
        let message = format!("{} is not between 1 and 32767 whole seconds", format_duration(silence));
        findings.error(at, message);
    }
    Some(silence)
}

/// The kernel counts it in milliseconds.
fn user_timeout(at: &Pointer, text: &str, findings: &mut Findings<'_>) -> Option<Duration> {
    let timeout = findings.duration(at, Some(text), Duration::ZERO)?;
    if timeout.subsec_nanos() % 1_000_000 > 0 {
        let error = Complaint::new(format!("{} is no whole number of milliseconds", format_duration(timeout)));
        findings.error(at, error.help("the kernel counts it in them"));
    }
    Some(timeout)
}
