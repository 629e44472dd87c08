//! Schedules in which the nodes do not call the same addresses by the same names.

use super::{
    cases::{MS, Outcome, SECOND, ensure, nodes, pair},
    world::{VIP, VIP2, World},
};
use crate::{
    election::machine::Rules,
    model::{Digest, Name},
};

fn own(world: &World, host: usize) -> bool {
    world.speakers(VIP) == [host] && world.speakers(VIP2) == [host]
}

fn two_addresses(rules: Rules) -> World {
    let mut world = nodes(2, 1, rules);
    let both = world.candidate("web", &[VIP, VIP2]);
    for host in 0..2 {
        world.hosts[host].candidates = vec![both.clone()];
        world.reload(host);
    }
    world.run_for(SECOND);
    world
}

fn split(world: &mut World, host: usize) {
    let (mut one, mut two) = (world.candidate("one", &[VIP]), world.candidate("two", &[VIP2]));
    (one.digest, two.digest) = (Digest(5), Digest(6));
    world.hosts[host].candidates = vec![one, two];
    world.reload(host);
}

/// Renamed on one node while the other still has the old name: one owner all along, and no move.
pub(super) fn renamed_on_one_node(rules: Rules) -> Outcome {
    for renamed in [0, 1] {
        let mut world = pair(rules);
        world.run_for(SECOND);
        world.hosts[renamed].candidates[0].vip = Name::new("www").unwrap();
        world.hosts[renamed].candidates[0].digest = Digest(7);
        world.reload(renamed);
        world.run_for(SECOND);
        world.expect_owner(0, "renamed")?;
        world.crash(0);
        world.until_served_by(1, SECOND)?;
        world.boot(0);
        world.run_for(SECOND * 2);
        world.expect_owner(1, "no failback while they differ")?;
        let other = 1 - renamed;
        world.hosts[other].candidates[0].vip = Name::new("www").unwrap();
        world.hosts[other].candidates[0].digest = Digest(7);
        world.reload(other);
        world.run_for(SECOND * 2);
        world.expect_owner(0, "failback once they agree")?;
    }
    Ok(())
}

/// Split on the owner, on the other, then dead: the addresses have one owner each, all along.
pub(super) fn split_on_one_node(rules: Rules) -> Outcome {
    for divided in [0, 1] {
        let mut world = two_addresses(rules);
        ensure(own(&world, 0), "the first owns both", &world)?;
        split(&mut world, divided);
        world.run_for(SECOND);
        world.safe()?;
        ensure(own(&world, 0), "nothing has moved", &world)?;
        world.crash(0);
        world.run_for(SECOND);
        ensure(own(&world, 1), "the other has both", &world)?;
        world.boot(0);
        world.run_for(SECOND * 3);
        world.safe()?;
        ensure(own(&world, 1), "no failback while they differ", &world)?;
        split(&mut world, 1 - divided);
        world.run_for(SECOND * 3);
        world.safe()?;
        ensure(own(&world, 0), "failback of both", &world)?;
    }
    Ok(())
}

/// Each node owns one Vip; then one node merges them: its merged Vip gives way or takes both, but nothing is on both.
pub(super) fn merged_on_one_node(rules: Rules) -> Outcome {
    let mut world = nodes(2, 1, rules);
    for host in 0..2 {
        let (one, mut two) = (world.candidate("one", &[VIP]), world.candidate("two", &[VIP2]));
        two.nodes.reverse();
        world.hosts[host].candidates = vec![one, two];
        world.reload(host);
    }
    world.run_for(SECOND * 2);
    ensure(world.speakers(VIP) == [0] && world.speakers(VIP2) == [1], "active/active", &world)?;
    let mut merged = world.candidate("all", &[VIP, VIP2]);
    merged.digest = Digest(8);
    world.hosts[0].candidates = vec![merged.clone()];
    world.reload(0);
    world.run_for(SECOND * 2);
    world.safe()?;
    ensure(own(&world, 1), "the one who owns any of them owns them all", &world)?;
    world.hosts[1].candidates = vec![merged];
    world.reload(1);
    world.run_for(SECOND * 3);
    world.safe()?;
    ensure(own(&world, 0), "and gives them back once they agree", &world)
}

/// A Vip that is dropped while it is owned: the address is not another's until it has left.
pub(super) fn dropped_by_its_owner(rules: Rules) -> Outcome {
    let mut world = pair(rules);
    world.run_for(SECOND);
    world.hosts[0].apply_time = SECOND;
    world.hosts[0].candidates.clear();
    world.reload(0);
    world.until_served_by(1, SECOND * 2)?;
    world.run_for(SECOND * 2);
    world.safe()?;
    ensure(world.speakers(VIP) == [1], "the other owns it", &world)
}

/// An address is added to a Vip that is owned: nothing moves.
pub(super) fn address_added(rules: Rules) -> Outcome {
    let mut world = pair(rules);
    world.run_for(SECOND);
    let more = world.candidate("web", &[VIP, VIP2]);
    for host in [1, 0] {
        world.hosts[host].candidates = vec![more.clone()];
        world.reload(host);
        world.run_for(MS * 300);
    }
    world.run_for(SECOND);
    ensure(own(&world, 0), "nothing moves", &world)
}
