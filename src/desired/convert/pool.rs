use super::{
    Findings, affinity, checks,
    serving::serving,
    text::{self, Complaint, Endpoint},
};
use crate::{
    desired::{
        Pointer,
        schema::{BackendSpec, CheckSpec, ExpectSpec, HttpCheckSpec, PoolSpec, PoolTimeoutsSpec, StateSpec},
    },
    model::{Backend, BackendState, Check, CheckKind, Name, Pool, PoolTimeouts, StatusRange, format_duration},
};
use std::time::Duration;

/// More often would be an attack on the backends.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);

/// The Pool that `spec` means.
pub(in crate::desired) fn pool(name: Option<Name>, spec: &PoolSpec, findings: &mut Findings<'_>) -> Option<Pool> {
    let at = Pointer::root().key("spec");
    let balance = affinity::balance(&at.key("balance"), spec.balance.as_ref(), findings);
    let sticky = affinity::sticky(&at.key("sticky"), spec.sticky.as_ref(), findings);
    let check = check(&at.key("check"), spec.check.as_ref(), findings);
    let backends = backends(&at.key("backends"), &spec.backends, findings);
    let timeouts = timeouts(&at.key("timeouts"), spec.timeouts.as_ref(), findings);
    let serving = serving(&at, spec, timeouts.unwrap_or_default().connect, findings);
    Some(Pool {
        name: name?,
        balance: balance?,
        sticky: sticky?,
        check: check?,
        backends: backends?,
        timeouts: timeouts?,
        serving: serving?,
    })
}

fn check(at: &Pointer, spec: Option<&CheckSpec>, findings: &mut Findings<'_>) -> Option<Check> {
    let default = Check::default();
    let Some(spec) = spec else { return Some(default) };
    let kind = check_kind(at, spec, findings);
    let timing = check_timing(at, spec, findings);
    let rise = findings.number(&at.key("rise"), spec.rise.unwrap_or(default.rise.into()), 1..=1000);
    let fall = findings.number(&at.key("fall"), spec.fall.unwrap_or(default.fall.into()), 1..=1000);
    let (interval, timeout) = timing?;
    Some(Check { kind: kind?, interval, timeout, rise: rise?.into(), fall: fall?.into() })
}

fn check_kind(at: &Pointer, spec: &CheckSpec, findings: &mut Findings<'_>) -> Option<CheckKind> {
    let given = [
        ("http", spec.http.is_some()),
        ("tcp", spec.tcp.is_some()),
        ("smtp", spec.smtp.is_some()),
        ("mysql", spec.mysql.is_some()),
    ];
    let mut given = given.into_iter().filter(|(_, given)| *given).map(|(kind, _)| kind);
    if let (Some(first), Some(second)) = (given.next(), given.next()) {
        findings.error(&at.key(second), format!("a check is either {first} or {second}, not both"));
        return None;
    }
    match (&spec.http, &spec.tcp, &spec.smtp, &spec.mysql) {
        (Some(http), ..) => http_check(&at.key("http"), http, findings),
        (_, Some(tcp), ..) => checks::tcp(&at.key("tcp"), tcp, findings),
        (_, _, Some(smtp), _) => checks::smtp(&at.key("smtp"), smtp, findings),
        (.., Some(mysql)) => checks::mysql(&at.key("mysql"), mysql, findings),
        (None, None, None, None) => Some(CheckKind::Tcp),
    }
}

fn http_check(at: &Pointer, spec: &HttpCheckSpec, findings: &mut Findings<'_>) -> Option<CheckKind> {
    let path = findings.take(&at.key("path"), text::target(&spec.path));
    let host = match &spec.host {
        Some(host) => findings.take(&at.key("host"), text::host_and_port(host)).map(Some),
        None => Some(None),
    };
    let expect = expect(&at.key("expect"), spec.expect.as_ref(), findings);
    Some(CheckKind::Http { path: path?, host: host?, expect: expect? })
}

