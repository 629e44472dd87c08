//! How connections are made.

use super::{duration, unless};
use crate::{desired::schema::*, model::*};

pub(super) fn keepalive(tcp: TcpOptions) -> Option<TcpKeepaliveSpec> {
    let default = TcpKeepalive::default();
    tcp.keepalive.map(|keepalive| TcpKeepaliveSpec {
        idle: duration(keepalive.idle, default.idle),
        interval: duration(keepalive.interval, default.interval),
        count: unless(keepalive.count, default.count).map(Into::into),
    })
}

pub(super) fn user_timeout(tcp: TcpOptions) -> Option<String> {
    tcp.user_timeout.map(format_duration)
}

pub(super) fn sources(connecting: &Connecting) -> Option<SourceAddressSpec> {
    match &*connecting.sources {
        [] => None,
        [one] => Some(SourceAddressSpec::One(one.to_string())),
        several => Some(SourceAddressSpec::Several(super::texts(several))),
    }
}

pub(super) fn proxy(connecting: &Connecting) -> Option<ProxyVersionSpec> {
    connecting.proxy.map(|version| match version {
        ProxyProtocol::V1 => ProxyVersionSpec::V1,
        ProxyProtocol::V2 => ProxyVersionSpec::V2,
    })
}
