//! Book and kernel together, step by step.

use super::*;

/// A state under a virtual clock, on a kernel with a fence or none.
struct Bench {
    state: State,
    kernel: FakeKernel,
    now: Instant,
    tickets: u64,
}

impl Bench {
    fn new(fence: bool) -> Self {
        let kernel = FakeKernel::default();
        let state = State::new(if fence { kernel.opened() } else { Err("no nftables".into()) });
        let mut bench = Self { state, kernel, now: now(), tickets: 0 };
        bench.pass(Duration::ZERO);
        bench
    }

    /// With 1 to 3 fenced, and these granted.
    fn owning(fence: bool, lasts: &[u8]) -> Self {
        let mut bench = Self::new(fence);
        bench.install(&[1, 2, 3]).unwrap();
        assert!(bench.grant(lasts));
        bench
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.kernel.inside().clock = Some(self.now);
    }

    fn install(&mut self, lasts: &[u8]) -> Result<(), KernelError> {
        self.state.install(self.now, &devices(), &ips(lasts))
    }

    fn grant(&mut self, lasts: &[u8]) -> bool {
        self.tickets += 1;
        self.state.ticket(self.now, self.tickets, 25 * MS).unwrap();
        self.pass(5 * MS);
        let ips: Vec<_> = lasts.iter().copied().map(ip).collect();
        self.state.grant(self.now, self.tickets, &ips).unwrap()
    }

    fn renew(&mut self) {
        self.state.renew(self.now, Duration::ZERO, true);
    }

    fn running(&self) -> BTreeMap<IpAddr, bool> {
        self.state.view().running
    }

    fn active(&self) -> BTreeSet<IpAddr> {
        self.state.with(Permission::Active)
    }
}

#[test]
fn leases_run_while_they_are_renewed() {
    for fence in [true, false] {
        let mut bench = Bench::owning(fence, &[1, 2]);
        for _ in 0..20 {
            bench.pass(75 * MS);
            bench.renew();
        }
        assert_eq!(bench.active(), ips(&[1, 2]));
        if fence {
            assert_eq!([1, 2, 3].map(|last| bench.kernel.permits(ip(last)).is_some()), [true, true, false]);
        }
        bench.pass(295 * MS);
        bench.renew();
        assert_eq!((bench.active(), bench.state.take_lost()), (ips(&[]), vec![ip(1), ip(2)]));
        assert_eq!(bench.kernel.permits(ip(1)), None, "it does not outlast the account");
    }
}

#[test]
fn an_agent_that_does_not_work_renews_nothing() {
    for fence in [true, false] {
        let mut bench = Bench::owning(fence, &[1]);
        for _ in 0..4 {
            bench.pass(75 * MS);
            bench.state.renew(bench.now, 3 * MS, false);
        }
        assert_eq!(bench.state.take_lost(), [ip(1)]);
        assert_eq!(bench.state.view().worst_lateness, 3 * MS);
        assert_eq!(bench.kernel.permits(ip(1)), None);
    }
}

#[test]
fn of_many_only_those_are_lost_that_the_kernel_has_ended() {
    let mut bench = Bench::owning(true, &[1, 2, 3]);
    bench.kernel.inside().leases.remove(&ip(2));
    bench.pass(75 * MS);
    bench.renew();
    assert_eq!((bench.active(), bench.state.take_lost()), (ips(&[1, 3]), vec![ip(2)]));
    bench.pass(280 * MS);
    bench.state.expire(bench.now);
    assert_eq!(bench.active(), ips(&[1, 3]), "these were renewed in the same round");
    assert_eq!(bench.state.view().lost, 1);
}

#[test]
fn one_that_the_kernel_will_not_renew_takes_no_other_with_it() {
    let mut bench = Bench::owning(true, &[1, 2, 3]);
    bench.kernel.inside().broken.insert(ip(2));
    for _ in 0..4 {
        bench.pass(75 * MS);
        bench.renew();
    }
    assert_eq!((bench.active(), bench.state.take_lost()), (ips(&[1, 3]), vec![ip(2)]));
    let view = bench.state.view();
    assert!(view.failed_renewals >= 3 && view.last_error.unwrap().contains("do this"));
}

#[test]
fn a_ticket_that_has_expired_grants_nothing() {
    for fence in [true, false] {
        let mut bench = Bench::new(fence);
        bench.install(&[1]).unwrap();
        bench.state.ticket(bench.now, 9, 25 * MS).unwrap();
        bench.pass(25 * MS);
        assert_eq!(bench.state.grant(bench.now, 9, &[ip(1)]), Ok(false));
        assert_eq!(bench.state.grant(bench.now, 8, &[ip(1)]), Ok(false), "there never was one");
        assert!(bench.grant(&[1]));
        assert_eq!(bench.state.grant(bench.now, 1, &[ip(1)]), Ok(false), "it serves once");
    }
}

