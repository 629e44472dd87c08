//! What each step of the drill should look like, from the desired state and what is seen of it. Pure.

use super::lab::{targets, targets::Target, topology::HostRole, topology::Topology};
use crate::model::{Balance, Desired, FailbackMode, Name, Pool, RouteAction, Sticky, Vip};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

/// What a takeover may take beyond the owner's `deadAfter`.
pub const TAKEOVER_MARGIN: Duration = Duration::from_secs(1);
/// What a check may be late by, on a machine that simulates a whole network on a few cores.
pub const CHECK_MARGIN: Duration = Duration::from_secs(1);

/// What is expected of a Vip in a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    /// No request fails, and none is cut.
    Undisturbed,
    /// No request fails; what is under way over an established connection may break, until moves are lossless.
    Moved,
    /// No good answer is missing for longer than this.
    OutageWithin(Duration),
    /// Requests fail only in this time from the beginning of the step.
    FailuresWithin(Duration),
    /// The step does not apply to it.
    Skip(String),
}

/// Which balancer holds each Vip.
pub type Owners = BTreeMap<Name, Name>;

/// What is asked of each Vip, or why nothing can be.
pub fn questions(desired: &Desired) -> BTreeMap<Name, Result<Vec<Target>, &'static str>> {
    desired.vips.values().map(|vip| (vip.name.clone(), targets::targets(desired, vip))).collect()
}

/// The node that `vip` settles on when all are well, if the files say: the first of the list, unless failback is manual.
pub fn preferred(vip: &Vip) -> Option<&Name> {
    vip.nodes.first().filter(|_| vip.failback.mode == FailbackMode::Auto)
}

/// The balancer that is to crash: the owner of the first Vip that is asked anything and that has another node.
pub fn victim(desired: &Desired, owners: &Owners) -> Result<Name, String> {
    if desired.peers.len() < 2 {
        return Err("a lone node: there is no other to take over".into());
    }
    let movable = |vip: &&Name| desired.vips.get(*vip).is_some_and(|vip| vip.nodes.len() > 1);
    let owner = owners.keys().find(movable).and_then(|vip| owners.get(vip));
    owner.cloned().ok_or_else(|| "no Vip has a second node to take it over".into())
}

/// What a Vip is to look like when `victim` crashes, from the others' point of view.
pub fn on_crash(desired: &Desired, vip: &Vip, owner: &Name, victim: &Name) -> Expect {
    if owner != victim {
        return Expect::Undisturbed;
    }
    if vip.nodes.len() < 2 {
        return Expect::Skip(format!("{victim} is its only node"));
    }
    let dead_after = desired.peers.get(victim).map(|peer| peer.heartbeat.dead_after).unwrap_or_default();
    Expect::OutageWithin(dead_after + TAKEOVER_MARGIN)
}

/// What a Vip is to look like when `victim`, which owned it before, takes it back.
pub fn on_failback(vip: &Vip, owner_before: &Name, victim: &Name) -> Expect {
    if owner_before != victim {
        Expect::Undisturbed
    } else if vip.nodes.len() < 2 {
        Expect::Skip(format!("{victim} is its only node"))
    } else if vip.failback.mode == FailbackMode::Manual {
        Expect::Skip("failback is manual".into())
    } else if preferred(vip) != Some(victim) {
        Expect::Skip(format!("{victim} is not the node it prefers"))
    } else {
        Expect::Moved
    }
}

/// What a Vip is to look like when the servers on `ip` die.
pub fn on_backend_death(desired: &Desired, vip: &Vip, ip: IpAddr) -> Expect {
    let involved = pools(desired, vip).filter(|pool| pool.backends.iter().any(|backend| backend.address.ip() == ip));
    let bound = involved.map(|pool| pool.check.interval * pool.check.fall + pool.check.timeout).max();
    bound.map_or(Expect::Undisturbed, |bound| Expect::FailuresWithin(bound + CHECK_MARGIN))
}

/// How long it may take until a returned backend is in rotation again.
pub fn return_limit(desired: &Desired, ip: IpAddr) -> Duration {
    let involved = desired.pools.values().filter(|pool| has(pool, ip));
    let bound = involved.map(|pool| pool.check.interval * pool.check.rise + pool.check.timeout).max();
    bound.unwrap_or_default() + CHECK_MARGIN
}

/// The address whose servers are to die: the one that has served most, among those that every pool can spare.
pub fn doomed(desired: &Desired, topology: &Topology, served: &BTreeMap<&str, usize>) -> Result<IpAddr, String> {
    let used: BTreeSet<&Name> =
        desired.vips.values().flat_map(|vip| pools(desired, vip)).map(|pool| &pool.name).collect();
    let spared =
        |ip: IpAddr| desired.pools.values().filter(|pool| used.contains(&pool.name)).all(|pool| spares(pool, ip));
    let hosts = topology.hosts.iter().filter(|host| host.role == HostRole::Server);
    let candidates = hosts.filter_map(|host| {
        let count: usize = host.servers.iter().filter_map(|server| served.get(server.name.as_str())).sum();
        let ip = host.servers.first()?.listen.ip();
        (count > 0 && spared(ip)).then_some((count, ip))
    });
    let most = candidates.max_by_key(|(count, ip)| (*count, std::cmp::Reverse(*ip)));
    most.map(|(_, ip)| ip).ok_or_else(|| "no backend that serves has another to stand in for it".into())
}

/// Whether a returned server must be seen serving again: not where only a hash or the order of the file decides who goes
/// there.
pub fn must_serve_again(desired: &Desired, ip: IpAddr) -> bool {
    desired.pools.values().filter(|pool| spreads(pool)).any(|pool| {
        pool.backends.iter().any(|backend| backend.address.ip() == ip && !backend.backup && backend.weight > 0)
    })
}

/// Every request may go to any of its backends.
fn spreads(pool: &Pool) -> bool {
    pool.sticky != Some(Sticky::Source)
        && matches!(pool.balance, Balance::RoundRobin | Balance::LeastConn | Balance::Random)
}

/// The pools that `vip` leads to.
fn pools<'a>(desired: &'a Desired, vip: &'a Vip) -> impl Iterator<Item = &'a Pool> {
    let routes = vip.listeners.iter().flat_map(|listener| &listener.routes);
    let routed = routes.filter_map(|route| match &route.action {
        RouteAction::Pool(pool) => Some(pool),
        RouteAction::Redirect(_) => None,
    });
    let defaults = vip.listeners.iter().filter_map(|listener| listener.pool.as_ref());
    let names: BTreeSet<&Name> = defaults.chain(routed).collect();
    names.into_iter().filter_map(|name| desired.pools.get(name)).map(AsRef::as_ref)
}

fn has(pool: &Pool, ip: IpAddr) -> bool {
    pool.backends.iter().any(|backend| backend.address.ip() == ip)
}

/// Whether `pool` serves on without the servers of `ip`.
fn spares(pool: &Pool, ip: IpAddr) -> bool {
    !has(pool, ip) || pool.backends.iter().any(|backend| backend.address.ip() != ip && backend.weight > 0)
}

#[cfg(test)]
#[path = "scenario_tests.rs"]
mod tests;
