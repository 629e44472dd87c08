use super::*;

#[test]
fn a_pair_elects_and_the_second_takes_over() {
    let Pair { namespace, dir, wire, one, two } = pair(2);
    eventually("both hear each other", || {
        [&one, &two].iter().all(|node| node.peer().is_some_and(|peer| peer.heard && peer.hears_us))
    });
    let paths = two.peer().unwrap().paths;
    assert_eq!(paths.len(), 2);
    one.crash(&wire);
    eventually("the second takes over", || two.role() == Some(Role::Active));
    let one = Node::start(&namespace, &dir.path().join("auth.key"), &wire, input(1, peers(2)));
    eventually("the first is back", || one.role() == Some(Role::Backup));
    stays("manual failback", Duration::from_millis(600), || two.role() == Some(Role::Active));
}

#[test]
fn failback_begins_when_the_files_say_so() {
    let Pair { namespace, dir, wire, one, two } = pair(1);
    one.crash(&wire);
    eventually("takeover", || two.role() == Some(Role::Active));
    let one = Node::start(&namespace, &dir.path().join("auth.key"), &wire, input(1, peers(1)));
    eventually("return", || one.role() == Some(Role::Backup));
    for node in [&one, &two] {
        node.input.send_modify(|input| input.candidates[0].failback.mode = FailbackMode::Auto);
    }
    eventually("failback", || one.role() == Some(Role::Active) && two.role() == Some(Role::Backup));
}

#[test]
fn what_is_not_authentic_is_counted_and_changes_nothing() {
    let Pair { namespace, one, two, .. } = pair(1);
    let stranger = namespace.run(|| UdpSocket::bind(("127.0.0.2", 0)).unwrap()).unwrap();
    let forged = wire::Packet {
        sender: name("lb2"),
        destination: name("lb1"),
        path: 0,
        session: 1,
        seq: 1,
        round: 1,
        slice: 0,
        slices: 1,
        interval: Duration::from_secs(1),
        dead_after: Duration::from_secs(4),
        echo: None,
        version: String::new(),
        macs: Vec::new(),
        fenced: true,
        fronts: Vec::new(),
        claims: Vec::new(),
    };
    let keys = |text: &str| crate::election::key::Keyring::parse(Path::new("test"), text).unwrap();
    let wrong = wire::encode(&forged, &keys("k1 ffffffffffffffffffffffffffffffff"));
    let own = wire::Packet { sender: name("lb1"), destination: name("lb2"), ..forged.clone() };
    for (bytes, reason) in [
        (wrong.clone(), "wrong_key"),
        (wrong[..20].to_vec(), "truncated"),
        (vec![7; 3000], "oversized"),
        (b"hello".to_vec(), "not_heartbeat"),
        (wire::encode(&forged, &keys(KEY)), "stale_session"),
    ] {
        stranger.send_to(&bytes, address(1, 0)).unwrap();
        eventually(reason, || one.rejected(reason) > 0);
    }
    stranger.send_to(&wire::encode(&own, &keys(KEY)), address(1, 0)).unwrap();
    let reflected = || one.view.borrow().events.iter().any(|event| event.message.contains("reflected"));
    eventually("a reflection is refused", reflected);
    stays("the pair", Duration::from_millis(700), || {
        one.role() == Some(Role::Active) && two.role() == Some(Role::Backup)
    });
}

#[test]
fn a_flood_of_garbage_does_not_disturb() {
    let Pair { namespace, one, two, .. } = pair(1);
    let became = |node: &Node| node.view.borrow().vips["web"].became_active;
    let before = (became(&one), became(&two));
    let flood = namespace.run(|| UdpSocket::bind(("127.0.0.9", 0)).unwrap()).unwrap();
    for count in 0..50_000u32 {
        // A full socket buffer drops; that is the flood's loss.
        let _ = flood.send_to(&[b"LBHB", count.to_be_bytes().as_slice(), &[0; 60]].concat(), address(2, 0));
    }
    eventually("both still hear each other", || {
        [&one, &two].iter().all(|node| node.peer().is_some_and(|peer| peer.heard && peer.hears_us))
    });
    assert_eq!((one.role(), two.role()), (Some(Role::Active), Some(Role::Backup)));
    assert_eq!((became(&one), became(&two)), before, "no move");
}

