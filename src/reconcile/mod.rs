//! The loop that makes this machine match what is wanted.
//!
//! Whatever happens – a file, a role, a kernel event, a check, a timer – only *wakes* the loop. A pass then starts from
//! nothing: it observes the machine, plans against what it sees, applies the plan, observes again and publishes what it
//! found. So a pass may be lost, repeated or run for the wrong reason without harm, and an address deleted by hand is
//! repaired by the same lines that do a takeover.
//!
//! What the loop remembers between passes is small and disposable: the repeats of announcements, which Vips have waited
//! for a quiet moment, when addresses were last refreshed, and what somebody else keeps undoing.

mod guard;
mod quiet;

use crate::{
    apply::Applier,
    dataplane::Dataplane,
    desired::Snapshot,
    election::{
        driver::{ElectionInput, LeaseIo},
        lease::{Beat, Leases},
        machine::HeldReport,
    },
    kernel::{
        fence,
        netlink::{Events, Netlink},
    },
    model::{
        Desired, ElectionView, HealthTable, Name, NameTable, ObservedNetwork, Problem, ReconcileStats, Standby, VipView,
    },
    plan::{
        addresses::{self, AddressInputs, AddressPlan, AddressStep},
        announce::{self, AnnounceSchedule},
        candidates::{self, CandidateInputs},
        drift::{DriftLog, Left},
        lifetimes::Lifetimes,
        placement::Placements,
        proxy,
        segment::{self, Surroundings},
        windows::Windows,
    },
};
use guard::fence_changed;
use quiet::Quiet;
use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// A pass is made at least this often, whatever is heard from the kernel.
const RESYNC: Duration = Duration::from_secs(5);
/// While something that was tried has failed.
const RETRY: Duration = Duration::from_secs(1);
/// How often a loop that waits gives a sign of life.
const BEAT: Duration = Duration::from_secs(1);

/// What wakes the loop and what it reads.
#[derive(Debug)]
pub struct Inputs {
    /// Files.
    pub desired: watch::Receiver<Arc<Snapshot>>,
    /// Roles.
    pub election: watch::Receiver<Arc<ElectionView>>,
    /// Checks of backends.
    pub health: watch::Receiver<Arc<HealthTable>>,
    /// Addresses of backends that go by a name.
    pub names: watch::Receiver<Arc<NameTable>>,
    /// Tracked addresses that answer pings.
    pub pings: watch::Receiver<Arc<BTreeMap<IpAddr, bool>>>,
    /// True from SIGTERM on.
    pub leaving: watch::Receiver<bool>,
    /// Whether an operator has put this node on standby.
    pub standby: watch::Receiver<Option<Standby>>,
    /// The kernel says that a link or an address has changed.
    pub kernel: Events,
    /// It says that somebody else has changed the fence; `None` where there is none.
    pub fence: Option<fence::Events>,
}

/// Whom the loop tells.
#[derive(Debug)]
pub struct Outputs {
    /// What the election has to know.
    pub election: watch::Sender<ElectionInput>,
    /// Which VIP addresses are here.
    pub held: watch::Sender<HeldReport>,
    /// What status shows.
    pub view: watch::Sender<Arc<ReconcileView>>,
    /// Given by the loop, also while it waits.
    pub beat: Beat,
}

/// What the loop acts through.
pub struct Hands {
    /// Addresses and devices.
    pub netlink: Netlink,
    /// Carries out plans.
    pub applier: Applier,
    /// The proxy.
    pub dataplane: Dataplane,
    /// The fence, and the leases that pass it.
    pub leases: Leases,
}

/// What the last pass found and did.
#[derive(Debug, Clone, Default)]
pub struct ReconcileView {
    /// As observed after the plan was applied.
    pub network: ObservedNetwork,
    /// What is wrong on this machine.
    pub problems: Vec<Problem>,
    /// Each address that is to listen, and whether it does.
    pub listeners: BTreeMap<SocketAddr, Result<(), String>>,
    /// How the loop itself fares.
    pub stats: ReconcileStats,
}

/// The loop.
pub struct Reconciler {
    me: Name,
    hands: Hands,
    inputs: Inputs,
    outputs: Outputs,
    announcements: AnnounceSchedule,
    quiet: Quiet,
    /// Addresses that are being handed over: they serve who knows the way, and answer no question.
    mute: BTreeSet<IpAddr>,
    lifetimes: Lifetimes,
    windows: Windows,
    left: Left,
    drift: DriftLog,
    /// The roles that the last pass went by.
    acted_on: Arc<ElectionView>,
    view: ReconcileView,
}

