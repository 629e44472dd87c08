//! Waiting for a moment, to the microsecond and with one wake-up.
//!
//! tokio's own timers are kept in a wheel of milliseconds: they are up to one late, and its runtime also wakes up
//! whenever a timer has to move from one part of the wheel to another. A thread that sends a heartbeat each 25 ms and
//! does little else would spend much of its time on that.

#![allow(unsafe_code, reason = "readiness of a descriptor has no safe interface")]

use nix::sys::{
    time::TimeSpec,
    timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
};
use std::{
    io,
    os::fd::{AsFd, AsRawFd, RawFd},
    time::{Duration, Instant},
};
use tokio::io::{Interest, unix::AsyncFd};

/// An alarm clock (timerfd_create(2)) of one task.
#[derive(Debug)]
pub struct Alarm {
    timer: AsyncFd<Timer>,
    /// For when it is set.
    set: Option<Instant>,
}

#[derive(Debug)]
struct Timer(TimerFd);

impl AsRawFd for Timer {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Alarm {
    /// Needs a tokio runtime with IO.
    pub fn new() -> io::Result<Self> {
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        // SAFETY: a TimerFd owns its descriptor, always gives the same one, and closes it only when it is dropped.
        let timer = unsafe { AsyncFd::register_with_interest(Timer(timer), Interest::READABLE) };
        Ok(Self { timer: timer.map_err(io::Error::from)?, set: None })
    }

    /// Sets it to ring at `deadline`, where `now` is the present time; nothing is done if it is set to that already. To
    /// be called on the thread of the (current-thread) runtime.
    pub fn set(&mut self, now: Instant, deadline: Instant) -> io::Result<()> {
        if self.set == Some(deadline) {
            return Ok(());
        }
        // Zero would switch it off.
        let after = deadline.saturating_duration_since(now).max(Duration::from_nanos(1));
        self.timer.get_ref().0.set(Expiration::OneShot(TimeSpec::from(after)), TimerSetTimeFlags::empty())?;
        // If it rang while its owner woke for another reason, that was for the old deadline. A ring of the new one is
        // an event of its own, which the runtime has still to hear of: it asks on this very thread.
        let _ = self.timer.try_io(Interest::READABLE, |_| Err::<(), _>(io::ErrorKind::WouldBlock.into()));
        self.set = Some(deadline);
        Ok(())
    }

    /// Waits until it rings; for ever if it is not set. Cancelling loses nothing.
    pub async fn rung(&mut self) -> io::Result<()> {
        // Not read: setting it anew clears what a read would.
        self.timer.readable().await?.clear_ready();
        self.set = None;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    #[expect(clippy::disallowed_methods, reason = "the time that is waited for is real")]
    fn now() -> Instant {
        Instant::now()
    }

    #[tokio::test]
    async fn rings_once_when_it_is_time_and_can_be_set_again() {
        let mut alarm = Alarm::new().unwrap();
        for wait in [30, 0, 5] {
            let deadline = now() + Duration::from_millis(wait);
            alarm.set(now(), deadline).unwrap();
            alarm.set(now(), deadline).unwrap();
            tokio::time::timeout(LONG, alarm.rung()).await.unwrap().unwrap();
            assert!(now() >= deadline, "not before {wait} ms");
            let again = tokio::time::timeout(Duration::from_millis(20), alarm.rung()).await;
            assert!(again.is_err(), "it rings once");
        }
    }

    #[tokio::test]
    async fn a_ring_that_nobody_waited_for_is_not_that_of_the_next_time() {
        let mut alarm = Alarm::new().unwrap();
        alarm.set(now(), now() + Duration::from_millis(1)).unwrap();
        // The runtime has heard it, as when its owner woke for another reason at the same moment.
        drop(tokio::time::timeout(LONG, alarm.timer.readable()).await.unwrap().unwrap());
        alarm.set(now(), now() + LONG).unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(30), alarm.rung()).await.is_err());
        let soon = now() + Duration::from_millis(1);
        alarm.set(now(), soon).unwrap();
        tokio::time::timeout(LONG / 2, alarm.rung()).await.unwrap().unwrap();
        assert!(now() >= soon);
    }

    #[tokio::test]
    async fn a_later_time_replaces_an_earlier_one() {
        let mut alarm = Alarm::new().unwrap();
        let begin = now();
        alarm.set(begin, begin + LONG).unwrap();
        alarm.set(begin, begin + Duration::from_millis(1)).unwrap();
        tokio::time::timeout(LONG / 2, alarm.rung()).await.unwrap().unwrap();
        alarm.set(begin, begin + Duration::from_millis(1)).unwrap();
        alarm.set(now(), begin + LONG).unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(30), alarm.rung()).await.is_err());
    }
}
