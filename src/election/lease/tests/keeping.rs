//! The thread.

use super::*;
use std::sync::atomic::AtomicU64;

struct Bench {
    leases: Leases,
    kernel: FakeKernel,
    /// Milliseconds since the last sign of life of a part of the agent.
    age: Arc<AtomicU64>,
}

fn bench() -> Bench {
    let (kernel, age) = (FakeKernel::default(), Arc::new(AtomicU64::new(0)));
    let mut progress = Progress::default();
    let theirs = age.clone();
    progress.follow("a part", move || Duration::from_millis(theirs.load(Relaxed)));
    let leases = Leases::start_with(kernel.opened(), progress).unwrap();
    leases.install(&devices(), &ips(&[1, 2])).unwrap();
    Bench { leases, kernel, age }
}

fn grant(leases: &Leases, id: u64, lasts: &[u8]) {
    leases.ticket(id, LONG).unwrap();
    assert_eq!(leases.grant(id, &ips(lasts).into_iter().collect::<Vec<_>>()), Ok(true));
}

#[test]
fn keeps_leases_alive_until_a_part_of_the_agent_stalls() {
    let Bench { leases, kernel, age } = bench();
    grant(&leases, 1, &[1, 2]);
    let begin = now();
    eventually("three times as long as one lease lasts", || {
        // On a machine that stands still for that long, a lease ends, as it should.
        let lost = leases.lost(now());
        if !lost.is_empty() {
            grant(&leases, now().duration_since(begin).as_micros() as u64, &[1, 2]);
        }
        now() > begin + 3 * TTL
    });
    assert!(kernel.inside().renewals > 0);
    age.store(60_000, Relaxed);
    assert_eq!(leases.unfit(now()).len(), 1);
    eventually("they end", || leases.lost(now()).len() == 2);
    assert_eq!([1, 2].map(|last| kernel.permits(ip(last))), [None; 2]);
    let view = leases.view();
    assert!(view.running.is_empty() && view.lost >= 2 && view.stalled[0].starts_with("a part"), "{view:?}");
    // Working again brings nothing back; a new grant does.
    age.store(0, Relaxed);
    std::thread::sleep(TTL);
    assert!(leases.active().is_empty());
    grant(&leases, 2, &[1]);
    assert_eq!(leases.active(), ips(&[1]));
}

#[test]
fn sleeps_while_there_is_nothing_to_renew() {
    let Bench { leases, kernel, .. } = bench();
    std::thread::sleep(TTL);
    assert_eq!((kernel.inside().renewals, leases.view().renewals), (0, 0));
    grant(&leases, 1, &[1]);
    eventually("a renewal", || leases.view().renewals > 0);
    leases.revoke(&[ip(1)]);
    let before = leases.view().renewals;
    std::thread::sleep(TTL);
    assert!(leases.view().renewals <= before + 1);
    assert!(leases.lost(now()).is_empty());
}

#[test]
fn an_agent_that_was_stopped_learns_it_from_the_clock() {
    let Bench { leases, .. } = bench();
    grant(&leases, 1, &[1, 2]);
    let late = now() + TTL;
    assert_eq!(leases.lost(late), [ip(1), ip(2)]);
    assert!(leases.lost(late).is_empty(), "once");
    assert!(leases.active().is_empty());
}

#[test]
fn the_thread_ends_with_the_leases_and_so_do_they() {
    let Bench { leases, kernel, .. } = bench();
    let (keeper, other) = (leases.keeper(), leases.clone());
    grant(&leases, 1, &[1]);
    drop(leases);
    assert!(keeper.has_changed().is_ok(), "somebody still has them");
    drop(other);
    eventually("its end", || keeper.has_changed().is_err());
    assert!(!kernel.inside().removed, "only a clean end opens the fence");
}

#[test]
fn a_clean_end_removes_the_fence() {
    let Bench { leases, kernel, .. } = bench();
    let (keeper, other) = (leases.keeper(), leases.clone());
    grant(&leases, 1, &[1]);
    assert!(leases.fenced());
    leases.close().unwrap();
    assert!(kernel.inside().removed && !other.fenced());
    eventually("the thread's end", || keeper.has_changed().is_err());
    assert!(other.grant(1, &[ip(1)]).is_err());
}

#[test]
fn a_panic_of_the_keeper_is_noticed_and_the_leases_run_out() {
    let mut progress = Progress::default();
    let armed = Arc::new(AtomicBool::new(false));
    let theirs = armed.clone();
    progress.follow("a part", move || {
        assert!(!(theirs.load(Relaxed) && std::thread::current().name() == Some("lease")), "on purpose");
        Duration::ZERO
    });
    let kernel = FakeKernel::default();
    let leases = Leases::start_with(kernel.opened(), progress).unwrap();
    leases.install(&devices(), &ips(&[1])).unwrap();
    armed.store(true, Relaxed);
    grant(&leases, 1, &[1]);
    let keeper = leases.keeper();
    eventually("the end is noticed", || keeper.has_changed().is_err());
    eventually("the lease runs out", || leases.lost(now()) == [ip(1)]);
    assert_eq!(kernel.permits(ip(1)), None);
}
