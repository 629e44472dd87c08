//! One host: a kernel that has addresses and answers for them whatever userland does, and an agent that may run, hang
//! or be gone. A model reconcile loop stands for plan and apply.

use crate::{
    election::{
        machine::{HeldReport, Machine},
        wire::Packet,
    },
    model::{Candidate, ElectionView, Eligibility, Held, Mac, Name, Peer, Role, Sight},
};
use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

pub(super) struct Host {
    pub(super) name: Name,
    pub(super) mac: Mac,
    /// Powered on.
    pub(super) up: bool,
    /// What the kernel has.
    pub(super) addresses: Held,
    /// Adding an address fails.
    pub(super) broken: bool,
    pub(super) candidates: Vec<Candidate>,
    pub(super) agent: Option<Agent>,
    /// How long the reconcile loop takes to follow a role.
    pub(super) apply_time: Duration,
    /// Added to a graceful removal: the wait for a quiet moment.
    pub(super) quiet_wait: Duration,
    pub(super) wall_ms: u64,
}

pub(super) struct Agent {
    pub(super) machine: Machine,
    /// Counts the agents of all hosts: events of a former one are void.
    pub(super) id: u64,
    /// The view that the reconcile loop goes by.
    pub(super) acting_on: Arc<ElectionView>,
    pub(super) hung: bool,
    /// What came in while it hung.
    pub(super) inbox: VecDeque<Input>,
    pub(super) timer: Instant,
    /// Roles as of the last look; a change starts the reconcile loop.
    pub(super) roles: Vec<(Name, Role)>,
}

pub(super) enum Input {
    Heartbeat { path: usize, packet: Packet },
    Seen(Sight),
    Held(HeldReport),
}

impl Host {
    pub(super) fn new(name: &str, index: usize) -> Self {
        Self {
            name: Name::new(name).unwrap(),
            mac: Mac([2, 0, 0, 0, 0, index as u8 + 1]),
            up: true,
            addresses: Held::new(),
            broken: false,
            candidates: Vec::new(),
            agent: None,
            apply_time: Duration::from_millis(2),
            quiet_wait: Duration::ZERO,
            wall_ms: 1_700_000_000_000,
        }
    }

    /// Starts the agent; addresses are as they are.
    pub(super) fn start_agent(&mut self, now: Instant, id: u64, session: u64, peers: &[Arc<Peer>]) {
        if !self.up || self.agent.is_some() {
            return;
        }
        self.set_leaving(false);
        let mut machine = Machine::new(now, session, self.wall_ms, 0);
        machine.handle_desired(now, &self.name, peers, self.candidates.clone(), vec![self.mac]);
        machine.handle_held(HeldReport { held: self.addresses.clone(), acted_on: Arc::default() });
        self.agent = Some(Agent {
            machine,
            id,
            acting_on: Arc::default(),
            hung: false,
            inbox: VecDeque::new(),
            timer: now,
            roles: Vec::new(),
        });
    }

    pub(super) fn set_leaving(&mut self, leaving: bool) {
        for candidate in &mut self.candidates {
            candidate.eligibility.leaving = leaving;
        }
    }

    pub(super) fn set_eligible(&mut self, reason: Option<&str>) {
        let reasons: Vec<String> = reason.into_iter().map(str::to_owned).collect();
        for candidate in &mut self.candidates {
            candidate.eligibility = Eligibility { reasons: reasons.clone(), ..candidate.eligibility };
        }
    }

    /// Hands the present desired state to the agent.
    pub(super) fn reload(&mut self, now: Instant, peers: &[Arc<Peer>]) {
        if let Some(agent) = &mut self.agent {
            agent.machine.handle_desired(now, &self.name, peers, self.candidates.clone(), vec![self.mac]);
            agent.timer = now;
        }
    }

    /// One pass of the model reconcile loop: the addresses follow the roles.
    pub(super) fn apply(&mut self, now: Instant) {
        let Some(agent) = &mut self.agent else { return };
        agent.acting_on = Arc::new(agent.machine.view(now));
        let mut wanted = Held::new();
        let mut untouched = Held::new();
        for candidate in &self.candidates {
            match agent.machine.role(&candidate.vip) {
                Some(Role::Active) if !self.broken => wanted.extend(&candidate.addresses),
                Some(Role::Active | Role::Initialize) => untouched.extend(&candidate.addresses),
                _ => {}
            }
        }
        self.addresses = self.addresses.intersection(&untouched).copied().chain(wanted).collect();
    }

    pub(super) fn role(&self) -> Option<Role> {
        let agent = self.agent.as_ref()?;
        agent.machine.role(&self.candidates.first()?.vip)
    }

    /// What the last pass has to tell.
    pub(super) fn report(&self) -> HeldReport {
        let acted_on = self.agent.as_ref().map(|agent| agent.acting_on.clone()).unwrap_or_default();
        HeldReport { held: self.addresses.clone(), acted_on }
    }

    /// Something could not be added: the reconcile loop tries again.
    pub(super) fn wants_more(&self) -> bool {
        let wanted = self.candidates.iter().filter(|candidate| {
            self.agent.as_ref().is_some_and(|agent| agent.machine.role(&candidate.vip) == Some(Role::Active))
        });
        wanted.flat_map(|candidate| &candidate.addresses).any(|ip| !self.addresses.contains(ip))
    }

    /// The agent runs and is not stopped.
    pub(super) fn alive(&self) -> bool {
        self.up && self.agent.as_ref().is_some_and(|agent| !agent.hung)
    }
}

impl Agent {
    pub(super) fn take(&mut self, now: Instant, input: Input) {
        match input {
            Input::Heartbeat { path, packet } => _ = self.machine.handle_heartbeat(now, path, packet),
            Input::Seen(sight) => self.machine.handle_sight(now, sight),
            Input::Held(report) => self.machine.handle_held(report),
        }
    }
}
