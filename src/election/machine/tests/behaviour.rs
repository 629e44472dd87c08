//! What a machine does besides changing roles.

use super::*;

#[test]
fn with_other_state_the_names_decide_a_tie_so_that_both_sides_agree() {
    assert_eq!(same_epoch("lb1", 2).vip().role, Role::Active);
    assert_eq!(same_epoch("lb2", 2).vip().role, Role::Backup);
}

#[test]
fn a_crash_costs_the_dead_time_and_no_more() {
    let mut bench = Bench::follower("lb2");
    let last = bench.now;
    bench.says(active(5000));
    bench.says = None;
    while bench.vip().role != Role::Active {
        bench.run(1);
        assert!(bench.now < last + MS * 200);
    }
    let took = bench.now - last;
    assert!(took >= MS * 100 && took <= MS * 108, "{took:?}");
    assert!(bench.probes >= 12, "after silent probes");
}

#[test]
fn a_heartbeat_cancels_a_suspicion() {
    let mut bench = Bench::follower("lb2");
    bench.says = None;
    bench.run(70);
    assert!(bench.probes > 0 && bench.said.as_ref().unwrap().claiming, "probing and saying so");
    bench.says(active(5000));
    let probes = bench.probes;
    assert!(!bench.said.as_ref().unwrap().claiming);
    bench.run(200);
    assert_eq!((bench.probes, bench.vip().role), (probes, Role::Backup));
}

#[test]
fn a_release_says_what_is_true_at_every_moment() {
    let mut bench = Bench::owner("lb2");
    bench.says(asks());
    let said = bench.said.clone().unwrap();
    assert_eq!((said.role, said.holding, said.offer), (Role::Backup, true, Some((name("lb1"), 0))));
    assert!(bench.vip().graceful);
    // A pass that began before the decision ends: what it saw proves nothing.
    bench.machine.handle_held(HeldReport::default());
    bench.run(1);
    assert!(bench.said.as_ref().unwrap().holding);
    bench.hold(false);
    bench.run(1);
    assert!(!bench.said.as_ref().unwrap().holding, "and the heartbeat goes out at once");
    let epoch = bench.vip().epoch;
    bench.says(active(epoch + 1)).run(100);
    bench.expect(Role::Backup, "lb1 is Active");
    assert!(!bench.vip().graceful);
}

#[test]
fn an_offer_that_is_not_taken_is_withdrawn_and_not_repeated_at_once() {
    let mut bench = Bench::owner("lb2");
    bench.says(asks());
    bench.hold(false);
    bench.run(290);
    let offer = bench.said.as_ref().unwrap().offer.clone();
    assert!(offer.is_some_and(|(to, round)| to == name("lb1") && round > 0));
    bench.run(100);
    assert_eq!(bench.said.as_ref().unwrap().offer, Some((name("lb1"), 0)), "nothing is to be taken any more");
    bench.expect(Role::Backup, "");
    bench.run(150);
    bench.expect(Role::Active, "");
    bench.hold(true);
    bench.run(9000);
    bench.expect(Role::Active, "");
    bench.run(1500);
    bench.expect(Role::Backup, "failback");
}

#[test]
fn the_preferred_node_asks_when_it_has_settled_and_not_before() {
    let mut bench = Bench::follower("lb1");
    bench.run(350);
    assert!(!bench.said.as_ref().unwrap().asks);
    bench.run(150);
    assert!(bench.said.as_ref().unwrap().asks);
    bench.says(Claim { digest: Digest(2), ..active(5000) });
    bench.run(1);
    assert!(!bench.said.as_ref().unwrap().asks, "not from other state");
    bench.expect(Role::Backup, "its state differs");
    bench.reload(|candidate| candidate.failback.mode = FailbackMode::Manual);
    bench.says(active(5000)).run(2000);
    assert!(!bench.said.as_ref().unwrap().asks, "not with manual failback");
    bench.says(Claim { eligible: false, reason: "eth1 has no carrier".into(), ..active(5000) }).run(1);
    assert!(bench.said.as_ref().unwrap().asks, "but for an owner that is not eligible");
}

#[test]
fn an_owner_that_cannot_hold_says_so_and_yields() {
    let mut bench = Bench::owner("lb1");
    bench.hold(false);
    bench.run(1010);
    assert!(!bench.said.as_ref().unwrap().eligible);
    bench.expect(Role::Active, "could not be added");
    bench.says(asks()).run(1);
    bench.expect(Role::Backup, "could not be added; handed over to lb2");
    bench.reload(|candidate| candidate.link = Some(3));
    bench.run(1);
    assert!(bench.said.as_ref().unwrap().eligible, "another device, another try");
}

#[test]
fn a_conflict_is_counted_and_whoever_remains_announces() {
    let mut bench = Bench::owner("lb2");
    let before = bench.vip();
    bench.says(active(3)).run(40);
    let during = bench.vip();
    assert!(during.announcement > before.announcement);
    bench.says(backup()).run(40);
    let after = bench.vip();
    assert!(after.announcement > during.announcement);
    assert!(after.dual_owner >= MS * 40 && after.dual_owner < MS * 80, "{:?}", after.dual_owner);
}

#[test]
fn an_owner_announces_when_a_peer_is_heard_again() {
    let mut bench = silent(Bench::owner("lb1"), 300);
    let before = bench.vip().announcement;
    bench.says(backup()).run(50);
    assert!(bench.vip().announcement > before);
}

