use super::*;
use crate::{
    model::{Eligibility, Kind, Mac, ObjectRef, Problem, Role, Standby},
    status::fixture::{World, at, ip, name},
};
use proptest::prelude::*;

fn judged(world: &World, scope: &Scope) -> Report {
    let status = world.status();
    check(&status, scope, Thresholds::default(), status.now)
}

fn all(world: &World) -> String {
    judged(world, &Scope::All).to_string()
}

fn vip(world: &World) -> Report {
    judged(world, &Scope::Vip(Some("web".into())))
}

fn pool(world: &World) -> Report {
    judged(world, &Scope::Pool(Some("web".into())))
}

fn peer(world: &World, peer: &str) -> Report {
    judged(world, &Scope::Peer(Some(peer.into())))
}

#[test]
fn an_owner_and_a_backup_in_good_order_are_ok() {
    let expected = "LBAGENT OK - 1 of 1 Vips active on lb1, 1 of 1 peers heard, 3 of 3 backends up | \
        'vips_active'=1;;;0;1 'peers_heard'=1;;;0;1 'backends_up'=3;;;0;3 'problems'=0;;;0";
    assert_eq!(all(&World::new()), expected);
    assert_eq!(judged(&World::new().backup(), &Scope::All).severity, Severity::Ok);
}

#[test]
fn a_vip_says_where_it_is() {
    let expected = "LBAGENT OK - web on lb1 (this node is Active) | \
        'active'=1;;;0;1 'held'=2;;;0;2 'connections'=5;;;0 'requests'=500c;;;0";
    assert_eq!(vip(&World::new()).to_string(), expected);
    let backup = vip(&World::new().backup());
    assert_eq!((backup.severity.code(), backup.summary.as_str()), (0, "web on lb2 (this node is Backup)"));
}

#[test]
fn what_keeps_clients_from_being_served_is_critical() {
    let mut not_held = World::new();
    not_held.release();
    let mut foreign = World::new().backup();
    foreign.vip().foreign = Some((ip("198.51.100.10"), Mac([2, 0, 0, 0, 0, 9])));
    let mut no_owner = World::new().backup();
    no_owner.vip().owner = None;
    let mut closed = World::new();
    closed.listeners.insert(at("198.51.100.10:80"), Err("in use by nginx".into()));
    let mut not_leased = World::new();
    not_leased.lease.running.clear();
    for (world, words) in [
        (
            &not_leased,
            "web: Active, but the kernel lets nobody speak for 198.51.100.10, 2001:db8::10: this node has no lease",
        ),
        (&not_held, "web: Active, but 198.51.100.10, 2001:db8::10 is not on any device"),
        (&foreign, "web: 198.51.100.10 answers from 02:00:00:00:00:09, which is no peer"),
        (&no_owner, "web has no owner: lb2 is preferred and eligible"),
        (&closed, "web: 198.51.100.10:80 is not open: in use by nginx"),
    ] {
        let report = vip(world);
        assert_eq!((report.severity.code(), report.summary.as_str()), (2, words));
        assert!(all(world).starts_with(&format!("LBAGENT CRITICAL - {words}")), "{}", all(world));
    }
}

#[test]
fn a_backup_with_a_closed_listener_or_unfit_is_a_warning() {
    let mut world = World::new().backup();
    world.listeners.insert(at("198.51.100.10:80"), Err("in use by nginx".into()));
    assert_eq!(vip(&world).severity, Severity::Warning);
    let mut world = World::new().backup();
    let reasons = vec!["eth0 has no carrier".to_owned()];
    world.eligibility.insert(name("web"), Eligibility { reasons, leaving: false });
    let report = vip(&world);
    assert_eq!(
        (report.severity, report.summary.as_str()),
        (Severity::Warning, "web: this node (Backup) is not fit: eth0 has no carrier")
    );
}

#[test]
fn a_node_that_is_not_fenced_is_a_warning_and_no_more() {
    let mut world = World::new();
    world.lease.fenced = Err("no nf_tables".into());
    let node = "not fenced: a hung or killed agent would keep its addresses: no nf_tables";
    assert!(all(&world).starts_with(&format!("LBAGENT WARNING - {node} | ")), "{}", all(&world));
    assert_eq!(peer(&world, "lb1").summary, node);
    assert_eq!(peer(&world, "lb2").severity, Severity::Ok, "that is told by the check of the other node");
    let report = vip(&world);
    let words = "not fenced: web would stay with a hung or killed agent: no nf_tables";
    assert_eq!((report.severity, report.summary.as_str()), (Severity::Warning, words));
    world.lease.fenced = Ok(());
    world.lease.realtime = Err("not permitted".into());
    assert_eq!(judged(&world, &Scope::All).severity, Severity::Ok);
}

