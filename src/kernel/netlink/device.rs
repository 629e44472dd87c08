use crate::model::ObservedNetwork;
use std::{cmp::Reverse, net::IpAddr};

/// The device whose connected subnet holds `ip`: that of an address which is not ours, the longest prefix first, then
/// one that is running before one that is not, then the lower index.
///
/// `None` if there is none: then only the configuration can say where `ip` belongs.
pub fn device_for(network: &ObservedNetwork, ip: IpAddr) -> Option<u32> {
    let holds = network.addresses.iter().filter(|it| !it.ours && it.connects(ip));
    let running = |link: u32| network.links.get(&link).is_some_and(|link| link.running);
    holds.min_by_key(|it| (Reverse(it.prefix_len), !running(it.link), it.link)).map(|it| it.link)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Link, ObservedAddress};

    fn network(addresses: &[(u32, &str, bool)], running: &[u32]) -> ObservedNetwork {
        let addresses: Vec<_> = addresses
            .iter()
            .map(|&(link, cidr, ours)| {
                let (ip, len) = cidr.split_once('/').unwrap();
                ObservedAddress {
                    link,
                    ip: ip.parse().unwrap(),
                    prefix_len: len.parse().unwrap(),
                    ours,
                    valid_for: None,
                }
            })
            .collect();
        let link = |index: u32| {
            let running = running.contains(&index);
            (index, Link { index, name: format!("eth{index}"), mac: None, loopback: false, running })
        };
        ObservedNetwork {
            links: addresses.iter().map(|it| link(it.link)).collect(),
            addresses,
            ..ObservedNetwork::default()
        }
    }

    fn device(network: &ObservedNetwork, ip: &str) -> Option<u32> {
        device_for(network, ip.parse().unwrap())
    }

    #[test]
    fn longest_prefix_wins_and_none_is_none() {
        let network = network(
            &[
                (1, "127.0.0.1/8", false),
                (2, "192.0.2.1/24", false),
                (3, "192.0.2.65/26", false),
                (4, "2001:db8::1/64", false),
            ],
            &[],
        );
        assert_eq!(device(&network, "192.0.2.10"), Some(2));
        assert_eq!(device(&network, "192.0.2.100"), Some(3));
        assert_eq!(device(&network, "127.0.0.9"), Some(1));
        assert_eq!(device(&network, "2001:db8::10"), Some(4));
        assert_eq!(device(&network, "2001:db8:1::10"), None);
        assert_eq!(device(&network, "198.51.100.1"), None);
    }

    #[test]
    fn our_own_addresses_do_not_count() {
        let network = network(&[(2, "192.0.2.10/24", true), (3, "192.0.2.1/16", false)], &[]);
        assert_eq!(device(&network, "192.0.2.11"), Some(3));
    }

    #[test]
    fn of_equals_the_running_one_and_then_the_first() {
        let both = [(2, "192.0.2.1/24", false), (3, "192.0.2.2/24", false)];
        assert_eq!(device(&network(&both, &[3]), "192.0.2.10"), Some(3));
        assert_eq!(device(&network(&both, &[2, 3]), "192.0.2.10"), Some(2));
    }

    #[test]
    fn a_default_sized_prefix_holds_everything_of_its_family() {
        let network = network(&[(2, "192.0.2.1/0", false)], &[]);
        assert_eq!(device(&network, "203.0.113.1"), Some(2));
        assert_eq!(device(&network, "2001:db8::1"), None);
    }
}
