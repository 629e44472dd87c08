//! Networks are cut: between the agents, between the owner and its clients, in one direction, and healed again.

use crate::{
    cases,
    harness::{
        Bench, Failure, Outcome,
        network::{GATEWAY, with_gateway},
        state::State,
        verdict::TAKEOVER,
        wait::{eventually, now, stays},
        world::{SOON, World},
    },
};
use lbagent::{
    drill::lab::{
        impair::{Frames, Impairment, Way},
        topology::HostRole,
    },
    model::Mac,
};
use serde_json::json;
use std::time::{Duration, Instant};

cases![
    heartbeats_cut_with_the_front_intact_move_nothing,
    heartbeats_lost_in_one_direction_move_nothing,
    an_owner_cut_off_at_the_front_yields,
    an_owner_that_is_deaf_at_the_front_yields,
    an_owner_that_nobody_hears_at_the_front_yields,
    a_node_cut_off_altogether_comes_back_to_one_owner,
    a_pair_that_is_split_in_two_has_one_owner_when_it_heals,
    a_cut_off_backup_moves_nothing_when_it_comes_back,
];

/// How long a cut lasts that must move nothing: many times the 100 ms after which a silent node is taken for dead.
const LONG_ENOUGH: Duration = Duration::from_secs(2);
/// Two owners after the two halves of the front segment have met: some 20 ms in the model, and this machine is busy.
const MEETING: Duration = Duration::from_millis(300);

fn state() -> State {
    State::swift().without_failback()
}

fn heartbeats_cut_with_the_front_intact_move_nothing(bench: &mut Bench) -> Outcome {
    let world = bench.watched(&state())?;
    let since = now();
    let cut = world.impair_all("lb2", Way::Both, Frames::Heartbeats, 100)?;
    eventually(SOON, "they do not hear each other", || {
        Ok(!hears(world, "lb1", "lb2")? && !hears(world, "lb2", "lb1")?)
    })?;
    stays_unmoved(world, since)?;
    drop(cut);
    eventually(SOON, "they hear each other", || Ok(hears(world, "lb1", "lb2")? && hears(world, "lb2", "lb1")?))?;
    stays_unmoved(world, since)?;
    world.taken_by("lb1")
}

fn heartbeats_lost_in_one_direction_move_nothing(bench: &mut Bench) -> Outcome {
    let world = bench.watched(&state())?;
    let since = now();
    for (way, deaf) in [(Way::Out, "lb2"), (Way::In, "lb1")] {
        let cut = world.impair_all("lb1", way, Frames::Heartbeats, 100)?;
        let other = if deaf == "lb1" { "lb2" } else { "lb1" };
        eventually(SOON, &format!("{deaf} does not hear {other}"), || Ok(!hears(world, deaf, other)?))?;
        stays_unmoved(world, since)?;
        drop(cut);
        eventually(SOON, "they hear each other", || Ok(hears(world, "lb1", "lb2")? && hears(world, "lb2", "lb1")?))?;
    }
    world.taken_by("lb1")
}

fn an_owner_cut_off_at_the_front_yields(bench: &mut Bench) -> Outcome {
    let world = bench.watched(&state())?;
    let since = now();
    world.lab.set_device_forwarding("lb1", "eth0", false)?;
    yields(world, since, TAKEOVER)?;
    let healed = now();
    world.lab.set_device_forwarding("lb1", "eth0", true)?;
    world.taken_by("lb2")?;
    world.steady("lb2", healed)
}

fn an_owner_that_is_deaf_at_the_front_yields(bench: &mut Bench) -> Outcome {
    let world = bench.watched(&state())?;
    let since = now();
    let cut = world.lab.impair("lb1", "eth0", Way::In, Frames::All, 100)?;
    yields(world, since, 2 * TAKEOVER)?;
    let healed = now();
    drop(cut);
    world.taken_by("lb2")?;
    world.steady("lb2", healed)
}

/// The owner hears everyone. That nobody hears it, only the other can tell, as long as something else there answers it.
fn an_owner_that_nobody_hears_at_the_front_yields(bench: &mut Bench) -> Outcome {
    let state = state().with_vip(|spec| spec["track"] = json!({ "ping": [GATEWAY] }));
    let world = bench.unattended_on(with_gateway(), &state)?;
    world.start_all()?;
    let since = now();
    let cut = world.lab.impair("lb1", "eth0", Way::Out, Frames::All, 100)?;
    yields(world, since, 2 * TAKEOVER)?;
    let healed = now();
    drop(cut);
    world.taken_by("lb2")?;
    world.steady("lb2", healed)
}

