//! Ownership as permission that ends: who has a lease, what becomes of one that is refused or lost.

use super::*;

const WEB: &str = "web";

fn why(node: &Node) -> String {
    node.view.borrow().vips.get(WEB).map(|vip| vip.why.clone()).unwrap_or_default()
}

/// A lone node, for which the kernel behaves as `prepare` makes it.
fn alone(prepare: impl FnOnce(&FakeLeases)) -> (Node, NetNs, tempfile::TempDir) {
    let (namespace, dir) = (namespace(), tempfile::tempdir().unwrap());
    let leases = FakeLeases::default();
    prepare(&leases);
    let only = input(1, vec![peers(1)[0].clone()]);
    let node = Node::start_on(&namespace, &dir.path().join("auth.key"), &Wire::default(), leases, only);
    (node, namespace, dir)
}

#[test]
fn only_the_owner_has_a_lease() {
    let Pair { one, two, .. } = pair(1);
    assert!(one.leases.get().leased.contains(&VIP) && two.leases.get().leased.is_empty());
    assert!(one.view.borrow().vips[WEB].leased && !two.view.borrow().vips[WEB].leased);
    one.input.send_modify(|input| input.candidates.clear());
    eventually("the lease is given back", || one.leases.get().leased.is_empty());
    eventually("the other takes over", || two.role() == Some(Role::Active));
    assert!(two.leases.get().leased.contains(&VIP));
    let asked = two.leases.get().asked.clone();
    let place = |what| asked.iter().position(|asked| *asked == what);
    assert!(place("ticket") < place("grant"), "{asked:?}");
}

#[test]
fn a_ticket_that_came_too_late_is_asked_for_again() {
    let (node, ..) = alone(|leases| leases.get().late = 2);
    eventually("Active", || node.role() == Some(Role::Active));
    let grants = node.leases.get().asked.iter().filter(|asked| **asked == "grant").count();
    assert_eq!(grants, 3);
}

#[test]
fn where_the_kernel_refuses_nothing_is_owned_and_it_is_told() {
    let (node, ..) = alone(|leases| leases.get().broken = true);
    eventually("told", || node.problems.borrow().iter().any(|p| p.reason == "LeaseRefused"));
    assert_ne!(node.role(), Some(Role::Active));
    node.leases.get().broken = false;
    eventually("Active", || node.role() == Some(Role::Active));
    eventually("no longer told", || node.problems.borrow().is_empty());
}

#[test]
fn an_owner_whose_lease_has_ended_stands_down() {
    let Pair { one, two, .. } = pair(1);
    let mut views = one.view.clone();
    views.mark_unchanged();
    one.leases.get().lost = vec![VIP];
    eventually("it stood down", || {
        let events = &one.view.borrow().events;
        one.role() != Some(Role::Active) || events.iter().any(|event| event.message.contains("lease"))
    });
    eventually("one owner again", || {
        let leased = [&one, &two].map(|node| node.leases.get().leased.contains(&VIP));
        let active = [&one, &two].map(|node| node.role() == Some(Role::Active));
        leased == active && active[0] != active[1]
    });
}

#[test]
fn an_agent_that_makes_no_progress_lets_another_own() {
    let Pair { one, two, .. } = pair(1);
    let reason = "the reconcile loop has made no progress for over 2.5s";
    one.leases.get().unfit = vec![reason.into()];
    eventually("the other takes over", || two.role() == Some(Role::Active) && one.role() != Some(Role::Active));
    let standing = one.view.borrow().vips[WEB].standings.iter().find(|standing| standing.me).cloned();
    assert!(standing.is_some_and(|me| !me.eligible && me.reason.contains(reason)), "{}", why(&one));
    one.leases.get().unfit.clear();
    let fit = || one.view.borrow().vips[WEB].standings.iter().any(|standing| standing.me && standing.eligible);
    eventually("fit again", fit);
}

#[test]
fn the_epoch_of_a_claim_is_remembered() {
    let (node, _namespace, dir) = alone(|_| {});
    eventually("Active", || node.role() == Some(Role::Active));
    let file = dir.path().join("epoch-lb1");
    let kept = || std::fs::read_to_string(&file).ok()?.trim().parse::<u64>().ok();
    eventually("its epoch is on disk", || kept() == Some(node.view.borrow().vips[WEB].epoch));
    let epoch = kept().unwrap() + 1_000_000_000;
    node.crash(&Wire::default());
    std::fs::write(&file, epoch.to_string()).unwrap();
    let only = input(1, vec![peers(1)[0].clone()]);
    let leases = FakeLeases::default();
    let node = Node::start_on(&_namespace, &dir.path().join("auth.key"), &Wire::default(), leases, only);
    eventually("Active with a higher epoch", || {
        node.role() == Some(Role::Active) && node.view.borrow().vips[WEB].epoch > epoch
    });
}

#[test]
fn a_peer_whose_agent_is_gone_is_noticed_by_its_hosts_refusals() {
    let Pair { wire, one, two, .. } = pair(1);
    one.crash(&wire);
    eventually("a refusal is counted", || two.rejected("icmp_error") > 0);
    let told = || two.problems.borrow().iter().any(|problem| problem.reason == "HeartbeatNotSent");
    stays("silence is no problem of sending", Duration::from_millis(1200), || !told());
}

#[test]
fn everything_whose_sight_matters_is_watched() {
    let ip = |last: u8| IpAddr::from([198, 51, 100, last]);
    let mut input = input(1, peers(1));
    input.candidates[0].references = vec![ip(1), ip(2)];
    input.candidates[0].node_addresses = [(name("lb2"), ip(3))].into();
    let mut other = input.candidates[0].clone();
    other.addresses = vec![ip(11)];
    input.candidates.push(other);
    assert_eq!(turn::watched(&input), [VIP, ip(1), ip(2), ip(3), ip(11)].into());
}

#[test]
fn the_packets_of_the_vips_device_are_counted_while_there_is_somebody_to_hear() {
    let Pair { wire, one: _one, two: _two, .. } = pair(1);
    let before = wire.counted();
    eventually("each driver counts again and again", || wire.counted() > before + 4);
}

#[test]
fn what_was_decided_long_ago_is_not_said_any_more() {
    let (namespace, dir) = (namespace(), tempfile::tempdir().unwrap());
    let key = write_key(dir.path(), KEY);
    namespace
        .run(|| {
            let peer = UdpSocket::bind(address(2, 0)).unwrap();
            peer.set_nonblocking(true).unwrap();
            let (_input, input) = watch::channel(input(1, peers(1)));
            let (_held, held) = watch::channel(HeldReport::default());
            let channels = Channels {
                input,
                held,
                view: watch::channel(Arc::default()).0,
                problems: watch::channel(Vec::new()).0,
            };
            let files = Files { epoch: dir.path().join("epoch"), key };
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let _inside = runtime.enter();
            let probes = FakeProbe::new(Wire::default());
            let mut driver = turn::Driver::new(files, probes, FakeLeases::default(), beat(), channels).unwrap();
            let mut arrives = |age: Duration| {
                let at = driver.machine.poll_timeout().max(clocks::now() + Duration::from_millis(60));
                driver.machine.handle_timeout(at);
                driver.carry_out(clocks::now().checked_sub(age).unwrap());
                peer.recv(&mut [0; 2000]).is_ok()
            };
            assert!(!arrives(Duration::from_secs(1)));
            assert!(arrives(Duration::ZERO));
        })
        .unwrap();
}
