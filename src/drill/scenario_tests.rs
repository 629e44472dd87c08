use super::*;
use crate::drill::fixture::{desired, name, pair, peer, pool, vip, with_web};
use std::sync::Arc;

fn owners(pairs: &[(&str, &str)]) -> Owners {
    pairs.iter().map(|(vip, owner)| (name(vip), name(owner))).collect()
}

#[test]
fn the_owner_of_the_first_vip_crashes() {
    assert_eq!(victim(&pair(), &owners(&[("web", "lb2")])), Ok(name("lb2")));
}

#[test]
fn a_lone_node_and_pinned_vips_have_nothing_to_rehearse() {
    let lone = desired([vip("web", &["198.51.100.10"], &["lb1"])], [], [peer("lb1", &["192.0.2.1:694"])]);
    assert!(victim(&lone, &owners(&[("web", "lb1")])).unwrap_err().contains("lone node"));
    let pinned = with_web(pair(), |web| web.nodes.truncate(1));
    assert!(victim(&pinned, &owners(&[("web", "lb1")])).unwrap_err().contains("second node"));
}

#[test]
fn a_pinned_vip_does_not_choose_who_crashes() {
    let mut state = pair();
    state.vips.insert(name("a"), Arc::new(vip("a", &["198.51.100.9"], &["lb2"])));
    assert_eq!(victim(&state, &owners(&[("a", "lb2"), ("web", "lb1")])), Ok(name("lb1")));
}

#[test]
fn a_crash_moves_what_the_victim_owned_and_nothing_else() {
    let mut state = pair();
    Arc::make_mut(state.peers.get_mut("lb1").unwrap()).heartbeat.dead_after = Duration::from_millis(400);
    let web = state.vips["web"].clone();
    assert_eq!(
        on_crash(&state, &web, &name("lb1"), &name("lb1")),
        Expect::OutageWithin(Duration::from_millis(400) + TAKEOVER_MARGIN)
    );
    assert_eq!(on_crash(&state, &web, &name("lb2"), &name("lb1")), Expect::Undisturbed);
    let pinned = with_web(state, |web| web.nodes.truncate(1));
    assert!(matches!(on_crash(&pinned, &pinned.vips["web"], &name("lb1"), &name("lb1")), Expect::Skip(_)));
}

#[test]
fn failback_applies_to_what_the_victim_is_to_take_back() {
    let state = pair();
    let web = &state.vips["web"];
    assert_eq!(on_failback(web, &name("lb1"), &name("lb1")), Expect::Moved);
    assert_eq!(on_failback(web, &name("lb2"), &name("lb1")), Expect::Undisturbed);
    let manual = with_web(pair(), |web| web.failback.mode = FailbackMode::Manual);
    assert_eq!(on_failback(&manual.vips["web"], &name("lb1"), &name("lb1")), Expect::Skip("failback is manual".into()));
    assert!(matches!(on_failback(web, &name("lb2"), &name("lb2")), Expect::Skip(_)), "lb2 is not preferred");
}

#[test]
fn a_backend_may_be_missed_until_its_slowest_check_falls() {
    let state = pair();
    let ip: IpAddr = "192.0.2.102".parse().unwrap();
    // Three failures 2 s apart, 1 s for the last to time out.
    assert_eq!(
        on_backend_death(&state, &state.vips["web"], ip),
        Expect::FailuresWithin(Duration::from_secs(7) + CHECK_MARGIN)
    );
    assert_eq!(on_backend_death(&state, &state.vips["web"], "192.0.2.9".parse().unwrap()), Expect::Undisturbed);
    assert_eq!(return_limit(&state, ip), Duration::from_secs(5) + CHECK_MARGIN);
}

#[test]
fn the_busiest_backend_that_can_be_spared_dies() {
    let mut state = pair();
    let topology = Topology::plan(&state);
    let served = BTreeMap::from([("web/s0", 10), ("web/s1", 20)]);
    assert_eq!(doomed(&state, &topology, &served), Ok("192.0.2.103".parse().unwrap()));
    assert!(doomed(&state, &topology, &BTreeMap::new()).is_err(), "none was seen serving");
    // A second pool of the same Vip lives on one of the two alone.
    state.pools.insert(name("api"), Arc::new(pool("api", &["192.0.2.103:81"])));
    let state = with_web(state, |web| {
        web.listeners.push(crate::drill::fixture::listener(81, crate::model::Protocol::Http, "api"));
    });
    let topology = Topology::plan(&state);
    assert_eq!(doomed(&state, &topology, &served), Ok("192.0.2.102".parse().unwrap()));
}

#[test]
fn a_returned_backend_must_serve_unless_a_hash_says_otherwise() {
    let state = pair();
    let ip = "192.0.2.102".parse().unwrap();
    assert!(must_serve_again(&state, ip));
    assert!(!must_serve_again(&state, "192.0.2.9".parse().unwrap()));
    let mut hashed = state.clone();
    Arc::make_mut(hashed.pools.get_mut("web").unwrap()).balance = Balance::Source;
    assert!(!must_serve_again(&hashed, ip));
    let mut backup = state;
    Arc::make_mut(backup.pools.get_mut("web").unwrap()).backends[0].backup = true;
    assert!(!must_serve_again(&backup, ip));
}
