//! Connections to backends: which one gets the next request, and on which connection.
//!
//! Each worker has its own view of a pool ([`LocalPool`], [`View`]), its own [`Upstream`]s ([`backend`]) and its own
//! kept connections ([`idle`]). An [`Upstream`] outlives versions of its pool, so an edit of one backend leaves the idle
//! connections of the others alone, and a backend that goes down or leaves drops its idle ones at once.
//!
//! What workers must agree on is shared by backend ([`shared`]): counters, the places of its `maxConnections`, what was
//! met there ([`eject`]) and since when it warms up ([`warm`]). A pool that configures none of it pays nothing for it.
//! Who finds every backend busy waits in the pool's [`queue`]; [`tries`] tells how often and where one request is tried.

mod affinity;
mod backend;
mod eject;
mod idle;
mod proxy_header;
mod queue;
#[cfg(test)]
mod queue_tests;
mod shared;
mod tries;
mod warm;

pub(super) use affinity::Caller;
pub(super) use backend::{BusyUpstream, ConnectError, Upstream};
pub(super) use idle::IdleBudget;
pub(super) use proxy_header::Ends;
pub(super) use queue::Queue;
pub(super) use shared::BackendShared;
pub(super) use tries::{NoPlace, Tries, leaves};

use super::{
    config::{Pool, PoolVersion},
    reactor,
};
use crate::{
    balance::{Ask, Picker},
    model::{PoolTimeouts, Serving, format_duration},
};
use queue::{Place, Wants};
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::{Arc, PoisonError},
};
use tokio::time::Instant;

/// A pool as one worker knows it.
pub(super) struct LocalPool {
    shared: Arc<Pool>,
    worker: usize,
    budget: Rc<IdleBudget>,
    view: RefCell<Rc<View>>,
}

/// One version of a pool as one worker knows it.
pub(super) struct View {
    pub(super) pool: Arc<Pool>,
    version: Arc<PoolVersion>,
    upstreams: Vec<Rc<Upstream>>,
    picker: RefCell<Picker>,
    cookie_attributes: String,
    /// Some backend had less than its full share when the weights were last looked at.
    warming: Cell<bool>,
}

/// Why a request does not get a backend at once.
enum NoSeat {
    /// There is none that could be tried.
    Nobody,
    /// All that would do are busy with as much as they may, or others wait for them.
    Full(Wants),
}

impl LocalPool {
    pub(super) fn new(shared: Arc<Pool>, worker: usize, budget: Rc<IdleBudget>) -> Self {
        let version = shared.current.load_full();
        let view = RefCell::new(Rc::new(View::new(&shared, version, &[], worker, &budget)));
        Self { shared, worker, budget, view }
    }

    /// The newest version.
    pub(super) fn view(&self) -> Rc<View> {
        let current = self.shared.current.load();
        let mut view = self.view.borrow_mut();
        if !Arc::ptr_eq(&current, &view.version) {
            let new = View::new(&self.shared, current.clone(), &view.upstreams, self.worker, &self.budget);
            *view = Rc::new(new);
        }
        view.clone()
    }

    /// What time brings: connections that have been idle for long, or that the backend has closed, are closed, shares
    /// grow, and who waits for a backend whose ejection is over gets it.
    pub(super) fn sweep(&self, now: Instant) {
        let view = self.view();
        for upstream in &view.upstreams {
            upstream.sweep(now);
        }
        view.warm(now);
        self.shared.queue.hand_out(&self.shared);
    }
}

