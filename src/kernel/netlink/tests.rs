use super::{address::Candidate, *};
use crate::kernel::testing::{Host, Net, block_on, cidr_of, eventually, joined};
use std::{net::IpAddr, path::Path, time::Duration};
use tempfile::TempDir;

mod lifetimes;
mod records;
mod sources;
mod surroundings;

/// A [`Netlink`] with a record of its own, and both kinds of marking under one name.
pub(super) struct Subject {
    pub(super) netlink: Netlink,
    directory: TempDir,
    mark: bool,
}

impl Subject {
    pub(super) fn new(mark: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { netlink: Self::open(directory.path(), mark), directory, mark }
    }

    fn open(directory: &Path, mark: bool) -> Netlink {
        Netlink::open(directory.join("addresses"), mark).unwrap()
    }

    /// A new process of the same host.
    pub(super) fn restart(&mut self) {
        self.netlink = Self::open(self.directory.path(), self.mark);
    }

    pub(super) fn record_exists(&self) -> bool {
        self.directory.path().join("addresses").exists()
    }

    pub(super) async fn add(&self, device: &str, cidr: &str) -> Addition {
        let link = self.link(device).await;
        self.netlink.add_address(link, cidr_of(cidr)).await.unwrap()
    }

    pub(super) async fn remove(&self, device: &str, cidr: &str) -> Removal {
        let link = self.link(device).await;
        self.netlink.remove_address(link, cidr_of(cidr)).await.unwrap()
    }

    pub(super) async fn link(&self, device: &str) -> u32 {
        self.netlink.observe().await.unwrap().link_named(device).unwrap().index
    }

    /// `None`: it is not there; else whether it is ours.
    pub(super) async fn ours(&self, cidr: &str) -> Option<bool> {
        let observed = self.netlink.observe().await.unwrap();
        let found = observed.addresses.iter().find(|it| (it.ip, it.prefix_len) == parts(cidr))?;
        Some(found.ours)
    }
}

fn parts(cidr: &str) -> (IpAddr, u8) {
    let VipAddress { ip, prefix_len } = cidr_of(cidr);
    (ip, prefix_len)
}

/// Runs `f` with and without marks, each in a host of its own with a running `eth0`.
fn both_ways(f: impl AsyncFn(Subject, Net) + Sync) {
    for mark in [true, false] {
        let [host, _peer] = joined();
        host.run(async |net| f(Subject::new(mark), net).await);
    }
}

const CIDRS: [&str; 4] = ["192.0.2.10/32", "2001:db8::10/128", "198.51.100.10/24", "2001:db8:1::10/64"];

#[test]
fn observes_devices() {
    let [host, _peer] = joined();
    host.run(async |net| {
        let observed = net.observe().await;
        let lo = observed.link_named("lo").unwrap();
        assert!(lo.loopback && lo.mac.is_none() && lo.running && lo.index == 1);
        let eth0 = observed.link_named("eth0").unwrap();
        assert!(!eth0.loopback && eth0.mac.is_some() && eth0.running);
        assert_eq!(observed.links[&eth0.index], *eth0);
        assert!(observed.addresses.iter().any(|it| it.link == 1 && (it.ip, it.prefix_len) == parts("127.0.0.1/8")));
        assert!(observed.addresses.iter().all(|it| !it.ours));
    });
}

#[test]
fn a_device_runs_only_if_it_is_up_here_and_at_the_other_end() {
    let [host, peer] = joined();
    host.run(async |net| assert!(net.link("eth0").await.running));
    peer.run(async |net| net.down("eth0").await);
    host.run(async |net| {
        eventually("no carrier", async || (!net.link("eth0").await.running).then_some(())).await;
    });
    peer.run(async |net| net.up("eth0").await);
    host.run(async |net| {
        eventually("carrier", async || net.link("eth0").await.running.then_some(())).await;
        net.down("eth0").await;
        assert!(!net.link("eth0").await.running);
    });
}

