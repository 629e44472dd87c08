//! The tables of metrics that have one sample per object: one row each, in the order of the page.

use crate::status::{
    BackendStatus, FenceStatus, ListenerStatus, PathStatus, PeerStatus, PoolStatus, ProcessStatus, ProxyStatus, Status,
    VipStatus,
};
use prometheus::proto::MetricType;

/// A metric of an object of type `T`.
pub(super) struct Row<T> {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) kind: MetricType,
    /// `None`: there is no such number for this object (yet).
    pub(super) value: fn(&T) -> Option<f64>,
}

const fn gauge<T>(name: &'static str, help: &'static str, value: fn(&T) -> Option<f64>) -> Row<T> {
    Row { name, help, kind: MetricType::GAUGE, value }
}

const fn counter<T>(name: &'static str, help: &'static str, value: fn(&T) -> Option<f64>) -> Row<T> {
    Row { name, help, kind: MetricType::COUNTER, value }
}

fn truth(value: bool) -> Option<f64> {
    Some(f64::from(u8::from(value)))
}

fn count(value: u64) -> Option<f64> {
    Some(value as f64)
}

fn http_count(listener: &ListenerStatus, value: u64) -> Option<f64> {
    (listener.protocol == "http").then_some(value as f64)
}

#[rustfmt::skip]
pub(super) const STATE: &[Row<Status>] = &[
    gauge("lbagent_state_generation", "Grows with each change of state that took effect.",
        |status| count(status.state.generation)),
    gauge("lbagent_state_objects", "Objects in force.",
        |status| count(status.state.objects.len() as u64)),
];

#[rustfmt::skip]
pub(super) const RECONCILE: &[Row<Status>] = &[
    counter("lbagent_reconcile_errors_total", "Passes of the reconcile loop in which something could not be done.",
        |status| count(status.reconcile.errors)),
    gauge("lbagent_reconcile_last_duration_seconds", "How long the last pass took.",
        |status| status.reconcile.last_at.map(|_| status.reconcile.last_seconds)),
    gauge("lbagent_reconcile_last_timestamp_seconds", "When the last pass ended.",
        |status| status.reconcile.last_at.map(|at| at.unix_seconds())),
];

/// Of this node: what ends its ownership when its agent stops proving it.
#[rustfmt::skip]
pub(super) const FENCE: &[Row<FenceStatus>] = &[
    gauge("lbagent_fenced", "1 if the kernel takes the addresses from an agent that hangs or dies.",
        |fence| truth(fence.enforced)),
    gauge("lbagent_lease_realtime", "1 if the thread that renews the leases has real-time priority.",
        |fence| truth(fence.realtime)),
    gauge("lbagent_leases", "Addresses that this node may speak for.",
        |fence| count(fence.leased.len() as u64)),
    counter("lbagent_lease_renewals_total", "Renewals of leases.",
        |fence| count(fence.renewals)),
    counter("lbagent_lease_renewals_failed_total", "Renewals that failed for another reason than the end of a lease.",
        |fence| count(fence.failed_renewals)),
    counter("lbagent_lease_lost_total", "Leases that ended although nobody gave them up.",
        |fence| count(fence.lost)),
    gauge("lbagent_lease_renewal_lateness_seconds_max", "The worst time by which a renewal came later than it was due.",
        |fence| Some(fence.worst_lateness_seconds)),
];

/// Of the data plane as a whole.
#[rustfmt::skip]
pub(super) const PROXY: &[Row<ProxyStatus>] = &[
    gauge("lbagent_proxy_connections", "Client connections open, of all listeners that are or were.",
        |proxy| count(proxy.connections)),
    gauge("lbagent_proxy_parked_connections", "Those of them that have been idle for a second or more.",
        |proxy| count(proxy.parked)),
    gauge("lbagent_proxy_max_connections", "The limit on those; more wait in the kernel's queues.",
        |proxy| count(proxy.max_connections)),
    counter("lbagent_proxy_accept_failures_total", "Times that nothing could be accepted for want of descriptors or memory.",
        |proxy| count(proxy.accept_failures)),
    counter("lbagent_access_log_dropped_lines_total", "Lines that never reached an access log because its target failed or was too slow.",
        |proxy| count(proxy.access_log_dropped)),
];

