//! What stands beside the pair: a gateway that dies, a second device on the same switch, a kernel without nftables.

use crate::{
    cases,
    harness::{
        Bench, Outcome,
        network::{GATEWAY, nic, topology_with, with_gateway},
        state::State,
        verdict::TAKEOVER,
        wait::{eventually, now, stays},
        without_nft,
        world::{SOON, World},
    },
};
use lbagent::drill::lab::{
    impair::{Frames, Way},
    topology::HostRole,
};
use serde_json::json;
use std::time::Duration;

cases![
    a_gateway_that_dies_moves_nothing,
    an_owner_that_alone_has_lost_its_gateway_yields,
    a_second_device_on_the_same_switch_never_answers_for_a_backup,
    without_nftables_it_says_so_and_the_pair_still_works,
];

fn state() -> State {
    State::swift().without_failback()
}

fn tracking() -> State {
    state().with_vip(|spec| spec["track"] = json!({ "ping": [GATEWAY] }))
}

fn a_gateway_that_dies_moves_nothing(bench: &mut Bench) -> Outcome {
    let world = bench.unattended_on(with_gateway(), &tracking())?;
    world.start_all()?;
    let since = now();
    world.lab.set_forwarding(HostRole::Targets, "gateway", false)?;
    stays(Duration::from_secs(4), "nothing moves", || Ok(world.moves_since(since)? == 0))?;
    world.unmoved("lb1", since)?;
    world.lab.set_forwarding(HostRole::Targets, "gateway", true)?;
    stays(Duration::from_secs(1), "nothing moves", || Ok(world.moves_since(since)? == 0))?;
    world.unmoved("lb1", since)
}

fn an_owner_that_alone_has_lost_its_gateway_yields(bench: &mut Bench) -> Outcome {
    let world = bench.unattended_on(with_gateway(), &tracking())?;
    world.start_all()?;
    let since = now();
    let gateway = world.lab.host(HostRole::Targets, "gateway")?.plan().interfaces.first().ok_or("no device")?.mac;
    let cut = world.lab.impair("lb1", "eth0", Way::In, Frames::From(gateway), 100)?;
    world.taken_by("lb2")?;
    assert_eq!(world.moves_since(since)?, 1);
    drop(cut);
    let since = now();
    world.taken_by("lb2")?;
    world.steady("lb2", since)
}

/// A kernel answers on each device for the addresses of all of them, unless it is told otherwise.
fn a_second_device_on_the_same_switch_never_answers_for_a_backup(bench: &mut Bench) -> Outcome {
    let second = nic("eth2", 0, &[]);
    let world = bench.unattended_on(topology_with(2, vec![second], Vec::new()), &state())?;
    world.start_all()?;
    let since = now();
    world.lab.kill_agent("lb1")?;
    world.taken_by("lb2")?;
    world.dark_at_most(TAKEOVER, since)?;
    assert_eq!(world.moves_since(since)?, 1);
    world.start("lb1")?;
    eventually(SOON, "lb1 is Backup", || Ok(world.has_yielded("lb1")))?;
    world.lab.kill_agent("lb2")?;
    world.taken_by("lb1")
}

fn without_nftables_it_says_so_and_the_pair_still_works(bench: &mut Bench) -> Outcome {
    let world = bench.unattended(&state())?;
    world.config.program = without_nft::launcher(world)?;
    world.start_all()?;
    for node in ["lb1", "lb2"] {
        eventually(SOON, &format!("{node} says that it is not fenced"), || world.reports(node, &["Fenced"]))?;
    }
    let since = now();
    stays(Duration::from_millis(500), "nothing moves", || Ok(world.moves_since(since)? == 0))?;
    world.unmoved("lb1", since)?;
    world.lab.crash("lb1")?;
    world.taken_by("lb2")?;
    world.dark_at_most(TAKEOVER, since)?;
    hangs(world)
}

/// Without a fence the old owner's kernel answers until the lifetime of its address ends, and that bounds it.
fn hangs(world: &mut World) -> Outcome {
    world.lab.boot("lb1")?;
    world.start("lb1")?;
    eventually(SOON, "lb1 is Backup", || Ok(world.has_yielded("lb1")))?;
    world.taken_by("lb2")?;
    world.judge()?;
    world.lab.kill_agent("lb2")?;
    eventually(SOON, "lb1 has taken over", || Ok(world.owner_at_last()?.as_deref() == Some("lb1")))?;
    world.allow_two_owners();
    world.taken_by("lb1")
}
