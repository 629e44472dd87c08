//! What an owner watches, and what makes it leave.

use super::*;

#[test]
fn a_lost_lease_ends_ownership_before_anything_is_said_and_the_start_rule_applies() {
    let mut bench = Bench::owner("lb1");
    bench.says = None;
    bench.leases.clear();
    bench.machine.handle_lost(bench.now, &[VIP]);
    bench.says(backup()).run(1);
    bench.expect(Role::Backup, "lb2 comes first and may claim");
    assert!(!bench.vip().graceful && !bench.vip().leased && !bench.spoke_late);
}

#[test]
fn revocation_goes_before_the_word_that_it_is_over() {
    let mut bench = Bench::owner("lb1");
    bench.says(active(9_999_999));
    bench.expect(Role::Backup, "lb2 is Active");
    assert!(bench.leases.is_empty() && !bench.spoke_late);
    assert!(bench.said.as_ref().unwrap().lost);
    bench.run(600);
    assert!(!bench.said.as_ref().unwrap().lost, "only for a while");
}

#[test]
fn a_graceful_release_leaves_the_lease_to_the_reconcile_loop() {
    let mut bench = Bench::owner("lb2");
    bench.says(asks()).run(1);
    bench.expect(Role::Backup, "failback");
    assert!(bench.vip().graceful && bench.leases.contains(&VIP));
}

#[test]
fn an_owner_asks_for_its_own_vip_and_closely_while_a_node_is_not_heard() {
    let mut bench = Bench::owner("lb1");
    bench.run(500);
    let probes = bench.probes;
    bench.run(3000);
    assert!((2..=4).contains(&(bench.probes - probes)), "{}", bench.probes - probes);
    let mut bench = silent(bench, 300);
    let (probes, announced) = (bench.probes, bench.vip().announcement);
    bench.run(2000);
    assert!((90..=110).contains(&(bench.probes - probes)), "{}", bench.probes - probes);
    assert!((1..=3).contains(&(bench.vip().announcement - announced)), "and announces each second");
}

#[test]
fn of_two_owners_without_heartbeats_the_preferred_one_insists_longer() {
    let leaves_after = |me: &str| {
        let mut bench = silent(Bench::owner(me), 300);
        bench.answers = Some(PEER_MAC);
        let begin = bench.now;
        while bench.vip().role == Role::Active {
            bench.run(1);
            assert!(bench.now < begin + MS * 2000, "it never leaves");
        }
        assert!(bench.leases.is_empty());
        (bench.now - begin, bench.vip().dual_owner)
    };
    assert!(leaves_after("lb2").0 <= MS * 25);
    let (insists, dual) = leaves_after("lb1");
    assert!(insists >= MS * 500 && insists <= MS * 560, "{insists:?}");
    assert!(dual >= MS * 450, "counted as two owners: {dual:?}");
}

#[test]
fn a_stranger_with_the_vip_is_told_but_not_given_way() {
    let mut bench = Bench::owner("lb1");
    bench.answers = Some(STRANGER);
    bench.run(3000);
    bench.expect(Role::Active, "");
    assert_eq!(bench.vip().foreign, Some((VIP, STRANGER)));
    bench.answers = None;
    bench.run(500);
    assert_eq!(bench.vip().foreign, None);
}

#[test]
fn a_deaf_owner_gives_up_and_one_that_hears_anything_does_not() {
    let deaf = |gateway: bool, traffic: bool| {
        let mut bench = Bench::owner("lb1");
        bench.gateway = gateway;
        for packets in 0..30 {
            bench.machine.handle_rx(bench.now, 2, if traffic { packets } else { 7 });
            bench.run(50);
        }
        bench.vip().role
    };
    assert_eq!(Bench::owner("lb1").machine.watched_links(), [2]);
    assert_eq!(deaf(false, false), Role::Backup);
    assert_eq!(deaf(true, false), Role::Active);
    assert_eq!(deaf(false, true), Role::Active);
}

#[test]
fn a_backup_that_hears_others_but_not_the_owner_says_so() {
    let mut bench = Bench::follower("lb2");
    bench.answers = Some(PEER_MAC);
    bench.run(4000);
    assert!(!bench.said.as_ref().unwrap().sees_silence);
    bench.answers = None;
    bench.run(1500);
    assert!(!bench.said.as_ref().unwrap().sees_silence, "not yet");
    bench.run(1500);
    assert!(bench.said.as_ref().unwrap().sees_silence);
    bench.gateway = false;
    bench.run(1000);
    assert!(!bench.said.as_ref().unwrap().sees_silence, "hears nobody at all");
}

#[test]
fn an_owner_yields_to_one_that_hears_others_but_not_it() {
    let mut bench = Bench::owner("lb1");
    bench.says(Claim { sees_silence: true, ..backup() }).run(1);
    bench.expect(Role::Backup, "not this node's answers");
    assert!(bench.vip().graceful);
    let mut bench = Bench::owner("lb1");
    bench.says(Claim { sees_silence: true, has_references: false, ..backup() }).run(100);
    bench.expect(Role::Active, "");
}

