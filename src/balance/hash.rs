//! Hashes that are the same on every machine and in every version of this program.

use std::net::IpAddr;

/// Of some bytes: FNV-1a, finished so that all bits depend on all of the input.
pub fn bytes(input: &[u8]) -> u64 {
    let fnv = input
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3));
    mix(fnv)
}

/// Of an address; an IPv4 address hashes alike however it is written.
pub(super) fn address(ip: IpAddr) -> u64 {
    match ip.to_canonical() {
        IpAddr::V4(v4) => bytes(&v4.octets()),
        IpAddr::V6(v6) => bytes(&v6.octets()),
    }
}

/// The finaliser of SplitMix64: a bijection whose every output bit depends on every input bit.
pub(super) fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
