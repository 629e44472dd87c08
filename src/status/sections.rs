//! The sections of [`Status`](super::Status) about Vips, peers and pools: each says how one desired object is.

use super::{
    BackendStatus, CheckStatus, ForeignStatus, Inputs, ListenerStatus, PathStatus, PeerStatus, PoolStatus,
    StandingStatus, Timestamp, VipAddressStatus, VipStatus,
};
use crate::model::{
    Backend, BackendState, Check, CheckKind, FailbackMode, Health, Listener, PathView, Peer, PeerView, Pool, Responses,
    Role, Standing, Vip, VipAddress, VipView, format_duration,
};
use std::{collections::BTreeMap, net::SocketAddr};

/// In order of name.
pub(super) fn vips(inputs: &Inputs<'_>) -> Vec<VipStatus> {
    inputs.desired.vips.values().map(|vip| vip_status(vip, inputs)).collect()
}

/// In order of name, this node included.
pub(super) fn peers(inputs: &Inputs<'_>) -> Vec<PeerStatus> {
    inputs.desired.peers.values().map(|peer| peer_status(peer, inputs)).collect()
}

/// In order of name.
pub(super) fn pools(inputs: &Inputs<'_>) -> Vec<PoolStatus> {
    inputs.desired.pools.values().map(|pool| pool_status(pool, inputs)).collect()
}

fn vip_status(vip: &Vip, inputs: &Inputs<'_>) -> VipStatus {
    let mut status = VipStatus {
        name: vip.name.to_string(),
        why: "this node is none of the Vip's nodes".to_owned(),
        nodes: vip.nodes.iter().map(ToString::to_string).collect(),
        failback: failback_word(vip.failback.mode).to_owned(),
        addresses: vip.addresses.iter().map(|address| address_status(*address, inputs)).collect(),
        ..VipStatus::default()
    };
    if vip.nodes.contains(inputs.node) {
        status.role = Some("Initialize".to_owned());
        status.why = "the election has not begun".to_owned();
        status.ineligible = ineligible(vip, inputs);
        status.listeners = listeners(vip, inputs);
    }
    if let Some(view) = inputs.election.vips.get(&vip.name) {
        decided(&mut status, view, inputs);
    }
    if status.is_active() {
        status.rivals = rivals(vip, inputs);
    }
    status
}

fn rivals(vip: &Vip, inputs: &Inputs<'_>) -> Vec<String> {
    let claims = |view: &PeerView| {
        let roles = vip.addresses.iter().filter_map(|address| view.roles.get(&address.ip));
        view.heard && roles.into_iter().any(|role| *role == Role::Active)
    };
    let peers = inputs.election.peers.iter().filter(|(_, view)| claims(view));
    peers.map(|(name, _)| name.to_string()).collect()
}

fn decided(status: &mut VipStatus, view: &VipView, inputs: &Inputs<'_>) {
    status.role = Some(view.role.as_str().to_owned());
    status.since = Some(inputs.clock.wall_of(view.since));
    status.why.clone_from(&view.why);
    status.owner = view.owner.as_ref().map(ToString::to_string);
    status.epoch = view.epoch;
    status.foreign = view.foreign.map(|(address, mac)| ForeignStatus { address, mac: mac.to_string() });
    status.became_active = view.became_active;
    status.dual_owner_seconds = view.dual_owner.as_secs_f64();
    status.dual_owner_last = dual_owner_last(status, inputs);
    status.verified = view.verified;
    status.leased = view.leased;
    status.standings = view.standings.iter().map(standing_status).collect();
    status.rules.clone_from(&view.rules);
}

/// The election keeps how long it was; when it last grew is seen by comparing with the status before this one.
fn dual_owner_last(status: &VipStatus, inputs: &Inputs<'_>) -> Option<Timestamp> {
    let before = inputs.previous.and_then(|before| before.vips.iter().find(|vip| vip.name == status.name));
    let grown = status.dual_owner_seconds > before.map_or(0.0, |before| before.dual_owner_seconds);
    if grown { Some(inputs.clock.now()) } else { before.and_then(|before| before.dual_owner_last) }
}