#[test]
fn a_node_in_standby_is_a_warning_with_the_operators_words() {
    let mut world = World::new().backup();
    let since = world.clock.instant - Duration::from_secs(65);
    world.standby = Some(Standby { since, reason: "kernel update".into(), forced: false });
    let words = "lb1 is in standby since 1m 5s: kernel update";
    assert!(all(&world).starts_with(&format!("LBAGENT WARNING - {words} | ")), "{}", all(&world));
    assert_eq!((peer(&world, "lb1").severity, peer(&world, "lb1").summary.as_str()), (Severity::Warning, words));
    assert_eq!(vip(&world).severity, Severity::Ok, "the Vip itself is served");
}

#[test]
fn two_owners_are_a_warning_for_some_minutes_after_they_were_seen() {
    let mut world = World::new();
    world.vip().dual_owner = Duration::from_millis(24);
    world.previous = Some(world.status());
    let later = |world: &mut World, seconds| {
        world.clock.wall += Duration::from_secs(seconds);
        vip(world)
    };
    let report = later(&mut world, 600);
    let words = "web: two owners were seen 10m 0s ago, for 0.024 s since the agent started";
    assert_eq!((report.severity, report.summary.as_str()), (Severity::Warning, words));
    assert_eq!(later(&mut world, 1).severity, Severity::Ok);
}

#[test]
fn a_vip_that_is_not_decided_or_not_this_nodes_is_told_apart() {
    let mut world = World::new().backup();
    (world.vip().role, world.vip().owner) = (Role::Initialize, None);
    assert_eq!(vip(&world).severity, Severity::Unknown);
    let mut world = World::new().backup();
    world.node = name("elsewhere");
    world.election.vips.clear();
    let report = vip(&world);
    assert_eq!((report.severity, report.summary.as_str()), (Severity::Ok, "web: this node is none of its nodes"));
}

#[test]
fn a_bad_file_is_a_warning_wherever_its_object_is_checked_and_nowhere_else() {
    let mut world = World::new();
    let about = |kind, text| ObjectRef { kind, name: name(text) };
    world.state_problems.push(Problem::error("UnknownField", "unknown field \"port2\"").about(about(Kind::Vip, "web")));
    assert_eq!(vip(&world).severity, Severity::Warning);
    assert!(vip(&world).summary.contains("port2"));
    assert_eq!(pool(&world).severity, Severity::Ok);
    world.problems.push(Problem::error("X", "a pool's trouble").about(about(Kind::Pool, "web")));
    assert_eq!(pool(&world).severity, Severity::Warning);
}

#[test]
fn a_pool_is_degraded_then_empty() {
    let degraded = pool(&World::new().down(&["webA"]));
    let expected = "LBAGENT WARNING - web: 2 of 3 backends up (webA connection refused) | \
        'backends_up'=2;3:;1:;0;3 'active'=2;;;0\n\
        webA 192.0.2.102:80 DOWN: connection refused\n\
        webB 192.0.2.103:80 up: 200 OK\n\
        sorry 192.0.2.110:80 up: 200 OK";
    assert_eq!(degraded.to_string(), expected);
    let empty = World::new().down(&["webA", "webB", "sorry"]);
    assert_eq!(pool(&empty).severity.code(), 2);
    assert!(all(&empty).starts_with("LBAGENT CRITICAL - web: 0 of 3 backends up"));
}

#[test]
fn thresholds_say_how_few_backends_are_too_few() {
    let judge = |down: &[&str], warning, critical| {
        let status = World::new().down(down).status();
        let report = check(&status, &Scope::Pool(Some("web".into())), Thresholds { warning, critical }, status.now);
        (report.severity, report.perfdata[0].clone())
    };
    let (status, five) = (World::new().status(), Thresholds { warning: Some(5), critical: None });
    let short = check(&status, &Scope::Pool(Some("web".into())), five, status.now);
    assert_eq!(short.summary, "web: 3 of 3 backends up");
    assert_eq!(judge(&["webA"], Some(2), Some(1)), (Severity::Ok, "'backends_up'=2;2:;1:;0;3".into()));
    assert_eq!(judge(&["webA"], Some(3), Some(2)).0, Severity::Warning);
    assert_eq!(judge(&["webA"], None, Some(3)).0, Severity::Critical);
    assert_eq!(judge(&["webA", "webB"], Some(1), Some(1)).0, Severity::Warning, "only backups are left");
    assert_eq!(judge(&["webA", "webB", "sorry"], Some(0), Some(0)).0, Severity::Critical, "empty is empty");
}

