//! `lbagent status`: a [`Status`] as a person likes to read it in a terminal.

use super::{
    BackendStatus, ConditionStatus, PathStatus, PeerStatus, ProblemStatus, Status, Timestamp, VipStatus,
    layout::{listed, plain, section, span, with_rows},
};
use std::fmt::Write;

const PEER_COLUMNS: [&str; 9] = ["PEER", "HEARD", "SINCE", "VERSION", "FENCED", "STATE", "PATH", "RTT", "LOST"];

/// Everything worth a look, in 80 to 120 columns, no colours, no control characters but newlines.
pub fn render(status: &Status) -> String {
    let mut text = head(status);
    section(&mut text, &["VIP", "ROLE", "OWNER", "SINCE", "EPOCH", "CLAIM", "ADDRESSES"], vips(status));
    section(&mut text, &PEER_COLUMNS, peers(status));
    let columns = ["POOL", "UP", "BACKEND", "ADDRESS", "STATE", "SINCE", "ACTIVE", "LAST CHECK"];
    section(&mut text, &columns, pools(status));
    section(&mut text, &["LISTENER", "VIP", "PROTOCOL", "OPEN", "CONNECTIONS", "REQUESTS"], listeners(status));
    let reasons = status.vips.iter().filter(|vip| !vip.why.is_empty());
    listed(
        &mut text,
        Some("Why (more with `lbagent why VIP`)"),
        reasons.map(|vip| format!("{}: {}", vip.name, vip.why)),
    );
    listed(&mut text, Some("Problems"), problems(status));
    let events = status.events.iter().rev().take(5).rev();
    let events = events.map(|event| format!("{} {}: {}", event.at, event.subject, event.message));
    listed(&mut text, Some("Last events"), events);
    text
}