#[test]
fn refusals_are_counted_by_path_and_told_once() {
    let mut bench = Bench::follower("lb2");
    let source = SocketAddr::from(([192, 0, 2, 1], 5));
    for _ in 0..5 {
        bench.machine.handle_rejected(bench.now, 0, source, "wrong_key");
        bench.machine.handle_rejected(bench.now, 0, SocketAddr::from(([203, 0, 113, 9], 5)), "wrong_key");
    }
    let view = bench.machine.view(bench.now);
    assert_eq!(view.peers["lb1"].paths[0].rejected["wrong_key"], 5);
    assert_eq!(view.events.iter().filter(|event| event.message.contains("wrong_key")).count(), 2);
}

#[test]
fn the_view_tells_what_the_peer_says() {
    let mut bench = Bench::follower("lb2");
    bench.says(Claim { digest: Digest(2), ..active(5000) }).run(40);
    let view = bench.machine.view(bench.now);
    let peer = &view.peers["lb1"];
    assert!(peer.heard && peer.hears_us && peer.paths[0].up && peer.paths[0].rtt.is_some());
    assert_eq!((peer.version.as_str(), peer.macs.as_slice()), ("9.9", [PEER_MAC].as_slice()));
    assert_eq!(peer.roles[&VIP], Role::Active);
    assert!(peer.differs.contains(&VIP));
    assert_eq!(view.vips["web"].owner, Some(name("lb1")));
    bench.says = None;
    bench.run(5000);
    let view = bench.machine.view(bench.now);
    assert!(!view.peers["lb1"].heard && view.peers["lb1"].roles.is_empty());
    assert_eq!(view.peers["lb1"].macs, [PEER_MAC], "remembered after its death");
}

#[test]
fn events_are_bounded() {
    let mut bench = Bench::owner("lb1");
    for _ in 0..150 {
        bench.run(150);
        bench.says = None;
        bench.run(150);
        bench.says(backup());
    }
    assert_eq!(bench.machine.view(bench.now).events.len(), 200);
}

#[test]
fn a_node_in_no_peer_holds_nothing() {
    let mut bench = Bench::owner("lb1");
    bench.machine.handle_desired(bench.now, &name("lb9"), &[peer("lb1", 1)], vec![bench.candidate.clone()], vec![]);
    bench.run(500);
    assert!(bench.machine.view(bench.now).vips.is_empty());
}

#[test]
fn an_idle_machine_steps_for_its_heartbeats_only() {
    let mut bench = Bench::owner("lb1");
    bench.steps = 0;
    bench.run(1000);
    assert!(bench.steps <= 100, "40 heartbeats out, 50 in, but {} steps", bench.steps);
}

#[test]
fn a_probe_that_cannot_be_sent_is_no_silence_but_delays_only_so_long() {
    let mut bench = Bench::new("lb1");
    bench.unsendable = true;
    bench.run(1200);
    bench.expect(Role::Backup, "198.51.100.10 cannot be probed");
    bench.run(500);
    bench.expect(Role::Active, "");
}

#[test]
fn what_is_not_meant_for_this_node_is_refused() {
    let mut bench = Bench::follower("lb2");
    let packet = Packet {
        sender: name("lb1"),
        destination: name("lb2"),
        path: 0,
        session: 88,
        seq: u64::MAX,
        round: u64::MAX,
        slice: 0,
        slices: 1,
        interval: MS * 25,
        dead_after: MS * 100,
        echo: None,
        version: String::new(),
        macs: Vec::new(),
        fenced: true,
        fronts: Vec::new(),
        claims: vec![active(u64::MAX)],
    };
    let mut refused = |packet: Packet, path| bench.machine.handle_heartbeat(bench.now, path, packet).unwrap_err();
    assert_eq!(refused(Packet { sender: name("lb2"), ..packet.clone() }, 0), "reflected");
    assert_eq!(refused(Packet { destination: name("lb3"), ..packet.clone() }, 0), "wrong_destination");
    assert_eq!(refused(Packet { sender: name("lb9"), ..packet.clone() }, 0), "unknown_peer");
    assert_eq!(refused(packet.clone(), 1), "wrong_path");
    assert_eq!(refused(Packet { path: 1, ..packet.clone() }, 1), "wrong_path");
    assert_eq!(refused(packet, 0), "stale_session");
    bench.expect(Role::Backup, "lb1 is Active (epoch 5000)");
}

#[test]
fn a_session_begins_anew_when_the_peer_restarts_and_claims_that_came_late_do_not_count() {
    let mut bench = Bench::follower("lb2");
    let (session, seq) = bench.heard.unwrap();
    let mut packet = |session_of_peer, seq_of_peer, round, claim, echoed| {
        let echo = Some(Echo { session, seq: echoed, hold: MS, hears_you: true });
        let packet = Packet {
            sender: name("lb1"),
            destination: name("lb2"),
            path: 0,
            session: session_of_peer,
            seq: seq_of_peer,
            round,
            slice: 0,
            slices: 1,
            interval: MS * 25,
            dead_after: MS * 100,
            echo,
            version: String::new(),
            macs: vec![PEER_MAC],
            fenced: true,
            fronts: Vec::new(),
            claims: vec![claim],
        };
        let result = bench.machine.handle_heartbeat(bench.now, 0, packet);
        bench.step();
        (result, bench.vip().epoch)
    };
    assert_eq!(packet(88, 10_000, 10_000, active(6000), seq), (Ok(()), 6000));
    assert_eq!(packet(88, 10_001, 9_999, active(7000), seq), (Ok(()), 6000), "an earlier round came late");
    assert_eq!(packet(99, 1, 1, active(8000), seq), (Err("stale_session"), 6000), "nothing new is echoed");
    assert_eq!(packet(99, 1, 1, active(8000), seq + 1).0, Ok(()), "a new process");
    assert_eq!(
        packet(88, 10_002, 10_002, active(9000), seq + 1),
        (Err("stale_session"), 8000),
        "the former one is over"
    );
}