fn standing_status(standing: &Standing) -> StandingStatus {
    StandingStatus {
        node: standing.node.to_string(),
        me: standing.me,
        heard: standing.heard,
        role: standing.role.map(|role| role.as_str().to_owned()),
        epoch: standing.epoch,
        holding: standing.holding,
        eligible: standing.eligible,
        reason: standing.reason.clone(),
        settled: standing.settled,
        fenced: standing.fenced,
        verified: standing.verified,
        same_state: standing.same_state,
    }
}

fn failback_word(mode: FailbackMode) -> &'static str {
    match mode {
        FailbackMode::Auto => "auto",
        FailbackMode::Manual => "manual",
    }
}

fn ineligible(vip: &Vip, inputs: &Inputs<'_>) -> Vec<String> {
    let Some(eligibility) = inputs.eligibility.get(&vip.name) else { return Vec::new() };
    let leaving = eligibility.leaving.then(|| "the agent is leaving".to_owned());
    eligibility.reasons.iter().cloned().chain(leaving).collect()
}

fn address_status(address: VipAddress, inputs: &Inputs<'_>) -> VipAddressStatus {
    let observed = inputs.network.addresses.iter().filter(|observed| observed.ip == address.ip);
    // Where lbagent and somebody else both put it, lbagent's is the one to show.
    let observed = observed.max_by_key(|observed| observed.ours);
    let link = observed.and_then(|observed| inputs.network.links.get(&observed.link));
    VipAddressStatus {
        address: address.ip,
        prefix_length: address.prefix_len,
        held: observed.is_some(),
        ours: observed.is_some_and(|observed| observed.ours),
        leased: inputs.lease.running.get(&address.ip) == Some(&true),
        interface: link.map(|link| link.name.clone()),
    }
}

fn listeners(vip: &Vip, inputs: &Inputs<'_>) -> Vec<ListenerStatus> {
    let each = vip.listeners.iter().flat_map(|listener| vip.addresses.iter().map(move |address| (listener, address)));
    each.map(|(listener, address)| listener_status(listener, SocketAddr::new(address.ip, listener.port), inputs))
        .collect()
}

fn listener_status(listener: &Listener, address: SocketAddr, inputs: &Inputs<'_>) -> ListenerStatus {
    let traffic = inputs.traffic.listeners.get(&address).copied().unwrap_or_default();
    let (open, error) = match inputs.listeners.get(&address) {
        Some(Ok(())) => (true, None),
        Some(Err(error)) => (false, Some(error.clone())),
        None => (false, Some("not opened yet".to_owned())),
    };
    ListenerStatus {
        address,
        protocol: listener.protocol.as_str().to_owned(),
        open,
        error,
        connections: traffic.active,
        accepted: traffic.accepted,
        requests: traffic.requests,
        responses: by_class(traffic.responses),
        bytes_in: traffic.bytes_in,
        bytes_out: traffic.bytes_out,
        refused: traffic.refused,
        limited: traffic.limited,
        proxy_refused: traffic.proxy_refused,
    }
}

fn by_class(responses: Responses) -> BTreeMap<String, u64> {
    responses.by_class().map(|(class, count)| (class.to_owned(), count)).collect()
}

fn peer_status(peer: &Peer, inputs: &Inputs<'_>) -> PeerStatus {
    let me = peer.name == *inputs.node;
    let status = PeerStatus { name: peer.name.to_string(), me, ..PeerStatus::default() };
    match inputs.election.peers.get(&peer.name) {
        _ if me => PeerStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            in_sync: true,
            fenced: Some(inputs.lease.fenced.is_ok()),
            ..status
        },
        Some(view) => heard_of(status, view, inputs),
        None => status,
    }
}

fn heard_of(status: PeerStatus, view: &PeerView, inputs: &Inputs<'_>) -> PeerStatus {
    PeerStatus {
        heard: view.heard,
        hears_us: view.hears_us,
        fenced: view.heard.then_some(view.fenced),
        vanished: view.vanished,
        since: Some(inputs.clock.wall_of(view.since)),
        version: view.version.clone(),
        in_sync: view.heard && view.differs.is_empty(),
        differs: view.differs.iter().copied().collect(),
        roles: view.roles.iter().map(|(address, role)| (*address, role.as_str().to_owned())).collect(),
        macs: view.macs.iter().map(ToString::to_string).collect(),
        paths: view.paths.iter().map(path_status).collect(),
        ..status
    }
}

