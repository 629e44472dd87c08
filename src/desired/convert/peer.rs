use super::{
    Findings,
    text::{self, Complaint},
};
use crate::{
    desired::{
        Pointer,
        schema::{HeartbeatSpec, PeerSpec},
    },
    model::{Heartbeat, Name, Peer, format_duration},
};
use std::{collections::BTreeMap, time::Duration};

/// What [`Heartbeat::interval`] may be.
const INTERVAL: std::ops::RangeInclusive<Duration> = Duration::from_millis(5)..=Duration::from_secs(10);

/// Intervals within which a node cannot be declared dead.
const INTERVALS: u32 = 4;

/// The Peer that `spec` means.
pub(in crate::desired) fn peer(name: Option<Name>, spec: &PeerSpec, findings: &mut Findings<'_>) -> Option<Peer> {
    let at = Pointer::root().key("spec");
    let list = at.key("addresses");
    findings.not_empty(&list, &spec.addresses, "address");
    let addresses = findings.each(&list, &spec.addresses, text::heartbeat_endpoint);
    findings.unique(addresses.iter().flatten().map(|address| (*address, *address)), |i| list.index(i));
    let interfaces = interfaces(&at.key("interfaces"), &spec.interfaces, findings);
    let heartbeat = heartbeat(&at.key("heartbeat"), spec.heartbeat.as_ref(), findings);
    Some(Peer { name: name?, addresses: addresses?, interfaces: interfaces?, heartbeat: heartbeat? })
}

fn interfaces(
    at: &Pointer,
    spec: &BTreeMap<String, String>,
    findings: &mut Findings<'_>,
) -> Option<BTreeMap<String, String>> {
    let mut interfaces = Some(BTreeMap::new());
    for (alias, device) in spec {
        let at = at.key(alias.clone());
        let alias = findings.take(&at, text::device(alias).map_err(Complaint::of_key));
        let device = findings.take(&at, text::device(device));
        match (&mut interfaces, alias, device) {
            (Some(interfaces), Some(alias), Some(device)) => _ = interfaces.insert(alias, device),
            _ => interfaces = None,
        }
    }
    interfaces
}

fn heartbeat(at: &Pointer, spec: Option<&HeartbeatSpec>, findings: &mut Findings<'_>) -> Option<Heartbeat> {
    let default = Heartbeat::default();
    let Some(spec) = spec else { return Some(default) };
    let (at_interval, at_dead_after) = (at.key("interval"), at.key("deadAfter"));
    let interval = findings.duration(&at_interval, spec.interval.as_deref(), default.interval);
    let dead_after = findings.duration(&at_dead_after, spec.dead_after.as_deref(), default.dead_after)?;
    let interval = interval?;
    if !INTERVAL.contains(&interval) {
        let (first, last) = (format_duration(*INTERVAL.start()), format_duration(*INTERVAL.end()));
        findings.error(&at_interval, format!("a heartbeat interval lies between {first} and {last}"));
        return None;
    }
    let least = interval * INTERVALS;
    let dead_after = if spec.dead_after.is_none() { dead_after.max(least) } else { dead_after };
    if dead_after < least {
        let (dead_after, least) = (format_duration(dead_after), format_duration(least));
        let message = format!("deadAfter {dead_after} is less than four intervals of {}", format_duration(interval));
        let help = format!("write {least:?} or more, or shorten the interval");
        findings.error(&at_dead_after, Complaint::new(message).help(help));
        return None;
    }
    Some(Heartbeat { interval, dead_after })
}
