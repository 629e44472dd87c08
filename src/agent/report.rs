//! Puts together what the parts know into one [`Status`], when somebody asks.

use crate::{
    dataplane::Dataplane,
    desired::{self, Snapshot},
    election::{driver::ElectionInput, lease::Leases},
    model::{
        ElectionView, Eligibility, HealthTable, Kind, Name, NameTable, NameView, ObjectRef, Problem, Severity, Standby,
        VipView,
    },
    reconcile::ReconcileView,
    status::{Clock, Inputs, ProcessStatus, StateInputs, Status, process, server},
};
use futures::FutureExt;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// Conditions carry the time of their last change, so somebody has to look even while nobody asks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Knows where to ask.
pub(super) struct Reporter {
    pub(super) me: Name,
    pub(super) started: Instant,
    pub(super) dir: PathBuf,
    pub(super) state: watch::Receiver<Arc<Snapshot>>,
    pub(super) candidates: watch::Receiver<ElectionInput>,
    pub(super) election: watch::Receiver<Arc<ElectionView>>,
    pub(super) election_problems: watch::Receiver<Vec<Problem>>,
    pub(super) leases: Leases,
    pub(super) standby: watch::Receiver<Option<Standby>>,
    pub(super) health: watch::Receiver<Arc<HealthTable>>,
    pub(super) names: watch::Receiver<Arc<NameTable>>,
    pub(super) view: watch::Receiver<Arc<ReconcileView>>,
    pub(super) dataplane: Dataplane,
}

/// What one status needs of the one before it.
struct Memory {
    before: Option<Arc<Status>>,
    /// Of the state, and when it was first seen.
    generation: u64,
    changed_at: Instant,
    told: Told,
}

impl Reporter {
    /// Opens the endpoint; its own troubles are part of what it reports.
    pub(super) fn serve(self, options: server::Options) -> server::Server {
        let (own, own_out) = watch::channel(Arc::<Vec<Problem>>::default());
        let memory =
            Mutex::new(Memory { before: None, generation: 0, changed_at: self.started, told: Told::default() });
        let state = self.state.clone();
        let report = Arc::new(move |process: ProcessStatus| {
            // A panic of an earlier request leaves only an old memory behind.
            let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
            let status = Arc::new(self.status(&own_out.borrow(), process, &mut memory));
            memory.before = Some(status.clone());
            status
        });
        let looks = report.clone();
        let source: server::Source = Arc::new(move || std::future::ready(report(process::read())).boxed());
        let server = server::start(options, source, Arc::new(move || desired::documents(&state.borrow().desired)));
        let mut problems = server.problems.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    changed = problems.changed() => if changed.is_err() { return },
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                }
                own.send_replace(problems.borrow_and_update().clone());
                // Nobody sees it, so a dozen files of /proc need not be read for it.
                looks(ProcessStatus::default());
            }
        });
        server
    }

    fn status(&self, own: &[Problem], process: ProcessStatus, memory: &mut Memory) -> Status {
        let clock = Clock::read();
        let snapshot = self.state.borrow().clone();
        if snapshot.generation != memory.generation {
            (memory.generation, memory.changed_at) = (snapshot.generation, clock.instant);
        }
        let view = self.view.borrow().clone();
        let candidates = &self.candidates.borrow().candidates;
        let eligibility: BTreeMap<Name, Eligibility> =
            candidates.iter().map(|candidate| (candidate.vip.clone(), candidate.eligibility.clone())).collect();
        let problems = self.problems(&view, own);
        memory.told.tell(snapshot.problems.iter().chain(&problems));
        Status::build(&Inputs {
            clock,
            started: self.started,
            node: &self.me,
            state: StateInputs {
                dir: &self.dir,
                generation: snapshot.generation,
                changed_at: Some(memory.changed_at),
                problems: &snapshot.problems,
            },
            desired: &snapshot.desired.resolve(&self.names.borrow()),
            election: &self.election.borrow(),
            eligibility: &eligibility,
            lease: &self.leases.view(),
            standby: self.standby.borrow().as_ref(),
            health: &self.health.borrow(),
            network: &view.network,
            listeners: &view.listeners,
            traffic: &self.dataplane.traffic(),
            reconcile: &view.stats,
            problems: &problems,
            process,
            previous: memory.before.as_deref(),
        })
    }

    /// Everything that is wrong, apart from the files.
    fn problems(&self, view: &ReconcileView, own: &[Problem]) -> Vec<Problem> {
        let election = self.election.borrow();
        let foreign = election.vips.iter().filter_map(|(vip, view)| foreign_holder(vip, view));
        let closed = view.listeners.values().filter_map(|result| result.as_ref().err());
        let closed = closed.map(|error| Problem::error("ListenFailed", error.clone()));
        let names = self.names.borrow();
        let unknown = names.iter().filter_map(|(host, view)| lookup_problem(host, view));
        let known = view.problems.iter().chain(&*self.election_problems.borrow()).chain(own).cloned().collect();
        [known, foreign.collect(), closed.collect(), unknown.collect::<Vec<_>>()].concat()
    }
}

fn lookup_problem(host: &str, view: &NameView) -> Option<Problem> {
    let error = view.error.as_ref()?;
    let stays = match view.address {
        Some(address) => format!("its last address {address} stays in use"),
        None => "its backends are out of rotation".to_owned(),
    };
    Some(Problem::warning("LookupFailed", format!("cannot look up {host}: {error}; {stays}")))
}

fn foreign_holder(vip: &Name, view: &VipView) -> Option<Problem> {
    let (ip, mac) = view.foreign?;
    let message = format!(
        "{ip} is answered by {mac}, which is no node's: it is not taken while that lasts; find that host (`ip neigh` on a \
         router, the switch's address table) and take the address off it"
    );
    Some(Problem::error("ForeignHolder", message).about(ObjectRef { kind: Kind::Vip, name: vip.clone() }))
}

/// What the log has been told, so that it is told once when something goes wrong and once when that is over.
#[derive(Debug, Default)]
struct Told(BTreeSet<String>);

impl Told {
    fn tell<'a>(&mut self, problems: impl Iterator<Item = &'a Problem>) {
        let mut now = BTreeSet::new();
        for problem in problems {
            let text = problem.to_string();
            if !self.0.contains(&text) && !now.contains(&text) {
                match problem.severity {
                    Severity::Error => tracing::error!("{text}"),
                    Severity::Warning => tracing::warn!("{text}"),
                }
            }
            now.insert(text);
        }
        for over in self.0.difference(&now) {
            tracing::info!("no longer: {over}");
        }
        self.0 = now;
    }
}

#[expect(clippy::disallowed_methods, reason = "the agent's start, for its uptime")]
pub(super) fn now() -> Instant {
    Instant::now()
}