fn a_node_cut_off_altogether_comes_back_to_one_owner(bench: &mut Bench) -> Outcome {
    let world = bench.watched(&state())?;
    let since = now();
    world.lab.set_forwarding(HostRole::Balancer, "lb1", false)?;
    world.taken_by("lb2")?;
    world.dark_at_most(TAKEOVER, since)?;
    world.allow_two_owners();
    let healed = now();
    world.lab.set_forwarding(HostRole::Balancer, "lb1", true)?;
    meets(world, healed)
}

/// Both hear everyone else, and so do their clients: nobody can tell who is right before it heals.
fn a_pair_that_is_split_in_two_has_one_owner_when_it_heals(bench: &mut Bench) -> Outcome {
    let world = bench.watched(&state())?;
    let cut = split(world)?;
    let both = || Ok(!hears(world, "lb1", "lb2")? && !hears(world, "lb2", "lb1")?);
    eventually(SOON, "they do not hear each other", both)?;
    let since = now();
    stays(LONG_ENOUGH, "the address is had by one of them at least", || Ok(gap(world, since)? < TAKEOVER))?;
    world.allow_two_owners();
    let healed = now();
    drop(cut);
    meets(world, healed)
}

fn a_cut_off_backup_moves_nothing_when_it_comes_back(bench: &mut Bench) -> Outcome {
    let world = bench.watched(&state())?;
    let since = now();
    world.lab.set_forwarding(HostRole::Balancer, "lb2", false)?;
    stays_unmoved(world, since)?;
    // What lb2 has taken itself to be meanwhile is its own affair; now it meets lb1.
    world.allow_two_owners();
    let healed = now();
    world.lab.set_forwarding(HostRole::Balancer, "lb2", true)?;
    meets(world, healed)?;
    world.taken_by("lb1")
}

/// After the halves have met: one owner, soon, and from then on for good; clients are served.
fn meets(world: &mut World, healed: Instant) -> Outcome {
    let owner = world.taken_by_one()?;
    let dual = world.dual_since(healed)?;
    if dual > MEETING {
        return Err(format!("two owners for {dual:?} after the heal").into());
    }
    world.dark_at_most(TAKEOVER, healed)?;
    world.allow_two_owners();
    let since = now();
    stays(Duration::from_millis(500), "one owner", || Ok(world.judge().is_ok()))?;
    world.steady(&owner, since)
}

/// lb1, which is Active, leaves the address to lb2 by itself.
fn yields(world: &mut World, since: Instant, limit: Duration) -> Outcome {
    eventually(SOON, "lb1 has yielded", || Ok(world.has_yielded("lb1")))?;
    world.taken_by("lb2")?;
    world.dark_at_most(limit, since)?;
    assert_eq!(world.moves_since(since)?, 1);
    Ok(())
}

/// For a while, and since `since`, lb1 has the addresses and no client notices anything.
fn stays_unmoved(world: &World, since: Instant) -> Outcome {
    stays(LONG_ENOUGH, "nothing moves", || Ok(world.moves_since(since)? == 0))?;
    world.unmoved("lb1", since)
}

/// Frames between the two are lost, in both directions and on both segments, and no others.
fn split(world: &World) -> Result<Vec<Impairment>, Failure> {
    let mut cuts = Vec::new();
    for (from, to) in [("lb1", "lb2"), ("lb2", "lb1")] {
        for device in ["eth0", "eth1"] {
            cuts.push(world.lab.impair(to, device, Way::In, Frames::From(mac(world, from, device)?), 100)?);
        }
    }
    Ok(cuts)
}

fn mac(world: &World, node: &str, device: &str) -> Result<Mac, Failure> {
    let nics = &world.lab.balancer(node)?.plan().interfaces;
    Ok(nics.iter().find(|nic| nic.name == device).ok_or("no such device")?.mac)
}

/// How long the addresses were had by nobody since `since`.
fn gap(world: &World, since: Instant) -> Result<Duration, Failure> {
    let gaps = crate::harness::state::vips().map(|ip| world.gone_since(ip, since));
    Ok(gaps.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().max().unwrap_or_default())
}

/// Whether the agent of `node` says that it hears `other`.
fn hears(world: &World, node: &str, other: &str) -> Result<bool, Failure> {
    Ok(world.peer(node, other)?["heard"] == true)
}
