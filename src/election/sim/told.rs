//! Schedules about the neighbours' caches: a node that had no business to has told everybody that the addresses are its
//! own, long after the owner has said its last word. Whoever stays must say so again.

use super::{
    cases::{MS, Outcome, SECOND, ensure, steady},
    claims::cut_all_heartbeats,
    net::CLIENT,
    world::{VIP, World},
};
use crate::election::machine::Rules;
use std::sync::Arc;

/// By then the last repeated announcement of a new owner has gone out.
const LAST_WORD: std::time::Duration = std::time::Duration::from_secs(4);

/// The front was parted, and the second has claimed and told everybody. The front heals, heartbeats do not: the second
/// leaves by what it sees on the wire, and the first must call the neighbours back.
pub(super) fn loser_has_told_everybody(rules: Rules) -> Outcome {
    let mut world = steady(rules);
    world.run_for(LAST_WORD);
    cut_all_heartbeats(&mut world);
    world.net.cut_front(0, 1);
    world.until("the second claims", SECOND, |world| client_knows(world, 1))?;
    world.run_for(LAST_WORD);
    world.net.front_cut.clear();
    world.run_for(MS * 1200);
    ensure(world.active() == [0], "the preferred one stays", &world)?;
    ensure(client_knows(&world, 0), "and the client knows it", &world)?;
    world.net.heal();
    world.expect_owner(0, "after the heal")
}

/// The second owns for a moment that lies between two of its heartbeats that the first hears: it has told everybody, sees
/// the first answer on the wire, and leaves. The first has seen nothing of it, and never missed the second.
pub(super) fn owner_between_two_heartbeats(rules: Rules) -> Outcome {
    let mut world = steady(rules);
    // The second may be silent for longer than it is patient with the first.
    Arc::make_mut(&mut world.peers[1]).heartbeat.dead_after = MS * 400;
    (0..2).for_each(|host| world.reload(host));
    world.run_for(LAST_WORD);
    cut_all_heartbeats(&mut world);
    world.net.cut_front(0, 1);
    world.until("the second claims", MS * 200, |world| client_knows(world, 1))?;
    world.net.front_cut.clear();
    world.until("the second leaves", MS * 50, |world| world.active() == [0])?;
    world.net.heal();
    world.run_for(SECOND);
    ensure(world.hears(0, "lb2"), "the second is heard again", &world)?;
    world.expect_owner(0, "who has stayed")
}

/// The client sends to this host.
fn client_knows(world: &World, host: usize) -> bool {
    let client = world.stations.iter().find(|station| station.at == CLIENT);
    client.and_then(|client| client.cache.get(&VIP)) == Some(&world.hosts[host].mac)
}
