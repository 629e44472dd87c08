//! Heartbeats that are forged, replayed, cut short or signed with another key.

use crate::{
    cases,
    harness::{
        Bench, Failure, Outcome,
        state::State,
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
];

/// Where lb1 and lb2 send from.
const LB1: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(198, 51, 100, 1)];
const LB2: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 2, 2), Ipv4Addr::new(198, 51, 100, 2)];

fn replayed_heartbeats_do_not_keep_a_dead_owner_alive(bench: &mut Bench) -> Outcome {
    let world = bench.running(&State::pair())?;
    let recorded = record(world, "lb2", &LB1)?;
    world.lab.crash("lb1")?;
    world.lab.boot("lb1")?;
    let mut tape = recorded.iter().cycle();
    let mut replay = |world: &World| -> Outcome {
        let datagram = tape.next().ok_or("an empty tape")?;
        wire::send(world.lab.balancer("lb1")?.namespace(), datagram, &datagram.payload)
    };
    eventually(SOON, "lb2 has the Vip in spite of the replays", || {
        replay(world)?;
        Ok(world.owners()? == ["lb2"])
    })?;
    stays(Duration::from_secs(2), "lb2 has the Vip and does not hear lb1", || {
        replay(world)?;
        Ok(world.owners()? == ["lb2"] && peer(world, "lb2", "lb1")?["heard"] == false)
    })?;
    assert!(rejected(world, "lb2", "lb1")? > 0, "no replay was counted");
    Ok(())
}

fn forged_and_truncated_heartbeats_are_counted_and_do_nothing(bench: &mut Bench) -> Outcome {
    let world = bench.running(&State::pair())?;
    let since = now();
    let recorded = record(world, "lb1", &LB2)?;
    let like = recorded.first().ok_or("no heartbeat was seen")?;
    let host = world.lab.balancer("lb2")?.namespace().clone();
    for length in 0..like.payload.len() {
        wire::send(&host, like, &like.payload[..length])?;
    }
    for bit in 0..like.payload.len() * 8 {
        let mut bent = like.payload.clone();
        bent[bit / 8] ^= 1 << (bit % 8);
        wire::send(&host, like, &bent)?;
    }
    for filler in [0x00, 0xff] {
        wire::send(&host, like, &vec![filler; 8192])?;
    }
    eventually(SOON, "they are counted", || Ok(rejected(world, "lb1", "lb2")? > 100))?;
    world.stays_at("lb1", Duration::from_secs(1))?;
    assert!(peer(world, "lb1", "lb2")?["heard"] == true);
    assert_eq!(world.losses_since(since)?, (0, 0), "failed, broken");
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
    assert!(peer(world, "lb1", "lb2")?["heard"] == false);
    world.start("lb2")?;
    eventually(SOON, "they hear each other", || Ok(peer(world, "lb1", "lb2")?["heard"] == true))?;
    world.stays_at("lb1", Duration::from_millis(500))
}

fn a_new_key_is_taken_up_without_a_gap(bench: &mut Bench) -> Outcome {
    let world = bench.running(&State::pair())?;
    let old = std::fs::read_to_string(&world.config.key_file)?;
    let new = format!("2 {}\n", "5a".repeat(32));
    // All verify both, then all sign with the new one, then the old one goes.
    for keys in [format!("{old}{new}"), format!("{new}{old}"), new.clone()] {
        std::fs::write(&world.config.key_file, keys)?;
        stays(Duration::from_millis(1500), "they hear each other", || Ok(peer(world, "lb1", "lb2")?["heard"] == true))?;
    }
    world.stays_at("lb1", Duration::from_millis(500))
}

/// Some heartbeats from `sender` as `node` sees them.
fn record(world: &World, node: &str, sender: &[Ipv4Addr]) -> Result<Vec<Datagram>, Failure> {
    let recorded = wire::record(world.lab.balancer(node)?.namespace(), sender, Duration::from_millis(500))?;
    assert!(recorded.len() >= 10, "only {} heartbeats in half a second", recorded.len());
    Ok(recorded)
}

/// What `node` says of another.
fn peer(world: &World, node: &str, other: &str) -> Result<serde_json::Value, Failure> {
    let status = world.status(node)?;
    let found = status["peers"].as_array().into_iter().flatten().find(|peer| peer["name"] == other);
    found.cloned().ok_or_else(|| format!("{node} knows no {other}").into())
}

/// How many packets `node` has refused on the paths from `other`.
fn rejected(world: &World, node: &str, other: &str) -> Result<u64, Failure> {
    let peer = peer(world, node, other)?;
    let paths = peer["paths"].as_array().into_iter().flatten();
    let reasons = paths.filter_map(|path| path["rejected"].as_object()).flat_map(|reasons| reasons.values());
    Ok(reasons.filter_map(serde_json::Value::as_u64).sum())
}
