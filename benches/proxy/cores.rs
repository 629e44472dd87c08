//! Who runs where: the proxies on the first core, all else on the other ones.

use super::common::Failure;
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};

/// Runs `start` on the first core, where what it starts stays, and the calling thread on the other ones afterwards.
/// A machine with a single core has no others.
pub(crate) fn start_on_first<T>(start: impl FnOnce() -> T) -> Result<T, Failure> {
    put(|core| core == 0)?;
    let started = start();
    leave_first()?;
    Ok(started)
}

/// Leaves the first core to the proxies. Threads and processes that are started later are where their parent is.
pub(crate) fn leave_first() -> Result<(), Failure> {
    let cores = super::common::cores();
    put(|core| core > 0 && core < cores || cores == 1)
}

fn put(on: impl Fn(usize) -> bool) -> Result<(), Failure> {
    let mut set = CpuSet::new();
    (0..CpuSet::count()).filter(|core| on(*core)).try_for_each(|core| set.set(core))?;
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}
