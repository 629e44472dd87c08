//! Networks that lose some of what they carry, or carry it twice or in another order.

use crate::{
    cases,
    harness::{
        Bench, Outcome,
        relay::Relay,
        state::State,
        wait::{now, stays},
    },
};
use lbagent::drill::lab::impair::{Frames, Way};
use std::time::Duration;

cases![
    loss_of_20_percent_on_every_path_moves_nothing,
    loss_of_30_percent_on_one_of_two_paths_moves_nothing,
    loss_of_50_percent_never_makes_two_owners,
    heartbeats_that_come_twice_and_in_another_order_move_nothing,
    ; long:
    a_minute_of_20_percent_loss_on_every_path_moves_nothing,
    a_minute_of_30_percent_loss_on_one_of_two_paths_moves_nothing,
    a_minute_of_50_percent_loss_never_makes_two_owners,
    a_minute_of_disorder_moves_nothing,
];

const BRIEFLY: Duration = Duration::from_secs(4);
const MINUTE: Duration = Duration::from_secs(60);

fn loss_of_20_percent_on_every_path_moves_nothing(bench: &mut Bench) -> Outcome {
    every_path(bench, BRIEFLY)
}

fn a_minute_of_20_percent_loss_on_every_path_moves_nothing(bench: &mut Bench) -> Outcome {
    every_path(bench, MINUTE)
}

fn loss_of_30_percent_on_one_of_two_paths_moves_nothing(bench: &mut Bench) -> Outcome {
    one_path(bench, BRIEFLY)
}

fn a_minute_of_30_percent_loss_on_one_of_two_paths_moves_nothing(bench: &mut Bench) -> Outcome {
    one_path(bench, MINUTE)
}

fn loss_of_50_percent_never_makes_two_owners(bench: &mut Bench) -> Outcome {
    half(bench, BRIEFLY)
}

fn a_minute_of_50_percent_loss_never_makes_two_owners(bench: &mut Bench) -> Outcome {
    half(bench, MINUTE)
}

fn heartbeats_that_come_twice_and_in_another_order_move_nothing(bench: &mut Bench) -> Outcome {
    disorder(bench, BRIEFLY)
}

fn a_minute_of_disorder_moves_nothing(bench: &mut Bench) -> Outcome {
    disorder(bench, MINUTE)
}

/// Clients lose packets, too, so only ownership is judged.
fn every_path(bench: &mut Bench, duration: Duration) -> Outcome {
    let world = bench.watched(&State::swift())?;
    let since = now();
    let loss = world.impair_all("lb2", Way::Both, Frames::All, 20)?;
    stays(duration / 2, "nothing moves", || Ok(world.moves_since(since)? == 0))?;
    drop(loss);
    // The other end loses what clients send and get, and answers to probes.
    let loss = world.impair_all("lb1", Way::Both, Frames::All, 20)?;
    stays(duration / 2, "nothing moves", || Ok(world.moves_since(since)? == 0))?;
    drop(loss);
    world.only("lb1", since, Duration::from_millis(300))?;
    world.taken_by("lb1")
}

fn one_path(bench: &mut Bench, duration: Duration) -> Outcome {
    let world = bench.watched(&State::swift())?;
    for device in ["eth1", "eth0"] {
        let since = now();
        let loss = world.lab.impair("lb2", device, Way::Both, Frames::All, 30)?;
        stays(duration / 2, "nothing moves", || Ok(world.moves_since(since)? == 0))?;
        drop(loss);
        world.unmoved("lb1", since)?;
    }
    world.taken_by("lb1")
}

fn half(bench: &mut Bench, duration: Duration) -> Outcome {
    let world = bench.watched(&State::swift())?;
    let loss = world.impair_all("lb1", Way::Both, Frames::All, 50)?;
    stays(duration, "never two owners", || Ok(world.judge().is_ok()))?;
    drop(loss);
    world.taken_by("lb1")
}

fn disorder(bench: &mut Bench, duration: Duration) -> Outcome {
    let world = bench.watched(&State::swift())?;
    let mut relays = Vec::new();
    let since = now();
    for device in ["eth0", "eth1"] {
        relays.push(Relay::swap_and_repeat(&world.lab, "lb1", "lb2", device)?);
        relays.push(Relay::swap_and_repeat(&world.lab, "lb2", "lb1", device)?);
    }
    stays(duration, "nothing moves", || Ok(world.moves_since(since)? == 0))?;
    for relay in &relays {
        let (handed_out, expected) = (relay.handed_out(), duration.as_millis() as usize / 25);
        assert!(handed_out > expected, "only {handed_out} frames went through, of two times {expected}");
    }
    assert!(world.peer("lb1", "lb2")?["heard"] == true && world.peer("lb2", "lb1")?["heard"] == true);
    drop(relays);
    world.taken_by("lb1")?;
    world.unmoved("lb1", since)
}