#[test]
fn what_the_kernel_refuses_is_an_error_and_grants_nothing() {
    let mut bench = Bench::new(true);
    bench.install(&[1]).unwrap();
    bench.kernel.inside().broken.insert(ip(1));
    bench.state.ticket(bench.now, 9, 25 * MS).unwrap();
    assert!(bench.state.grant(bench.now, 9, &[ip(1)]).is_err());
    assert!(bench.active().is_empty());
}

#[test]
fn what_is_given_up_is_not_lost() {
    let mut bench = Bench::owning(true, &[1, 2]);
    bench.state.revoke(&[ip(1), ip(3)]);
    assert_eq!((bench.kernel.permits(ip(1)), bench.active()), (None, ips(&[2])));
    bench.pass(LONG);
    bench.state.expire(bench.now);
    assert_eq!(bench.state.take_lost(), [ip(2)]);
}

#[test]
fn a_mute_lease_stays_so_through_renewals_and_can_speak_again() {
    for fence in [true, false] {
        let mut bench = Bench::owning(fence, &[1, 2]);
        bench.state.mute(bench.now, &ips(&[1, 3])).unwrap();
        for _ in 0..8 {
            bench.pass(75 * MS);
            bench.renew();
        }
        assert_eq!(bench.running(), BTreeMap::from([(ip(1), false), (ip(2), true)]));
        assert_eq!(bench.kernel.permits(ip(1)), fence.then_some(Permission::Draining));
        bench.state.mute(bench.now, &ips(&[])).unwrap();
        assert_eq!(bench.active(), ips(&[1, 2]));
        assert_eq!(bench.kernel.permits(ip(1)), fence.then_some(Permission::Active));
        bench.pass(75 * MS);
        bench.renew();
        assert_eq!(bench.active(), ips(&[1, 2]));
    }
}

#[test]
fn a_lease_that_has_ended_cannot_be_muted() {
    let mut bench = Bench::owning(true, &[1, 2]);
    bench.kernel.inside().leases.remove(&ip(1));
    bench.state.mute(bench.now, &ips(&[1, 2])).unwrap();
    assert_eq!(bench.running(), BTreeMap::from([(ip(2), false)]));
    assert_eq!(bench.state.take_lost(), [ip(1)]);
}

#[test]
fn a_mute_lease_that_is_granted_again_speaks() {
    let mut bench = Bench::owning(true, &[1]);
    bench.state.mute(bench.now, &ips(&[1])).unwrap();
    assert!(bench.grant(&[1]));
    assert_eq!((bench.active(), bench.kernel.permits(ip(1))), (ips(&[1]), Some(Permission::Active)));
}

#[test]
fn what_is_no_longer_fenced_has_no_lease_and_nothing_was_lost() {
    let mut bench = Bench::owning(true, &[1, 2]);
    bench.install(&[2]).unwrap();
    assert_eq!(bench.active(), ips(&[2]));
    bench.pass(75 * MS);
    bench.renew();
    assert!(bench.state.take_lost().is_empty());
}

#[test]
fn leases_from_before_the_fence_are_known_to_it() {
    let mut bench = Bench::new(true);
    bench.kernel.inside().install_fails = true;
    assert!(bench.install(&[1]).is_err());
    assert!(bench.state.fenced().unwrap_err().contains("do this"));
    assert!(bench.grant(&[1]), "better without a fence than not at all");
    bench.kernel.inside().install_fails = false;
    bench.pass(75 * MS);
    bench.install(&[1]).unwrap();
    assert_eq!((bench.state.fenced(), bench.kernel.permits(ip(1))), (Ok(()), Some(Permission::Active)));
    bench.kernel.inside().install_fails = true;
    assert!(bench.install(&[1, 2]).is_err());
    assert_eq!(bench.state.fenced(), Ok(()), "what was installed before is in force");
    bench.pass(75 * MS);
    bench.renew();
    assert_eq!(bench.active(), ips(&[1]));
}

#[test]
fn a_repair_is_counted_with_who_made_it_necessary() {
    let mut bench = Bench::owning(true, &[1]);
    let by = |pid, program: Option<&str>| Some(Meddler { port: 77, pid, program: program.map(str::to_owned) });
    assert!(!bench.state.repair(by(Some(1), Some("nft"))).unwrap());
    assert_eq!(bench.state.view().last_meddler, None);
    for (meddler, said) in [
        (by(Some(42), Some("nft")), "process 42 (nft)"),
        (None, "process 42 (nft)"),
        (by(None, None), "owner of netlink port 77, which is gone"),
    ] {
        bench.kernel.inside().damaged = true;
        assert!(bench.state.repair(meddler).unwrap());
        assert_eq!(bench.state.view().last_meddler.as_deref(), Some(said));
    }
    assert_eq!(bench.state.view().repairs, 3);
}

#[test]
fn after_the_end_nothing_is_granted() {
    for fence in [true, false] {
        let mut bench = Bench::owning(fence, &[1]);
        assert_eq!(bench.state.close().is_some(), fence);
        assert!(bench.state.ticket(bench.now, 9, 25 * MS).is_err());
        assert!(bench.state.grant(bench.now, 9, &[ip(1)]).is_err());
        assert!(bench.active().is_empty() && bench.state.fenced().is_err());
    }
}
