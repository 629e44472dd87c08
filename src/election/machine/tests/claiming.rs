//! What a claim rests on: silence beside answered references, a ticket, and nobody else's attempt.

use super::*;

/// Runs until the machine is Active; how long that took.
fn until_active(bench: &mut Bench, limit: u64) -> Option<Duration> {
    let begin = bench.now;
    for _ in 0..limit {
        if bench.vip().role == Role::Active {
            return Some(bench.now - begin);
        }
        bench.run(1);
    }
    None
}

fn prober(bench: &mut Bench, mac: Mac) {
    bench.sees(2, VIP, mac, SightKind::Asks(None));
}

#[test]
fn without_any_reference_it_takes_forty_rounds_and_is_unverified_until_a_backup_hears_it() {
    let mut bench = Bench::follower("lb2");
    bench.reload(|candidate| (candidate.references, candidate.node_addresses) = Default::default());
    bench.says = None;
    let took = until_active(&mut bench, 400).unwrap();
    assert!(took > MS * 205 && took <= MS * 270, "{took:?}");
    assert!(!bench.vip().verified && bench.vip().why.contains("unverified"));
    bench.says(backup()).run(400);
    assert!(!bench.vip().verified);
    bench.run(300);
    assert!(bench.vip().verified);
}

#[test]
fn a_reference_that_answers_proves_an_unverified_claim() {
    let mut bench = Bench::new("lb1");
    bench.gateway = false;
    assert!(until_active(&mut bench, 600).is_some());
    bench.run(1000);
    assert!(!bench.vip().verified);
    bench.gateway = true;
    bench.run(1500);
    assert!(bench.vip().verified);
}

#[test]
fn the_blind_claim_nothing_until_somebody_answers() {
    let mut bench = blind(3000);
    bench.expect(Role::Backup, "no host on the segment answers");
    assert!(
        bench.vip().rules.iter().any(|rule| rule.contains("silence would prove nothing")),
        "{:#?}",
        bench.vip().rules
    );
    let probes = bench.probes;
    bench.run(500);
    assert_eq!(bench.probes, probes, "the Vip is not asked for");
    bench.gateway = true;
    let took = until_active(&mut bench, 200).unwrap();
    assert!(took <= MS * 100, "{took:?}");
    assert!(bench.vip().verified);
}

#[test]
fn a_client_that_asks_ends_the_blindness() {
    let mut bench = blind(1000);
    let client = IpAddr::from([198, 51, 100, 77]);
    bench
        .machine
        .handle_sight(bench.now, Sight { link: 2, ip: VIP, mac: STRANGER, kind: SightKind::Asks(Some(client)) });
    let mut answers = || {
        let before = bench.asked;
        bench.run(1);
        bench.sees(2, client, STRANGER, SightKind::Has);
        bench.asked > before
    };
    assert!((0..100).filter(|_| answers()).count() > 2, "references are asked closely");
    bench.expect(Role::Backup, "");
    // The gateway still counts as one that should answer: half of the references do, so forty rounds are needed.
    for _ in 0..300 {
        bench.run(1);
        bench.sees(2, client, STRANGER, SightKind::Has);
    }
    bench.expect(Role::Active, "");
}

#[test]
fn the_address_of_the_suspect_is_no_reference_unless_it_answers() {
    let mut bench = Bench::follower("lb2");
    bench.reload(|candidate| candidate.references.clear());
    bench.peer_own = true;
    bench.run(1500);
    bench.peer_own = false;
    let took = until_active(&mut silenced(bench), 400).unwrap();
    assert!(took > MS * 205, "it may have died with its host: {took:?}");
    let mut bench = Bench::follower("lb2");
    bench.reload(|candidate| candidate.references.clear());
    bench.peer_own = true;
    bench.run(1500);
    let took = until_active(&mut silenced(bench), 400).unwrap();
    assert!(took <= MS * 125, "it lives, only its agent does not: {took:?}");
}

fn silenced(mut bench: Bench) -> Bench {
    bench.says = None;
    bench
}

#[test]
fn a_probe_of_a_node_that_comes_first_delays_a_claim() {
    let mut bench = silenced(Bench::follower("lb2"));
    for _ in 0..10 {
        bench.run(50);
        prober(&mut bench, PEER_MAC);
    }
    bench.expect(Role::Backup, "");
    let took = until_active(&mut bench, 300).unwrap();
    assert!(took >= MS * 145 && took <= MS * 160, "80 ms, then twelve rounds: {took:?}");
    // The other way round it makes no difference, unless only the other one has settled.
    let mut bench = Bench::follower("lb1");
    bench.says(Claim { settled: false, ..active(5000) }).run(50);
    let mut bench = silenced(bench);
    for _ in 0..10 {
        bench.run(11);
        prober(&mut bench, PEER_MAC);
    }
    bench.expect(Role::Active, "");
}

