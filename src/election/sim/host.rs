//! One host: a kernel that goes on whatever userland does, a disk, and an agent that may run, hang or be gone. A paused
//! host stands still altogether, its clock too.

use super::{kernel::Kernel, reconcile::Reconcile, world::Event};
use crate::{
    election::{
        machine::{HeldReport, Machine},
        wire::Packet,
    },
    model::{Candidate, ElectionView, Eligibility, Mac, Name, Role, Sight},
};
use std::{
    collections::VecDeque,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

/// What a socket's buffer holds of datagrams that nobody reads.
const INBOX: usize = 300;

pub(super) struct Host {
    pub(super) name: Name,
    pub(super) mac: Mac,
    /// Its own addresses on the front.
    pub(super) ips: Vec<IpAddr>,
    /// Powered on.
    pub(super) up: bool,
    /// Since when it is paused, by the world's clock.
    pub(super) paused: Option<Instant>,
    /// Time that it has spent paused.
    pub(super) slept: Duration,
    pub(super) kernel: Kernel,
    /// The kernel can fence.
    pub(super) fences: bool,
    /// Adding an address fails.
    pub(super) broken: bool,
    pub(super) candidates: Vec<Candidate>,
    pub(super) agent: Option<Agent>,
    /// How long a pass of the reconcile loop takes.
    pub(super) apply_time: Duration,
    /// The wait for a quiet moment before a graceful release.
    pub(super) quiet_wait: Duration,
    /// Part of the data plane makes no progress since.
    pub(super) stalled: Option<Instant>,
    /// Of the wall clock, in ms since 1970, at the world's beginning.
    pub(super) wall_ms: u64,
    /// The highest epoch, as it is on disk.
    pub(super) disk: u64,
    /// Frames received on the front.
    pub(super) rx: u64,
    /// ICMP errors that the kernel may still send, and when it got the last one to send.
    pub(super) refusals: (u32, Instant),
}

pub(super) struct Agent {
    pub(super) machine: Machine,
    /// Counts the agents of all hosts: events of a former one are void.
    pub(super) id: u64,
    pub(super) hung: bool,
    /// When it went on after having been stopped, by the world's clock.
    pub(super) went_on: Option<Instant>,
    /// It hangs after so many effects of a turn; the rest follows when it goes on.
    pub(super) hang_after: Option<u32>,
    /// It hung between two effects of a turn.
    pub(super) mid_turn: bool,
    /// The machine slept, and the agent has not been told yet.
    pub(super) jumped: bool,
    /// What came in and has not been read.
    pub(super) inbox: VecDeque<Input>,
    /// When the driver wakes next, by the host's clock like all that follows.
    pub(super) timer: Instant,
    pub(super) chores_at: Instant,
    pub(super) renew_at: Instant,
    pub(super) unfit: bool,
    /// As published for the reconcile loop, and its revision.
    pub(super) published: (u64, Arc<ElectionView>),
    /// Roles as of the last look.
    pub(super) roles: Vec<(Name, Role)>,
    pub(super) reconcile: Reconcile,
    /// The epoch that was last given to the disk.
    pub(super) writing: u64,
    /// Events of this agent that came due while it did not run.
    pub(super) late: Vec<Event>,
}

pub(super) enum Input {
    Heartbeat { path: usize, packet: Packet },
    Seen(Sight),
    Held(HeldReport),
    Refused { path: usize, source: SocketAddr },
}

impl Host {
    pub(super) fn new(name: &str, index: usize, start: Instant) -> Self {
        Self {
            name: Name::new(name).unwrap(),
            mac: Mac([2, 0, 0, 0, 0, index as u8 + 1]),
            ips: front_ips(index),
            up: true,
            paused: None,
            slept: Duration::ZERO,
            kernel: Kernel::default(),
            fences: true,
            broken: false,
            candidates: Vec::new(),
            agent: None,
            apply_time: Duration::from_millis(2),
            quiet_wait: Duration::ZERO,
            stalled: None,
            wall_ms: 1_700_000_000_000,
            disk: 0,
            rx: 0,
            refusals: (6, start),
        }
    }

    /// The host's own clock.
    pub(super) fn local(&self, now: Instant) -> Instant {
        self.paused.unwrap_or(now) - self.slept
    }

    /// It is on and its kernel runs.
    pub(super) fn running(&self) -> bool {
        self.up && self.paused.is_none()
    }

    /// The agent runs and is not stopped.
    pub(super) fn alive(&self) -> bool {
        self.running() && self.agent.as_ref().is_some_and(|agent| !agent.hung)
    }

    /// Answers ARP and ND for `ip` now.
    pub(super) fn speaks(&self, now: Instant, ip: &IpAddr) -> bool {
        self.running() && self.kernel.speaks(self.local(now), ip)
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

    pub(super) fn role(&self) -> Option<Role> {
        let agent = self.agent.as_ref()?;
        agent.machine.role(&self.candidates.first()?.vip)
    }

    /// The agent, of which the caller knows that it is there.
    pub(super) fn machine(&self) -> &Machine {
        &self.agent.as_ref().unwrap().machine
    }
}

/// The addresses of a station of the front segment itself.
pub(super) fn front_ips(at: usize) -> Vec<IpAddr> {
    let last = at as u8 + 100;
    vec![IpAddr::from([198, 51, 100, last]), IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(last)])]
}

impl Agent {
    pub(super) fn new(machine: Machine, id: u64, now: Instant) -> Self {
        Self {
            machine,
            id,
            hung: false,
            went_on: None,
            hang_after: None,
            mid_turn: false,
            jumped: false,
            inbox: VecDeque::new(),
            timer: now,
            chores_at: now,
            renew_at: now,
            unfit: false,
            published: (u64::MAX, Arc::default()),
            roles: Vec::new(),
            reconcile: Reconcile::default(),
            writing: 0,
            late: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, input: Input) {
        if self.inbox.len() < INBOX {
            self.inbox.push_back(input);
        }
    }

    /// When it has something to do next.
    pub(super) fn next(&self, renewing: bool) -> Instant {
        let renew = renewing.then_some(self.renew_at);
        let others = [renew, self.reconcile.announce_at()].into_iter().flatten();
        others.chain([self.chores_at]).min().map_or(self.timer, |next| next.min(self.timer))
    }
}
