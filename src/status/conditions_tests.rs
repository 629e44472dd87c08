use super::*;
use crate::{
    model::{ElectionView, Mac, Problem, Role},
    status::fixture::{World, at, ip, name},
};

fn told(world: &World, r#type: &str) -> (ConditionStatus, String, String) {
    let status = world.status();
    let condition = status.condition(r#type).unwrap().clone();
    (condition.status, condition.reason, condition.message)
}

fn assert_told(world: &World, r#type: &str, status: ConditionStatus, reason: &str, message: &str) {
    assert_eq!(told(world, r#type), (status, reason.to_owned(), message.to_owned()));
}

use ConditionStatus::{False, True, Unknown};

#[test]
fn in_good_order_all_is_true() {
    let status = World::new().status();
    assert!(status.is_ready());
    assert!(status.conditions.iter().all(|condition| condition.status == True), "{:?}", status.conditions);
    assert!(World::new().backup().status().conditions.iter().all(|condition| condition.status == True));
}

#[test]
fn ready_needs_a_name_a_pass_and_nothing_held_back() {
    let mut world = World::new();
    world.reconcile.record("timer", world.clock.instant, Duration::ZERO, true);
    world.problems = vec![Problem::warning("A", "not this"), Problem::error("Address", "cannot add 198.51.100.10")];
    assert_told(&world, "Ready", False, "ReconcileFailed", "cannot add 198.51.100.10");
    world.problems.pop();
    assert_eq!(told(&world, "Ready").0, True, "a warning holds nothing back");
    world.reconcile.last_at = Some(world.clock.instant - STUCK_AFTER - Duration::from_secs(1));
    assert_told(&world, "Ready", False, "Stuck", "the reconcile loop has not ended a pass for 31 s");
    world.reconcile.last_at = None;
    assert_eq!(told(&world, "Ready").1, "Starting");
    world.node = name("elsewhere");
    assert_eq!(told(&world, "Ready").1, "NodeUnknown");
    assert!(!world.status().is_ready());
}

#[test]
fn a_bad_file_is_told_with_its_place_and_a_warning_is_not_held_against_it() {
    let world = World::new().bad_file();
    let message = "vip-web.json:9:16: unknown balance \"round-robin\"";
    assert_told(&world, "StateValid", False, "Invalid", message);
    assert!(told(&world.bad_file(), "StateValid").2.ends_with("(2 problems in all)"));
    let mut world = World::new();
    world.state_problems.push(Problem::warning("Odd", "an odd thing"));
    assert_eq!(told(&world, "StateValid").0, True);
    world.desired = crate::model::Desired::default();
    assert_told(&world, "StateValid", False, "Empty", "no objects from /var/lib/lbagent/state");
}

#[test]
fn the_fence_is_told_for_the_node_and_for_each_vip_that_is_here() {
    let mut world = World::new();
    let of_vip = |world: &World| {
        let status = world.status();
        status.vips[0].fenced().map(|fenced| (fenced.status, fenced.reason.clone(), fenced.message.clone()))
    };
    assert_told(&world, "Fenced", True, "Enforced", "a hung or killed agent loses its addresses within a lease");
    assert_eq!(of_vip(&world).map(|it| (it.0, it.1)), Some((True, "Leased".into())));
    assert_eq!(of_vip(&World::new().backup()), None, "nothing is here that could be fenced");

    world.lease.realtime = Err("Operation not permitted".into());
    let (status, reason, message) = told(&world, "Fenced");
    assert_eq!((status, reason.as_str()), (True, "NotRealtime"));
    assert!(message.ends_with("without real-time priority: Operation not permitted"), "{message}");
    (world.lease.repairs, world.lease.last_meddler) = (3, Some("nft (pid 42)".into()));
    let (status, reason, message) = told(&world, "Fenced");
    assert_eq!((status, reason.as_str()), (True, "Contested"));
    assert!(message.ends_with("put back 3 times, last after nft (pid 42)"), "{message}");
    world.lease.stalled = vec!["the reconcile loop".into()];
    assert_eq!(told(&world, "Fenced").1, "Stalled");

    world.lease.fenced = Err("this kernel has no nf_tables".into());
    let message = "a hung or killed agent would keep its addresses: this kernel has no nf_tables";
    assert_told(&world, "Fenced", False, "NotEnforced", message);
    let (status, reason, message) = of_vip(&world).unwrap();
    assert_eq!((status, reason.as_str()), (False, "NotEnforced"));
    assert_eq!(message, "web would stay with a hung or killed agent: this kernel has no nf_tables");
}

#[test]
fn an_owner_without_a_lease_is_not_served_where_leases_are_enforced() {
    let mut world = World::new();
    world.lease.running.insert(ip("2001:db8::10"), false);
    let message = "web: Active, but the kernel lets nobody speak for 2001:db8::10: this node has no lease";
    assert_told(&world, "VipsOwned", False, "NotLeased", message);
    let fenced = world.status().vips[0].fenced().unwrap().clone();
    assert_eq!((fenced.status, fenced.reason.as_str()), (True, "Silent"));
    world.lease.fenced = Err("no nf_tables".into());
    assert_eq!(told(&world, "VipsOwned").0, True, "nobody looks at leases that are not enforced");
}

#[test]
fn a_closed_listener_is_told() {
    let mut world = World::new();
    world.listeners.insert(at("198.51.100.10:80"), Err("in use by nginx".into()));
    assert_told(&world, "Listening", False, "Closed", "198.51.100.10:80: in use by nginx");
    world.node = name("elsewhere");
    assert_eq!(told(&world, "Listening").1, "NoListeners");
}

#[test]
fn a_silent_or_deaf_peer_is_told_and_a_lone_node_misses_nobody() {
    let mut world = World::new();
    world.peer().hears_us = false;
    assert_told(&world, "PeersHeard", False, "NotHeardByPeer", "not heard by lb2");
    world.peer().heard = false;
    assert_told(&world, "PeersHeard", False, "Silent", "nothing heard from lb2");
    world.desired.peers.remove("lb2");
    assert_eq!(told(&world, "PeersHeard").1, "NoPeers");
}

#[test]
fn each_way_in_which_a_vip_is_not_served_is_told() {
    let mut world = World::new();
    world.network.addresses.remove(1);
    let message = "web: Active, but 2001:db8::10 is not on any device";
    assert_told(&world, "VipsOwned", False, "NotHeld", message);
    world.vip().foreign = Some((ip("198.51.100.10"), Mac([2, 0, 0, 0, 0, 9])));
    let message = "web: 198.51.100.10 answers from 02:00:00:00:00:09, which is no peer";
    assert_told(&world, "VipsOwned", False, "Foreign", message);

    let mut world = World::new();
    world.peer().roles.insert(ip("2001:db8::10"), Role::Active);
    assert_told(&world, "VipsOwned", False, "TwoOwners", "web: Active here, and lb2 says the same of itself");
    world.peer().heard = false;
    assert_eq!(told(&world, "VipsOwned").0, True, "what a peer said before it fell silent counts no more");

    let mut world = World::new().backup();
    (world.vip().owner, world.vip().why) = (None, "nobody is eligible".into());
    assert_told(&world, "VipsOwned", False, "NoOwner", "web has no owner: nobody is eligible");
    world.vip().role = Role::Initialize;
    assert_told(&world, "VipsOwned", Unknown, "Initializing", "not decided yet: web");
    world.desired.vips.clear();
    world.election = ElectionView::default();
    assert_eq!(told(&world, "VipsOwned").1, "NoVips");
}

#[test]
fn a_pool_serves_until_its_last_backend_is_gone() {
    assert_told(&World::new().down(&["webA"]), "PoolsServing", True, "Degraded", "2 of 3 backends of web are up");
    let world = World::new().down(&["webA", "webB", "sorry"]);
    assert_told(&world, "PoolsServing", False, "Empty", "no backend of web is up (3 in all)");
}

#[test]
fn the_transition_time_stays_until_the_status_changes() {
    let mut world = World::new();
    let first = world.status();
    world.previous = Some(first.clone());
    world.clock.wall += Duration::from_secs(60);
    world.clock.instant += Duration::from_secs(1);
    let mut world = world.down(&["webA"]);
    world.peer().heard = false;
    let second = world.status();
    let time = |status: &Status, r#type| status.condition(r#type).unwrap().last_transition_time;
    assert_eq!(time(&second, "Ready"), first.now);
    assert_eq!(time(&second, "PoolsServing"), first.now, "another reason is no transition");
    assert_eq!(time(&second, "PeersHeard"), second.now);
    assert_eq!(second.vips[0].fenced().unwrap().last_transition_time, first.now);
}
