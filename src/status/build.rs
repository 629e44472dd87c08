use super::{
    EventStatus, FenceStatus, ObjectStatus, ProblemStatus, ProcessStatus, ProxyStatus, ReconcileStatus, StandbyStatus,
    StateStatus, Status, Timestamp, conditions, sections,
};
use crate::model::{
    Desired, ElectionView, Eligibility, HealthTable, LeaseView, Name, ObservedNetwork, Problem, ReconcileStats,
    Severity, Standby, TrafficSnapshot,
};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant, SystemTime},
};

/// All that a [`Status`] is made of, borrowed from the stages that know it.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// The moment that the status is of.
    pub clock: Clock,
    /// When the agent started.
    pub started: Instant,
    /// The name of this node, as `--node` or the host name says, whether or not a Peer has it.
    pub node: &'a Name,
    /// The files.
    pub state: StateInputs<'a>,
    /// What is in force.
    pub desired: &'a Desired,
    /// What the election decided.
    pub election: &'a ElectionView,
    /// Whether this node is fit for each Vip. A Vip that is not listed counts as fit.
    pub eligibility: &'a BTreeMap<Name, Eligibility>,
    /// How the leases fare.
    pub lease: &'a LeaseView,
    /// Set while an operator has taken this node out of service.
    pub standby: Option<&'a Standby>,
    /// What the checks say.
    pub health: &'a HealthTable,
    /// What the kernel has.
    pub network: &'a ObservedNetwork,
    /// What came of opening each listener.
    pub listeners: &'a BTreeMap<SocketAddr, Result<(), String>>,
    /// What the data plane carried.
    pub traffic: &'a TrafficSnapshot,
    /// What the loop did.
    pub reconcile: &'a ReconcileStats,
    /// What is wrong, apart from the files.
    pub problems: &'a [Problem],
    /// The process; [`super::process::read`] reads it.
    pub process: ProcessStatus,
    /// The status before this one, for what is told of changes: when a condition turned, when two owners were seen.
    pub previous: Option<&'a Status>,
}

/// The state directory and what was found there.
#[derive(Debug, Clone, Copy)]
pub struct StateInputs<'a> {
    /// The directory that is watched.
    pub dir: &'a Path,
    /// Grows by one with each change that took effect.
    pub generation: u64,
    /// When the last change took effect.
    pub changed_at: Option<Instant>,
    /// What is wrong with the files.
    pub problems: &'a [Problem],
}

/// One moment on both clocks, so that instants can be told as wall time.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// On the clock that only goes forward.
    pub instant: Instant,
    /// On the wall.
    pub wall: SystemTime,
}

impl Clock {
    /// Reads both clocks.
    #[expect(clippy::disallowed_methods, reason = "the one place where the shells of status read the clocks")]
    pub fn read() -> Self {
        Self { instant: Instant::now(), wall: SystemTime::now() }
    }

    /// The wall time of `at`, by the wall clock of now: a clock that was set in between moves it.
    pub fn wall_of(&self, at: Instant) -> Timestamp {
        let past = self.instant.saturating_duration_since(at);
        let ahead = at.saturating_duration_since(self.instant);
        let wall = self.wall.checked_sub(past).and_then(|wall| wall.checked_add(ahead));
        Timestamp::from(wall.unwrap_or(SystemTime::UNIX_EPOCH))
    }

    /// The wall time of the moment itself.
    pub fn now(&self) -> Timestamp {
        Timestamp::from(self.wall)
    }

    /// From `at` to the moment; zero for what is still to come.
    pub fn age(&self, at: Instant) -> Duration {
        self.instant.saturating_duration_since(at)
    }
}

impl Status {
    /// Puts everything together. Reads no clock and does no IO; equal inputs give equal values.
    pub fn build(inputs: &Inputs<'_>) -> Self {
        let mut status = Self {
            node: inputs.desired.peers.contains_key(inputs.node).then(|| inputs.node.to_string()),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: inputs.clock.wall_of(inputs.started),
            now: inputs.clock.now(),
            conditions: Vec::new(),
            standby: inputs.standby.map(|standby| standby_status(standby, inputs)),
            fence: fence(inputs.lease),
            vips: sections::vips(inputs),
            peers: sections::peers(inputs),
            pools: sections::pools(inputs),
            proxy: proxy(inputs),
            state: state(inputs),
            reconcile: reconcile(inputs),
            problems: inputs.problems.iter().map(problem).collect(),
            events: events(inputs),
            process: inputs.process,
        };
        conditions::judge_vips(&mut status, inputs);
        status.conditions = conditions::judge(&status, inputs);
        status
    }
}

