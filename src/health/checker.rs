//! Puts the questions at their times and keeps the table: the shell around [`threshold`].
//!
//! One task per backend of each pool asks, waits, and asks again, so a check never overlaps itself; one task in the
//! middle owns the table. Its job on a new desired state is only the difference:
//!
//! | what changed | its task | its state |
//! |---|---|---|
//! | weight, backup, balance, rise, fall, … | goes on | stays |
//! | interval, timeout, how connections are made | starts anew | stays |
//! | what is asked (kind, path, host, expect) | starts anew | stays until the first answer, which decides |
//! | the address | starts anew | unknown, as of a new backend |
//! | backend or pool gone | ends | gone |
//!
//! The first question is put at once. The second follows after half to one and a half intervals, by a hash of the
//! names, so that the checks of a large farm spread over the interval and stay spread; then they are an interval apart.

use super::{Answer, Server, ask, threshold};
use crate::model::{
    Backend, BackendState, Check, CheckKind, CheckOutcome, Desired, Health, HealthTable, Name, Pool, format_duration,
};
use std::{
    collections::BTreeMap,
    hash::{Hash, Hasher},
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::{Semaphore, mpsc, watch},
    task::AbortHandle,
};

/// Checks under way at one time. More than this are late rather than many.
const AT_ONCE: usize = 256;

/// By pool and backend.
type Key = (Name, Name);

/// Starts checking every backend of every pool of `desired`, for as long as both ends are held.
///
/// Receivers are woken when a backend comes, goes or changes between up and down; what else is new (the last answer,
/// counters) is in the value without waking anybody: an idle balancer must not reconcile for every good answer.
/// Call it within a tokio runtime.
pub fn start(desired: watch::Receiver<Arc<Desired>>) -> watch::Receiver<Arc<HealthTable>> {
    let (table, receiver) = watch::channel(Arc::default());
    tokio::spawn(run(desired, table));
    receiver
}

async fn run(mut desired: watch::Receiver<Arc<Desired>>, table: watch::Sender<Arc<HealthTable>>) {
    // As many places as checks may be under way: a task that has an answer finds room at once or waits a moment.
    let (answers, mut inbox) = mpsc::channel(AT_ONCE);
    let mut checker =
        Checker { tasks: BTreeMap::new(), next_id: 0, answers, permits: Arc::new(Semaphore::new(AT_ONCE)) };
    desired.mark_changed();
    loop {
        tokio::select! {
            changed = desired.changed() => {
                if changed.is_err() {
                    return;
                }
                let wanted = desired.borrow_and_update().clone();
                checker.follow(&wanted, &table);
            }
            Some(report) = inbox.recv() => checker.enter(report, &table),
            () = table.closed() => return,
        }
    }
}

/// The tasks and what each of them was told. Dropping it ends them all.
struct Checker {
    tasks: BTreeMap<Key, Task>,
    next_id: u64,
    answers: mpsc::Sender<Report>,
    permits: Arc<Semaphore>,
}

struct Task {
    /// Tells the reports of this task from late ones of its predecessor.
    id: u64,
    question: Question,
    rise: u32,
    fall: u32,
    /// The first answer decides whatever the table says.
    fresh: bool,
    /// The last attempt could not be made; said once, not at every interval.
    unasked: bool,
    handle: AbortHandle,
}

impl Drop for Task {
    fn drop(&mut self) {
        self.handle.abort();
    }
}

/// All that a task needs to know. Two equal questions are one and the same.
#[derive(Debug, Clone, PartialEq)]
struct Question {
    server: Server,
    kind: CheckKind,
    interval: Duration,
    timeout: Duration,
}

impl Question {
    fn new(backend: &Backend, pool: &Pool) -> Self {
        let (check, connecting) = (&pool.check, pool.serving.connecting.clone());
        Self {
            server: Server { address: backend.address, connecting },
            kind: check.kind.clone(),
            interval: check.interval,
            timeout: check.timeout,
        }
    }

    fn address(&self) -> SocketAddr {
        self.server.address
    }
}

/// One answer on its way from a task to the table.
struct Report {
    key: Key,
    id: u64,
    answer: Answer,
    took: Duration,
    at: Instant,
}

