//! A thread that must run when its time has come, however busy the machine is.

#![allow(unsafe_code, reason = "sched_setscheduler has no safe interface")]

use std::io;

/// The lowest real-time priority: before all that is not real-time, behind all that is.
const PRIORITY: libc::c_int = 1;

/// Puts the calling thread, and no thread or process that it starts, before all ordinary ones (`SCHED_FIFO`, sched(7)).
/// Such a thread may not compute for long: nothing else runs on its core meanwhile.
///
/// Needs `CAP_SYS_NICE` or an `RLIMIT_RTPRIO` above 0 (systemd: `LimitRTPRIO=1`), and a control group with real-time
/// bandwidth where the kernel has `CONFIG_RT_GROUP_SCHED`; else `EPERM`, and the thread goes on as an ordinary one.
pub fn prefer_this_thread() -> io::Result<()> {
    // SAFETY: an all-zero sched_param is a valid one on every libc, whatever fields it has besides the priority.
    let mut param: libc::sched_param = unsafe { std::mem::zeroed() };
    param.sched_priority = PRIORITY;
    let policy = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;
    // SAFETY: 0 is the calling thread, and the kernel only reads `param`, which lives across the call.
    match unsafe { libc::sched_setscheduler(0, policy, &raw const param) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fields 40 and 41 of proc_pid_stat(5): priority and policy.
    fn schedule() -> (String, String) {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        let after_name = stat.rsplit_once(") ").unwrap().1;
        let fields: Vec<_> = after_name.split(' ').collect();
        (fields[37].to_owned(), fields[38].to_owned())
    }

    #[test]
    fn the_thread_itself_is_preferred_and_what_it_starts_is_not() {
        let outcome = std::thread::spawn(|| {
            assert_eq!(schedule(), ("0".to_owned(), "0".to_owned()));
            let Err(error) = prefer_this_thread() else {
                assert_eq!(schedule(), ("1".to_owned(), "1".to_owned()));
                let child = std::thread::spawn(schedule).join().unwrap();
                assert_eq!(child, ("0".to_owned(), "0".to_owned()));
                return;
            };
            assert_eq!(error.raw_os_error(), Some(libc::EPERM));
            assert_eq!(schedule(), ("0".to_owned(), "0".to_owned()));
        });
        outcome.join().unwrap();
    }
}
