use super::*;
use crate::{
    model::{Mac, ObservedAddress, Role},
    status::fixture::{World, ip, name},
};

#[test]
fn a_status_of_a_world_in_good_order_is_the_golden_one() {
    let json = serde_json::to_string_pretty(&World::new().status()).unwrap() + "\n";
    golden("status.json", &json);
}

/// Compares with the file, or writes it when `LBAGENT_BLESS` is set.
pub(crate) fn golden(file: &str, got: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/status/golden").join(file);
    if std::env::var_os("LBAGENT_BLESS").is_some() {
        std::fs::write(&path, got).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    for (line, (got, expected)) in got.lines().zip(expected.lines()).enumerate() {
        assert_eq!(got, expected, "{}:{}", path.display(), line + 1);
    }
    assert_eq!(got.lines().count(), expected.lines().count(), "{} has another length", path.display());
}

#[test]
fn json_is_read_back_as_it_was_written() {
    let status = World::new().backup().down(&["webA"]).bad_file().status();
    let json = serde_json::to_string(&status).unwrap();
    assert_eq!(serde_json::from_str::<Status>(&json).unwrap(), status);
}

#[test]
fn a_reader_of_another_release_takes_what_it_knows() {
    let text = r#"{"node": "lb1", "newThing": 1, "vips": [{"name": "web", "other": []}], "pools": [{}]}"#;
    let status: Status = serde_json::from_str(text).unwrap();
    assert_eq!((status.node.as_deref(), status.vips[0].name.as_str()), (Some("lb1"), "web"));
}

#[test]
fn instants_become_wall_time_and_back_in_order() {
    let clock = World::new().clock;
    let hour = Duration::from_secs(3600);
    assert_eq!(clock.wall_of(clock.instant - hour).to_string(), "2026-11-22T14:00:00.000Z");
    assert_eq!(clock.wall_of(clock.instant + hour).to_string(), "2026-11-22T16:00:00.000Z");
    assert_eq!(clock.wall_of(clock.instant), clock.now());
    let early = Clock { wall: SystemTime::UNIX_EPOCH, ..clock };
    assert_eq!(early.wall_of(clock.instant - hour).unix_millis(), 0);
}

#[test]
fn a_node_in_no_peer_has_no_name_and_no_role() {
    let mut world = World::new();
    world.node = name("elsewhere");
    world.election = ElectionView::default();
    let status = world.status();
    assert_eq!(status.node, None);
    assert_eq!((status.vips[0].role.as_deref(), status.vips[0].listeners.len()), (None, 0));
    assert!(status.peers.iter().all(|peer| !peer.me && !peer.heard));
}

#[test]
fn before_the_election_begins_a_vip_is_initializing() {
    let mut world = World::new();
    world.election = ElectionView::default();
    let vip = &world.status().vips[0];
    assert_eq!((vip.role.as_deref(), vip.since, vip.owner.as_deref()), (Some("Initialize"), None, None));
}

#[test]
fn who_holds_an_address_is_seen_in_the_kernel_not_in_the_role() {
    let mut world = World::new().backup();
    world.network.addresses = vec![
        ObservedAddress { link: 2, ip: ip("198.51.100.10"), prefix_len: 24, ours: false, valid_for: None },
        ObservedAddress { link: 7, ip: ip("198.51.100.99"), prefix_len: 24, ours: true, valid_for: None },
    ];
    let addresses = &world.status().vips[0].addresses;
    assert_eq!((addresses[0].held, addresses[0].ours, addresses[0].interface.as_deref()), (true, false, Some("eth0")));
    assert_eq!((addresses[1].held, addresses[1].ours, addresses[1].interface.as_deref()), (false, false, None));
}

#[test]
fn when_two_owners_were_seen_last_is_kept_until_they_are_seen_again() {
    let mut world = World::new();
    let step = |world: &mut World, dual_owner| {
        world.clock.wall += Duration::from_secs(60);
        world.vip().dual_owner = Duration::from_millis(dual_owner);
        let status = world.status();
        world.previous = Some(status.clone());
        (status.vips[0].dual_owner_last, status.now)
    };
    assert_eq!(step(&mut world, 0).0, None);
    let (first, now) = step(&mut world, 24);
    assert_eq!(first, Some(now));
    assert_eq!(step(&mut world, 24).0, first);
    let (again, now) = step(&mut world, 25);
    assert_eq!(again, Some(now));
}

#[test]
fn standby_and_the_leases_are_told_as_they_are() {
    let mut world = World::new();
    let since = world.clock.instant - Duration::from_secs(5);
    world.standby = Some(Standby { since, reason: String::new(), forced: true });
    world.lease.running.insert(ip("198.51.100.10"), false);
    let status = world.status();
    let standby = status.standby.unwrap();
    assert_eq!((standby.since.to_string().as_str(), standby.forced), ("2026-11-22T14:59:55.000Z", true));
    assert_eq!(standby.words(), "no reason was given");
    assert_eq!((status.fence.leased, status.fence.draining), (vec![ip("2001:db8::10")], vec![ip("198.51.100.10")]));
    let leased: Vec<bool> = status.vips[0].addresses.iter().map(|address| address.leased).collect();
    assert_eq!(leased, [false, true]);
}

#[test]
fn what_is_put_back_is_counted_from_the_start() {
    let mut world = World::new();
    world.lease.repairs = 2;
    let repairs = |world: &World| world.status().reconcile.repairs;
    assert_eq!(repairs(&world), BTreeMap::from([("address".into(), 0), ("fence".into(), 2)]));
    world.reconcile.repairs = BTreeMap::from([("address", 7)]);
    assert_eq!(repairs(&world), BTreeMap::from([("address".into(), 7), ("fence".into(), 2)]));
}

#[test]
fn a_peer_is_fenced_as_it_says_while_it_is_heard() {
    let mut world = World::new();
    let fenced = |world: &World| world.status().peers.iter().map(|peer| peer.fenced).collect::<Vec<_>>();
    world.peer().fenced = false;
    world.lease.fenced = Err("no nf_tables".into());
    assert_eq!(fenced(&world), [Some(false), Some(false)]);
    world.peer().heard = false;
    assert_eq!(fenced(&world)[1], None);
}

#[test]
fn a_backend_that_was_not_checked_yet_counts_as_up() {
    let mut world = World::new();
    world.health.remove(&(name("web"), name("webB")));
    let pool = &world.status().pools[0];
    assert_eq!((pool.up, pool.total), (3, 3));
    assert!(pool.backends[1].up && pool.backends[1].since.is_none() && pool.backends[1].last_check.is_none());
}

#[test]
fn a_pool_on_its_backups_says_so() {
    let pool = |down: &[&str]| World::new().down(down).status().pools.remove(0);
    assert!(!pool(&["webA"]).on_backup);
    assert!(pool(&["webA", "webB"]).on_backup);
    let empty = pool(&["webA", "webB", "sorry"]);
    assert_eq!((empty.up, empty.on_backup), (0, false));
}

#[test]
fn reasons_against_this_node_and_foreign_hosts_are_told() {
    let mut world = World::new().backup();
    let reasons = vec!["eth0 has no carrier".to_owned()];
    world.eligibility.insert(name("web"), Eligibility { reasons, leaving: true });
    world.vip().foreign = Some((ip("198.51.100.10"), Mac([2, 0, 0, 0, 0, 9])));
    let vip = world.status().vips.remove(0);
    assert_eq!(vip.ineligible, ["eth0 has no carrier", "the agent is leaving"]);
    assert_eq!(vip.foreign.unwrap().mac, "02:00:00:00:00:09");
}

#[test]
fn a_listener_that_is_not_open_says_why() {
    let mut world = World::new();
    world.listeners.insert("198.51.100.10:80".parse().unwrap(), Err("in use by nginx".into()));
    world.listeners.remove(&"198.51.100.10:25".parse().unwrap());
    let listeners = &world.status().vips[0].listeners;
    let error = |address: &str| {
        let listener = listeners.iter().find(|listener| listener.address.to_string() == address).unwrap();
        (listener.open, listener.error.clone())
    };
    assert_eq!(error("198.51.100.10:80"), (false, Some("in use by nginx".into())));
    assert_eq!(error("198.51.100.10:25"), (false, Some("not opened yet".into())));
    assert_eq!(error("[2001:db8::10]:80"), (true, None));
}

#[test]
fn a_silent_peer_is_not_in_sync() {
    let mut world = World::new();
    world.peer().heard = false;
    assert!(!world.status().peers[1].in_sync);
    world.peer().heard = true;
    world.peer().differs.insert(ip("198.51.100.10"));
    let peer = world.status().peers.remove(1);
    assert_eq!((peer.in_sync, peer.differs.len()), (false, 1));
    world.vip().role = Role::Backup;
    assert_eq!(world.status().vips[0].role.as_deref(), Some("Backup"));
}
