//! Waiting for a moment.

use super::{driver::Driver, executor, now};
use std::{
    future::poll_fn,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::Instant;

/// Resolves in the first turn that begins at or after its deadline. It may be set anew, also after it has resolved.
#[derive(Debug)]
pub(in crate::dataplane) struct Sleep {
    deadline: Instant,
    /// Once it has been waited for.
    timer: Option<(Rc<Driver>, u32)>,
}

/// Until a moment.
pub(in crate::dataplane) fn sleep_until(deadline: Instant) -> Sleep {
    Sleep { deadline, timer: None }
}

/// From the beginning of this turn.
pub(in crate::dataplane) fn sleep(duration: Duration) -> Sleep {
    sleep_until(after(duration))
}

impl Sleep {
    pub(in crate::dataplane) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Who waits for it is woken by the new deadline, if the old one has not passed.
    pub(in crate::dataplane) fn reset(&mut self, deadline: Instant) {
        self.deadline = deadline;
        if let Some((driver, timer)) = &self.timer {
            driver.timers.borrow_mut().set(*timer, deadline);
        }
    }
}

impl Future for Sleep {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.deadline <= now() {
            return Poll::Ready(());
        }
        match &self.timer {
            None => {
                let driver = executor::driver();
                let timer = driver.timers.borrow_mut().insert(self.deadline, cx.waker());
                self.timer = Some((driver, timer));
            }
            Some((driver, timer)) => driver.timers.borrow_mut().wakes(*timer, cx.waker()),
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some((driver, timer)) = self.timer.take() {
            driver.timers.borrow_mut().remove(timer);
        }
    }
}

/// The time was over first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::dataplane) struct Elapsed;

/// A future's result, if it is there by `deadline`.
pub(in crate::dataplane) async fn timeout_at<F: Future>(deadline: Instant, future: F) -> Result<F::Output, Elapsed> {
    let (mut future, mut sleep) = (pin!(future), sleep_until(deadline));
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(result) => Poll::Ready(Ok(result)),
        Poll::Pending => Pin::new(&mut sleep).poll(cx).map(|()| Err(Elapsed)),
    })
    .await
}

/// A future's result, if it is there within `duration`.
pub(in crate::dataplane) async fn timeout<F: Future>(duration: Duration, future: F) -> Result<F::Output, Elapsed> {
    timeout_at(after(duration), future).await
}

/// Further than a year away nobody waits.
fn after(duration: Duration) -> Instant {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
    now() + duration.min(YEAR)
}
