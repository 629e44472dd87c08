//! Deadlines: a heap of four children to a node, in which each deadline knows its place, so that one can be moved or
//! taken away.
//!
//! Most are set for later than all that are there and are taken away, or put off, long before their time: both are a few
//! comparisons. It knows no clock.

use crate::dataplane::slab::Slab;
use std::task::Waker;
use tokio::time::Instant;

/// Children of a node.
const WIDTH: usize = 4;
/// The place of one that has gone off.
const NOWHERE: u32 = u32::MAX;

/// The deadlines of one reactor.
#[derive(Debug)]
pub(super) struct Timers {
    /// When, and which.
    heap: Vec<(Instant, u32)>,
    timers: Slab<Timer>,
}

#[derive(Debug)]
struct Timer {
    place: u32,
    waker: Waker,
}

impl Timers {
    pub(super) const fn new() -> Self {
        Self { heap: Vec::new(), timers: Slab::new() }
    }

    /// A new one, to be taken away with [`Timers::remove`] whether or not it has gone off.
    pub(super) fn insert(&mut self, deadline: Instant, waker: &Waker) -> u32 {
        let timer = self.timers.insert_with(|_| Timer { place: NOWHERE, waker: waker.clone() });
        self.push(deadline, timer);
        timer
    }

    /// Sets one for another time, or anew if it has gone off.
    pub(super) fn set(&mut self, timer: u32, deadline: Instant) {
        match self.place(timer) {
            None => self.push(deadline, timer),
            Some(place) => {
                self.heap[place].0 = deadline;
                self.settle(place);
            }
        }
    }

    /// Whom to wake from now on.
    pub(super) fn wakes(&mut self, timer: u32, waker: &Waker) {
        if let Some(timer) = self.timers.get_mut(timer)
            && !timer.waker.will_wake(waker)
        {
            timer.waker.clone_from(waker);
        }
    }

    pub(super) fn remove(&mut self, timer: u32) {
        if let Some(place) = self.place(timer) {
            self.unheap(place);
        }
        self.timers.remove(timer);
    }

    /// The earliest.
    pub(super) fn next(&self) -> Option<Instant> {
        self.heap.first().map(|(deadline, _)| *deadline)
    }

    /// One whose time has come goes off: whom to wake.
    pub(super) fn due(&mut self, now: Instant) -> Option<&Waker> {
        let (deadline, timer) = *self.heap.first()?;
        if deadline > now {
            return None;
        }
        self.unheap(0);
        self.timers.get(timer).map(|timer| &timer.waker)
    }

    fn place(&self, timer: u32) -> Option<usize> {
        let place = self.timers.get(timer)?.place;
        (place != NOWHERE).then_some(place as usize)
    }

    fn push(&mut self, deadline: Instant, timer: u32) {
        self.heap.push((deadline, timer));
        self.rise(self.heap.len() - 1);
    }

    /// Takes one out of the heap, not out of the table.
    fn unheap(&mut self, place: usize) {
        let (_, timer) = self.heap.swap_remove(place);
        if let Some(timer) = self.timers.get_mut(timer) {
            timer.place = NOWHERE;
        }
        if place < self.heap.len() {
            self.settle(place);
        }
    }

    fn settle(&mut self, place: usize) {
        if self.rise(place) == place {
            self.sink(place);
        }
    }

    /// Where it has come to.
    fn rise(&mut self, mut place: usize) -> usize {
        let it = self.heap[place];
        while place > 0 {
            let parent = (place - 1) / WIDTH;
            if self.heap[parent].0 <= it.0 {
                break;
            }
            self.stand(place, self.heap[parent]);
            place = parent;
        }
        self.stand(place, it);
        place
    }

    fn sink(&mut self, mut place: usize) {
        let it = self.heap[place];
        loop {
            let children = (place * WIDTH + 1).min(self.heap.len())..(place * WIDTH + 1 + WIDTH).min(self.heap.len());
            let Some(least) = children.min_by_key(|child| self.heap[*child].0) else { break };
            if self.heap[least].0 >= it.0 {
                break;
            }
            self.stand(place, self.heap[least]);
            place = least;
        }
        self.stand(place, it);
    }

    fn stand(&mut self, place: usize, it: (Instant, u32)) {
        self.heap[place] = it;
        if let Some(timer) = self.timers.get_mut(it.1) {
            timer.place = place as u32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{collections::BTreeMap, time::Duration};

    #[derive(Debug, Clone)]
    enum Step {
        Insert(u16),
        Set(usize, u16),
        Remove(usize),
        Pass(u16),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => any::<u16>().prop_map(Step::Insert),
            2 => (any::<usize>(), any::<u16>()).prop_map(|(which, at)| Step::Set(which, at)),
            2 => any::<usize>().prop_map(Step::Remove),
            1 => (0..4000u16).prop_map(Step::Pass),
        ]
    }

    proptest! {
        #[test]
        fn they_go_off_in_order_and_when_a_plain_list_says_so(steps in proptest::collection::vec(step(), 1..200)) {
            let start = Instant::now();
            let at = |ms: u64| start + Duration::from_millis(ms);
            let (mut timers, mut now) = (Timers::new(), 0);
            // By number; `None` has gone off.
            let mut model: BTreeMap<u32, Option<u64>> = BTreeMap::new();
            for step in steps {
                let pick = |which: usize| model.keys().nth(which % model.len().max(1)).copied();
                match step {
                    Step::Insert(after) => {
                        let when = now + u64::from(after);
                        let timer = timers.insert(at(when), Waker::noop());
                        prop_assert!(model.insert(timer, Some(when)).is_none());
                    }
                    Step::Set(which, after) => if let Some(timer) = pick(which) {
                        timers.set(timer, at(now + u64::from(after)));
                        model.insert(timer, Some(now + u64::from(after)));
                    },
                    Step::Remove(which) => if let Some(timer) = pick(which) {
                        timers.remove(timer);
                        model.remove(&timer);
                    },
                    Step::Pass(time) => {
                        now += u64::from(time);
                        let mut gone = 0;
                        while timers.due(at(now)).is_some() {
                            gone += 1;
                        }
                        let due = model.values_mut().filter(|when| when.is_some_and(|when| when <= now));
                        prop_assert_eq!(gone, due.map(Option::take).count());
                    }
                }
                prop_assert_eq!(timers.next(), model.values().flatten().min().map(|when| at(*when)));
                for (timer, when) in &model {
                    prop_assert_eq!(timers.place(*timer).is_some(), when.is_some());
                }
            }
        }
    }
}