impl View {
    fn new(
        pool: &Arc<Pool>,
        version: Arc<PoolVersion>,
        before: &[Rc<Upstream>],
        worker: usize,
        budget: &Rc<IdleBudget>,
    ) -> Self {
        let config = &version.config;
        let serving = &config.pool.serving;
        let upstreams = config.pool.backends.iter().zip(&version.backends).map(|(backend, shared)| {
            let same = |u: &&Rc<Upstream>| {
                u.name == backend.name
                    && u.address == backend.address
                    && u.connecting == serving.connecting
                    && Arc::ptr_eq(&u.shared, shared)
            };
            let fresh = || Rc::new(Upstream::new(backend, shared.clone(), worker, serving, budget));
            let upstream = before.iter().find(same).cloned().unwrap_or_else(fresh);
            upstream.set_idle_limits(serving);
            upstream.set_up(config.is_up(backend));
            upstream
        });
        let upstreams: Vec<_> = upstreams.collect();
        for gone in before.iter().filter(|old| !upstreams.iter().any(|new| Rc::ptr_eq(old, new))) {
            gone.set_up(false);
        }
        let picker = RefCell::new(Picker::new(config, worker as u64));
        let cookie_attributes = affinity::attributes(config.pool.sticky.as_ref());
        let (pool, warming) = (pool.clone(), Cell::new(false));
        let view = Self { pool, version, upstreams, picker, cookie_attributes, warming };
        view.warm(Instant::now());
        view
    }

    /// The algorithm's choice among those that were not tried: it takes over from the last one that was.
    fn pick(&self, client: Caller, already: &[Rc<Upstream>]) -> Option<Rc<Upstream>> {
        // Nearly always none has been tried.
        let tried = if already.is_empty() { Vec::new() } else { self.places_of(already) };
        Some(self.upstreams[self.choose(client, &tried)?].clone())
    }

    fn choose(&self, client: Caller, not: &[usize]) -> Option<usize> {
        let load = |index: usize| self.upstreams[index].load();
        self.picker.borrow_mut().pick(&Ask { client: client.address, key: client.key, load: &load, tried: not })
    }

    /// A backend that this client may be busy with now: the preferred one, or the algorithm's choice among those that
    /// were not tried.
    fn seat(
        &self,
        client: Caller,
        preferred: Option<&Rc<Upstream>>,
        already: &[Rc<Upstream>],
    ) -> Result<BusyUpstream, NoSeat> {
        if self.version.is_guarded {
            return self.guarded_seat(client, preferred, already);
        }
        let choice = preferred.cloned().or_else(|| self.pick(client, already));
        choice.map(|upstream| upstream.busy(None)).ok_or(NoSeat::Nobody)
    }

    /// With an eye on limits and ejections.
    fn guarded_seat(
        &self,
        client: Caller,
        preferred: Option<&Rc<Upstream>>,
        already: &[Rc<Upstream>],
    ) -> Result<BusyUpstream, NoSeat> {
        let is_waited = self.pool.queue.is_waited_in();
        if let Some(preferred) = preferred {
            let place = self.version.place_of(&preferred.shared);
            let busy = place.filter(|_| !is_waited).and_then(|place| self.try_busy(place));
            return busy.ok_or_else(|| NoSeat::Full(Wants::This(preferred.shared.clone())));
        }
        let now = reactor::now();
        let tried = self.places_of(already);
        let mut not = tried.clone();
        let places = 0..self.upstreams.len();
        not.extend(places.clone().filter(|place| !self.has_place(*place) || self.version.is_ejected(*place, now)));
        while let Some(place) = self.choose(client, &not).filter(|_| !is_waited) {
            if let Some(busy) = self.try_busy(place) {
                return Ok(busy);
            }
            // Another worker was faster.
            not.push(place);
        }
        let full = || NoSeat::Full(Wants::AnyBut(already.iter().map(|u| u.shared.clone()).collect()));
        not.clone_from(&tried);
        not.extend(places.filter(|place| self.version.is_ejected(*place, now)));
        if self.choose(client, &not).is_some() {
            return Err(full());
        }
        // Whoever is left has been ejected, which is better than nobody.
        let left = self.choose(client, &tried).ok_or(NoSeat::Nobody)?;
        self.try_busy(left).filter(|_| !is_waited).ok_or_else(full)
    }

    fn has_place(&self, place: usize) -> bool {
        self.upstreams[place].shared.has_place(self.version.limit(place))
    }