#[test]
fn keys_rotate_without_a_gap_and_a_bad_file_changes_nothing() {
    let Pair { dir, one, two, .. } = pair(1);
    let both = |node: &Node| node.peer().is_some_and(|peer| peer.heard);
    std::fs::write(dir.path().join("auth.key"), "nonsense").unwrap();
    for node in [&one, &two] {
        eventually("the bad file is told", || node.problems.borrow().iter().any(|p| p.reason == "KeyFileRefused"));
    }
    const NEW: &str = "k2 ffeeddccbbaa99887766554433221100";
    write_key(dir.path(), &format!("{KEY}\n{NEW}"));
    for node in [&one, &two] {
        eventually("the good file is read", || node.problems.borrow().is_empty());
    }
    // Now that both know the new key it may sign; they come to that at different times.
    write_key(dir.path(), &format!("{NEW}\n{KEY}"));
    stays("both hear each other", Duration::from_millis(2500), || both(&one) && both(&two));
    assert_eq!(one.rejected("wrong_key") + two.rejected("wrong_key"), 0);
}

#[test]
fn without_a_key_nothing_is_claimed_and_nothing_is_given_up() {
    let (namespace, dir, wire) = (namespace(), tempfile::tempdir().unwrap(), Wire::default());
    let key = dir.path().join("auth.key");
    let node = Node::start(&namespace, &key, &wire, input(1, peers(1)));
    eventually("the problem is told", || node.problems.borrow().iter().any(|p| p.reason == "KeyFileRefused"));
    stays("Initialize", Duration::from_millis(900), || node.role() == Some(Role::Initialize));
    write_key(dir.path(), KEY);
    eventually("with a key it claims", || node.role() == Some(Role::Active));
    assert!(node.problems.borrow().is_empty());
}

#[test]
fn a_lone_node_needs_no_key() {
    let (namespace, dir, wire) = (namespace(), tempfile::tempdir().unwrap(), Wire::default());
    let alone = vec![peers(1)[0].clone()];
    let node = Node::start(&namespace, &dir.path().join("auth.key"), &wire, input(1, alone));
    eventually("Active", || node.role() == Some(Role::Active));
    assert!(node.problems.borrow().is_empty());
}

#[test]
fn a_port_in_use_is_told_and_tried_again() {
    let (namespace, dir, wire) = (namespace(), tempfile::tempdir().unwrap(), Wire::default());
    let key = write_key(dir.path(), KEY);
    let taken = namespace.run(|| UdpSocket::bind(address(1, 0)).unwrap()).unwrap();
    let one = Node::start(&namespace, &key, &wire, input(1, peers(1)));
    eventually("told", || one.problems.borrow().iter().any(|p| p.reason == "HeartbeatAddress"));
    drop(taken);
    let two = Node::start(&namespace, &key, &wire, input(2, peers(1)));
    eventually("heard", || [&one, &two].iter().all(|node| node.peer().is_some_and(|peer| peer.heard)));
    eventually("mended", || one.problems.borrow().is_empty());
}

#[test]
fn an_address_that_is_not_up_yet_can_be_bound_and_peers_can_move() {
    let Pair { one, two, .. } = pair(1);
    let mut moved = peers(2);
    Arc::make_mut(&mut moved[0]).addresses[0] = SocketAddr::from(([192, 0, 2, 1], 694));
    Arc::make_mut(&mut moved[0]).addresses[1] = address(1, 1);
    for node in [&one, &two] {
        node.input.send_modify(|input| input.peers = moved.clone());
    }
    eventually("heard on the second path only", || {
        [&one, &two].iter().all(|node| {
            let paths = node.peer().map(|peer| peer.paths).unwrap_or_default();
            paths.len() == 2 && !paths[0].up && paths[1].up
        })
    });
    assert!(one.problems.borrow().iter().all(|problem| problem.reason != "HeartbeatAddress"));
    assert_eq!((one.role(), two.role()), (Some(Role::Active), Some(Role::Backup)));
}
