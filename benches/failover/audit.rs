//! The auditor: asks who has the address every [`PACE`], and keeps every answer and every announcement.

use super::{
    pair::Failure,
    wire::{Heard, Post, Wire},
};
use lbagent::drill::lab::clock::now;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};
use tokio::time::{MissedTickBehavior, interval};

/// From one question to the next: the grain of every figure about who answers.
const PACE: Duration = Duration::from_millis(2);
/// A node that was not heard for this long while another was has to be counted anew when it answers: shorter silences
/// are lost frames.
const GONE: Duration = Duration::from_millis(100);

/// An auditor at work. Dropping it ends it.
pub(crate) struct Audit {
    log: Arc<Mutex<Log>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<(), String>>>,
}

/// What was asked and heard so far.
#[derive(Default)]
pub(crate) struct Log {
    rounds: Vec<Round>,
    announcements: Vec<(Instant, &'static str)>,
}

struct Round {
    asked: Instant,
    by: BTreeSet<&'static str>,
}

impl Audit {
    /// Begins to ask for `ip`.
    pub(crate) fn start(post: Post, ip: IpAddr) -> Result<Self, Failure> {
        let (log, stop) = (Arc::new(Mutex::new(Log::default())), Arc::new(AtomicBool::new(false)));
        let (shared, stopped) = (log.clone(), stop.clone());
        let work = move || ask_until(&stopped, &shared, post, ip).map_err(|error| error.to_string());
        let thread = std::thread::Builder::new().name("auditor".into()).spawn(work)?;
        Ok(Self { log, stop, thread: Some(thread) })
    }

    /// Holding it stops the auditor: look, and let go.
    pub(crate) fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(Ok(Err(error))) = self.thread.take().map(JoinHandle::join) {
            eprintln!("the auditor: {error}");
        }
    }
}

impl Log {
    /// The nodes that answered between the two moments.
    pub(crate) fn owners(&self, from: Instant, to: Instant) -> BTreeSet<&'static str> {
        self.between(from, to).flat_map(|round| round.by.iter().copied()).collect()
    }

    /// Whether `node` alone answered every question between the two moments, and there was one.
    pub(crate) fn is_sole_owner(&self, node: &str, from: Instant, to: Instant) -> bool {
        let mut rounds = self.between(from, to).peekable();
        rounds.peek().is_some() && rounds.all(|round| round.by.iter().eq([&node]))
    }

    /// When the first answer came after `since`.
    pub(crate) fn first_answer(&self, since: Instant) -> Option<Instant> {
        self.rounds.iter().find(|round| round.asked >= since && !round.by.is_empty()).map(|round| round.asked)
    }

    /// How long questions were answered by more than one node, between the two moments.
    pub(crate) fn both(&self, from: Instant, to: Instant) -> Duration {
        let rounds: Vec<&Round> = self.between(from, to).collect();
        let next = |index: usize| rounds.get(index + 1).map_or(to, |round| round.asked);
        let doubled = rounds.iter().enumerate().filter(|(_, round)| round.by.len() > 1);
        doubled.map(|(index, round)| next(index) - round.asked).sum()
    }

    /// When the last question was asked, between the two moments, that not exactly one node answered.
    pub(crate) fn last_unclear(&self, from: Instant, to: Instant) -> Option<Instant> {
        self.between(from, to).filter(|round| round.by.len() != 1).map(|round| round.asked).last()
    }

    /// How often a node began to answer after another had, between the two moments; a silence is no move.
    pub(crate) fn moves(&self, from: Instant, to: Instant) -> usize {
        let mut last: BTreeMap<&str, Instant> = BTreeMap::new();
        let mut moves = 0;
        for round in self.between(from, to) {
            for node in &round.by {
                let own = last.get(node).copied();
                let other = last.iter().filter(|(other, _)| *other != node).map(|(_, at)| *at).max();
                let gone = own.is_none_or(|own| own + GONE < round.asked);
                moves += usize::from(gone && other > own);
            }
            last.extend(round.by.iter().map(|node| (*node, round.asked)));
        }
        moves
    }

    /// Announcements between the two moments: of `node`, and of all.
    pub(crate) fn announcements(&self, node: &str, from: Instant, to: Instant) -> [usize; 2] {
        let all = || self.announcements.iter().filter(|(at, _)| (from..to).contains(at));
        [all().filter(|(_, by)| *by == node).count(), all().count()]
    }

    fn between(&self, from: Instant, to: Instant) -> impl Iterator<Item = &Round> {
        self.rounds.iter().filter(move |round| (from..to).contains(&round.asked))
    }
}

fn ask_until(stop: &AtomicBool, log: &Mutex<Log>, post: Post, ip: IpAddr) -> Result<(), Failure> {
    post.namespace.enter()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let wire = Wire::open(post)?;
        let mut ticks = interval(PACE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        while !stop.load(Ordering::Relaxed) {
            let tick = ticks.tick().await;
            // Whatever is heard before the next question answers this one: kernels answer within microseconds.
            let mut round = Round { asked: now(), by: BTreeSet::new() };
            wire.ask(ip)?;
            while let Some(heard) = wire.hear(tick + PACE).await? {
                match heard {
                    Heard::Answer(of, node) if of == ip => drop(round.by.insert(node)),
                    Heard::Announcement(of, node) if of == ip => lock(log).announcements.push((now(), node)),
                    _ => {}
                }
            }
            lock(log).rounds.push(round);
        }
        match wire.lost() {
            0 => Ok(()),
            lost => Err(format!("{lost} frames came too fast, so an answer may be missing").into()),
        }
    })
}

fn lock(log: &Mutex<Log>) -> MutexGuard<'_, Log> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}
