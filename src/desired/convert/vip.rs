use super::{Findings, listener::listeners, text};
use crate::{
    desired::{
        Pointer,
        json::quote,
        schema::{FailbackModeSpec, FailbackSpec, TrackSpec, VipSpec},
    },
    model::{Failback, FailbackMode, Name, Track, Vip, VipAddress},
};
use std::{net::IpAddr, time::Duration};

/// The default of [`Failback::after`].
pub(in crate::desired) const FAILBACK_AFTER: Duration = Duration::from_secs(5);

/// The default of [`Vip::trust_probe`].
pub(in crate::desired) const TRUST_PROBE: bool = true;

/// The Vip that `spec` means.
pub(in crate::desired) fn vip(name: Option<Name>, spec: &VipSpec, findings: &mut Findings<'_>) -> Option<Vip> {
    let at = Pointer::root().key("spec");
    let addresses = addresses(&at.key("addresses"), &spec.addresses, findings);
    let interface = match &spec.interface {
        Some(interface) => findings.take(&at.key("interface"), text::device(interface)).map(Some),
        None => Some(None),
    };
    let nodes = nodes(&at.key("nodes"), &spec.nodes, findings);
    let failback = failback(&at.key("failback"), spec.failback.as_ref(), findings);
    let own: Vec<_> = addresses.iter().flatten().map(|address| address.ip).collect();
    let track = track(&at.key("track"), spec.track.as_ref(), &own, findings);
    let listeners = listeners(&at.key("listeners"), &spec.listeners, findings);
    Some(Vip {
        name: name?,
        addresses: addresses?,
        interface: interface?,
        nodes: nodes?,
        failback: failback?,
        track: track?,
        trust_probe: spec.trust_probe.unwrap_or(TRUST_PROBE),
        listeners: listeners?,
    })
}

fn addresses(at: &Pointer, texts: &[String], findings: &mut Findings<'_>) -> Option<Vec<VipAddress>> {
    findings.not_empty(at, texts, "address");
    let addresses = findings.each(at, texts, text::vip_address)?;
    findings.unique(addresses.iter().map(|address| (address.ip, address.ip)), |i| at.index(i));
    Some(addresses)
}

fn nodes(at: &Pointer, texts: &[String], findings: &mut Findings<'_>) -> Option<Vec<Name>> {
    findings.not_empty(at, texts, "node");
    let names: Vec<_> = texts.iter().enumerate().map(|(i, text)| findings.name(&at.index(i), text)).collect();
    findings.unique(texts.iter().map(|text| (text, quote(text))), |i| at.index(i));
    names.into_iter().collect()
}

fn failback(at: &Pointer, spec: Option<&FailbackSpec>, findings: &mut Findings<'_>) -> Option<Failback> {
    let mode = match spec.and_then(|spec| spec.mode) {
        None | Some(FailbackModeSpec::Auto) => FailbackMode::Auto,
        Some(FailbackModeSpec::Manual) => FailbackMode::Manual,
    };
    let after = spec.and_then(|spec| spec.after.as_deref());
    Some(Failback { mode, after: findings.duration(&at.key("after"), after, FAILBACK_AFTER)? })
}

fn track(at: &Pointer, spec: Option<&TrackSpec>, own: &[IpAddr], findings: &mut Findings<'_>) -> Option<Track> {
    let Some(spec) = spec else { return Some(Track::default()) };
    let (at_interfaces, at_ping) = (at.key("interfaces"), at.key("ping"));
    let interfaces = findings.each(&at_interfaces, &spec.interfaces, text::device);
    findings.unique(spec.interfaces.iter().map(|name| (name, quote(name))), |i| at_interfaces.index(i));
    let ping = findings.each(&at_ping, &spec.ping, text::ip)?;
    findings.unique(ping.iter().map(|ip| (*ip, *ip)), |i| at_ping.index(i));
    for (i, ip) in ping.iter().enumerate().filter(|(_, ip)| own.contains(ip)) {
        findings.error(&at_ping.index(i), format!("{ip} is the Vip's own address: it says nothing about a node"));
    }
    Some(Track { interfaces: interfaces?, ping })
}
