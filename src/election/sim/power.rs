//! What is done to hosts and agents from outside: start, kill, stop, pause, reload.

use super::{host::Agent, kernel::Kernel, world::World};
use crate::{
    election::machine::{HeldReport, Machine},
    model::Front,
};
use std::{sync::Arc, time::Duration};

impl World {
    pub(super) fn start_agent(&mut self, host: usize) {
        if !self.hosts[host].up || self.hosts[host].agent.is_some() {
            return;
        }
        self.agents += 1;
        let (id, session, rules) = (self.agents, self.rng.next(), self.rules);
        self.tell(|world| format!("{}'s agent starts", world.hosts[host].name));
        let wall = self.wall_ms(host);
        let now = self.hosts[host].local(self.now);
        let this = &mut self.hosts[host];
        this.set_leaving(false);
        this.kernel.fence |= this.fences;
        let mut machine = Machine::new(now, session, wall, this.disk);
        machine.set_rules(rules);
        machine.handle_fenced(this.fences);
        this.agent = Some(Agent::new(machine, id, now));
        self.reload(host);
        let this = &mut self.hosts[host];
        let held = this.kernel.held(now);
        let agent = this.agent.as_mut().unwrap();
        agent.reconcile.held.clone_from(&held);
        agent.machine.handle_held(HeldReport { held, acted_on: Arc::default() });
    }

    pub(super) fn start_all(&mut self) {
        (0..self.hosts.len()).for_each(|host| self.start_agent(host));
    }

    /// `kill -9`: the kernel keeps the addresses, but drops the leases.
    pub(super) fn kill_agent(&mut self, host: usize) {
        if self.hosts[host].agent.take().is_some() {
            self.hosts[host].kernel.agent_is_gone();
            self.hosts[host].stalled = None;
            self.tell(|world| format!("{}'s agent is killed", world.hosts[host].name));
        }
    }

    /// Power off.
    pub(super) fn crash(&mut self, host: usize) {
        self.kill_agent(host);
        let this = &mut self.hosts[host];
        (this.up, this.paused, this.kernel) = (false, None, Kernel::default());
        self.tell(|world| format!("{} crashes", world.hosts[host].name));
    }

    pub(super) fn boot(&mut self, host: usize) {
        self.hosts[host].up = true;
        self.start_agent(host);
    }

    /// SIGSTOP, SIGCONT.
    pub(super) fn hang(&mut self, host: usize, hung: bool) {
        let now = self.now;
        let Some(agent) = self.hosts[host].agent.as_mut() else { return };
        agent.hang_after = None;
        if agent.hung == hung {
            return;
        }
        agent.hung = hung;
        agent.went_on = (!hung).then_some(now);
        let what = if hung { "hangs" } else { "goes on" };
        self.tell(|world| format!("{}'s agent {what}", world.hosts[host].name));
        self.wake(host);
    }

    /// The agent will stop after so many effects of a turn.
    pub(super) fn hang_after(&mut self, host: usize, effects: u32) {
        if let Some(agent) = &mut self.hosts[host].agent {
            agent.hang_after = Some(effects);
        }
    }

    /// The whole machine stands still.
    pub(super) fn pause(&mut self, host: usize) {
        let now = self.now;
        if self.hosts[host].running() {
            self.hosts[host].paused = Some(now);
            self.tell(|world| format!("{} is paused", world.hosts[host].name));
        }
    }

    /// The paused machine goes on. `noticed`: its agent can see that it slept.
    pub(super) fn resume(&mut self, host: usize, noticed: bool) {
        let now = self.now;
        let Some(since) = self.hosts[host].paused.take() else { return };
        self.hosts[host].slept += now - since;
        if let Some(agent) = &mut self.hosts[host].agent {
            agent.jumped = noticed;
        }
        self.tell(|world| format!("{} goes on after a pause of {:?}", world.hosts[host].name, now - since));
        self.wake(host);
    }

    /// What came due while the agent did not run is due now.
    fn wake(&mut self, host: usize) {
        if !self.hosts[host].alive() {
            return;
        }
        let now = self.hosts[host].local(self.now);
        let Some(agent) = &mut self.hosts[host].agent else { return };
        agent.timer = now;
        for event in std::mem::take(&mut agent.late) {
            let delay = self.rng.between(Duration::ZERO, Duration::from_millis(1));
            self.push(delay, event);
        }
    }

    /// Part of the data plane makes no progress.
    pub(super) fn stall(&mut self, host: usize, stalled: bool) {
        let now = self.hosts[host].local(self.now);
        self.hosts[host].stalled = stalled.then_some(now);
        self.tell(|world| {
            format!("{}'s data plane {}", world.hosts[host].name, if stalled { "stalls" } else { "works" })
        });
    }

    /// Somebody sets the clock, by so many ms.
    pub(super) fn step_wall_clock(&mut self, host: usize, by: i64) {
        self.hosts[host].wall_ms = self.hosts[host].wall_ms.saturating_add_signed(by);
        let wall = self.wall_ms(host);
        let now = self.hosts[host].local(self.now);
        self.tell(|world| format!("{}'s wall clock is set by {by} ms", world.hosts[host].name));
        if let Some(agent) = &mut self.hosts[host].agent {
            agent.machine.handle_wall_clock(now, wall);
        }
    }

    /// Hands the present desired state to the agent.
    pub(super) fn reload(&mut self, host: usize) {
        let candidates = self.localized(host);
        let now = self.hosts[host].local(self.now);
        let this = &mut self.hosts[host];
        if let Some(agent) = &mut this.agent {
            let front = Front { link: 2, mac: Some(this.mac), address: this.ips.first().copied() };
            agent.machine.handle_fronts(now, vec![front]);
            agent.machine.handle_desired(now, &this.name, &self.peers, candidates, vec![this.mac]);
            agent.timer = now;
            agent.reconcile.stale = true;
        }
    }

    fn wall_ms(&self, host: usize) -> u64 {
        // A paused machine's wall clock is right again as soon as it goes on.
        self.hosts[host].wall_ms + self.at().as_millis() as u64
    }
}