/// Of the Vips that name this node.
#[rustfmt::skip]
pub(super) const VIPS: &[Row<VipStatus>] = &[
    gauge("lbagent_vip_active", "1 if this node owns the Vip.",
        |vip| truth(vip.is_active())),
    gauge("lbagent_vip_eligible", "1 if this node is fit to own the Vip.",
        |vip| truth(vip.ineligible.is_empty())),
    gauge("lbagent_vip_owned", "1 if this node knows the owner of the Vip.",
        |vip| truth(vip.owner.is_some())),
    gauge("lbagent_vip_foreign", "1 if a host that is no peer answers for the Vip.",
        |vip| truth(vip.foreign.is_some())),
    gauge("lbagent_vip_leased", "1 if the kernel lets this node speak for the Vip.",
        |vip| truth(vip.leased)),
    gauge("lbagent_vip_verified", "1 if the last claim known to this node rested on proof.",
        |vip| truth(vip.verified)),
    gauge("lbagent_vip_fenced", "Where this node has the addresses: 1 if the kernel takes them from an agent that hangs or dies.",
        |vip| vip.fenced().and_then(|fenced| truth(fenced.is_true()))),
    gauge("lbagent_vip_epoch", "The epoch of the last claim known.",
        |vip| count(vip.epoch)),
    gauge("lbagent_vip_role_since_timestamp_seconds", "Since when this node has its role.",
        |vip| vip.since.map(|since| since.unix_seconds())),
    counter("lbagent_vip_became_active_total", "How often this node became the owner.",
        |vip| count(vip.became_active)),
    counter("lbagent_vip_dual_owner_seconds_total", "Time in which this node owned the Vip and heard another owner.",
        |vip| Some(vip.dual_owner_seconds)),
];

#[rustfmt::skip]
pub(super) const LISTENERS: &[Row<ListenerStatus>] = &[
    gauge("lbagent_listener_open", "1 if connections are accepted.",
        |listener| truth(listener.open)),
    gauge("lbagent_listener_connections", "Client connections open.",
        |listener| count(listener.connections)),
    counter("lbagent_listener_accepted_total", "Client connections accepted.",
        |listener| count(listener.accepted)),
    counter("lbagent_listener_requests_total", "HTTP requests begun, refused ones included.",
        |listener| http_count(listener, listener.requests)),
    counter("lbagent_listener_requests_refused_total", "HTTP requests refused as malformed, too large or too slow.",
        |listener| http_count(listener, listener.refused)),
    counter("lbagent_listener_limited_total", "Connections and HTTP requests turned away because their client had as much as it may.",
        |listener| count(listener.limited)),
    counter("lbagent_listener_proxy_refused_total", "Connections closed for want of the PROXY header, or coming from elsewhere.",
        |listener| count(listener.proxy_refused)),
    counter("lbagent_listener_received_bytes_total", "Bytes from clients.",
        |listener| count(listener.bytes_in)),
    counter("lbagent_listener_sent_bytes_total", "Bytes to clients.",
        |listener| count(listener.bytes_out)),
];

/// Of the other nodes.
#[rustfmt::skip]
pub(super) const PEERS: &[Row<PeerStatus>] = &[
    gauge("lbagent_peer_heard", "1 if heartbeats of the peer arrive.",
        |peer| truth(peer.heard)),
    gauge("lbagent_peer_hears_us", "1 if the peer says that it hears this node.",
        |peer| truth(peer.hears_us)),
    gauge("lbagent_peer_fenced", "1 if the peer's kernel takes the addresses from an agent that hangs or dies.",
        |peer| peer.fenced.and_then(truth)),
    gauge("lbagent_peer_vanished", "How often it fell silent or started anew within the last ten minutes.",
        |peer| count(peer.vanished.into())),
    gauge("lbagent_peer_in_sync", "1 if the peer has the same state.",
        |peer| truth(peer.in_sync)),
];

#[rustfmt::skip]
pub(super) const PATHS: &[Row<PathStatus>] = &[
    gauge("lbagent_peer_path_up", "1 if heartbeats arrive on the path.",
        |path| truth(path.up)),
    gauge("lbagent_peer_path_rtt_seconds", "Of the last heartbeat that echoed one of ours.",
        |path| path.rtt_seconds),
    gauge("lbagent_peer_path_loss_ratio", "Share of the peer's heartbeats that were lost in the last ten seconds or so.",
        |path| Some(path.loss_ratio)),
    counter("lbagent_peer_path_sent_total", "Heartbeats sent.",
        |path| count(path.sent)),
    counter("lbagent_peer_path_received_total", "Heartbeats accepted.",
        |path| count(path.received)),
    counter("lbagent_peer_path_lost_total", "Gaps in the peer's sequence.",
        |path| count(path.lost)),
];