#[test]
fn a_peer_is_heard_or_a_warning() {
    let expected = "LBAGENT OK - lb2 heard on 1 of 1 paths | \
        'heard'=1;;;0;1 'paths_up'=1;;;0;1 'lost'=10c;;;0 'rtt'=0.000400s;;;0";
    assert_eq!(peer(&World::new(), "lb2").to_string(), expected);
    assert_eq!(peer(&World::new(), "lb1").summary, "lb1 is this node");
    let told = |change: fn(&mut World)| {
        let mut world = World::new();
        change(&mut world);
        let report = peer(&world, "lb2");
        assert_eq!(report.severity, Severity::Warning);
        report.summary
    };
    assert_eq!(told(|world| world.peer().heard = false), "nothing heard from lb2");
    assert_eq!(told(|world| world.peer().hears_us = false), "lb2 does not hear this node");
    assert_eq!(told(|world| world.peer().paths[0].up = false), "lb2 is not heard on 192.0.2.2:694");
    let differs = |world: &mut World| world.peer().differs = [ip("198.51.100.10")].into();
    assert_eq!(told(differs), "lb2 has other state than this node");
}

#[test]
fn bad_files_and_other_problems_are_warnings() {
    let text = all(&World::new().bad_file());
    assert!(text.starts_with("LBAGENT WARNING - vip-web.json:9:16: unknown balance"), "{text}");
    let mut world = World::new();
    world.problems = vec![Problem::error("Http", "cannot listen"), Problem::warning("Odd", "odd")];
    assert!(all(&world).starts_with("LBAGENT WARNING - cannot listen | "), "{}", all(&world));
}

#[test]
fn the_worst_comes_first_and_the_rest_is_not_lost() {
    let mut world = World::new().bad_file().down(&["webA"]);
    world.release();
    let text = all(&world);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("LBAGENT CRITICAL - web: Active, but "), "{text}");
    assert!(lines[0].contains("(and 2 more) | "), "{text}");
    assert!(lines[1].starts_with("CRITICAL: web: Active"), "{text}");
    assert_eq!(lines.len(), 4, "{text}");
}

#[test]
fn what_is_not_known_is_unknown() {
    let report = pool(&{
        let mut world = World::new();
        world.desired.pools.clear();
        world
    });
    let words = "no pool is called web (there is: none)";
    assert_eq!((report.severity.code(), report.summary.as_str()), (3, words));
    let words = "no peer is called lb9 (there is: lb1, lb2)";
    assert_eq!(peer(&World::new(), "lb9").summary, words);
}

#[test]
fn all_of_a_kind_are_told_together_the_worst_first() {
    let mut world = World::new().down(&["webA", "webB", "sorry"]);
    let spare = crate::model::Pool { name: name("spare"), ..crate::model::Pool::clone(&world.desired.pools["web"]) };
    world.desired.pools.insert(name("spare"), std::sync::Arc::new(spare));
    let report = judged(&world, &Scope::Pool(None));
    let down = "webA connection refused, webB connection refused, sorry connection refused";
    let expected = format!(
        "LBAGENT CRITICAL - web: 0 of 3 backends up ({down}) | \
        'spare_backends_up'=3;3:;1:;0;3 'spare_active'=0;;;0 'web_backends_up'=0;3:;1:;0;3 'web_active'=2;;;0\n\
        OK: spare: 3 of 3 backends up\n\
        CRITICAL: web: 0 of 3 backends up ({down})"
    );
    assert_eq!(report.to_string(), expected);
    assert_eq!(judged(&World::new(), &Scope::Peer(None)).summary, "lb1 is this node; lb2 heard on 1 of 1 paths");
    world.desired.pools.clear();
    assert_eq!(judged(&world, &Scope::Pool(None)).to_string(), "LBAGENT UNKNOWN - there is no pool");
}

#[test]
fn an_old_status_says_nothing_about_now() {
    let status = World::new().status();
    let later = |millis| Timestamp::from_unix_millis(status.now.unix_millis() + millis);
    let at = |now| check(&status, &Scope::All, Thresholds::default(), now);
    assert_eq!(at(later(10_000)).severity, Severity::Ok);
    let report = at(later(11_000));
    assert_eq!(
        (report.severity.code(), report.summary.as_str()),
        (3, "the agent's status is 11 s old; it may be stuck")
    );
}

proptest! {
    /// Whatever the words hold, a monitoring system finds one line and the performance data where they belong.
    #[test]
    fn hostile_words_do_not_break_the_format(words in "\\PC{0,40}|[|\n\r\t\u{1b}']{0,20}") {
        let mut world = World::new();
        world.problems = vec![Problem::error("Odd", words)];
        let text = all(&world);
        let (first, details) = text.split_once('\n').unwrap_or((&text, ""));
        prop_assert_eq!(first.matches('|').count(), 1);
        prop_assert!(first.starts_with("LBAGENT WARNING - "));
        prop_assert!(!text.replace('\n', "").contains(|c: char| c.is_control()));
        prop_assert!(details.is_empty() || details.starts_with("WARNING: "));
    }
}