fn expect(at: &Pointer, spec: Option<&ExpectSpec>, findings: &mut Findings<'_>) -> Option<Vec<StatusRange>> {
    match spec {
        None => Some(vec![StatusRange { first: 200, last: 399 }]),
        Some(ExpectSpec::Text(text)) => findings.take(at, text::status_ranges(text)),
        Some(ExpectSpec::List(list)) => {
            findings.not_empty(at, list, "status code");
            Some(findings.each(at, list, text::status_ranges)?.concat())
        }
    }
}

/// Interval and timeout. A timeout that is left out shrinks with the interval.
fn check_timing(at: &Pointer, spec: &CheckSpec, findings: &mut Findings<'_>) -> Option<(Duration, Duration)> {
    let default = Check::default();
    let (at_interval, at_timeout) = (at.key("interval"), at.key("timeout"));
    let interval = findings.duration(&at_interval, spec.interval.as_deref(), default.interval)?;
    if interval < SHORTEST_INTERVAL {
        let shortest = format_duration(SHORTEST_INTERVAL);
        findings.error(&at_interval, format!("a check interval is at least {shortest}"));
    }
    let timeout = findings.duration(&at_timeout, spec.timeout.as_deref(), default.timeout.min(interval))?;
    if timeout > interval {
        let (timeout, interval) = (format_duration(timeout), format_duration(interval));
        let message = format!("timeout {timeout} is longer than the interval of {interval}");
        let help = format!("write {interval:?} or less, or lengthen the interval");
        findings.error(&at_timeout, Complaint::new(message).help(help));
    }
    Some((interval, timeout))
}

fn backends(at: &Pointer, specs: &[BackendSpec], findings: &mut Findings<'_>) -> Option<Vec<Backend>> {
    findings.not_empty(at, specs, "backend");
    // Collected first, so that every one of them is looked at.
    let backends: Vec<_> = specs.iter().enumerate().map(|(i, spec)| backend(&at.index(i), spec, findings)).collect();
    let backends: Vec<Backend> = backends.into_iter().collect::<Option<_>>()?;
    let names = backends.iter().map(|backend| (backend.name.clone(), format!("{:?}", backend.name)));
    findings.unique(names, |i| at.index(i).key("name"));
    findings.unique(backends.iter().map(|b| (b.address_text(), b.address_text())), |i| at.index(i).key("address"));
    if !backends.is_empty() && backends.iter().all(|backend| backend.weight == 0) {
        let help = "give one of them a weight above 0";
        findings.error(at, Complaint::new("every weight is 0: no backend would get a request").help(help));
    }
    Some(backends)
}

fn backend(at: &Pointer, spec: &BackendSpec, findings: &mut Findings<'_>) -> Option<Backend> {
    let name = findings.name(&at.key("name"), &spec.name);
    let address = findings.take(&at.key("address"), text::named_endpoint(&spec.address));
    let weight = findings.number(&at.key("weight"), spec.weight.unwrap_or(1), 0..=256);
    let max_connections = match spec.max_connections {
        None => Some(None),
        Some(max) => findings.number(&at.key("maxConnections"), max, 1..=u16::MAX).map(Some),
    };
    let state = match spec.state {
        None | Some(StateSpec::Ready) => BackendState::Ready,
        Some(StateSpec::Drain) => BackendState::Drain,
        Some(StateSpec::Maint) => BackendState::Maint,
    };
    let bare = match address? {
        Endpoint::Named(host, port) => Backend::named(name?, host, port),
        Endpoint::At(address) => Backend::new(name?, address),
    };
    Some(Backend { weight: weight?, backup: spec.backup, max_connections: max_connections?, state, ..bare })
}

fn timeouts(at: &Pointer, spec: Option<&PoolTimeoutsSpec>, findings: &mut Findings<'_>) -> Option<PoolTimeouts> {
    let default = PoolTimeouts::default();
    let Some(spec) = spec else { return Some(default) };
    let connect = findings.duration(&at.key("connect"), spec.connect.as_deref(), default.connect);
    let response = findings.duration(&at.key("response"), spec.response.as_deref(), default.response);
    Some(PoolTimeouts { connect: connect?, response: response? })
}
