//! Whether the parts of the agent work: each that is followed gives signs of life, and one that gives none for
//! [`STALLED_AFTER`] has stalled.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// Long enough for an overloaded machine, which must not make the addresses flap.
pub const STALLED_AFTER: Duration = Duration::from_millis(2500);

/// The parts of the agent without which it should own nothing.
#[derive(Debug, Default)]
pub struct Progress {
    parts: Vec<Part>,
}

struct Part {
    name: &'static str,
    age: Box<dyn Fn(Instant) -> Duration + Send + Sync>,
}

/// With what a part says that it has made progress. Clones speak for the same part.
#[derive(Debug, Clone)]
pub struct Beat {
    origin: Instant,
    /// Milliseconds from `origin` to the last sign of life.
    last: Arc<AtomicU64>,
}

impl Progress {
    /// One more part, called `name` (`"the reconcile loop"`), that gives signs of life by the [`Beat`].
    pub fn part(&mut self, name: &'static str) -> Beat {
        let beat = Beat { origin: now(), last: Arc::default() };
        let followed = beat.clone();
        self.parts.push(Part { name, age: Box::new(move |now| followed.age(now)) });
        beat
    }

    /// One more part, which knows itself how long ago its last sign of life was. `age` must not wait.
    pub fn follow(&mut self, name: &'static str, age: impl Fn() -> Duration + Send + Sync + 'static) {
        self.parts.push(Part { name, age: Box::new(move |_| age()) });
    }

    /// Each part that has stalled, in words; always the same words.
    pub fn stalled(&self, now: Instant) -> Vec<String> {
        let stalled = self.parts.iter().filter(|part| (part.age)(now) > STALLED_AFTER);
        stalled.map(|part| format!("{} has made no progress for over {STALLED_AFTER:?}", part.name)).collect()
    }
}

impl Beat {
    /// Progress was made at `now`; at an earlier time than the last, nothing changes.
    pub fn at(&self, now: Instant) {
        let since = now.saturating_duration_since(self.origin).as_millis();
        self.last.fetch_max(since.try_into().unwrap_or(u64::MAX), Relaxed);
    }

    /// Progress was made now.
    pub fn beat(&self) {
        self.at(now());
    }

    fn age(&self, now: Instant) -> Duration {
        let last = self.origin + Duration::from_millis(self.last.load(Relaxed));
        now.saturating_duration_since(last)
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Part").field(&self.name).finish()
    }
}

#[expect(clippy::disallowed_methods, reason = "signs of life are stamped where they are given")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn each_part_must_beat_and_those_that_do_not_are_named() {
        let mut progress = Progress::default();
        let (one, two) = (progress.part("the one"), progress.part("the other"));
        let begin = now();
        assert!(progress.stalled(begin).is_empty(), "a part has time to start");
        let late = begin + STALLED_AFTER + Duration::from_millis(20);
        assert_eq!(progress.stalled(late).len(), 2);
        one.at(late);
        assert_eq!(progress.stalled(late), ["the other has made no progress for over 2.5s"]);
        two.clone().at(late);
        assert!(progress.stalled(late).is_empty());
        two.at(begin);
        assert!(progress.stalled(late).is_empty(), "the last sign of life counts");
    }

    #[test]
    fn a_part_may_keep_its_own_time() {
        let age = Arc::new(Mutex::new(STALLED_AFTER));
        let theirs = age.clone();
        let mut progress = Progress::default();
        progress.follow("a data-plane thread", move || *theirs.lock().unwrap());
        assert!(progress.stalled(now()).is_empty());
        *age.lock().unwrap() += Duration::from_millis(1);
        assert!(progress.stalled(now())[0].starts_with("a data-plane thread has made no progress"));
    }
}
