//! Which backend of a pool a request would go to, as far as that can be told before it does.

use super::world::World;
use crate::{
    balance::{Ask, Picker, in_rotation},
    dataplane::http::{engine::Request, kept as kept_by, key as hash_key},
    model::{Backend, BackendState, Balance, Name, PoolConfig, Sticky, StickyCookie},
};
use serde::Serialize;
use std::net::{IpAddr, Ipv4Addr};

/// A pool, and what it would do with a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Choice {
    /// The pool.
    pub(super) pool: String,
    /// The algorithm.
    pub(super) balance: String,
    /// All backends, in the order of the file.
    pub(super) backends: Vec<Candidate>,
    /// The one that gets the request; `null`: one of the candidates, or nobody.
    pub(super) backend: Option<String>,
    /// How that comes.
    pub(super) why: String,
}

/// A backend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Candidate {
    pub(super) name: String,
    pub(super) address: String,
    pub(super) weight: u16,
    pub(super) backup: bool,
    /// `up`, `drain`, `ejected`, `DOWN` or `maint`, as far as is known.
    pub(super) state: &'static str,
    /// It may get a request that nothing draws elsewhere.
    pub(super) candidate: bool,
}

impl Choice {
    /// What the pool would do with `request` of `client`, if that is known. `None`: there is no such pool.
    pub(super) fn of(world: &World, name: &Name, request: &Request<'_>, client: Option<IpAddr>) -> Option<Self> {
        let config = world.pool(name)?;
        let rotation = in_rotation(&config);
        let candidate = |(place, backend): (usize, &Backend)| Candidate {
            name: backend.name.to_string(),
            address: world.desired.pools[name].backends[place].address_text(),
            weight: backend.weight,
            backup: backend.backup,
            state: word(world, name, backend),
            candidate: rotation.contains(&place),
        };
        let backends = config.pool.backends.iter().enumerate().map(candidate).collect();
        let (place, why) = match kept(&config, request, client) {
            Some((place, why)) => (Some(place), why),
            None => drawn(&config, &rotation, request, client),
        };
        let backend = place.map(|place| config.pool.backends[place].name.to_string());
        let balance = config.pool.balance.as_str().to_owned();
        Some(Self { pool: name.to_string(), balance, backends, backend, why })
    }

    /// Somebody gets the request.
    pub(super) fn is_answered(&self) -> bool {
        self.backend.is_some() || self.backends.iter().any(|backend| backend.candidate)
    }
}

fn word(world: &World, pool: &Name, backend: &Backend) -> &'static str {
    match (world.told(pool, &backend.name), backend.state) {
        (Some(told), _) => told.in_a_word(),
        (None, BackendState::Ready) => "up",
        (None, state) => state.as_str(),
    }
}

/// By stickiness.
fn kept(config: &PoolConfig, request: &Request<'_>, client: Option<IpAddr>) -> Option<(usize, String)> {
    let named = |name: &[u8]| {
        let place = config.pool.backends.iter().position(|backend| backend.name.as_bytes() == name)?;
        config.is_up(&config.pool.backends[place]).then_some(place)
    };
    let sticky = config.pool.sticky.as_ref()?;
    let place = kept_by(sticky, request, named, || Picker::new(config, 0).home(client?, &[]))?;
    let why = match sticky {
        Sticky::Cookie(StickyCookie { name, .. }) | Sticky::AppCookie { name } => format!("its cookie {name} names it"),
        Sticky::Source => format!("clients are kept by their address, and {} belongs there", client?),
    };
    Some((place, why))
}

/// By the algorithm.
fn drawn(
    config: &PoolConfig,
    rotation: &[usize],
    request: &Request<'_>,
    client: Option<IpAddr>,
) -> (Option<usize>, String) {
    let open = |why: &str| (None, format!("one of {}, {why}", candidates(config, rotation)));
    match rotation {
        [] => return (None, "no backend is in rotation".to_owned()),
        [only] => return (Some(*only), "no other is in rotation".to_owned()),
        _ => {}
    }
    let key = hash_key(&config.pool.balance, request);
    let why = match (&config.pool.balance, client) {
        (Balance::RoundRobin, _) => return open("in turn, by weight"),
        (Balance::LeastConn, _) => return open("whichever has the fewest connections"),
        (Balance::Random, _) => return open("drawn by weight and load"),
        (Balance::First, _) => "the first in the file; the next one if it has all it may".to_owned(),
        (Balance::Source, None) => return open("by the client's address: give it with --from"),
        (Balance::Source, Some(client)) => format!("by a hash of the address {client}"),
        (Balance::Uri { query: false }, _) => "by a hash of the path".to_owned(),
        (Balance::Uri { query: true }, _) => "by a hash of the path and the query".to_owned(),
        (Balance::Header(name), _) if key.is_none() => {
            return open(&format!("in turn, for the request has no {name}"));
        }
        (Balance::Header(name), _) => format!("by a hash of the field {name}"),
    };
    let client = client.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
    let ask = Ask { client, key, load: &|_| 0, tried: &[] };
    (Picker::new(config, 0).pick(&ask), why)
}

fn candidates(config: &PoolConfig, rotation: &[usize]) -> String {
    let names: Vec<&str> = rotation.iter().map(|place| &*config.pool.backends[*place].name).collect();
    names.join(", ")
}
