//! Heartbeats that are forged, replayed, cut short or signed with another key.

use crate::{
    cases,
    harness::{
        Bench, Failure, Outcome,
        state::State,
        tape::{Injector, Tape},
        verdict::TAKEOVER,
        wait::{eventually, now, stays},
        wire::{self, Datagram},
        world::{SOON, World},
    },
};
use std::{net::Ipv4Addr, time::Duration};

cases![
    replayed_heartbeats_do_not_keep_a_dead_owner_alive,
    forged_and_truncated_heartbeats_are_counted_and_do_nothing,
    another_key_makes_strangers_and_not_two_owners,
    a_new_key_is_taken_up_without_a_gap,
    a_flood_of_forged_heartbeats_moves_nothing,
    ; long:
    a_minute_of_heartbeats_replayed_does_nothing,
];

/// Forged heartbeats to each, as fast as they go.
const FLOOD: usize = 50_000;

/// Where lb1 and lb2 send from.
const LB1: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(198, 51, 100, 1)];
const LB2: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 2, 2), Ipv4Addr::new(198, 51, 100, 2)];

fn replayed_heartbeats_do_not_keep_a_dead_owner_alive(bench: &mut Bench) -> Outcome {
    replay(bench, Duration::from_secs(1))
}

fn a_minute_of_heartbeats_replayed_does_nothing(bench: &mut Bench) -> Outcome {
    replay(bench, Duration::from_secs(60))
}

/// Everything that one said to the other is said again: while both live, when one is dead, when the other has started
/// again and remembers nothing, and when the dead one is back.
fn replay(bench: &mut Bench, duration: Duration) -> Outcome {
    let world = bench.watched(&State::swift().without_failback())?;
    let since = now();
    let recorded = record(world, "lb2", &LB1, duration)?;
    let tape = Tape::play(&world.lab, "lb2", recorded)?;
    stays(Duration::from_secs(1), "nothing moves", || Ok(world.moves_since(since)? == 0))?;
    world.unmoved("lb1", since)?;

    let since = now();
    world.lab.crash("lb1")?;
    world.taken_by("lb2")?;
    world.dark_at_most(TAKEOVER, since)?;
    assert!(rejected(world, "lb2", "lb1")? > 0, "no replay was counted");

    world.lab.kill_agent("lb2")?;
    let played = tape.played();
    world.start("lb2")?;
    world.taken_by("lb2")?;
    stays(Duration::from_secs(1), "lb2 does not hear lb1", || Ok(world.peer("lb2", "lb1")?["heard"] == false))?;

    world.lab.boot("lb1")?;
    world.start("lb1")?;
    eventually(SOON, "they hear each other", || Ok(world.peer("lb2", "lb1")?["heard"] == true))?;
    world.taken_by("lb2")?;
    assert!(tape.played() > played + 100, "the tape has stopped");
    Ok(())
}

fn forged_and_truncated_heartbeats_are_counted_and_do_nothing(bench: &mut Bench) -> Outcome {
    let world = bench.watched(&State::swift())?;
    let since = now();
    let recorded = record(world, "lb1", &LB2, Duration::from_millis(500))?;
    let like = recorded.first().ok_or("no heartbeat was seen")?;
    let injector = Injector::new(&world.lab, "lb1")?;
    for length in 0..like.payload.len() {
        injector.inject(like, &like.payload[..length]);
    }
    for bit in 0..like.payload.len() * 8 {
        let mut bent = like.payload.clone();
        bent[bit / 8] ^= 1 << (bit % 8);
        injector.inject(like, &bent);
    }
    // More than a packet holds goes in fragments, by way of a socket.
    let host = world.lab.balancer("lb2")?.namespace().clone();
    for (filler, length) in [(0x00, 1400), (0xff, 8192), (0x5a, 65_000)] {
        wire::send(&host, like, &vec![filler; length])?;
    }
    eventually(SOON, "they are counted", || Ok(rejected(world, "lb1", "lb2")? > 100))?;
    world.taken_by("lb1")?;
    assert!(world.peer("lb1", "lb2")?["heard"] == true);
    world.unmoved("lb1", since)
}

fn a_flood_of_forged_heartbeats_moves_nothing(bench: &mut Bench) -> Outcome {
    let world = bench.watched(&State::swift())?;
    let since = now();
    for (node, sender) in [("lb1", LB2), ("lb2", LB1)] {
        let mut forged = record(world, node, &sender, Duration::from_millis(500))?;
        forged.iter_mut().filter_map(|datagram| datagram.payload.last_mut()).for_each(|last| *last ^= 1);
        let injector = Injector::new(&world.lab, node)?;
        let sent = forged.iter().cycle().take(FLOOD).filter(|like| injector.inject(like, &like.payload)).count();
        assert!(sent > FLOOD / 2, "only {sent} were sent");
    }
    world.taken_by("lb1")?;
    world.only("lb1", since, Duration::from_millis(300))?;
    assert_eq!(world.moves_since(since)?, 0);
    for (node, other) in [("lb1", "lb2"), ("lb2", "lb1")] {
        eventually(SOON, "they hear each other", || Ok(world.peer(node, other)?["heard"] == true))?;
    }
    Ok(())
}

fn another_key_makes_strangers_and_not_two_owners(bench: &mut Bench) -> Outcome {
    let world = bench.world(&State::pair())?;
    world.start("lb1")?;
    world.settle("lb1")?;
    let mut config = world.config.clone();
    config.key_file = world.lab.write_key("other.key")?;
    world.lab.start_agent("lb2", &config)?;
    eventually(SOON, "lb1 refuses them", || Ok(rejected(world, "lb1", "lb2")? > 10))?;
    world.stays_at("lb1", Duration::from_secs(3))?;
    assert!(world.peer("lb1", "lb2")?["heard"] == false);
    world.start("lb2")?;
    eventually(SOON, "they hear each other", || Ok(world.peer("lb1", "lb2")?["heard"] == true))?;
    world.stays_at("lb1", Duration::from_millis(500))
}

fn a_new_key_is_taken_up_without_a_gap(bench: &mut Bench) -> Outcome {
    let world = bench.watched(&State::swift())?;
    let since = now();
    let old = std::fs::read_to_string(&world.config.key_file)?;
    let new = format!("2 {}\n", "5a".repeat(32));
    // All verify both, then all sign with the new one, then the old one goes.
    for keys in [format!("{old}{new}"), format!("{new}{old}"), new.clone()] {
        std::fs::write(&world.config.key_file, keys)?;
        stays(Duration::from_millis(1500), "they hear each other", || Ok(world.peer("lb1", "lb2")?["heard"] == true))?;
    }
    world.unmoved("lb1", since)
}

/// Some heartbeats from `sender` as `node` sees them.
fn record(world: &World, node: &str, sender: &[Ipv4Addr], duration: Duration) -> Result<Vec<Datagram>, Failure> {
    let recorded = wire::record(world.lab.balancer(node)?.namespace(), sender, duration)?;
    let expected = duration.as_millis() as usize / 50;
    assert!(recorded.len() >= expected, "only {} heartbeats in {duration:?}", recorded.len());
    Ok(recorded)
}

/// How many packets `node` has refused on the paths from `other`.
fn rejected(world: &World, node: &str, other: &str) -> Result<u64, Failure> {
    let peer = world.peer(node, other)?;
    let paths = peer["paths"].as_array().into_iter().flatten();
    let reasons = paths.filter_map(|path| path["rejected"].as_object()).flat_map(|reasons| reasons.values());
    Ok(reasons.filter_map(serde_json::Value::as_u64).sum())
}
