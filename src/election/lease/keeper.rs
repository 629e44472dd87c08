//! The keeper's thread.

use super::{Shared, TTL, now};
use crate::kernel::realtime;
use std::{
    io,
    sync::{Arc, PoisonError},
    time::Duration,
};
use tokio::sync::watch;

/// So that one or two renewals may fail or come late.
const EVERY: Duration = TTL.checked_div(4).unwrap();

/// The receiver closes when the thread has ended.
pub(super) fn start(shared: Arc<Shared>) -> io::Result<watch::Receiver<()>> {
    let (alive, ended) = watch::channel(());
    let run = move || {
        // Dropped when the thread ends, however it does.
        let _alive = alive;
        shared.lock().ranked(realtime::prefer_this_thread());
        keep(&shared);
    };
    std::thread::Builder::new().name("lease".to_owned()).spawn(run)?;
    Ok(ended)
}

/// Renews until the leases are closed; sleeps while there is nothing to renew.
fn keep(shared: &Shared) {
    let mut due = None;
    let mut state = shared.lock();
    while !state.is_closed() {
        let at = now();
        let Some(time) = due.filter(|_| state.any()) else {
            if state.any() {
                due = Some(at + EVERY);
            } else {
                due = None;
                state = shared.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            continue;
        };
        if at < time {
            state = shared.wake.wait_timeout(state, time - at).unwrap_or_else(PoisonError::into_inner).0;
            continue;
        }
        drop(state);
        let works = shared.progress.stalled(at).is_empty();
        state = shared.lock();
        state.renew(now(), at - time, works);
        due = Some(at + EVERY);
    }
}
