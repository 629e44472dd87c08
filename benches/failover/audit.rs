//! The auditor: asks who has the address every [`PACE`], and keeps every answer and every announcement.

use super::{
    common::Failure,
    wire::{Heard, Post, Wire},
};
use lbagent::drill::lab::{answers::Answers, clock::now};
use std::{
    collections::BTreeSet,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};
use tokio::time::{MissedTickBehavior, interval};

/// From one question to the next: the grain of every figure about who answers.
const PACE: Duration = Duration::from_millis(2);

/// An auditor at work. Dropping it ends it.
pub(crate) struct Audit {
    answers: Arc<Mutex<Answers>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<(), String>>>,
}

impl Audit {
    /// Begins to ask for `ip`.
    pub(crate) fn start(post: Post, ip: IpAddr) -> Result<Self, Failure> {
        let (answers, stop) = (Arc::new(Mutex::new(Answers::default())), Arc::new(AtomicBool::new(false)));
        let (shared, stopped) = (answers.clone(), stop.clone());
        let work = move || ask_until(&stopped, &shared, post, ip).map_err(|error| error.to_string());
        let thread = std::thread::Builder::new().name("auditor".into()).spawn(work)?;
        Ok(Self { answers, stop, thread: Some(thread) })
    }

    /// Holding it stops the auditor: look, and let go.
    pub(crate) fn answers(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
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

fn ask_until(stop: &AtomicBool, answers: &Mutex<Answers>, post: Post, ip: IpAddr) -> Result<(), Failure> {
    post.namespace.enter()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let wire = Wire::open(post)?;
        let mut ticks = interval(PACE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        while !stop.load(Ordering::Relaxed) {
            ticks.tick().await;
            // Whatever is heard before the next question answers this one: kernels answer within microseconds. A tick may
            // come late; its question has all of its time nevertheless.
            let (asked, mut by) = (now(), BTreeSet::new());
            wire.ask(ip)?;
            while let Some(heard) = wire.hear((asked + PACE).into()).await? {
                match heard {
                    Heard::Answer(of, node) if of == ip => drop(by.insert(node)),
                    Heard::Announcement(of, node) if of == ip => lock(answers).add_announcement(now(), node),
                    _ => {}
                }
            }
            lock(answers).add(asked, by);
        }
        match wire.lost() {
            0 => Ok(()),
            lost => Err(format!("{lost} frames came too fast, so an answer may be missing").into()),
        }
    })
}

fn lock(answers: &Mutex<Answers>) -> MutexGuard<'_, Answers> {
    answers.lock().unwrap_or_else(PoisonError::into_inner)
}