#[rustfmt::skip]
pub(super) const POOLS: &[Row<PoolStatus>] = &[
    gauge("lbagent_pool_backends", "Backends of the pool.",
        |pool| count(pool.total as u64)),
    gauge("lbagent_pool_backends_up", "Backends of the pool that are in rotation.",
        |pool| count(pool.up as u64)),
    gauge("lbagent_pool_queued", "Requests and connections that wait for a place at a backend.",
        |pool| count(pool.queued)),
    counter("lbagent_pool_queued_total", "Requests and connections that have waited for a place at a backend.",
        |pool| count(pool.queued_total)),
    counter("lbagent_pool_queue_timeouts_total", "Those that have waited in vain for as long as they may.",
        |pool| count(pool.queue_timeouts)),
    counter("lbagent_pool_queue_refused_total", "Those that were turned away because too many were waiting.",
        |pool| count(pool.queue_refused)),
];

#[rustfmt::skip]
pub(super) const BACKENDS: &[Row<BackendStatus>] = &[
    gauge("lbagent_backend_up", "1 if the backend is in rotation.",
        |backend| truth(backend.up)),
    gauge("lbagent_backend_weight", "Its share.",
        |backend| count(backend.weight.into())),
    gauge("lbagent_backend_check_duration_seconds", "How long the last check took.",
        |backend| backend.last_check.as_ref().map(|last| last.seconds)),
    counter("lbagent_backend_checks_passed_total", "Checks that ended well.",
        |backend| count(backend.passed)),
    counter("lbagent_backend_checks_failed_total", "Checks that ended badly.",
        |backend| count(backend.failed)),
    counter("lbagent_backend_transitions_total", "How often it went up or down.",
        |backend| count(backend.transitions)),
    gauge("lbagent_backend_active", "Requests or connections in progress.",
        |backend| count(backend.active)),
    gauge("lbagent_backend_idle_connections", "Connections kept for the next request.",
        |backend| count(backend.idle)),
    counter("lbagent_backend_connections_total", "Connections established.",
        |backend| count(backend.connections)),
    counter("lbagent_backend_connect_errors_total", "Connections that could not be established.",
        |backend| count(backend.connect_errors)),
    counter("lbagent_backend_requests_total", "HTTP requests sent.",
        |backend| count(backend.requests)),
    counter("lbagent_backend_sent_bytes_total", "Bytes to the backend.",
        |backend| count(backend.bytes_in)),
    counter("lbagent_backend_received_bytes_total", "Bytes from the backend.",
        |backend| count(backend.bytes_out)),
    counter("lbagent_backend_retries_total", "Requests tried again at the backend because a kept connection had died.",
        |backend| count(backend.retries)),
    counter("lbagent_backend_redispatches_total", "Requests or connections moved to another backend after this one failed.",
        |backend| count(backend.redispatches)),
    counter("lbagent_backend_failures_total", "Responses that never came, came too late, were malformed or broke off.",
        |backend| count(backend.failures)),
    gauge("lbagent_backend_drained", "1 if the operator lets it have no new clients (drain) or nobody at all (maint).",
        |backend| truth(matches!(&*backend.state, "drain" | "maint"))),
    gauge("lbagent_backend_ejected", "1 if it is left alone for a while because too much has failed there.",
        |backend| truth(backend.ejected)),
    counter("lbagent_backend_ejections_total", "Times that it was left alone because too much had failed there.",
        |backend| count(backend.ejections)),
    counter("lbagent_backend_port_exhausted_total", "Connections that could not be made because every local port was in use.",
        |backend| count(backend.port_exhausted)),
];

/// Under the customary names of every Prometheus client library.
#[rustfmt::skip]
pub(super) const PROCESS: &[Row<ProcessStatus>] = &[
    counter("process_cpu_seconds_total", "User and system time of the agent.",
        |process| Some(process.cpu_seconds)),
    gauge("process_resident_memory_bytes", "Memory in use by the agent.",
        |process| count(process.resident_bytes)),
    gauge("process_open_fds", "Open file descriptors of the agent.",
        |process| count(process.open_fds)),
    gauge("process_max_fds", "The limit on those.",
        |process| count(process.max_fds)),
    counter("lbagent_log_dropped_lines_total", "Lines that never reached the log because its reader was too slow.",
        |process| count(process.log_dropped)),
];