#[test]
fn an_unknown_prober_delays_a_claim_but_not_for_ever() {
    let took = |mac: Mac| {
        // The other node was never heard: the stranger may be it.
        let mut bench = Bench::new("lb1");
        for waited in 0..400 {
            bench.run(10);
            if bench.vip().role == Role::Active {
                return waited * 10;
            }
            prober(&mut bench, mac);
        }
        panic!("never");
    };
    let (first, second) = (took(Mac([9; 6])), took(Mac([0; 6])));
    assert!(first > 500 && first < 1200, "this node comes first: {first} ms");
    assert!(second > first + 1000, "the other one comes first: {second} ms");
}

#[test]
fn a_stranger_who_asks_delays_nothing_once_the_nodes_are_known() {
    let mut bench = silenced(Bench::follower("lb2"));
    for _ in 0..11 {
        bench.run(11);
        prober(&mut bench, Mac([9; 6]));
    }
    bench.expect(Role::Active, "");
}

#[test]
fn a_claim_that_was_stopped_between_probe_and_grant_asks_again() {
    let mut bench = silenced(Bench::follower("lb2"));
    bench.grant_takes = MS * 20;
    bench.run(500);
    bench.expect(Role::Backup, "");
    assert!(bench.leases.is_empty());
    bench.grant_takes = MS * 10;
    assert!(until_active(&mut bench, 100).is_some());
    assert_eq!(bench.leases, [VIP].into());
}

#[test]
fn answers_of_a_fenced_peer_block_without_limit_and_of_an_unfenced_one_for_a_while() {
    for (fenced, patience) in [(true, None), (false, Some(MS * 1300))] {
        let mut bench = Bench::new("lb2");
        bench.peer_fenced = fenced;
        bench.says(active(5000)).run(100);
        (bench.peer_own, bench.answers) = (true, Some(PEER_MAC));
        let took = until_active(&mut silenced(bench), 5000);
        match patience {
            None => assert_eq!(took, None),
            Some(patience) => {
                assert!(took.is_some_and(|took| took > patience && took < patience + MS * 120), "{took:?}")
            }
        }
    }
}

#[test]
fn an_owner_that_was_stopped_does_not_take_who_took_over_for_a_dead_agent_s_kernel() {
    let mut bench = Bench::owner("lb1");
    // The peer was heard before it had its fence, and then no more.
    bench.peer_fenced = false;
    let mut bench = silenced(said(bench, backup(), 100));
    bench.run(3000);
    bench.expect(Role::Active, "");
    // This agent was stopped for so long that its lease has ended, and the peer has the addresses.
    bench.leases.clear();
    bench.machine.handle_lost(bench.now, &[VIP]);
    (bench.peer_own, bench.answers) = (true, Some(PEER_MAC));
    bench.run(1);
    bench.expect(Role::Backup, "the lease ended");
    bench.hold(false);
    let took = until_active(&mut bench, 5000).expect("answers of an unfenced kernel do not block for ever");
    assert!(took > MS * 1250 && took < MS * 1450, "{took:?}");
}

#[test]
fn a_claim_in_spite_of_a_dead_agent_s_kernel_stands_but_two_live_ones_do_not_take_turns() {
    let mut bench = Bench::new("lb2");
    bench.peer_fenced = false;
    bench.says(active(5000)).run(100);
    (bench.peer_own, bench.answers) = (true, Some(PEER_MAC));
    let mut bench = silenced(bench);
    assert!(until_active(&mut bench, 2000).is_some());
    bench.run(3000);
    bench.expect(Role::Active, "");
    // An owner that was cut off: the other one has claimed in spite of its answers.
    let mut bench = Bench::owner("lb2");
    bench.peer_fenced = false;
    bench.says(backup()).run(100);
    (bench.peer_own, bench.answers) = (true, Some(PEER_MAC));
    let mut bench = silenced(bench);
    bench.run(300);
    bench.expect(Role::Backup, "");
    assert_eq!(until_active(&mut bench, 4000), None);
}

#[test]
fn a_peer_that_speaks_for_the_vip_but_cannot_be_asked_forbids_the_claim() {
    for (answers, limit) in [(false, 1500), (true, 0)] {
        let mut bench = silenced(Bench::follower("lb2"));
        bench.peer_own = answers;
        bench.run(60);
        bench.sees(2, VIP, PEER_MAC, SightKind::Has);
        let took = until_active(&mut bench, 3000).unwrap();
        assert!(took >= MS * limit && took <= MS * (limit + 100), "{answers}: {took:?}");
    }
}

#[test]
fn where_probes_are_not_trusted_the_dead_timer_decides_and_the_lease_is_taken_all_the_same() {
    let mut bench = Bench::follower("lb2");
    bench.reload(|candidate| candidate.trust_probe = false);
    bench.answers = Some(STRANGER);
    let took = until_active(&mut silenced(bench), 200).unwrap();
    assert!(took <= MS * 110, "{took:?}");
}

