//! Hundreds of addresses in one transaction. The figures are for reading (`cargo test -- --nocapture pace`); on a busy
//! machine none of them can be promised.

use super::*;
use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeValLike,
};
use std::time::Instant;

fn many(count: u16) -> Vec<IpAddr> {
    let v4 = (0..count).map(|number| [198, 51, 100 + (number / 256) as u8, number as u8].into());
    let v6 = (0..count).map(|number| [0x2001, 0xdb8, 0, 0, 0, 0, 0, number].into());
    v4.chain(v6).collect()
}

#[expect(clippy::disallowed_methods, reason = "this is a stopwatch")]
fn clock<T>(what: &str, f: impl FnOnce() -> T) -> T {
    let (start, before) = (Instant::now(), processor_time());
    let result = f();
    let (elapsed, after) = (start.elapsed(), processor_time());
    let [user, kernel] = [after[0] - before[0], after[1] - before[1]];
    println!("{what}: {elapsed:.0?}, of it {user} µs in user space and {kernel} µs in the kernel");
    result
}

/// Of this thread: microseconds in user space, and in the kernel.
fn processor_time() -> [i64; 2] {
    let usage = getrusage(UsageWho::RUSAGE_THREAD).unwrap();
    [usage.user_time(), usage.system_time()].map(|time| time.num_microseconds())
}

#[test]
fn pace_and_hundreds_of_dual_stack_addresses() {
    for (open, mode) in [(Fence::open as fn() -> _, "egress"), (Fence::open_without_egress, "output")] {
        for count in [1, 200] {
            let [host, _peer] = joined();
            let ips = many(count);
            let all: BTreeSet<_> = ips.iter().copied().collect();
            host.blocking(|| {
                let mut fence: Fence = open().unwrap();
                let fence = &mut fence;
                let name = |what: &str| format!("{mode}, {count} dual-stack: {what}");
                clock(&name("install"), || fence.install(&devices(&["eth0"]), &all).unwrap());
                clock(&name("install again"), || fence.install(&devices(&["eth0"]), &all).unwrap());
                clock(&name("repair, nothing to do"), || assert!(!fence.repair().unwrap()));
                clock(&name("ticket"), || fence.ticket(1, LONG).unwrap());
                clock(&name("grant"), || fence.grant(1, &ips, LONG).unwrap());
                for _ in 0..3 {
                    clock(&name("renew"), || fence.renew(&active(&ips), LONG).unwrap());
                }
                clock(&name("mute"), || fence.mute(&ips, LONG).unwrap());
                let result = clock(&name("renew refused for all"), || fence.renew(&active(&ips), LONG));
                assert!(matches!(result, Err(RenewError::Expired(expired)) if expired.len() == ips.len()));
                clock(&name("renew draining"), || fence.renew(&draining(&ips), LONG).unwrap());
                clock(&name("revoke"), || fence.revoke(&ips).unwrap());
            });
        }
    }
}
