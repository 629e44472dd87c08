//! Tasks: futures in a table, run when they are woken.

use super::{
    NOW,
    driver::Driver,
    remote::{TaskWaker, is_any_ready, next_ready},
    watched::SPELL,
};
use crate::dataplane::slab::Slab;
use std::{
    any::Any,
    cell::{Cell, RefCell},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
};

/// So many tasks run between two looks at sockets and deadlines.
pub(super) const TURN: usize = 64;
/// The number of the future that the reactor was started with, which is no row of the table.
const MAIN: u32 = u32::MAX;

thread_local! {
    static CURRENT: RefCell<Option<Rc<Core>>> = const { RefCell::new(None) };
    /// What is left of the running task's spell.
    static SPELL_LEFT: Cell<u32> = const { Cell::new(SPELL) };
}

/// Runs tasks on the thread that calls [`Reactor::block_on`].
#[derive(Debug)]
pub(in crate::dataplane) struct Reactor(Rc<Core>);

#[derive(Debug)]
struct Core {
    driver: Rc<Driver>,
    tasks: RefCell<Slab<Task>>,
    /// No task is taken any more.
    ending: Cell<bool>,
}

struct Task {
    future: Pin<Box<dyn Future<Output = ()>>>,
    handle: Arc<TaskWaker>,
    waker: Waker,
}

impl std::fmt::Debug for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.handle.fmt(f)
    }
}

impl Reactor {
    /// Fails if no descriptor is left.
    pub(in crate::dataplane) fn new() -> io::Result<Self> {
        let driver = Rc::new(Driver::new()?);
        Ok(Self(Rc::new(Core { driver, tasks: RefCell::new(Slab::new()), ending: Cell::new(false) })))
    }

    /// Runs `main`, and all tasks that it spawns, until it is done; then they are dropped.
    ///
    /// # Panics
    /// If this thread runs a reactor already, and if `main` panics. A task that panics ends, and is not heard of.
    pub(in crate::dataplane) fn block_on<T>(self, main: impl Future<Output = T>) -> T {
        let _inside = Inside::enter(&self.0);
        let mut main = pin!(main);
        let handle = TaskWaker::new(MAIN, self.0.driver.remote.clone());
        let waker = Waker::from(handle.clone());
        waker.wake_by_ref();
        loop {
            for _ in 0..TURN {
                match next_ready() {
                    None => break,
                    Some(MAIN) => {
                        handle.runs();
                        SPELL_LEFT.set(SPELL);
                        if let Poll::Ready(done) = main.as_mut().poll(&mut Context::from_waker(&waker)) {
                            return done;
                        }
                    }
                    Some(task) => self.0.run(task),
                }
            }
            self.0.driver.turn(!is_any_ready());
        }
    }
}

impl Core {
    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()>>>) {
        if self.ending.get() {
            return;
        }
        let task = |row| {
            let handle = TaskWaker::new(row, self.driver.remote.clone());
            let waker = Waker::from(handle.clone());
            waker.wake_by_ref();
            Task { future, handle, waker }
        };
        self.tasks.borrow_mut().insert_with(task);
    }

    fn run(&self, row: u32) {
        // It may have ended since it was woken.
        let Some(mut task) = self.tasks.borrow_mut().lend(row) else { return };
        task.handle.runs();
        SPELL_LEFT.set(SPELL);
        let poll = || task.future.as_mut().poll(&mut Context::from_waker(&task.waker));
        match catch_unwind(AssertUnwindSafe(poll)) {
            Ok(Poll::Pending) => self.tasks.borrow_mut().give_back(row, task),
            over => {
                self.tasks.borrow_mut().release(row);
                task.end();
                forget_panic(over.map(drop));
            }
        }
    }

    /// Drops all tasks. What they spawn while they are dropped is dropped too.
    fn end(&self) {
        self.ending.set(true);
        let tasks = self.tasks.borrow_mut().drain();
        tasks.into_iter().for_each(Task::end);
    }
}

impl Task {
    fn end(self) {
        self.handle.ended();
        forget_panic(catch_unwind(AssertUnwindSafe(move || drop(self))));
    }
}

/// The panic hook has told of it. What it was thrown with could panic itself when it is dropped.
fn forget_panic(result: Result<(), Box<dyn Any + Send>>) {
    if let Err(thrown) = result {
        std::mem::forget(thrown);
    }
}

/// Makes a reactor the one of this thread.
struct Inside<'a>(&'a Rc<Core>);

impl<'a> Inside<'a> {
    fn enter(core: &'a Rc<Core>) -> Self {
        assert!(core.driver.remote.enter(), "this thread runs a reactor already");
        CURRENT.set(Some(core.clone()));
        core.driver.tick();
        Self(core)
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.end();
        CURRENT.set(None);
        NOW.set(None);
        self.0.driver.remote.leave();
    }
}

/// Runs a future on this thread, beginning when the task that calls this waits.
///
/// # Panics
/// If this thread runs no reactor.
pub(in crate::dataplane) fn spawn_local(future: impl Future<Output = ()> + 'static) {
    current(|core| core.spawn(Box::pin(future)));
}

/// What this thread waits with.
pub(super) fn driver() -> Rc<Driver> {
    current(|core| core.driver.clone())
}

/// Takes one try from the running task's spell. When none is left, it is to be run again after the others.
pub(super) fn spend(cx: &Context<'_>) -> Poll<()> {
    match SPELL_LEFT.get() {
        0 => {
            cx.waker().wake_by_ref();
            Poll::Pending
        }
        left => {
            SPELL_LEFT.set(left - 1);
            Poll::Ready(())
        }
    }
}

fn current<T>(f: impl FnOnce(&Core) -> T) -> T {
    CURRENT.with_borrow(|current| match current {
        Some(core) => f(core),
        None => panic!("sockets, timers and tasks of the data plane live on a thread with a reactor"),
    })
}