fn standby_status(standby: &Standby, inputs: &Inputs<'_>) -> StandbyStatus {
    let since = inputs.clock.wall_of(standby.since);
    StandbyStatus { since, reason: standby.reason.clone(), forced: standby.forced }
}

fn fence(lease: &LeaseView) -> FenceStatus {
    let running = |asked: bool| lease.running.iter().filter(|it| *it.1 == asked).map(|it| *it.0).collect();
    FenceStatus {
        enforced: lease.fenced.is_ok(),
        reason: lease.fenced.clone().err().unwrap_or_default(),
        realtime: lease.realtime.is_ok(),
        not_realtime: lease.realtime.clone().err().unwrap_or_default(),
        leased: running(true),
        draining: running(false),
        renewals: lease.renewals,
        worst_lateness_seconds: lease.worst_lateness.as_secs_f64(),
        failed_renewals: lease.failed_renewals,
        last_error: lease.last_error.clone(),
        lost: lease.lost,
        stalled: lease.stalled.clone(),
        repairs: lease.repairs,
        meddler: lease.last_meddler.clone(),
    }
}

fn proxy(inputs: &Inputs<'_>) -> ProxyStatus {
    let traffic = inputs.traffic;
    ProxyStatus {
        connections: traffic.connections,
        parked: traffic.parked,
        max_connections: traffic.max_connections,
        accept_failures: traffic.accept_failures,
        access_log_dropped: traffic.access_log_dropped,
    }
}

fn state(inputs: &Inputs<'_>) -> StateStatus {
    let objects = inputs.desired.digests.iter().map(|(object, digest)| ObjectStatus {
        kind: object.kind.as_str().to_owned(),
        name: object.name.to_string(),
        digest: digest.to_string(),
    });
    StateStatus {
        dir: inputs.state.dir.display().to_string(),
        generation: inputs.state.generation,
        changed_at: inputs.state.changed_at.map(|at| inputs.clock.wall_of(at)),
        objects: objects.collect(),
        problems: inputs.state.problems.iter().map(problem).collect(),
    }
}

fn reconcile(inputs: &Inputs<'_>) -> ReconcileStatus {
    let stats = inputs.reconcile;
    let mut repairs: BTreeMap<_, _> = stats.repairs.iter().map(|(what, count)| ((*what).to_owned(), *count)).collect();
    // The fence is put back, and that counted, by the keeper of the leases. A counter that is there from the start can be
    // rated.
    repairs.insert("fence".to_owned(), inputs.lease.repairs);
    repairs.entry("address".to_owned()).or_default();
    ReconcileStatus {
        passes: stats.passes.iter().map(|(reason, count)| ((*reason).to_owned(), *count)).collect(),
        errors: stats.errors,
        last_at: stats.last_at.map(|at| inputs.clock.wall_of(at)),
        last_reason: stats.last_reason.to_owned(),
        last_seconds: stats.last_took.as_secs_f64(),
        last_failed: stats.last_failed,
        repairs,
    }
}

fn problem(problem: &Problem) -> ProblemStatus {
    let position = problem.position.as_ref();
    let severity = match problem.severity {
        Severity::Warning => "Warning",
        Severity::Error => "Error",
    };
    ProblemStatus {
        severity: severity.to_owned(),
        reason: problem.reason.to_owned(),
        object: problem.object.as_ref().map(ToString::to_string),
        file: position.map(|position| position.file.display().to_string()),
        line: position.map_or(0, |position| position.line),
        column: position.map_or(0, |position| position.column),
        message: problem.message.clone(),
    }
}

fn events(inputs: &Inputs<'_>) -> Vec<EventStatus> {
    let event = |event: &std::sync::Arc<crate::model::ElectionEvent>| EventStatus {
        at: inputs.clock.wall_of(event.at),
        subject: event.subject.clone(),
        message: event.message.clone(),
    };
    inputs.election.events.iter().map(event).collect()
}

#[cfg(test)]
#[path = "build_tests.rs"]
pub(super) mod tests;