impl Reconciler {
    /// A loop for node `me`.
    pub fn new(me: Name, hands: Hands, inputs: Inputs, outputs: Outputs) -> Self {
        Self {
            me,
            hands,
            inputs,
            outputs,
            announcements: AnnounceSchedule::default(),
            quiet: Quiet::default(),
            mute: BTreeSet::new(),
            lifetimes: Lifetimes::default(),
            windows: Windows::default(),
            left: Left::default(),
            drift: DriftLog::default(),
            acted_on: Arc::default(),
            view: ReconcileView::default(),
        }
    }

    /// Runs until the agent drops it.
    pub async fn run(mut self) {
        let mut reason = "start";
        loop {
            self.pass(reason).await;
            reason = self.wake().await;
        }
    }

    /// Waits for something to happen and says what.
    async fn wake(&mut self) -> &'static str {
        let failed = !self.view.problems.is_empty() || self.view.listeners.values().any(Result::is_err);
        let resync = now() + if failed { RETRY } else { RESYNC };
        let announce = self.announcements.next();
        let refresh = self.lifetimes.next(Some(self.lifetime()));
        let window = self.windows.next();
        let (inputs, acted_on) = (&mut self.inputs, &self.acted_on);
        // A sender that is gone means that the agent is ending; `run` is dropped with it.
        tokio::select! {
            biased;
            () = decided(&mut inputs.election, acted_on) => "role",
            Ok(()) = inputs.leaving.changed() => "leaving",
            () = self.quiet.next() => "quiet",
            () = sleep_until(announce) => "announce",
            () = sleep_until(window) => "track",
            () = inputs.kernel.changed() => "kernel",
            () = fence_changed(inputs.fence.as_ref()) => "fence",
            Ok(()) = inputs.standby.changed() => "standby",
            Ok(()) = inputs.desired.changed() => "state",
            Ok(()) = inputs.health.changed() => "health",
            Ok(()) = inputs.names.changed() => "name",
            Ok(()) = inputs.pings.changed() => "ping",
            never = keep_beating(&self.outputs.beat) => match never {},
            () = sleep_until(refresh) => "refresh",
            () = sleep_until(Some(resync)) => if failed { "retry" } else { "resync" },
        }
    }

    /// Observe, plan, apply, verify, publish.
    async fn pass(&mut self, reason: &'static str) {
        self.outputs.beat.beat();
        let started = now();
        let desired = self.inputs.desired.borrow_and_update().desired.clone();
        let election = self.inputs.election.borrow_and_update().clone();
        let mut problems = Vec::new();
        let mut network = self.observe(&mut problems).await;

        let placements = Placements::resolve(&self.me, &desired, &network);
        // Before anything else: an address must never be there without a fence around it.
        problems.extend(self.fence(&desired, &network));
        // First what is held, then what for: a new agent goes by what it finds.
        self.tell_held(&desired, &network);
        self.windows.update(started, &self.me, &desired, &placements, &network);
        self.tell_election(&desired, &placements, &election, &network);
        let plan = self.plan(started, &desired, &placements, &election, &network);
        self.look_for_drift(started, &plan, &network);
        self.lifetimes.record(started, &plan);
        self.quiet.wait(&self.hands.dataplane, &plan.steps);
        let applied = self.hands.applier.addresses(&plan.steps).await;
        problems.extend(applied.problems);
        if plan.steps.iter().any(changes_addresses) {
            network = self.observe(&mut problems).await;
        }
        self.left = Left::after(&plan.wanted, &applied.added, &network);
        self.silence(plan.mute);
        self.acted_on = election.clone();
        // The neighbours first: what the old owner hears ends its service of those who do not know the way yet.
        problems.extend(self.announce(&placements, &election, &network));
        self.tell_held(&desired, &network);

        let health = self.inputs.health.borrow_and_update().clone();
        let resolved = desired.resolve(&self.inputs.names.borrow_and_update());
        let listeners = self.hands.dataplane.apply(Arc::new(proxy::plan(&self.me, &resolved, &health)));
        let listeners = listeners.into_iter().map(|(at, result)| (at, result.map_err(|error| error.to_string())));

        let failed = !problems.is_empty();
        problems.extend(placements.problems);
        problems.extend(plan.problems);
        problems.extend(self.drift.problems(started));
        self.view.listeners = listeners.collect();
        self.view.problems = problems;
        self.view.network = network;
        self.view.stats.record(reason, started, now() - started, failed);
        self.outputs.view.send_replace(Arc::new(self.view.clone()));
    }

    /// The machine as it is; as it was last seen if the kernel does not answer.
    async fn observe(&self, problems: &mut Vec<Problem>) -> ObservedNetwork {
        match self.hands.netlink.observe().await {
            Ok(network) => network,
            Err(error) => {
                problems.push(Problem::error("ObserveFailed", error.to_string()));
                self.view.network.clone()
            }
        }
    }

    /// The plan, with its addresses muted; if that cannot be had, the plan without.
    fn plan(
        &mut self,
        now: Instant,
        desired: &Desired,
        placements: &Placements,
        election: &ElectionView,
        network: &ObservedNetwork,
    ) -> AddressPlan {
        let mut can_mute = self.hands.leases.fenced();
        let lifetime = Some(self.lifetime());
        loop {
            let plan = addresses::plan(AddressInputs {
                me: &self.me,
                desired,
                placements,
                election,
                network,
                quiet: self.quiet.settle(election),
                can_mute,
                lifetime,
                lifetimes: &self.lifetimes,
                now,
            });
            // What is mute already stays so until its step is done.
            if self.silence(&plan.mute | &self.mute) {
                return plan;
            }
            can_mute = false;
        }
    }

    fn tell_held(&self, desired: &Desired, network: &ObservedNetwork) {
        // A mute address is as good as gone: nobody on the wire can tell.
        let held = &addresses::held(desired, network) - &self.mute;
        let report = HeldReport { held, acted_on: self.acted_on.clone() };
        publish(&self.outputs.held, report);
    }

    fn tell_election(
        &mut self,
        desired: &Desired,
        placements: &Placements,
        election: &ElectionView,
        network: &ObservedNetwork,
    ) {
        let pings = self.inputs.pings.borrow_and_update().clone();
        let leaving = *self.inputs.leaving.borrow_and_update();
        let standby = self.inputs.standby.borrow_and_update().clone();
        let around = Surroundings { me: &self.me, desired, network, election };
        let candidates = candidates::candidates(CandidateInputs {
            around,
            placements,
            pings: &pings,
            windows: &self.windows,
            leaving,
            standby: standby.as_ref().map(|standby| standby.reason.as_str()),
            previous: &self.outputs.election.borrow().candidates,
        });
        let input = ElectionInput {
            node: self.me.clone(),
            peers: desired.peers.values().cloned().collect(),
            candidates,
            macs: network.links.values().filter_map(|link| link.mac).collect(),
            fronts: segment::fronts(desired, placements, network),
            links: network.links.clone(),
        };
        publish(&self.outputs.election, input);
    }

    fn announce(
        &mut self,
        placements: &Placements,
        election: &ElectionView,
        network: &ObservedNetwork,
    ) -> Vec<Problem> {
        let leases = &self.hands.leases;
        let places = announce::announceable(placements, election, network, &leases.active());
        self.announcements.update(now(), &places);
        let due = self.announcements.take_due(now());
        self.hands.applier.announce(network, &due, |ip| leases.active().contains(&ip))
    }
}

