//! Which backend of a pool gets the next request or connection.
//!
//! A [`Picker`] is built for one version of a pool. It keeps the backends that may get something new – in rotation,
//! weight above 0, and backups only while there is no other – and asks one algorithm to choose among them. The
//! algorithms are pure: what they need to know of the outside (the client's address, the load of each backend) is
//! handed in, and nothing in them is random per process, so both balancers send one client to the same backend where
//! the algorithm promises that.
//!
//! A new algorithm is one file and one line in [`algorithm`].

mod first;
mod hash;
#[cfg(test)]
mod hash_tests;
mod header;
mod leastconn;
mod random;
mod rendezvous;
mod roundrobin;
mod source;
#[cfg(test)]
mod tests;
mod uri;

pub use hash::bytes as key;

use crate::model::{Balance, PoolConfig, Sticky};
use rendezvous::Rendezvous;
use std::net::IpAddr;

/// A backend that may be chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its place in `Pool::backends`.
    pub index: usize,
    /// 1–256; 100 times as much while one of them is warming up.
    pub weight: u32,
    /// Of its name: the same on every balancer.
    pub hash: u64,
}

/// What a choice may depend on.
pub struct Ask<'a> {
    /// Who asks.
    pub client: IpAddr,
    /// The [`key`] of what the algorithm goes by in a request, if it does and that is there.
    pub key: Option<u64>,
    /// Requests and connections that the backend at this place of `Pool::backends` is busy with.
    pub load: &'a dyn Fn(usize) -> u32,
    /// Places in `Pool::backends` that were tried in vain for this request.
    pub tried: &'a [usize],
}

impl Ask<'_> {
    fn allows(&self, member: &Member) -> bool {
        !self.tried.contains(&member.index)
    }

    fn load(&self, member: &Member) -> u64 {
        u64::from((self.load)(member.index))
    }
}

/// How one member is chosen out of several.
trait Algorithm {
    /// The position in `members` of the choice; `None` if all of them were tried.
    fn pick(&mut self, members: &[Member], ask: &Ask<'_>) -> Option<usize>;

    /// The weights of the members have changed. An algorithm that keeps anything made of them makes it anew.
    fn reweigh(&mut self, _members: &[Member]) {}
}

/// The table of algorithms. `seed` tells the workers of a process apart, so that they do not all begin with the same
/// backend.
fn algorithm(balance: &Balance, members: &[Member], seed: u64) -> Box<dyn Algorithm> {
    match balance {
        Balance::RoundRobin => Box::new(roundrobin::RoundRobin::new(members, seed)),
        Balance::LeastConn => Box::new(leastconn::LeastConn::new(seed)),
        Balance::Random => Box::new(random::Random::new(members, seed)),
        Balance::Source => Box::new(source::Source::new(members)),
        Balance::Uri { .. } => Box::new(uri::Uri::new(members)),
        Balance::Header(_) => Box::new(header::Header::new(members, seed)),
        Balance::First => Box::new(first::First),
    }
}

/// Chooses backends of one version of a pool.
pub struct Picker {
    members: Vec<Member>,
    algorithm: Box<dyn Algorithm>,
    /// Where clients are kept by their address, whatever the algorithm: by the weights of the file, for a weight that
    /// grows while a backend warms up would move them.
    homes: Option<(Vec<Member>, Rendezvous)>,
}

impl Picker {
    /// Of the pool as it is now.
    pub fn new(config: &PoolConfig, seed: u64) -> Self {
        let members = members(config);
        let algorithm = algorithm(&config.pool.balance, &members, seed);
        let is_sticky = config.pool.sticky == Some(Sticky::Source);
        let homes = is_sticky.then(|| (members.clone(), Rendezvous::new(&members)));
        Self { members, algorithm, homes }
    }

    /// Gives the members other weights, by their place in `Pool::backends`, of any scale but not 0.
    pub fn reweigh(&mut self, weight: impl Fn(usize) -> u32) {
        for member in &mut self.members {
            member.weight = weight(member.index);
        }
        self.algorithm.reweigh(&self.members);
    }

    /// The place in `Pool::backends` where this client is kept by its address; `None` if the pool does not do that, or
    /// everything was tried.
    pub fn home(&self, client: IpAddr, tried: &[usize]) -> Option<usize> {
        let (members, rendezvous) = self.homes.as_ref()?;
        let ask = Ask { client, key: None, load: &|_| 0, tried };
        Some(members[rendezvous.choose(members, hash::address(client), &ask)?].index)
    }

    /// The place in `Pool::backends` of the choice; `None` if there is nothing (left) to choose from.
    pub fn pick(&mut self, ask: &Ask<'_>) -> Option<usize> {
        let position = match self.members.len() {
            0 => None,
            1 => ask.allows(&self.members[0]).then_some(0),
            _ => self.algorithm.pick(&self.members, ask),
        }?;
        Some(self.members[position].index)
    }
}

/// The places in `Pool::backends` of those that may get something new.
pub fn in_rotation(config: &PoolConfig) -> Vec<usize> {
    members(config).into_iter().map(|member| member.index).collect()
}

/// Those that may get something new: the regular backends, or the backups if there is no regular one.
fn members(config: &PoolConfig) -> Vec<Member> {
    let usable = |backup: bool| -> Vec<Member> {
        let backends = config.pool.backends.iter().enumerate();
        backends
            .filter(|(_, b)| b.backup == backup && b.takes_new() && config.is_up(b))
            .map(|(index, b)| Member { index, weight: b.weight.into(), hash: hash::bytes(b.name.as_bytes()) })
            .collect()
    };
    let regular = usable(false);
    if regular.is_empty() { usable(true) } else { regular }
}