#[test]
fn a_refused_connection_is_a_hint_and_no_proof() {
    let mut bench = Bench::follower("lb2");
    bench.run(5);
    bench.says = None;
    let probes = bench.probes;
    bench.machine.handle_hint(bench.now, 0, SocketAddr::from(([192, 0, 2, 1], 694)));
    bench.run(20);
    assert!(bench.probes > probes + 2, "asked at once");
    bench.expect(Role::Backup, "is Active");
    bench.says(active(5000)).run(30);
    let probes = bench.probes;
    bench.run(200);
    assert!(bench.probes <= probes + 1, "a heartbeat ends it");
}

/// Silent since now, and refused 5 ms later.
fn refused(mut bench: Bench) -> Bench {
    bench.says = None;
    bench.run(5);
    bench.machine.handle_hint(bench.now, 0, SocketAddr::from(([192, 0, 2, 1], 694)));
    bench
}

#[test]
fn an_agent_that_has_ended_is_taken_over_as_soon_as_the_wire_is_known_to_be_silent() {
    let took = until_active(&mut refused(Bench::follower("lb2")), 200).unwrap();
    assert!(took >= MS * 65 && took <= MS * 75, "{took:?}");
    let mut answered = refused(Bench::follower("lb2"));
    answered.answers = Some(PEER_MAC);
    answered.run(1000);
    answered.expect(Role::Backup, "still answers");
}

#[test]
fn a_refusal_hurries_nobody_who_cannot_ask_the_wire() {
    let mut bench = Bench::follower("lb2");
    bench.reload(|candidate| candidate.trust_probe = false);
    let took = until_active(&mut refused(bench), 200).unwrap();
    assert!(took >= MS * 85 && took <= MS * 105, "{took:?}");
}

#[test]
fn epochs_outlast_processes() {
    let mut bench = Bench::new("lb1");
    bench.machine = Machine::new(bench.now, 77, 1000, 7_000_000);
    bench.reload(|_| {});
    bench.run(300);
    assert_eq!(bench.vip().epoch, 7_000_001);
    assert_eq!(bench.machine.highest_epoch(), 7_000_001);
}

#[test]
fn a_node_that_has_just_started_comes_after_those_that_have_settled() {
    let mut bench = Bench::new("lb1");
    bench.says(backup()).run(200);
    bench.expect(Role::Backup, "lb2 comes first and may claim");
    let took = until_active(&mut bench, 500).unwrap();
    assert!(took >= MS * 80, "{took:?}");
    let mut bench = Bench::new("lb1");
    bench.says(Claim { settled: false, ..backup() });
    let took = until_active(&mut bench, 500).unwrap();
    assert!(took <= MS * 120, "both have just started: {took:?}");
}

#[test]
fn slower_timers_end_their_probes_with_the_dead_timer() {
    let mut bench = Bench::follower("lb2");
    bench.interval = MS * 100;
    bench.says(active(5000)).run(3);
    bench.says = None;
    let probes = bench.probes;
    bench.run(320);
    assert!(bench.probes <= probes + 2, "no haste");
    let took = until_active(&mut bench, 300).unwrap();
    assert!(took <= MS * 90, "{took:?}");
}

#[test]
fn a_node_that_restarts_again_and_again_does_not_keep_the_others_waiting_by_what_it_has() {
    let restarted = Claim { role: Role::Initialize, holding: true, settled: false, ..backup() };
    for (fenced, role) in [(true, Role::Active), (false, Role::Backup)] {
        let mut bench = Bench::follower("lb2");
        bench.run(500);
        bench.peer_fenced = fenced;
        bench.says(restarted.clone()).run(90);
        assert_eq!(bench.vip().role, role, "an unfenced kernel answers, whatever its agent says");
    }
}

#[test]
fn a_host_that_answered_both_ways_and_then_died_is_not_waited_for() {
    let mut bench = silenced(Bench::follower("lb2"));
    (bench.peer_own, bench.answers) = (true, Some(PEER_MAC));
    bench.run(300);
    bench.expect(Role::Backup, "");
    (bench.peer_own, bench.answers) = (false, None);
    let took = until_active(&mut bench, 3000).unwrap();
    assert!(took <= MS * 250, "{took:?}");
}

#[test]
fn nobody_waits_for_a_reference_that_died_with_the_owner() {
    // Also if the files do not tell that the address is that node's.
    for told in [true, false] {
        let mut bench = silenced(Bench::follower("lb2"));
        bench.reload(|candidate| candidate.references = vec![PEER_OWN]);
        if !told {
            bench.reload(|candidate| candidate.node_addresses.clear());
        }
        (bench.peer_own, bench.answers) = (true, Some(PEER_MAC));
        bench.run(300);
        (bench.peer_own, bench.answers) = (false, None);
        let took = until_active(&mut bench, 3000).unwrap();
        assert!(took <= MS * 350, "{took:?}");
        assert!(!bench.vip().verified);
    }
}
