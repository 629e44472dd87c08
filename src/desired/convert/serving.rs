//! How a pool uses its backends.

use super::{Findings, connecting::connecting, text::Complaint};
use crate::{
    desired::{
        Pointer,
        schema::{EjectionSpec, IdleSpec, PoolSpec, QueueSpec, ResolveSpec},
    },
    model::{Ejection, IdleLimits, QueueLimits, Serving, format_duration},
};
use std::time::Duration;

/// More often would be an attack on the name servers.
const SHORTEST_RESOLVE: Duration = Duration::from_millis(100);

/// `connect` is the time that a connection to a backend may take.
pub(super) fn serving(
    at: &Pointer,
    spec: &PoolSpec,
    connect: Duration,
    findings: &mut Findings<'_>,
) -> Option<Serving> {
    let default = Serving::default();
    let retries = findings.number(&at.key("retries"), spec.retries.unwrap_or(default.retries.into()), 0..=100);
    let idle = idle(&at.key("idle"), spec.idle.as_ref(), findings);
    let queue = queue(&at.key("queue"), spec.queue.as_ref(), connect, findings);
    let slow_start = match &spec.slow_start {
        None => Some(None),
        Some(text) => findings.duration(&at.key("slowStart"), Some(text), connect).map(Some),
    };
    let ejection = match &spec.ejection {
        None => Some(None),
        Some(spec) => ejection(&at.key("ejection"), spec, findings).map(Some),
    };
    let resolve = resolve(&at.key("resolve"), spec.resolve.as_ref(), findings);
    let connecting = connecting(at, spec, findings);
    Some(Serving {
        retries: retries?,
        idle: idle?,
        queue: queue?,
        slow_start: slow_start?,
        ejection: ejection?,
        resolve: resolve?,
        connecting: connecting?,
    })
}

fn resolve(at: &Pointer, spec: Option<&ResolveSpec>, findings: &mut Findings<'_>) -> Option<Duration> {
    let default = Serving::default().resolve;
    let at = at.key("interval");
    let interval = findings.duration(&at, spec.and_then(|spec| spec.interval.as_deref()), default)?;
    if interval < SHORTEST_RESOLVE {
        let (interval, shortest) = (format_duration(interval), format_duration(SHORTEST_RESOLVE));
        let help = format!("write {shortest:?} or more");
        findings.error(&at, Complaint::new(format!("interval {interval} is shorter than {shortest}")).help(help));
    }
    Some(interval)
}

fn idle(at: &Pointer, spec: Option<&IdleSpec>, findings: &mut Findings<'_>) -> Option<IdleLimits> {
    let default = IdleLimits::default();
    let Some(spec) = spec else { return Some(default) };
    let max = findings.number(&at.key("max"), spec.max.unwrap_or(default.max.into()), 0..=u16::MAX);
    let expiry = findings.duration(&at.key("expiry"), spec.expiry.as_deref(), default.expiry);
    Some(IdleLimits { max: max?, expiry: expiry? })
}

fn queue(
    at: &Pointer,
    spec: Option<&QueueSpec>,
    connect: Duration,
    findings: &mut Findings<'_>,
) -> Option<QueueLimits> {
    let default = QueueLimits { timeout: connect, ..QueueLimits::default() };
    let Some(spec) = spec else { return Some(default) };
    let max = findings.number(&at.key("max"), spec.max.unwrap_or(default.max.into()), 0..=u16::MAX);
    let timeout = findings.duration(&at.key("timeout"), spec.timeout.as_deref(), default.timeout);
    Some(QueueLimits { max: max?, timeout: timeout? })
}

fn ejection(at: &Pointer, spec: &EjectionSpec, findings: &mut Findings<'_>) -> Option<Ejection> {
    let default = Ejection::default();
    let errors = findings.number(&at.key("errors"), spec.errors.unwrap_or(default.errors.into()), 1..=1000);
    let period = findings.duration(&at.key("for"), spec.period.as_deref(), default.period);
    Some(Ejection { errors: errors?, period: period?, on_5xx: spec.on_5xx })
}