/// The kernel brings IPv6 addresses into use some milliseconds after it has said that they are there.
#[test]
fn what_was_added_is_in_use_at_once() {
    let [host, _peer] = joined();
    host.run(async |_| {
        let subject = Subject::new(true);
        let link = subject.link("eth0").await;
        // So that there is another route to the address than its own.
        subject.add("eth0", "2001:db8::1/64").await;
        for round in 0..100 {
            for cidr in ["2001:db8::10/128", "2001:db8::11/128", "192.0.2.10/32"] {
                assert_eq!(subject.add("eth0", cidr).await, Addition::Added);
                assert!(subject.netlink.requests.is_local(link, parts(cidr).0).await, "{cidr} in round {round}");
                assert_eq!(subject.remove("eth0", cidr).await, Removal::Removed);
                assert!(!subject.netlink.requests.is_local(link, parts(cidr).0).await, "{cidr}");
            }
        }
    });
}

#[test]
fn on_a_device_that_is_down_an_address_is_added_all_the_same() {
    let [host, _peer] = joined();
    host.run(async |net| {
        net.down("eth0").await;
        let subject = Subject::new(true);
        for cidr in CIDRS {
            assert_eq!(subject.add("eth0", cidr).await, Addition::Added);
            assert_eq!(subject.ours(cidr).await, Some(true), "{cidr}");
        }
    });
}

#[test]
fn adds_once_and_removes_once() {
    both_ways(async |subject, _| {
        for cidr in CIDRS {
            assert_eq!(subject.ours(cidr).await, None);
            assert_eq!(subject.add("eth0", cidr).await, Addition::Added);
            assert_eq!(subject.ours(cidr).await, Some(true), "{cidr}");
            assert_eq!(subject.add("eth0", cidr).await, Addition::Present);
        }
        for cidr in CIDRS {
            assert_eq!(subject.remove("eth0", cidr).await, Removal::Removed);
            assert_eq!(subject.ours(cidr).await, None);
            assert_eq!(subject.remove("eth0", cidr).await, Removal::Absent);
        }
        assert!(!subject.record_exists());
    });
}

#[test]
fn works_on_lo_and_on_a_device_that_is_down() {
    both_ways(async |subject, net| {
        net.down("eth0").await;
        for device in ["lo", "eth0"] {
            for cidr in ["192.0.2.10/32", "198.51.100.10/24"] {
                assert_eq!(subject.add(device, cidr).await, Addition::Added);
                assert_eq!(subject.ours(cidr).await, Some(true));
                assert_eq!(subject.remove(device, cidr).await, Removal::Removed);
            }
        }
    });
}

#[test]
fn a_subnet_on_lo_does_not_become_local() {
    let host = Host::new();
    host.run(async |_| {
        assert_eq!(Subject::new(true).add("lo", "198.51.100.10/24").await, Addition::Added);
        let bind = |ip: &str| std::net::UdpSocket::bind((ip, 0));
        assert!(bind("198.51.100.10").is_ok());
        assert!(bind("198.51.100.11").is_err());
    });
}

#[test]
fn foreign_addresses_are_neither_altered_nor_removed() {
    both_ways(async |subject, net| {
        for cidr in CIDRS {
            net.add("eth0", cidr).await;
        }
        let before = subject.netlink.addresses().await.unwrap();
        for cidr in CIDRS {
            assert_eq!(subject.add("eth0", cidr).await, Addition::Foreign);
            assert_eq!(subject.remove("eth0", cidr).await, Removal::Foreign);
        }
        let after = subject.netlink.addresses().await.unwrap();
        let messages = |all: Vec<KernelAddress>| all.into_iter().map(|it| it.message).collect::<Vec<_>>();
        assert_eq!(messages(before), messages(after));
    });
}