/// What a pass goes by; the rest is for people.
fn decision(vip: &VipView) -> impl PartialEq + '_ {
    let owner = (&vip.owner, vip.owner_holds);
    (vip.role, vip.since, vip.epoch, owner, vip.announcement, vip.graceful, vip.leased, &vip.unleased)
}

/// Waits for a view by which a pass would do anything else than by `acted_on`: its counters grow each second.
async fn decided(views: &mut watch::Receiver<Arc<ElectionView>>, acted_on: &ElectionView) {
    let heard = |view: &ElectionView| view.peers.values().any(|peer| peer.heard);
    while views.changed().await.is_ok() {
        let view = views.borrow_and_update();
        if !view.vips.values().map(decision).eq(acted_on.vips.values().map(decision))
            || !view.vips.keys().eq(acted_on.vips.keys())
            || heard(&view) != heard(acted_on)
        {
            return;
        }
    }
    // The sender is gone: the agent is ending.
    std::future::pending().await
}

/// Whether anything may be there afterwards that was not, or the other way round.
fn changes_addresses(step: &AddressStep) -> bool {
    matches!(step, AddressStep::Add { .. } | AddressStep::Remove { .. })
}

/// A loop that waits for something to happen is well.
async fn keep_beating(beat: &Beat) -> Infallible {
    loop {
        beat.beat();
        tokio::time::sleep(BEAT).await;
    }
}

/// Sends only what is new, so that nobody is woken for nothing.
fn publish<T: PartialEq>(channel: &watch::Sender<T>, value: T) {
    channel.send_if_modified(|old| {
        let new = *old != value;
        *old = value;
        new
    });
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

#[expect(clippy::disallowed_methods, reason = "the reconcile loop is the shell that hands `now` to the plan")]
fn now() -> Instant {
    Instant::now()
}
