//! Connections to one backend that one worker keeps for the next request.

use crate::{
    dataplane::{reactor::TcpStream, traffic::Counter},
    model::IdleLimits,
};
use std::{
    cell::{Cell, RefCell},
    io,
    mem::MaybeUninit,
    rc::Rc,
};
use tokio::time::Instant;

/// How many connections one worker keeps idle, over all backends: they cost descriptors that clients may need.
pub(in crate::dataplane) struct IdleBudget {
    kept: Cell<usize>,
    max: usize,
}

impl IdleBudget {
    pub(in crate::dataplane) fn new(max: usize) -> Rc<Self> {
        Rc::new(Self { kept: Cell::new(0), max })
    }
}

/// The connections. The one used last is used first, so that a surplus expires.
pub(super) struct IdleList {
    list: RefCell<Vec<Idle>>,
    limits: Cell<IdleLimits>,
    budget: Rc<IdleBudget>,
}

struct Idle {
    stream: TcpStream,
    /// Since the sweep that met it first: a clock is not read for every request.
    since: Option<Instant>,
}

impl IdleList {
    pub(super) fn new(limits: IdleLimits, budget: Rc<IdleBudget>) -> Self {
        Self { list: RefCell::default(), limits: Cell::new(limits), budget }
    }

    /// What is above them closes with the next sweep.
    pub(super) fn set_limits(&self, limits: IdleLimits) {
        self.limits.set(limits);
    }

    /// A connection that is fit for use. `certain`: the kernel itself is asked whether the backend has closed it
    /// meanwhile, for a request that could not be repeated. `gauge` counts them.
    pub(super) fn take(&self, certain: bool, gauge: &Counter) -> Option<TcpStream> {
        loop {
            let idle = self.list.borrow_mut().pop()?;
            self.count_gone(1, gauge);
            if is_silent(&idle.stream, certain) {
                return Some(idle.stream);
            }
        }
    }

    /// Keeps a connection, if there is room for it.
    pub(super) fn put(&self, stream: TcpStream, gauge: &Counter) {
        let mut list = self.list.borrow_mut();
        if list.len() < self.limits.get().max.into() && self.budget.kept.get() < self.budget.max {
            list.push(Idle { stream, since: None });
            gauge.add(1);
            self.budget.kept.set(self.budget.kept.get() + 1);
        }
    }

    /// Closes those that have been idle for long, that the backend has closed, or that are too many.
    pub(super) fn sweep(&self, now: Instant, gauge: &Counter) {
        let limits = self.limits.get();
        let mut surplus = self.list.borrow().len().saturating_sub(limits.max.into());
        self.retain(gauge, |idle| {
            let is_surplus = surplus > 0;
            surplus = surplus.saturating_sub(1);
            !is_surplus
                && now.duration_since(*idle.since.get_or_insert(now)) < limits.expiry
                && is_silent(&idle.stream, false)
        });
    }

    /// Closes all.
    pub(super) fn clear(&self, gauge: &Counter) {
        self.retain(gauge, |_| false);
    }

    fn retain(&self, gauge: &Counter, keep: impl FnMut(&mut Idle) -> bool) {
        let mut list = self.list.borrow_mut();
        let before = list.len();
        list.retain_mut(keep);
        self.count_gone(before - list.len(), gauge);
    }

    fn count_gone(&self, count: usize, gauge: &Counter) {
        gauge.sub(count as u64);
        self.budget.kept.set(self.budget.kept.get() - count);
    }
}

/// Neither closed nor speaking unasked: both make an idle connection useless.
fn is_silent(stream: &TcpStream, certain: bool) -> bool {
    let would_block = |result: io::Result<usize>| matches!(result, Err(e) if e.kind() == io::ErrorKind::WouldBlock);
    would_block(stream.try_read(&mut [0]))
        && (!certain || would_block(socket2::SockRef::from(stream).peek(&mut [MaybeUninit::uninit()])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataplane::reactor::{connect, run};
    use socket2::SockRef;
    use std::{
        net::{TcpListener, TcpStream as Far},
        time::Duration,
    };

    struct Lab {
        listener: TcpListener,
        /// The backend's ends.
        far: Vec<Far>,
        list: IdleList,
        gauge: Counter,
    }

    fn lab(max: u16, budget: usize) -> Lab {
        let limits = IdleLimits { max, expiry: Duration::from_secs(30) };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let list = IdleList::new(limits, IdleBudget::new(budget));
        Lab { listener, far: Vec::new(), list, gauge: Counter::default() }
    }

    impl Lab {
        async fn put(&mut self, count: usize) {
            for _ in 0..count {
                let near = connect(self.listener.local_addr().unwrap()).await.unwrap();
                self.far.push(self.listener.accept().unwrap().0);
                self.list.put(near, &self.gauge);
            }
        }
    }

    #[test]
    fn no_more_are_kept_than_the_pool_and_the_worker_allow() {
        run(async {
            for (max, budget, kept) in [(2, 9, 2), (9, 3, 3), (0, 9, 0)] {
                let mut lab = lab(max, budget);
                lab.put(4).await;
                assert_eq!(lab.gauge.get(), kept);
                while lab.list.take(true, &lab.gauge).is_some() {}
                assert_eq!((lab.gauge.get(), lab.list.budget.kept.get()), (0, 0));
            }
        });
    }

    #[test]
    fn a_lower_limit_takes_effect_with_the_next_sweep_and_spares_the_latest() {
        run(async {
            let mut lab = lab(5, 9);
            lab.put(4).await;
            lab.list.set_limits(IdleLimits { max: 1, ..IdleLimits::default() });
            lab.list.sweep(Instant::now(), &lab.gauge);
            assert_eq!(lab.gauge.get(), 1);
            let latest = lab.far.last().unwrap().peer_addr().unwrap();
            assert_eq!(
                SockRef::from(&lab.list.take(true, &lab.gauge).unwrap()).local_addr().unwrap().as_socket().unwrap(),
                latest
            );
        });
    }

    #[test]
    fn what_is_old_or_closed_goes() {
        run(async {
            let mut lab = lab(5, 9);
            lab.put(3).await;
            lab.far.remove(0);
            assert!(lab.list.take(true, &lab.gauge).is_some() && lab.list.take(true, &lab.gauge).is_some());
            assert!(lab.list.take(true, &lab.gauge).is_none(), "the backend has closed it");
            lab.put(2).await;
            let start = Instant::now();
            for second in [0, 29] {
                lab.list.sweep(start + Duration::from_secs(second), &lab.gauge);
                assert_eq!(lab.gauge.get(), 2);
            }
            lab.list.sweep(start + Duration::from_secs(30), &lab.gauge);
            assert_eq!((lab.gauge.get(), lab.list.budget.kept.get()), (0, 0));
        });
    }
}