    fn try_busy(&self, place: usize) -> Option<BusyUpstream> {
        let upstream = &self.upstreams[place];
        match self.version.limit(place) {
            None => Some(upstream.busy(None)),
            limit => Some(upstream.busy(Some(Place::take(&self.pool, &upstream.shared, limit)?))),
        }
    }

    /// Goes to the place that was kept for it, unless the backend has gone meanwhile.
    fn occupy(&self, place: Place) -> Option<BusyUpstream> {
        let upstream = self.upstreams.iter().find(|u| Arc::ptr_eq(&u.shared, place.backend()) && u.up.get())?;
        Some(upstream.busy(Some(place)))
    }

    fn places_of(&self, upstreams: &[Rc<Upstream>]) -> Vec<usize> {
        upstreams.iter().filter_map(|u| self.version.place_of(&u.shared)).collect()
    }

    pub(super) fn pool_name(&self) -> &str {
        &self.version.config.pool.name
    }

    /// Exchanges of all workers with the backends of the pool.
    pub(super) fn active(&self) -> u64 {
        self.upstreams.iter().map(|upstream| upstream.active()).sum()
    }

    /// Those who wait for a place in the pool.
    pub(super) fn queued(&self) -> u64 {
        if self.pool.queue.is_waited_in() { self.pool.queue.traffic().queued } else { 0 }
    }

    pub(super) fn timeouts(&self) -> PoolTimeouts {
        self.version.config.pool.timeouts
    }

    pub(super) fn serving(&self) -> &Serving {
        &self.version.config.pool.serving
    }

    /// A whole response came from there.
    pub(super) fn answered(&self, upstream: &Upstream, status: u16) {
        if self.version.is_guarded {
            match &self.serving().ejection {
                Some(rule) if rule.on_5xx && status >= 500 => self.went_wrong(upstream),
                _ => upstream.shared.standing.good(),
            }
        }
    }

    /// Something went well there.
    pub(super) fn went_well(&self, upstream: &Upstream) {
        if self.version.is_guarded {
            upstream.shared.standing.good();
        }
    }

    /// Something failed there. If that was too much, it is ejected.
    pub(super) fn went_wrong(&self, upstream: &Upstream) {
        let Some(rule) = &self.serving().ejection else { return };
        let (standing, now) = (&upstream.shared.standing, Instant::now());
        if !standing.bad(rule, now) {
            return;
        }
        let _others_wait = self.pool.ejecting.lock().unwrap_or_else(PoisonError::into_inner);
        let members = &self.version.members;
        let out = members.iter().filter(|place| self.version.is_ejected(**place, now)).count();
        let place = self.version.place_of(&upstream.shared);
        if place.is_some_and(|place| members.contains(&place))
            && !standing.is_out(now)
            && eject::may_eject(out, members.len())
        {
            standing.eject(rule, now);
            upstream.counters().ejections.add(1);
            let (pool, backend) = (&self.version.config.pool.name, &upstream.name);
            let period = format_duration(rule.period);
            tracing::warn!(%pool, %backend, "backend is left alone for {period}: too much has failed there");
        }
    }

    /// Brings the weights up to `now`.
    fn warm(&self, now: Instant) {
        let Some(slow_start) = self.serving().slow_start else { return };
        let share = |place: usize| self.version.backends[place].share(slow_start, now);
        let warming = self.version.members.iter().any(|place| share(*place) < 100);
        if self.warming.replace(warming) || warming {
            let backends = &self.version.config.pool.backends;
            self.picker.borrow_mut().reweigh(|place| u32::from(backends[place].weight) * share(place));
        }
    }
}

impl PoolVersion {
    /// Whether it is left alone for now because too much has failed there.
    pub(super) fn is_ejected(&self, place: usize, now: Instant) -> bool {
        self.config.pool.serving.ejection.is_some() && self.backends[place].standing.is_out(now)
    }
}
