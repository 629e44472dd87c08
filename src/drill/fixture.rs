//! States for the tests of the drill, as a loader would make them of files.

use crate::model::{
    Backend, Balance, Check, Desired, Failback, FailbackMode, Heartbeat, Listener, ListenerTimeouts, Name, Peer, Pool,
    PoolTimeouts, Protocol, Serving, Track, Vip, VipAddress,
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

pub(super) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub(super) fn peer(peer: &str, addresses: &[&str]) -> Peer {
    let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
    Peer { name: name(peer), addresses, interfaces: BTreeMap::new(), heartbeat: Heartbeat::default() }
}

pub(super) fn pool(pool: &str, backends: &[&str]) -> Pool {
    let backend = |(index, address): (usize, &&str)| Backend::new(name(&format!("s{index}")), address.parse().unwrap());
    Pool {
        name: name(pool),
        balance: Balance::RoundRobin,
        sticky: None,
        check: Check::default(),
        backends: backends.iter().enumerate().map(backend).collect(),
        timeouts: PoolTimeouts::default(),
        serving: Serving::default(),
    }
}

pub(super) fn listener(port: u16, protocol: Protocol, pool: &str) -> Listener {
    let (timeouts, limits) = (ListenerTimeouts::default(), crate::model::SourceLimits::default());
    Listener {
        port,
        protocol,
        pool: Some(name(pool)),
        routes: Vec::new(),
        timeouts,
        access_log: None,
        limits,
        tcp: Default::default(),
    }
}

/// A Vip on `eth0`, with HTTP on port 80 for the pool `web`.
pub(super) fn vip(vip: &str, addresses: &[&str], nodes: &[&str]) -> Vip {
    Vip {
        name: name(vip),
        addresses: addresses.iter().map(|ip| VipAddress::host(ip.parse().unwrap())).collect(),
        interface: Some("eth0".into()),
        nodes: nodes.iter().map(|node| name(node)).collect(),
        failback: Failback { mode: FailbackMode::Auto, after: Duration::from_secs(5) },
        track: Track::default(),
        trust_probe: true,
        listeners: vec![listener(80, Protocol::Http, "web")],
    }
}

pub(super) fn desired(
    vips: impl IntoIterator<Item = Vip>,
    pools: impl IntoIterator<Item = Pool>,
    peers: impl IntoIterator<Item = Peer>,
) -> Desired {
    Desired {
        vips: vips.into_iter().map(|vip| (vip.name.clone(), Arc::new(vip))).collect(),
        pools: pools.into_iter().map(|pool| (pool.name.clone(), Arc::new(pool))).collect(),
        peers: peers.into_iter().map(|peer| (peer.name.clone(), Arc::new(peer))).collect(),
        ..Desired::default()
    }
}

/// The README's scenario: two balancers with a front and a back network, and a pair of web servers.
pub(super) fn pair() -> Desired {
    desired(
        [vip("web", &["198.51.100.10"], &["lb1", "lb2"])],
        [pool("web", &["192.0.2.102:80", "192.0.2.103:80"])],
        [peer("lb1", &["192.0.2.1:694", "198.51.100.2:694"]), peer("lb2", &["192.0.2.2:694", "198.51.100.3:694"])],
    )
}

/// Changes the Vip `web` of a state.
pub(super) fn with_web(mut desired: Desired, change: impl FnOnce(&mut Vip)) -> Desired {
    change(Arc::make_mut(desired.vips.get_mut("web").unwrap()));
    desired
}
