use crate::model::Desired;
use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// Addresses that the state does not use, handed out once each.
pub(super) struct FreeAddresses {
    used: BTreeSet<IpAddr>,
}

impl FreeAddresses {
    /// All but those that `desired` names.
    pub(super) fn besides(desired: &Desired) -> Self {
        let peers = desired.peers.values().flat_map(|peer| &peer.addresses).map(|address| address.ip());
        let backends = desired.pools.values().flat_map(|pool| &pool.backends).map(|backend| backend.address.ip());
        let vips = desired.vips.values();
        let virtuals = vips.clone().flat_map(|vip| &vip.addresses).map(|address| address.ip);
        let targets = vips.flat_map(|vip| &vip.track.ping).copied();
        Self { used: peers.chain(backends).chain(virtuals).chain(targets).collect() }
    }

    /// One of the documentation ranges (RFC 5737, RFC 3849), or of the benchmark range (RFC 2544) when those of IPv4
    /// are used up.
    pub(super) fn any(&mut self, v4: bool) -> IpAddr {
        if v4 {
            let benchmark = u32::from(Ipv4Addr::new(198, 18, 0, 1));
            let ranges = [[203, 0, 113], [198, 51, 100], [192, 0, 2]];
            let documentation =
                ranges.into_iter().flat_map(|[a, b, c]| (1..255).map(move |d| Ipv4Addr::new(a, b, c, d)));
            self.first(documentation.chain((benchmark..benchmark + 0x1_fffe).map(Ipv4Addr::from)).map(IpAddr::V4))
        } else {
            self.first((1..=u16::MAX).map(|low| Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, low).into()))
        }
    }

    /// One of the subnet of `ip` (its /24 or /64).
    pub(super) fn near(&mut self, ip: IpAddr) -> IpAddr {
        match ip {
            IpAddr::V4(ip) => {
                let [a, b, c, _] = ip.octets();
                self.first((1..255).rev().map(|d| Ipv4Addr::new(a, b, c, d).into()))
            }
            IpAddr::V6(ip) => {
                let high = ip.to_bits() >> 64 << 64;
                self.first((1..=u128::from(u16::MAX)).rev().map(|low| Ipv6Addr::from_bits(high | low).into()))
            }
        }
    }

    /// The first that is free. A state that leaves none of tens of thousands could not be built anyway; then the last.
    fn first(&mut self, candidates: impl Iterator<Item = IpAddr>) -> IpAddr {
        let mut last = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        for candidate in candidates {
            last = candidate;
            if self.used.insert(candidate) {
                break;
            }
        }
        last
    }
}