#[test]
fn only_the_exact_address_is_removed() {
    both_ways(async |subject, _| {
        for cidr in ["192.0.2.10/32", "192.0.2.10/24", "192.0.2.11/32"] {
            assert_eq!(subject.add("eth0", cidr).await, Addition::Added);
        }
        assert_eq!(subject.add("lo", "192.0.2.10/32").await, Addition::Added);
        assert_eq!(subject.remove("eth0", "192.0.2.10/32").await, Removal::Removed);
        for cidr in ["192.0.2.10/24", "192.0.2.11/32", "192.0.2.10/32"] {
            assert_eq!(subject.ours(cidr).await, Some(true), "{cidr}");
        }
    });
}

#[test]
fn an_ipv6_address_with_another_prefix_length_is_an_error_that_says_what_to_do() {
    both_ways(async |subject, _| {
        subject.add("eth0", "2001:db8::10/128").await;
        let link = subject.link("eth0").await;
        let error = subject.netlink.add_address(link, cidr_of("2001:db8::10/64")).await.unwrap_err();
        assert_eq!(error.errno(), Some(libc::EEXIST));
        assert!(error.to_string().contains("add 2001:db8::10/64 to eth0"), "{error}");
        assert!(error.to_string().contains("another prefix length"), "{error}");
        assert_eq!(subject.ours("2001:db8::10/128").await, Some(true));
    });
}

#[test]
fn a_device_that_is_not_there_is_named_in_the_error() {
    both_ways(async |subject, _| {
        let error = subject.netlink.add_address(4711, cidr_of("192.0.2.10/32")).await.unwrap_err();
        assert_eq!(error.errno(), Some(libc::ENODEV));
        assert!(error.to_string().contains("device 4711"), "{error}");
        assert!(!subject.record_exists(), "nothing was added, so nothing is recorded");
        assert_eq!(subject.netlink.remove_address(4711, cidr_of("192.0.2.10/32")).await.unwrap(), Removal::Absent);
    });
}

#[test]
fn disabled_ipv6_is_explained() {
    let [host, _peer] = joined();
    host.run(async |_| {
        std::fs::write("/proc/sys/net/ipv6/conf/eth0/disable_ipv6", "1").unwrap();
        let subject = Subject::new(true);
        let link = subject.link("eth0").await;
        let error = subject.netlink.add_address(link, cidr_of("2001:db8::10/128")).await.unwrap_err();
        assert!(error.to_string().contains("disable_ipv6"), "{error}");
    });
}

#[test]
fn what_the_kernel_takes_along_is_put_back() {
    for promote in ["0", "1"] {
        both_ways(async |subject, net| {
            std::fs::write("/proc/sys/net/ipv4/conf/all/promote_secondaries", promote).unwrap();
            std::fs::write("/proc/sys/net/ipv4/conf/eth0/promote_secondaries", promote).unwrap();
            subject.add("eth0", "192.0.2.10/24").await;
            subject.add("eth0", "192.0.2.11/24").await;
            net.add("eth0", "192.0.2.1/24").await;
            net.add("eth0", "192.0.2.2/24").await;
            // What is put back has another stamp than what was taken away: stamps count hundredths of a second.
            tokio::time::sleep(Duration::from_millis(50)).await;
            assert_eq!(subject.remove("eth0", "192.0.2.10/24").await, Removal::Removed);
            assert_eq!(subject.ours("192.0.2.10/24").await, None);
            assert_eq!(subject.ours("192.0.2.11/24").await, Some(true));
            assert_eq!(subject.ours("192.0.2.1/24").await, Some(false));
            assert_eq!(subject.ours("192.0.2.2/24").await, Some(false));
        });
    }
}

#[test]
fn removing_a_secondary_touches_nothing_else() {
    both_ways(async |subject, net| {
        net.add("eth0", "192.0.2.1/24").await;
        net.add("eth0", "192.0.2.2/24").await;
        subject.add("eth0", "192.0.2.10/24").await;
        assert_eq!(subject.remove("eth0", "192.0.2.10/24").await, Removal::Removed);
        assert_eq!(subject.ours("192.0.2.1/24").await, Some(false));
        assert_eq!(subject.ours("192.0.2.2/24").await, Some(false));
    });
}

