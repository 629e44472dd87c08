//! What is written about a listener's clients, and how much each of them may have.

use super::{
    Findings,
    text::{self, Complaint},
};
use crate::{
    desired::{
        Pointer,
        schema::{AccessLogSpec, ListenerSpec, LogFormatSpec, LogTargetSpec, ProtocolSpec, RequestRateSpec},
    },
    model::{AccessLog, LogFormat, LogTarget, RequestRate, SourceLimits, format_duration},
};
use std::{path::PathBuf, time::Duration};

const SHORTEST_PERIOD: Duration = Duration::from_millis(10);
const LONGEST_PERIOD: Duration = Duration::from_secs(3600);

/// `None`: a mistake. `Some(None)`: nothing is written.
pub(super) fn access_log(
    at: &Pointer,
    spec: Option<&AccessLogSpec>,
    findings: &mut Findings<'_>,
) -> Option<Option<AccessLog>> {
    let Some(spec) = spec else { return Some(None) };
    let format = match spec.format {
        LogFormatSpec::Json => LogFormat::Json,
        LogFormatSpec::Haproxy => LogFormat::Haproxy,
    };
    let at = at.key("to");
    let to = match &spec.to {
        LogTargetSpec::Stdout(_) => LogTarget::Stdout,
        LogTargetSpec::File(file) => {
            LogTarget::File(findings.take(&at.key("file"), text::absolute(&file.file)).map(PathBuf::from)?)
        }
        LogTargetSpec::Syslog(log) => {
            LogTarget::Syslog(findings.take(&at.key("syslog"), text::absolute(&log.syslog)).map(PathBuf::from)?)
        }
    };
    Some(Some(AccessLog { format, to }))
}

/// The limits of a listener.
pub(super) fn limits(at: &Pointer, listener: &ListenerSpec, findings: &mut Findings<'_>) -> Option<SourceLimits> {
    let Some(spec) = &listener.limits else { return Some(SourceLimits::default()) };
    let connections = match spec.connections_per_source {
        None => Some(None),
        Some(most) => findings.number(&at.key("connectionsPerSource"), most, 1..=u16::MAX).map(Some),
    };
    let at = at.key("requestsPerSource");
    let requests = match &spec.requests_per_source {
        None => Some(None),
        Some(_) if listener.protocol == ProtocolSpec::Tcp => {
            let error = Complaint::new("a TCP listener has no requests to count");
            findings.error(&at, error.help("limit \"connectionsPerSource\", or make the protocol \"http\""));
            None
        }
        Some(spec) => rate(&at, spec, findings).map(Some),
    };
    Some(SourceLimits { connections: connections?, requests: requests? })
}

fn rate(at: &Pointer, spec: &RequestRateSpec, findings: &mut Findings<'_>) -> Option<RequestRate> {
    let count = findings.number(&at.key("count"), spec.count, 1..=u16::MAX);
    let at = at.key("per");
    let per = findings.duration(&at, Some(&spec.per), LONGEST_PERIOD)?;
    if !(SHORTEST_PERIOD..=LONGEST_PERIOD).contains(&per) {
        let (shortest, longest) = (format_duration(SHORTEST_PERIOD), format_duration(LONGEST_PERIOD));
        findings.error(&at, format!("a period lies between {shortest} and {longest}, not {}", format_duration(per)));
    }
    Some(RequestRate { count: count?, per })
}
