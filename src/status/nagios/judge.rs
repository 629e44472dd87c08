//! What is good and bad about each object, and the numbers that go with it.

use super::{DUAL_OWNER_FOR, Report, Severity, Thresholds};
use crate::status::{Condition, ConditionStatus, PeerStatus, PoolStatus, Status, Timestamp, VipStatus, layout::span};

/// What was found out about one thing: a verdict and the words.
type Finding = (Severity, String);

/// Everything: the worst of all findings first.
pub(super) fn all(status: &Status, thresholds: Thresholds) -> Report {
    let mut findings = agent(status);
    findings.extend(status.vips.iter().flat_map(|vip| vip_findings(vip, status.now)));
    findings.extend(status.pools.iter().filter_map(|pool| pool_finding(pool, thresholds)));
    findings.extend(status.peers.iter().filter_map(peer_finding));
    let mine = || status.vips.iter().filter(|vip| vip.role.is_some());
    let active = mine().filter(|vip| vip.is_active()).count();
    let others = || status.peers.iter().filter(|peer| !peer.me);
    let heard = others().filter(|peer| peer.heard).count();
    let (up, total) = status.pools.iter().fold((0, 0), |(up, total), pool| (up + pool.up, total + pool.total));
    let good = format!(
        "{} of {} Vips active on {}, {heard} of {} peers heard, {up} of {total} backends up",
        active,
        mine().count(),
        status.node.as_deref().unwrap_or("no node"),
        others().count(),
    );
    let problems = status.problems.len() + status.state.problems.len();
    let perfdata = vec![
        perf("vips_active", active, "", "", mine().count()),
        perf("peers_heard", heard, "", "", others().count()),
        perf("backends_up", up, "", "", total),
        format!("'problems'={problems};;;0"),
    ];
    report(good, findings, perfdata)
}

/// One Vip.
pub(super) fn vip(status: &Status, vip: &VipStatus) -> Report {
    let good = match (&vip.role, &vip.owner) {
        (None, _) => format!("{}: this node is none of its nodes", vip.name),
        (Some(role), Some(owner)) => format!("{} on {owner} (this node is {role})", vip.name),
        (Some(role), None) => format!("{} (this node is {role})", vip.name),
    };
    let held = vip.addresses.iter().filter(|address| address.held).count();
    let connections: u64 = vip.listeners.iter().map(|listener| listener.connections).sum();
    let requests: u64 = vip.listeners.iter().map(|listener| listener.requests).sum();
    let perfdata = vec![
        format!("'active'={};;;0;1", u8::from(vip.is_active())),
        perf("held", held, "", "", vip.addresses.len()),
        format!("'connections'={connections};;;0"),
        format!("'requests'={requests}c;;;0"),
    ];
    let mut findings = vip_findings(vip, status.now);
    findings.extend(vip.fenced().and_then(not_fenced));
    findings.extend(problems_of(status, "Vip", &vip.name));
    report(good, findings, perfdata)
}

/// One pool.
pub(super) fn pool(status: &Status, pool: &PoolStatus, thresholds: Thresholds) -> Report {
    let good = format!("{}: {} of {} backends up", pool.name, pool.up, pool.total);
    let (warning, critical) = limits(pool, thresholds);
    let active: u64 = pool.backends.iter().map(|backend| backend.active).sum();
    let perfdata = vec![
        perf("backends_up", pool.up, &format!("{warning}:"), &format!("{critical}:"), pool.total),
        format!("'active'={active};;;0"),
    ];
    let findings = pool_finding(pool, thresholds).into_iter().chain(problems_of(status, "Pool", &pool.name));
    let mut report = report(good, findings.collect(), perfdata);
    report.details = pool.backends.iter().map(backend_line).collect();
    report
}

/// One node.
pub(super) fn peer(status: &Status, peer: &PeerStatus) -> Report {
    let good = if peer.me {
        format!("{} is this node", peer.name)
    } else {
        let up = peer.paths.iter().filter(|path| path.up).count();
        format!("{} heard on {up} of {} paths", peer.name, peer.paths.len())
    };
    let rtt = peer.paths.iter().filter_map(|path| path.rtt_seconds).reduce(f64::min);
    let lost: u64 = peer.paths.iter().map(|path| path.lost).sum();
    let mut perfdata = vec![
        format!("'heard'={};;;0;1", u8::from(peer.heard || peer.me)),
        perf("paths_up", peer.paths.iter().filter(|path| path.up).count(), "", "", peer.paths.len()),
        format!("'lost'={lost}c;;;0"),
    ];
    perfdata.extend(rtt.map(|rtt| format!("'rtt'={rtt:.6}s;;;0")));
    let mut findings: Vec<Finding> = peer_finding(peer).into_iter().collect();
    if peer.me {
        findings.extend(standby_finding(status));
        findings.extend(status.condition("Fenced").and_then(not_fenced));
    }
    findings.extend(problems_of(status, "Peer", &peer.name));
    report(good, findings, perfdata)
}

/// What is wrong with the object's file or on this machine because of it: somebody who checks only this object must
/// learn of it. What the verdict on a Vip says itself is not said twice.
fn problems_of(status: &Status, kind: &str, name: &str) -> Vec<Finding> {
    let object = format!("{kind}/{name}");
    let all = status.problems.iter().chain(&status.state.problems);
    let about = all.filter(|problem| problem.object.as_ref() == Some(&object) && problem.reason != "ForeignHolder");
    about.map(|problem| (Severity::Warning, problem.message.clone())).collect()
}

