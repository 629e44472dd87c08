//! Planned moves: offers, their end, and who waits.

use super::*;

#[test]
fn an_offer_is_worth_something_only_for_a_short_time_from_the_question() {
    let mut bench = Bench::follower("lb2");
    bench.says(Claim { offer: Some((name("lb2"), 0)), ..backup() }).run(1);
    let round = bench.asked_round.unwrap();
    bench.expect(Role::Backup, "");
    // The answer comes too late: the old owner may have taken back.
    bench.run(150);
    bench.says(Claim { offer: Some((name("lb2"), round)), ..backup() }).run(1);
    bench.expect(Role::Backup, "");
    let round = bench.asked_round.unwrap();
    bench.says(Claim { offer: Some((name("lb2"), round)), ..backup() }).run(1);
    bench.expect(Role::Active, "lb1 handed over");
}

#[test]
fn an_open_offer_to_another_node_occupies_the_vip() {
    let mut bench = Bench::follower("lb2");
    bench.says(Claim { offer: Some((name("lb9"), 7)), ..backup() }).run(1000);
    bench.expect(Role::Backup, "");
    bench.says(backup()).run(500);
    bench.expect(Role::Active, "");
}

#[test]
fn a_node_that_leaves_takes_back_what_its_heir_did_not_live_to_take() {
    let mut bench = Bench::owner("lb1");
    bench.reload(|candidate| candidate.eligibility.leaving = true);
    bench.run(10);
    bench.expect(Role::Backup, "handed over to lb2");
    bench.hold(false);
    bench.says = None;
    bench.run(700);
    bench.expect(Role::Active, "");
    bench.run(1000);
    bench.expect(Role::Active, "");
    bench.says(backup()).run(1);
    assert_eq!(bench.vip().role, Role::Active, "it did not take them a moment ago");
    bench.run(10_000);
    bench.expect(Role::Backup, "handed over to lb2");
}

#[test]
fn a_lone_node_that_leaves_does_leave() {
    let mut bench = silent(Bench::owner("lb1"), 300);
    bench.reload(|candidate| candidate.eligibility.leaving = true);
    bench.run(2000);
    bench.expect(Role::Backup, "no other node is heard");
}

#[test]
fn a_device_that_is_gone_ends_the_lease_at_once() {
    let mut bench = Bench::owner("lb1");
    bench.reload(|candidate| candidate.link = None);
    bench.run(1);
    bench.expect(Role::Backup, "there is no device");
    assert!(bench.leases.is_empty() && !bench.vip().graceful);
}

#[test]
fn a_node_that_vanishes_again_and_again_waits_longer_each_time() {
    let waits = |times: u32| {
        let mut bench = Bench::owner("lb2");
        for _ in 0..times {
            bench.says = None;
            bench.run(200);
            bench.says(backup()).run(100);
        }
        bench.says(asks());
        let begin = bench.now;
        while bench.vip().role == Role::Active {
            bench.run(10);
            assert!(bench.now < begin + MS * 60_000, "for ever");
        }
        assert_eq!(bench.machine.view(bench.now).peers["lb1"].vanished, times);
        bench.now - begin
    };
    assert!(waits(1) <= MS * 10, "once is no habit");
    let (two, four) = (waits(2), waits(4));
    assert!(two >= MS * 850 && two <= MS * 1000, "twice its half second: {two:?}");
    assert!(four >= MS * 3850 && four <= MS * 4000, "eight times: {four:?}");
}

#[test]
fn a_vip_s_own_device_is_a_path_whatever_the_files_list() {
    let mut bench = Bench::follower("lb2");
    let own = IpAddr::from([198, 51, 100, 3]);
    bench.machine.handle_fronts(bench.now, vec![Front { link: 2, mac: Some(MY_MAC), address: Some(own) }]);
    assert_eq!(bench.machine.local_ends(), [SocketAddr::from(([192, 0, 2, 2], 694)), SocketAddr::new(own, 694)]);
    bench.fronts = vec![PEER_OWN];
    bench.run(60);
    assert_eq!(bench.machine.remote("lb1", 1), Some(SocketAddr::new(PEER_OWN, 694)));
    assert!(bench.paths.contains(&(1, 128)), "{:?}", bench.paths);
    let path = &bench.machine.view(bench.now).peers["lb1"].paths[1];
    assert!(path.front && path.sent > 0 && !path.up);
    // Only the front is left: it keeps the peer alive.
    bench.path = 1;
    bench.run(500);
    assert!(bench.machine.hears("lb1") && bench.machine.view(bench.now).peers["lb1"].paths[1].up);
    let listed = SocketAddr::from(([192, 0, 2, 2], 694)).ip();
    bench.machine.handle_fronts(bench.now, vec![Front { link: 2, mac: None, address: Some(listed) }]);
    assert_eq!(bench.machine.local_ends().len(), 1, "the files list it already");
}

#[test]
fn a_node_that_leaves_takes_over_again_from_a_successor_that_dies() {
    let mut bench = Bench::owner("lb1");
    bench.reload(|candidate| candidate.eligibility.leaving = true);
    bench.run(10);
    bench.hold(false);
    let epoch = bench.vip().epoch;
    bench.says(active(epoch + 1)).run(100);
    bench.hold(false);
    bench.says = None;
    bench.run(200);
    bench.expect(Role::Active, "nobody else is Active");
}

#[test]
fn no_lease_is_asked_for_while_a_pass_may_still_end_it() {
    let mut bench = Bench::owner("lb1");
    bench.says(Claim { sees_silence: true, ..backup() }).run(1);
    bench.hold(false);
    let epoch = bench.vip().epoch;
    // The heir has the addresses: what was muted is removed now, and its lease ended.
    bench.says(active(epoch + 1)).run(20);
    bench.offered();
    bench.run(20);
    bench.expect(Role::Backup, "");
    bench.hold(false);
    bench.run(1);
    bench.expect(Role::Active, "lb2 handed over");
}

/// Whom the one that lets go has not heard of, it cannot warn of.
#[test]
fn no_offer_is_taken_on_its_word_while_a_node_that_is_not_heard_has_the_addresses() {
    for (seen, trusted) in [(false, true), (true, true), (true, false)] {
        let mut bench = Bench::follower("lb1");
        let peers = [peer("lb1", 1), peer("lb2", 2), peer("lb3", 3)];
        bench.candidate.nodes.push(name("lb3"));
        bench.candidate.trust_probe = trusted;
        bench.machine.handle_desired(bench.now, &bench.me, &peers, vec![bench.candidate.clone()], vec![MY_MAC]);
        bench.run(300);
        bench.answers = seen.then_some(STRANGER);
        if seen {
            bench.sees(2, VIP, STRANGER, SightKind::Has);
        }
        let blocked = seen && trusted;
        bench.run(400);
        assert_eq!(bench.said.as_ref().is_some_and(|claim| claim.asks), !blocked, "{seen} {trusted}");
        bench.offered();
        match blocked {
            true => {
                bench.run(200).expect(Role::Backup, "");
                assert!(bench.vip().rules.iter().any(|rule| rule.contains("no handover to this one")));
            }
            false => bench.expect(Role::Active, "lb2 handed over"),
        }
    }
}