fn path_status(path: &PathView) -> PathStatus {
    PathStatus {
        local: path.local,
        remote: path.remote,
        up: path.up,
        rtt_seconds: path.rtt.map(|rtt| rtt.as_secs_f64()),
        sent: path.sent,
        received: path.received,
        lost: path.lost,
        loss_ratio: f64::from(path.loss_permille) / 1000.0,
        front: path.front,
        rejected: path.rejected.iter().map(|(reason, count)| ((*reason).to_owned(), *count)).collect(),
    }
}

fn pool_status(pool: &Pool, inputs: &Inputs<'_>) -> PoolStatus {
    let backends: Vec<_> = pool.backends.iter().map(|backend| backend_status(pool, backend, inputs)).collect();
    let up = backends.iter().filter(|backend| backend.up).count();
    let queue = inputs.traffic.pools.get(&pool.name).copied().unwrap_or_default();
    PoolStatus {
        name: pool.name.to_string(),
        balance: pool.balance.as_str().to_owned(),
        check: check_words(&pool.check),
        up,
        total: backends.len(),
        on_backup: up > 0 && backends.iter().all(|backend| backend.backup || !backend.up),
        queued: queue.queued,
        queued_total: queue.queued_total,
        queue_timeouts: queue.queue_timeouts,
        queue_refused: queue.queue_refused,
        backends,
    }
}

fn check_words(check: &Check) -> String {
    let every = format_duration(check.interval);
    match &check.kind {
        CheckKind::Tcp => format!("tcp connect every {every}"),
        CheckKind::Http { path, .. } => format!("GET {path} every {every}"),
        CheckKind::Exchange { .. } => format!("tcp send and expect every {every}"),
        CheckKind::Smtp { .. } => format!("smtp every {every}"),
        CheckKind::Mysql { user: Some(user) } => format!("mysql as {user} every {every}"),
        CheckKind::Mysql { user: None } => format!("mysql every {every}"),
    }
}

fn backend_status(pool: &Pool, backend: &Backend, inputs: &Inputs<'_>) -> BackendStatus {
    let key = (pool.name.clone(), backend.name.clone());
    let health = inputs.health.get(&key);
    let traffic = inputs.traffic.backends.get(&key).copied().unwrap_or_default();
    BackendStatus {
        name: backend.name.to_string(),
        address: backend.address,
        host: backend.host.clone(),
        weight: backend.weight,
        backup: backend.backup,
        up: backend.state != BackendState::Maint && backend.is_known() && health.is_none_or(|health| health.up),
        state: backend.state.as_str().to_owned(),
        ejected: inputs.traffic.ejected.contains(&key),
        ejections: traffic.ejections,
        port_exhausted: traffic.port_exhausted,
        max_connections: backend.max_connections,
        since: health.map(|health| inputs.clock.wall_of(health.since)),
        transitions: health.map_or(0, |health| health.transitions),
        against: health.map_or(0, |health| health.against),
        passed: health.map_or(0, |health| health.passed),
        failed: health.map_or(0, |health| health.failed),
        last_check: health.and_then(|health| last_check(health, inputs)),
        active: traffic.active,
        idle: traffic.idle,
        connections: traffic.connections,
        connect_errors: traffic.connect_errors,
        requests: traffic.requests,
        responses: by_class(traffic.responses),
        bytes_in: traffic.bytes_in,
        bytes_out: traffic.bytes_out,
        retries: traffic.retries,
        redispatches: traffic.redispatches,
        failures: traffic.failures,
    }
}

fn last_check(health: &Health, inputs: &Inputs<'_>) -> Option<CheckStatus> {
    let last = health.last.as_ref()?;
    Some(CheckStatus {
        ok: last.ok,
        detail: last.detail.clone(),
        seconds: last.took.as_secs_f64(),
        at: inputs.clock.wall_of(last.at),
    })
}
