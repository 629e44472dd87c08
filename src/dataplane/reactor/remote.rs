//! Wake-ups. On the reactor's own thread one is a number in a queue; from another thread it goes under a lock, and the
//! first since the reactor looked last writes to a descriptor in its epoll set.

use nix::sys::eventfd::{EfdFlags, EventFd};
use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    io, ptr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::Wake,
};

thread_local! {
    /// Whose thread this is: compared, never followed.
    static OWNER: Cell<*const Remote> = const { Cell::new(ptr::null()) };
    /// Tasks that are ready, of the reactor of this thread.
    static READY: RefCell<VecDeque<u32>> = const { RefCell::new(VecDeque::new()) };
}

/// Where other threads leave their wake-ups.
#[derive(Debug)]
pub(super) struct Remote {
    tasks: Mutex<Vec<u32>>,
    /// The reactor has been told that there are some.
    told: AtomicBool,
    pub(super) bell: EventFd,
}

impl Remote {
    pub(super) fn new() -> io::Result<Self> {
        let bell = EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?;
        Ok(Self { tasks: Mutex::default(), told: AtomicBool::new(false), bell })
    }

    /// Makes this thread the one whose wake-ups need no lock. False if it is another reactor's.
    pub(super) fn enter(&self) -> bool {
        let was_free = OWNER.get().is_null();
        if was_free {
            OWNER.set(self);
        }
        was_free
    }

    /// The thread is nobody's any more.
    pub(super) fn leave(&self) {
        OWNER.set(ptr::null());
        READY.take();
    }

    fn push(&self, task: u32) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).push(task);
        if !self.told.swap(true, SeqCst) {
            // It fails only when the count is full, and then the reactor has not looked since.
            let _ = self.bell.write(1);
        }
    }

    /// Makes ready what others have woken. The bell is told apart by its edge and need not be read.
    pub(super) fn collect(&self) {
        // First this, so that who comes between rings again.
        self.told.store(false, SeqCst);
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        READY.with_borrow_mut(|ready| ready.extend(tasks.drain(..)));
    }
}

/// The next task that is ready.
pub(super) fn next_ready() -> Option<u32> {
    READY.with_borrow_mut(VecDeque::pop_front)
}

pub(super) fn is_any_ready() -> bool {
    READY.with_borrow(|ready| !ready.is_empty())
}

/// What a waker of a task holds.
#[derive(Debug)]
pub(super) struct TaskWaker {
    task: u32,
    /// It is in a queue, or has ended.
    woken: AtomicBool,
    remote: Arc<Remote>,
}

impl TaskWaker {
    pub(super) fn new(task: u32, remote: Arc<Remote>) -> Arc<Self> {
        Arc::new(Self { task, woken: AtomicBool::new(false), remote })
    }

    /// The task is about to be run: who wakes it from now on wakes it again.
    pub(super) fn runs(&self) {
        // A swap, to see what was done before the wake-up that found it woken already.
        self.woken.swap(false, SeqCst);
    }

    /// There is nothing to wake any more.
    pub(super) fn ended(&self) {
        self.woken.store(true, SeqCst);
    }
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.woken.swap(true, SeqCst) {
            return;
        }
        if ptr::eq(OWNER.get(), Arc::as_ptr(&self.remote)) {
            READY.with_borrow_mut(|ready| ready.push_back(self.task));
        } else {
            self.remote.push(self.task);
        }
    }
}