fn agent(status: &Status) -> Vec<Finding> {
    let mut findings = Vec::new();
    for r#type in ["Ready", "StateValid"] {
        let failed = status.condition(r#type).filter(|condition| condition.status != ConditionStatus::True);
        findings.extend(failed.map(|condition| (Severity::Warning, condition.message.clone())));
    }
    findings.extend(status.condition("Fenced").and_then(not_fenced));
    findings.extend(standby_finding(status));
    let problems = status.problems.iter().filter(|problem| problem.is_error());
    findings.extend(problems.map(|problem| (Severity::Warning, problem.message.clone())));
    findings
}

/// Never more than a warning: clients are served, and it says nothing about what the agent does while it lives.
fn not_fenced(fenced: &Condition) -> Option<Finding> {
    let finding = || (Severity::Warning, format!("not fenced: {}", fenced.message));
    (fenced.status == ConditionStatus::False).then(finding)
}

fn standby_finding(status: &Status) -> Option<Finding> {
    let standby = status.standby.as_ref()?;
    let node = status.node.as_deref().unwrap_or("this node");
    let since = span(status.now.since(standby.since));
    Some((Severity::Warning, format!("{node} is in standby since {since}: {}", standby.words())))
}

fn vip_findings(vip: &VipStatus, now: Timestamp) -> Vec<Finding> {
    let Some(role) = &vip.role else { return Vec::new() };
    let mut findings = Vec::new();
    if let Some((_, message)) = vip.trouble() {
        findings.push((Severity::Critical, message));
    } else if vip.is_initializing() {
        findings.push((Severity::Unknown, format!("{} is not decided yet: {}", vip.name, vip.why)));
    }
    if let Some(last) = vip.dual_owner_last.filter(|last| now.since(*last) <= DUAL_OWNER_FOR) {
        let (ago, seconds) = (span(now.since(last)), vip.dual_owner_seconds);
        let words = format!("{}: two owners were seen {ago} ago, for {seconds:.3} s since the agent started", vip.name);
        findings.push((Severity::Warning, words));
    }
    for listener in vip.listeners.iter().filter(|listener| !listener.open) {
        let why = listener.error.as_deref().unwrap_or("closed");
        let severity = if vip.is_active() { Severity::Critical } else { Severity::Warning };
        findings.push((severity, format!("{}: {} is not open: {why}", vip.name, listener.address)));
    }
    if !vip.ineligible.is_empty() {
        let reasons = vip.ineligible.join(", ");
        findings.push((Severity::Warning, format!("{}: this node ({role}) is not fit: {reasons}", vip.name)));
    }
    findings
}

fn limits(pool: &PoolStatus, thresholds: Thresholds) -> (usize, usize) {
    // Whoever has put a backend into maintenance knows that it is not up.
    let expected = pool.backends.iter().filter(|backend| backend.state != "maint").count();
    (thresholds.warning.unwrap_or(expected), thresholds.critical.unwrap_or(1))
}

fn pool_finding(pool: &PoolStatus, thresholds: Thresholds) -> Option<Finding> {
    let (warning, critical) = limits(pool, thresholds);
    let severity = if pool.up == 0 || pool.up < critical {
        Severity::Critical
    } else if pool.up < warning || pool.on_backup && pool.backends.iter().any(|backend| !backend.backup) {
        Severity::Warning
    } else {
        return None;
    };
    let down = pool.backends.iter().filter(|backend| !backend.up).map(|backend| {
        let detail = match &backend.last_check {
            _ if backend.state == "maint" => "in maintenance",
            _ if backend.address.ip().is_unspecified() => "name not found",
            last => last.as_ref().map_or("", |last| &last.detail),
        };
        format!("{} {detail}", backend.name)
    });
    let down: Vec<String> = down.collect();
    let on_backup = if pool.on_backup { ", only backups" } else { "" };
    let mut words = format!("{}: {} of {} backends up{on_backup}", pool.name, pool.up, pool.total);
    // All may be up and yet be fewer than `-w` or `-c` wants.
    if !down.is_empty() {
        words += &format!(" ({})", down.join(", "));
    }
    Some((severity, words))
}

fn backend_line(backend: &crate::status::BackendStatus) -> String {
    let detail = backend.last_check.as_ref().map_or("not checked", |last| &last.detail);
    format!("{} {} {}: {detail}", backend.name, backend.place(), backend.in_a_word())
}

fn peer_finding(peer: &PeerStatus) -> Option<Finding> {
    let words = if peer.me || peer.heard && peer.hears_us && peer.in_sync && peer.paths.iter().all(|path| path.up) {
        return None;
    } else if !peer.heard {
        format!("nothing heard from {}", peer.name)
    } else if !peer.hears_us {
        format!("{} does not hear this node", peer.name)
    } else if !peer.in_sync {
        format!("{} has other state than this node", peer.name)
    } else {
        let down = peer.paths.iter().filter(|path| !path.up).map(|path| path.remote.to_string());
        format!("{} is not heard on {}", peer.name, down.collect::<Vec<_>>().join(", "))
    };
    Some((Severity::Warning, words))
}

/// The first line tells the worst; the others follow as details.
fn report(good: String, mut findings: Vec<Finding>, perfdata: Vec<String>) -> Report {
    findings.sort_by_key(|(severity, _)| std::cmp::Reverse(*severity));
    findings.dedup();
    let Some((severity, worst)) = findings.first().cloned() else {
        return Report { severity: Severity::Ok, summary: good, perfdata, details: Vec::new() };
    };
    let more = if findings.len() > 1 { format!(" (and {} more)", findings.len() - 1) } else { String::new() };
    let details = findings.iter().map(|(severity, words)| format!("{}: {words}", severity.as_str())).collect();
    Report { severity, summary: format!("{worst}{more}"), perfdata, details }
}

fn perf(label: &str, value: usize, warning: &str, critical: &str, most: usize) -> String {
    format!("'{label}'={value};{warning};{critical};0;{most}")
}