impl Checker {
    /// Starts, changes and ends tasks so that they are what `desired` wants.
    fn follow(&mut self, desired: &Desired, table: &watch::Sender<Arc<HealthTable>>) {
        let wanted: BTreeMap<Key, (&Backend, &Arc<Pool>)> = desired
            .pools
            .values()
            .flat_map(|pool| pool.backends.iter().map(move |backend| (pool, backend)))
            // Whoever works on it does not want it asked.
            .filter(|(_, backend)| backend.state != BackendState::Maint && backend.is_known())
            .map(|(pool, backend)| ((pool.name.clone(), backend.name.clone()), (backend, pool)))
            .collect();
        self.tasks.retain(|key, _| wanted.contains_key(key));
        let mut forgotten = Vec::new();
        for (key, (backend, pool)) in &wanted {
            if self.want(key, Question::new(backend, pool), &pool.check) {
                forgotten.push(key);
            }
        }
        table.send_if_modified(|table| {
            let stale = |key: &Key| !wanted.contains_key(key) || forgotten.contains(&key);
            let modified = table.keys().any(stale);
            if modified {
                Arc::make_mut(table).retain(|key, _| !stale(key));
            }
            modified
        });
    }

    /// Makes the task of `key` ask `question`. True if what the table knows is about another server.
    fn want(&mut self, key: &Key, question: Question, check: &Check) -> bool {
        let mut fresh = true;
        let mut moved = true;
        if let Some(task) = self.tasks.get_mut(key) {
            (task.rise, task.fall) = (check.rise, check.fall);
            if task.question == question {
                return false;
            }
            moved = task.question.address() != question.address();
            fresh = task.fresh || moved || task.question.kind != question.kind;
        }
        let id = self.next_id;
        self.next_id += 1;
        let job = watch_backend(key.clone(), id, question.clone(), self.permits.clone(), self.answers.clone());
        let handle = tokio::spawn(job).abort_handle();
        let task = Task { id, question, rise: check.rise, fall: check.fall, fresh, unasked: false, handle };
        self.tasks.insert(key.clone(), task);
        moved
    }

    /// Enters an answer into the table, unless its task is gone.
    fn enter(&mut self, report: Report, table: &watch::Sender<Arc<HealthTable>>) {
        let Some(task) = self.tasks.get_mut(&report.key).filter(|task| task.id == report.id) else { return };
        let (ok, detail) = match report.answer {
            Answer::Good(detail) => (true, detail),
            Answer::Bad(detail) => (false, detail),
            Answer::Unasked(why) => {
                if !std::mem::replace(&mut task.unasked, true) {
                    tracing::warn!(pool = %report.key.0, backend = %report.key.1, "not checked: {why}");
                }
                return;
            }
        };
        task.unasked = false;
        let outcome = CheckOutcome { ok, detail, took: report.took, at: report.at };
        let fresh = std::mem::replace(&mut task.fresh, false);
        table.send_if_modified(|table| {
            let before = table.get(&report.key);
            let after = match before {
                None => threshold::first(outcome),
                Some(before) if fresh => threshold::restart(before, outcome),
                Some(before) => threshold::next(before, outcome, task.rise, task.fall),
            };
            let turned = before.is_none_or(|before| before.up != after.up);
            if turned {
                announce(&report.key, &after);
            }
            Arc::make_mut(table).insert(report.key, after);
            turned
        });
    }
}

fn announce((pool, backend): &Key, health: &Health) {
    let detail = health.last.as_ref().map_or("", |last| &last.detail);
    if health.up {
        tracing::info!(%pool, %backend, "backend is up: {detail}");
    } else {
        tracing::warn!(%pool, %backend, "backend is down: {detail}");
    }
}

#[expect(clippy::disallowed_methods, reason = "the shell that says when checks start and how long they take")]
async fn watch_backend(key: Key, id: u64, question: Question, permits: Arc<Semaphore>, answers: mpsc::Sender<Report>) {
    let mut gap = first_gap(&key, question.interval);
    loop {
        let Ok(permit) = permits.acquire().await else { return };
        let start = Instant::now();
        let answer = match tokio::time::timeout(question.timeout, ask(&question.kind, &question.server)).await {
            Ok(answer) => answer,
            Err(_) => Answer::Bad(format!("no answer within {}", format_duration(question.timeout))),
        };
        drop(permit);
        let at = Instant::now();
        let report = Report { key: key.clone(), id, answer, took: at - start, at };
        if answers.send(report).await.is_err() {
            return;
        }
        tokio::time::sleep_until((start + gap).into()).await;
        gap = question.interval;
    }
}

/// From half to one and a half intervals, always the same for the same names.
fn first_gap(key: &Key, interval: Duration) -> Duration {
    let mut hasher = std::hash::DefaultHasher::new();
    key.hash(&mut hasher);
    let fraction = (hasher.finish() >> 32) as f64 / f64::from(u32::MAX);
    interval.mul_f64(0.5 + fraction)
}

#[cfg(test)]
#[path = "checker_tests.rs"]
mod tests;
