//! One small site that the tests of this directory share.

use crate::model::{
    Desired, ElectionView, Failback, FailbackMode, Heartbeat, Link, Mac, Name, ObservedAddress, ObservedNetwork, Peer,
    PeerView, Role, Track, Vip, VipAddress, VipView,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

pub(super) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub(super) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// lb1 and lb2 with Vip `web`, 198.51.100.10 on eth0.
pub(super) fn desired() -> Desired {
    let vip = Vip {
        name: name("web"),
        addresses: vec![VipAddress::host(ip("198.51.100.10"))],
        interface: Some("eth0".into()),
        nodes: vec![name("lb1"), name("lb2")],
        failback: Failback { mode: FailbackMode::Auto, after: Duration::from_secs(5) },
        track: Track::default(),
        trust_probe: true,
        listeners: Vec::new(),
    };
    let peer = |node: &str, address: &str| {
        let peer = Peer {
            name: name(node),
            addresses: vec![address.parse().unwrap()],
            interfaces: BTreeMap::new(),
            heartbeat: Heartbeat::default(),
        };
        (name(node), Arc::new(peer))
    };
    Desired {
        vips: BTreeMap::from([(name("web"), Arc::new(vip))]),
        peers: BTreeMap::from([peer("lb1", "198.51.100.2:694"), peer("lb2", "198.51.100.3:694")]),
        ..Desired::default()
    }
}

/// eth0 (2) with 198.51.100.2/24, eth1 (3) with 192.0.2.1/24.
pub(super) fn network() -> ObservedNetwork {
    let link = |index: u32, device: &str| Link {
        index,
        name: device.into(),
        mac: Some(Mac([2, 0, 0, 0, 0, index as u8])),
        loopback: false,
        running: true,
    };
    let address =
        |link, text: &str| ObservedAddress { link, ip: ip(text), prefix_len: 24, ours: false, valid_for: None };
    ObservedNetwork {
        links: BTreeMap::from([(2, link(2, "eth0")), (3, link(3, "eth1"))]),
        addresses: vec![address(2, "198.51.100.2"), address(3, "192.0.2.1")],
        ..ObservedNetwork::default()
    }
}

#[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
pub(super) fn start() -> Instant {
    Instant::now()
}

/// A decision for `web`.
pub(super) fn view(role: Role) -> ElectionView {
    let vip = VipView {
        role,
        since: start(),
        epoch: 1,
        why: String::new(),
        owner: None,
        owner_holds: false,
        announcement: 0,
        graceful: false,
        foreign: None,
        became_active: 0,
        dual_owner: Duration::ZERO,
        verified: false,
        leased: false,
        unleased: BTreeSet::new(),
        standings: Vec::new(),
        rules: Vec::new(),
    };
    ElectionView { vips: BTreeMap::from([(name("web"), vip)]), ..ElectionView::default() }
}

/// A peer that is heard and says nothing.
pub(super) fn heard() -> PeerView {
    PeerView {
        heard: true,
        hears_us: true,
        since: start(),
        paths: Vec::new(),
        macs: Vec::new(),
        roles: BTreeMap::new(),
        differs: BTreeSet::new(),
        version: String::new(),
        fenced: true,
        vanished: 0,
    }
}