#[test]
fn the_address_of_the_node_can_come_after_a_vip_of_its_subnet() {
    both_ways(async |subject, net| {
        subject.add("eth0", "192.0.2.10/24").await;
        subject.add("eth0", "198.51.100.10/32").await;
        net.add("eth0", "192.0.2.1/24").await;
        net.add("eth0", "198.51.100.1/24").await;
        assert_eq!(subject.ours("192.0.2.1/24").await, Some(false));
    });
}

#[test]
fn observing_while_addresses_come_and_go_misses_none_that_stays() {
    const STAY: u32 = 2000;
    let host = Host::new();
    let subject = host.run(async |net| {
        for number in 0..STAY {
            let ip = std::net::Ipv4Addr::from_bits(0xc633_6400 + number % 256 + ((number / 256) << 24));
            net.0.address().add(1, ip.into(), 32).execute().await.unwrap();
        }
        Subject::new(true)
    });
    std::thread::scope(|scope| {
        // A host address goes to the head of the kernel's list, so its coming and going moves all others by one.
        let churn = scope.spawn(|| {
            host.run(async |_| {
                let message =
                    Candidate { link: 1, address: cidr_of("203.0.113.1/32"), mark: true, lifetime: None }.message(&[]);
                let netlink = Subject::new(true).netlink;
                for _ in 0..100 {
                    netlink.requests.add_address(message.clone()).await.unwrap();
                    netlink.requests.remove_address(message.clone()).await.unwrap();
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            });
        });
        let staying = |network: ObservedNetwork| network.addresses.iter().filter(|it| !it.ours && it.link == 1).count();
        host.run(async |_| {
            // And lo's own two.
            let all = STAY as usize + 2;
            while !churn.is_finished() {
                // Too many changes are an error, but never a list with holes.
                if let Ok(observed) = subject.netlink.observe().await {
                    assert_eq!(staying(observed), all);
                }
            }
            assert_eq!(staying(subject.netlink.observe().await.unwrap()), all);
        });
    });
}

#[test]
fn events_wake_for_links_and_for_both_kinds_of_addresses() {
    // Only lo: elsewhere IPv6 autoconfiguration makes events of its own.
    Host::new().run(async |net| {
        let events = Subject::new(true).netlink.events().unwrap();
        quiet(&events).await;
        for cidr in ["192.0.2.1/24", "2001:db8::1/64"] {
            net.add("lo", cidr).await;
            events.changed().await;
            quiet(&events).await;
            net.remove("lo", cidr).await;
            events.changed().await;
            quiet(&events).await;
        }
        net.set_mtu("lo", 9000).await;
        events.changed().await;
    });
}

#[test]
fn a_flood_of_events_that_nobody_reads_still_wakes_and_goes_on_waking() {
    let host = Host::new();
    host.run(async |net| {
        let events = Events::subscribe().unwrap();
        // The runtime of this thread, and with it the reader of events, stands still meanwhile.
        host.run(async |_| {
            let (netlink, cidr) = (Subject::new(true).netlink, cidr_of("192.0.2.1/32"));
            for _ in 0..1000 {
                netlink.add_address(1, cidr).await.unwrap();
                netlink.remove_address(1, cidr).await.unwrap();
            }
        });
        events.changed().await;
        quiet(&events).await;
        net.add("lo", "192.0.2.1/24").await;
        events.changed().await;
    });
}

/// Swallows what still comes from earlier changes, and proves that nothing wakes without a change.
async fn quiet(events: &Events) {
    let calm = Duration::from_millis(100);
    while tokio::time::timeout(calm, events.changed()).await.is_ok() {}
}

#[test]
fn a_broken_connection_is_replaced() {
    let host = Host::new();
    host.blocking(|| {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("addresses");
        // The first runtime takes the task of the connection with it.
        let netlink = block_on(async { Netlink::connect(&path).unwrap() });
        block_on(async { assert!(netlink.observe().await.unwrap().link_named("lo").is_some()) });
    });
}