fn head(status: &Status) -> String {
    let node = status.node.as_deref().unwrap_or("(in no Peer)");
    let up = span(status.now.since(status.started_at));
    let mut text = format!("{node}, lbagent {}, up {up}, {}\n", plain(&status.version), status.now);
    let state = &status.state;
    let _ = writeln!(
        text,
        "state {} (generation {}, {} objects)",
        plain(&state.dir),
        state.generation,
        state.objects.len()
    );
    if let Some(standby) = &status.standby {
        let (since, why) = (span(status.now.since(standby.since)), plain(standby.words()));
        let _ = writeln!(text, "STANDBY for {since}: {why} (`lbagent unstandby` ends it)");
    }
    for condition in &status.conditions {
        let mark = match condition.status {
            ConditionStatus::True => "ok     ",
            ConditionStatus::False => "NOT    ",
            ConditionStatus::Unknown => "unknown",
        };
        let _ = writeln!(text, "{mark}  {:<12}  {}", plain(&condition.r#type), plain(&condition.message));
    }
    text
}

fn vips(status: &Status) -> Vec<Vec<String>> {
    let row = |vip: &VipStatus| {
        let addresses = vip.addresses.iter().map(|address| match &address.interface {
            Some(interface) => format!("{}@{interface}", address.address),
            None => address.address.to_string(),
        });
        vec![
            vip.name.clone(),
            vip.role.clone().unwrap_or_else(|| "-".to_owned()),
            vip.owner.clone().unwrap_or_else(|| "nobody".to_owned()),
            ago(vip.since, status),
            vip.epoch.to_string(),
            claim(vip),
            addresses.collect::<Vec<_>>().join(" "),
        ]
    };
    status.vips.iter().map(row).collect()
}

/// What this node's ownership rests on.
fn claim(vip: &VipStatus) -> String {
    if !vip.is_active() {
        return "-".to_owned();
    }
    let verified = if vip.verified { "verified" } else { "NOT verified" };
    let leased = if vip.leased { "leased" } else { "NO LEASE" };
    format!("{verified}, {leased}")
}

fn peers(status: &Status) -> Vec<Vec<String>> {
    status.peers.iter().flat_map(|peer| peer_rows(peer, status)).collect()
}

/// One row for each path, the peer's own columns on the first.
fn peer_rows(peer: &PeerStatus, status: &Status) -> Vec<Vec<String>> {
    let heard = match (peer.me, peer.heard, peer.hears_us) {
        (true, _, _) => "(this node)",
        (_, true, true) => "yes",
        (_, true, false) => "yes, deaf",
        (_, false, _) => "NO",
    };
    let state = match (peer.me, peer.heard, peer.in_sync) {
        (true, _, _) | (_, false, _) => "-",
        (_, _, true) => "same",
        (_, _, false) => "DIFFERS",
    };
    let version = if peer.version.is_empty() { "-" } else { &peer.version };
    let fenced = peer.fenced.map_or("-", |fenced| if fenced { "yes" } else { "NO" });
    let own = [&peer.name, heard, &ago(peer.since, status), version, fenced, state].map(str::to_owned);
    with_rows(own.to_vec(), peer.paths.iter().map(path_cells).collect())
}

fn path_cells(path: &PathStatus) -> Vec<String> {
    let up = if path.up { "" } else { " DOWN" };
    vec![format!("{}{}{up}", path.remote, front(path)), rtt(path), lost(path)]
}

/// The path that no file lists.
fn front(path: &PathStatus) -> &'static str {
    if path.front { " (front)" } else { "" }
}

fn rtt(path: &PathStatus) -> String {
    path.rtt_seconds.map_or_else(|| "-".to_owned(), |rtt| format!("{:.2} ms", rtt * 1e3))
}

fn lost(path: &PathStatus) -> String {
    if path.received + path.lost == 0 { "-".to_owned() } else { format!("{:.1} %", path.loss_ratio * 100.0) }
}

/// `192.0.2.2:694 up, 0.40 ms, 1.0 % lost`
pub(super) fn path_words(path: &PathStatus) -> String {
    let up = if path.up { "up" } else { "DOWN" };
    format!("{}{} {up}, {}, {} lost", path.remote, front(path), rtt(path), lost(path))
}

fn pools(status: &Status) -> Vec<Vec<String>> {
    let rows = status.pools.iter().flat_map(|pool| {
        let own = vec![pool.name.clone(), format!("{}/{}", pool.up, pool.total)];
        with_rows(own, pool.backends.iter().map(|backend| backend_cells(backend, status)).collect())
    });
    rows.collect()
}

fn backend_cells(backend: &BackendStatus, status: &Status) -> Vec<String> {
    let state = backend.in_a_word();
    let backup = if backend.backup { " (backup)" } else { "" };
    let check = match &backend.last_check {
        Some(last) => format!("{} in {:.1} ms", last.detail, last.seconds * 1e3),
        None => "not yet".to_owned(),
    };
    vec![
        backend.name.clone(),
        backend.place(),
        format!("{state}{backup}"),
        ago(backend.since, status),
        backend.active.to_string(),
        check,
    ]
}

fn listeners(status: &Status) -> Vec<Vec<String>> {
    let all = status.vips.iter().flat_map(|vip| vip.listeners.iter().map(move |listener| (vip, listener)));
    let rows = all.map(|(vip, listener)| {
        vec![
            listener.address.to_string(),
            vip.name.clone(),
            listener.protocol.clone(),
            if listener.open { "yes" } else { "NO" }.to_owned(),
            listener.connections.to_string(),
            listener.requests.to_string(),
        ]
    });
    rows.collect()
}

fn problems(status: &Status) -> impl Iterator<Item = String> {
    let unfit = status.vips.iter().flat_map(|vip| {
        vip.ineligible.iter().map(move |reason| format!("warning: {}: this node is not fit: {reason}", vip.name))
    });
    let line = |problem: &ProblemStatus| {
        format!("{}{}: {}", problem.place(), problem.severity.to_lowercase(), problem.message)
    };
    status.state.problems.iter().chain(&status.problems).map(line).chain(unfit)
}

fn ago(since: Option<Timestamp>, status: &Status) -> String {
    since.map_or_else(|| "-".to_owned(), |since| span(status.now.since(since)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{Problem, Standby},
        status::{build::tests::golden, fixture::World},
    };
    use std::time::Duration;

    #[test]
    fn a_world_in_good_order_reads_as_the_golden_text() {
        golden("status.txt", &render(&World::new().status()));
    }

    #[test]
    fn what_is_wrong_stands_out() {
        let mut world = World::new().bad_file().down(&["webA"]);
        world.peer().heard = false;
        world.vip().owner = None;
        world.problems.push(Problem::warning("Odd", "an odd \u{1b}[31mthing\nsecond line"));
        world.lease.fenced = Err("no nf_tables".into());
        (world.vip().leased, world.vip().verified) = (false, false);
        let since = world.clock.instant - Duration::from_secs(65);
        world.standby = Some(Standby { since, reason: "kernel update".into(), forced: false });
        let text = render(&world.status());
        for expected in [
            "NOT      StateValid",
            "NOT      PeersHeard",
            "NOT      Fenced",
            "STANDBY for 1m 5s: kernel update (`lbagent unstandby` ends it)\n",
            "NOT verified, NO LEASE",
            "DOWN",
            "connection refused",
            "nobody",
            "vip-web.json:9:16: error: unknown balance",
            "warning: an odd  [31mthing second line",
        ] {
            assert!(text.contains(expected), "no {expected:?} in\n{text}");
        }
        assert!(!text.replace('\n', "").contains(|c: char| c.is_control()));
    }

    #[test]
    fn an_empty_status_is_a_head_without_tables() {
        let text = render(&Status::default());
        assert!(text.starts_with("(in no Peer), lbagent"), "{text}");
        assert_eq!(text.lines().count(), 2, "{text}");
    }
}
