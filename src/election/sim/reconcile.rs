//! The model reconcile loop: passes that take a moment and go by the view that was there at their beginning. Addresses
//! follow roles; those that are handed over go mute first, and are removed when the new owner has them.

use super::{
    host::{Agent, Input},
    world::{Event, World},
};
use crate::{
    election::machine::HeldReport,
    model::{ElectionView, Held, Name, Role, VipView},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

const MS: Duration = Duration::from_millis(1);
/// After the first announcement, measured from it.
const REPEATS: [Duration; 3] = [Duration::from_millis(200), Duration::from_secs(1), Duration::from_secs(3)];
/// When what has failed is tried again.
const RETRY: Duration = Duration::from_millis(200);

#[derive(Default)]
pub(super) struct Reconcile {
    /// A pass is under way.
    passing: Option<Arc<ElectionView>>,
    /// The view that the last pass went by.
    acted_on: Arc<ElectionView>,
    /// The addresses that were on the devices at the end of the last pass.
    pub(super) held: Held,
    /// The files have changed since the last pass began.
    pub(super) stale: bool,
    /// Vips that wait for a quiet moment, and those for which it has come.
    waiting: BTreeSet<Name>,
    quiet: BTreeSet<Name>,
    announcing: BTreeMap<IpAddr, Announcing>,
}

struct Announcing {
    occasion: (u64, u64),
    first: Instant,
    sent: usize,
}

impl Announcing {
    fn next(&self) -> Option<Instant> {
        match self.sent {
            0 => Some(self.first),
            n => REPEATS.get(n - 1).map(|after| self.first + *after),
        }
    }
}

impl Reconcile {
    pub(super) fn announce_at(&self) -> Option<Instant> {
        self.announcing.values().filter_map(Announcing::next).min()
    }

    fn update(&mut self, now: Instant, owned: &BTreeMap<IpAddr, (u64, u64)>) {
        self.announcing.retain(|ip, entry| owned.get(ip) == Some(&entry.occasion));
        for (ip, occasion) in owned {
            self.announcing.entry(*ip).or_insert(Announcing { occasion: *occasion, first: now, sent: 0 });
        }
    }

    fn due(&mut self, now: Instant) -> Vec<IpAddr> {
        let due = self.announcing.iter_mut().filter(|(_, entry)| entry.next().is_some_and(|next| next <= now));
        due.map(|(ip, entry)| {
            while entry.next().is_some_and(|next| next <= now) {
                entry.sent += 1;
            }
            *ip
        })
        .collect()
    }
}

/// What of a view concerns the loop.
fn decisions(view: &ElectionView) -> impl PartialEq {
    let decision = |vip: &VipView| {
        let said = (vip.graceful, vip.owner_holds, vip.leased, vip.unleased.clone());
        (vip.role, vip.since, vip.epoch, vip.announcement, said)
    };
    view.vips.iter().map(|(name, vip)| (name.clone(), decision(vip))).collect::<Vec<_>>()
}

impl World {
    /// Starts a pass if there is something new.
    pub(super) fn reconcile(&mut self, index: usize) {
        let host = &mut self.hosts[index];
        let Some(agent) = host.agent.as_mut() else { return };
        let view = &agent.published.1;
        let loop_ = &mut agent.reconcile;
        let same = decisions(view) == decisions(&loop_.acted_on) && !loop_.stale;
        if same || loop_.passing.is_some() {
            return;
        }
        loop_.passing = Some(view.clone());
        loop_.stale = false;
        let (agent, delay) = (agent.id, self.rng.between(host.apply_time / 4, host.apply_time));
        self.push(delay, Event::Apply { host: index, agent });
    }

    /// Carries a pass out.
    pub(super) fn apply(&mut self, index: usize) {
        let now = self.hosts[index].local(self.now);
        let host = &mut self.hosts[index];
        let Some(agent) = host.agent.as_mut() else { return };
        let Some(view) = agent.reconcile.passing.clone() else { return };
        agent
            .reconcile
            .quiet
            .retain(|vip| view.vips.get(vip).is_some_and(|vip| vip.graceful && vip.role == Role::Backup));
        let mut waits = Vec::new();
        let mut wanted = Held::new();
        for candidate in &host.candidates {
            let Some(vip) = view.vips.get(&candidate.vip) else {
                wanted.extend(&candidate.addresses);
                continue;
            };
            let keeps = match vip.role {
                Role::Active => {
                    if !host.broken {
                        let may = candidate.addresses.iter().filter(|ip| !vip.unleased.contains(ip));
                        may.for_each(|ip| host.kernel.add(now, *ip, &mut self.rng));
                    }
                    true
                }
                Role::Backup if handing_over(vip, &host.name, &view) => {
                    let come = agent.reconcile.quiet.contains(&candidate.vip);
                    if !come && agent.reconcile.waiting.insert(candidate.vip.clone()) {
                        waits.push(candidate.vip.clone());
                    }
                    let held = candidate.addresses.iter().filter(|ip| host.kernel.has(now, ip));
                    let held: Vec<IpAddr> = held.copied().collect();
                    !come || held.into_iter().all(|ip| host.kernel.mute(ip))
                }
                Role::Backup => false,
                _ => true,
            };
            if keeps {
                wanted.extend(&candidate.addresses);
            }
        }
        host.kernel.keep(&wanted);
        let id = agent.id;
        let wait = host.quiet_wait;
        for vip in waits {
            self.push(wait, Event::Quiet { host: index, agent: id, vip });
        }
        let delay = self.rng.between(MS / 100, MS);
        self.push(delay, Event::Held { host: index, agent: id });
    }

    /// A pass is over.
    pub(super) fn end_pass(&mut self, index: usize) {
        let now = self.hosts[index].local(self.now);
        let host = &mut self.hosts[index];
        let Some(agent) = host.agent.as_mut() else { return };
        let Some(view) = agent.reconcile.passing.take() else { return };
        agent.reconcile.acted_on = view.clone();
        let held = host.kernel.held(now);
        agent.reconcile.held.clone_from(&held);
        let mut owned = BTreeMap::new();
        let mut missing = false;
        for candidate in &host.candidates {
            let Some(vip) = view.vips.get(&candidate.vip).filter(|vip| vip.role == Role::Active) else { continue };
            missing |= candidate.addresses.iter().any(|ip| !held.contains(ip) && !vip.unleased.contains(ip));
            let here = candidate.addresses.iter().filter(|ip| held.contains(*ip) && vip.leased);
            owned.extend(here.map(|ip| (*ip, (vip.epoch, vip.announcement))));
        }
        agent.reconcile.update(now, &owned);
        agent.push(Input::Held(HeldReport { held, acted_on: view }));
        agent.timer = now;
        let id = agent.id;
        self.announce(index);
        if missing {
            self.push(RETRY, Event::Retry { host: index, agent: id });
        }
        self.reconcile(index);
    }

    /// Announces what is due; the fence stops what has no lease.
    pub(super) fn announce(&mut self, index: usize) {
        let now = self.hosts[index].local(self.now);
        let Some(agent) = self.hosts[index].agent.as_mut() else { return };
        for ip in agent.reconcile.due(now) {
            if self.hosts[index].kernel.speaks(now, &ip) {
                self.announcements += 1;
                self.push(MS / 10, Event::Announcement { from: index, ip });
            }
        }
    }

    /// The moment in which a Vip's addresses may go.
    pub(super) fn quiet_moment(&mut self, index: usize, vip: Name) {
        let Some(agent) = self.hosts[index].agent.as_mut() else { return };
        agent.reconcile.waiting.remove(&vip);
        agent.reconcile.quiet.insert(vip);
        self.pass_again(index);
    }

    /// The kernel tells when an address has run out.
    pub(super) fn notice_expiry(&mut self, index: usize) {
        let host = &self.hosts[index];
        let now = host.local(self.now);
        let gone = |agent: &Agent| {
            let loop_ = &agent.reconcile;
            loop_.passing.is_none() && loop_.held.iter().any(|ip| !host.kernel.has(now, ip))
        };
        if host.agent.as_ref().is_some_and(gone) {
            self.pass_again(index);
        }
    }

    pub(super) fn pass_again(&mut self, index: usize) {
        if let Some(agent) = self.hosts[index].agent.as_mut() {
            agent.reconcile.stale = true;
        }
        self.reconcile(index);
    }
}

/// Another node is about to take the addresses, and has not said yet that it has them.
fn handing_over(vip: &VipView, me: &Name, view: &ElectionView) -> bool {
    let taken = vip.owner_holds && vip.owner.as_ref().is_some_and(|owner| owner != me);
    vip.graceful && !taken && view.peers.values().any(|peer| peer.heard)
}