#[test]
fn an_unproven_owner_stops_no_proven_claim() {
    let mut bench = Bench::new("lb2");
    bench.says(Claim { verified: false, settled: false, ..active(5000) }).run(600);
    bench.expect(Role::Active, "");
    let mut bench = Bench::new("lb2");
    bench.gateway = false;
    bench.says(Claim { verified: false, settled: false, ..active(5000) }).run(2000);
    bench.expect(Role::Backup, "is Active");
}

#[test]
fn the_loser_s_flag_makes_the_winner_announce() {
    let mut bench = Bench::owner("lb1");
    let before = bench.vip().announcement;
    bench.says(Claim { lost: true, ..backup() }).run(100);
    assert_eq!(bench.vip().announcement, before + 1);
}

#[test]
fn added_addresses_are_asked_for_before_they_count() {
    let more = IpAddr::from([198, 51, 100, 11]);
    let mut bench = Bench::owner("lb1");
    bench.reload(|candidate| candidate.addresses.push(more));
    bench.run(5);
    assert_eq!(bench.vip().unleased, [more].into());
    bench.expect(Role::Active, "");
    bench.run(100);
    assert!(bench.vip().unleased.is_empty() && bench.leases.contains(&more) && bench.vip().role == Role::Active);
    assert!(!bench.spoke_late, "nothing was said of it before");
    bench.answers = Some(STRANGER);
    bench.reload(|candidate| candidate.addresses.push(IpAddr::from([198, 51, 100, 12])));
    bench.run(2000);
    assert_eq!(bench.vip().unleased.len(), 1, "a stranger has it");
    bench.expect(Role::Active, "");
}

#[test]
fn addresses_that_are_taken_over_from_another_vip_keep_their_lease() {
    let mut bench = Bench::owner("lb1");
    bench.reload(|candidate| candidate.vip = name("www"));
    bench.run(20);
    let view = bench.machine.view(bench.now);
    assert!(view.vips["www"].role == Role::Active && view.vips["www"].leased && bench.leases.contains(&VIP));
    bench.machine.handle_desired(bench.now, &name("lb1"), &[peer("lb1", 1), peer("lb2", 2)], vec![], vec![MY_MAC]);
    bench.step();
    assert!(bench.leases.is_empty(), "and lose it with the last Vip that names them");
}

#[test]
fn a_step_of_the_wall_clock_keeps_the_vip_and_asks_for_new_echoes() {
    let mut bench = Bench::owner("lb1");
    bench.run(1000);
    bench.machine.handle_wall_clock(bench.now, 1000 + 1400);
    bench.run(1);
    assert!(bench.machine.view(bench.now).peers["lb2"].hears_us, "no step worth the name");
    let probes = bench.probes;
    bench.says = None;
    bench.machine.handle_wall_clock(bench.now, 99_000_000);
    bench.run(2);
    assert!(!bench.machine.view(bench.now).peers["lb2"].hears_us);
    bench.run(60);
    assert!(bench.probes >= probes + 2, "looks closely");
    bench.says(backup()).run(60);
    assert!(bench.machine.view(bench.now).peers["lb2"].hears_us);
    bench.expect(Role::Active, "");
}

#[test]
fn after_a_sleep_nothing_counts_that_was_heard_before() {
    let mut bench = Bench::follower("lb2");
    bench.machine.handle_jump(bench.now);
    bench.says = None;
    bench.run(100);
    bench.expect(Role::Backup, "");
    assert!(!bench.machine.hears("lb1"));
    bench.says(active(5000)).run(50);
    bench.expect(Role::Backup, "lb1 is Active");
}

#[test]
fn the_view_tells_rule_by_rule() {
    let mut bench = Bench::follower("lb2");
    bench.machine.handle_fenced(true);
    bench.run(30);
    let vip = bench.vip();
    let nodes: Vec<&str> = vip.standings.iter().map(|standing| &*standing.node).collect();
    assert_eq!(nodes, ["lb1", "lb2"]);
    assert!(vip.standings[0].role == Some(Role::Active) && vip.standings[0].fenced && !vip.standings[0].me);
    assert!(vip.standings[1].me && vip.standings[1].fenced && vip.standings[1].heard);
    let has = |bench: &Bench, text: &str| {
        let rules = bench.vip().rules;
        assert!(rules.iter().any(|rule| rule.contains(text)), "{text} in {rules:#?}");
    };
    has(&bench, "lb1 is Active with epoch 5000");
    has(&bench, "1 of 2 references answer");
    bench.says = None;
    bench.run(70);
    has(&bench, "lb1 is not heard for");
    has(&bench, "of 12 silent rounds, 1 of 2 references answer");
}

#[test]
fn an_owner_that_was_never_heard_is_known_by_what_answers_for_its_own_address() {
    for (me, own, role) in [("lb2", true, Role::Backup), ("lb2", false, Role::Active), ("lb1", true, Role::Active)] {
        let mut bench = Bench::new(me);
        bench.peer_own = own;
        bench.run(400);
        bench.expect(Role::Active, "");
        bench.hold(true);
        bench.answers = Some(PEER_MAC);
        bench.run(300);
        assert_eq!(bench.vip().role, role, "{me}, its own address answers: {own}");
        assert_eq!(bench.vip().foreign.is_some(), !own);
    }
}
