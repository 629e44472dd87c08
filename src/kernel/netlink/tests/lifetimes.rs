//! Addresses that the kernel removes by itself.

use super::*;

const LIFETIMES: [&str; 3] = ["192.0.2.10/32", "198.51.100.10/24", "2001:db8::10/128"];
const LONG: Duration = Duration::from_secs(600);
const SECOND: Duration = Duration::from_secs(1);

impl Subject {
    async fn add_for(&self, cidr: &str, lifetime: Duration) {
        let link = self.link("eth0").await;
        let results = self.netlink.add_addresses(&[(link, cidr_of(cidr))], Some(lifetime)).await;
        assert!(matches!(results[..], [Ok(Addition::Added)]), "{results:?}");
    }

    async fn refresh(&self, cidr: &str, lifetime: Duration) -> Refresh {
        let link = self.link("eth0").await;
        self.netlink.refresh_address(link, cidr_of(cidr), lifetime).await.unwrap()
    }

    /// `None`: it is not there.
    async fn valid_for(&self, cidr: &str) -> Option<Option<Duration>> {
        let observed = self.netlink.observe().await.unwrap();
        observed.addresses.iter().find(|it| (it.ip, it.prefix_len) == parts(cidr)).map(|it| it.valid_for)
    }
}

/// The kernel counts down from it.
fn about_long(valid_for: Option<Option<Duration>>) -> bool {
    matches!(valid_for, Some(Some(left)) if left <= LONG && left > LONG / 2)
}

#[test]
fn a_lifetime_is_seen_and_its_absence_too() {
    both_ways(async |subject, _| {
        for cidr in LIFETIMES {
            subject.add_for(cidr, LONG).await;
            assert!(about_long(subject.valid_for(cidr).await), "{cidr}");
            assert_eq!(subject.ours(cidr).await, Some(true));
            assert_eq!(subject.remove("eth0", cidr).await, Removal::Removed);
            subject.add("eth0", cidr).await;
            assert_eq!(subject.valid_for(cidr).await, Some(None), "{cidr}");
        }
    });
}

#[test]
fn what_is_not_refreshed_goes_and_stays_away() {
    both_ways(async |subject, _| {
        for cidr in LIFETIMES {
            subject.add_for(cidr, SECOND).await;
        }
        assert_eq!(subject.refresh(LIFETIMES[0], LONG).await, Refresh::Refreshed);
        for cidr in &LIFETIMES[1..] {
            eventually("it goes", async || subject.valid_for(cidr).await.is_none().then_some(())).await;
            assert_eq!(subject.refresh(cidr, LONG).await, Refresh::Absent);
            assert_eq!(subject.valid_for(cidr).await, None);
        }
        assert!(about_long(subject.valid_for(LIFETIMES[0]).await));
    });
}

#[test]
fn a_refresh_alters_nothing_but_the_lifetime() {
    both_ways(async |subject, _| {
        let message = async |cidr| {
            let link = subject.link("eth0").await;
            let mut found = find(&subject.netlink.addresses().await.unwrap(), link, cidr_of(cidr)).unwrap().clone();
            found.message = found.with_lifetime(LONG);
            found.message
        };
        for cidr in LIFETIMES {
            subject.add_for(cidr, LONG / 2).await;
            let before = message(cidr).await;
            assert_eq!(subject.refresh(cidr, LONG).await, Refresh::Refreshed);
            assert!(about_long(subject.valid_for(cidr).await), "{cidr}");
            assert_eq!(message(cidr).await, before);
            assert_eq!(subject.ours(cidr).await, Some(true));
        }
    });
}

#[test]
fn what_is_not_ours_is_not_refreshed() {
    both_ways(async |subject, net| {
        net.add("eth0", "192.0.2.10/32").await;
        assert_eq!(subject.refresh("192.0.2.10/32", LONG).await, Refresh::Foreign);
        assert_eq!(subject.valid_for("192.0.2.10/32").await, Some(None));
    });
}

#[test]
fn refreshes_do_not_wake_but_the_end_does() {
    Host::new().run(async |_| {
        let subject = Subject::new(true);
        let events = subject.netlink.events().unwrap();
        for cidr in ["192.0.2.10/32", "2001:db8::10/128"] {
            let wanted = [(1, cidr_of(cidr))];
            subject.netlink.add_addresses(&wanted, Some(LONG)).await.remove(0).unwrap();
            events.changed().await;
            quiet(&events).await;
            for _ in 0..3 {
                let refreshed = subject.netlink.refresh_addresses(&wanted, LONG).await;
                assert!(matches!(refreshed[..], [Ok(Refresh::Refreshed)]), "{refreshed:?}");
            }
            assert!(tokio::time::timeout(Duration::from_millis(200), events.changed()).await.is_err(), "{cidr}");
            subject.netlink.refresh_addresses(&wanted, SECOND).await.remove(0).unwrap();
            events.changed().await;
            assert_eq!(events.last_port(), None, "the kernel itself");
            quiet(&events).await;
        }
    });
}

#[test]
fn an_event_names_the_port_of_who_changed_an_ipv4_address() {
    Host::new().run(async |net| {
        let subject = Subject::new(true);
        let events = subject.netlink.events().unwrap();
        subject.netlink.add_address(1, cidr_of("192.0.2.10/32")).await.unwrap();
        events.changed().await;
        assert_eq!(events.last_port(), Some(subject.netlink.port()));
        quiet(&events).await;
        net.remove("lo", "192.0.2.10/32").await;
        events.changed().await;
        let port = events.last_port();
        assert!(port.is_some() && port != Some(subject.netlink.port()), "{port:?}");
    });
}

#[test]
fn hundreds_are_added_at_once_and_each_has_its_own_result() {
    both_ways(async |subject, net| {
        let link = subject.link("eth0").await;
        net.add("eth0", "198.51.100.7/32").await;
        subject.add("eth0", "198.51.100.8/32").await;
        let mut wanted: Vec<_> = (0..200).map(|number| (link, cidr_of(&format!("198.51.100.{number}/32")))).collect();
        wanted.push((4711, cidr_of("192.0.2.10/32")));
        wanted.extend((0..200).map(|number| (link, cidr_of(&format!("2001:db8::{number:x}/128")))));
        let start = tokio::time::Instant::now();
        let results = subject.netlink.add_addresses(&wanted, Some(LONG)).await;
        println!("400 addresses, marks {}: {:?}", subject.mark, start.elapsed());
        for (index, result) in results.iter().enumerate() {
            match index {
                7 => assert!(matches!(result, Ok(Addition::Foreign)), "{result:?}"),
                8 => assert!(matches!(result, Ok(Addition::Present)), "{result:?}"),
                200 => assert_eq!(result.as_ref().unwrap_err().errno(), Some(libc::ENODEV)),
                _ => assert!(matches!(result, Ok(Addition::Added)), "{index}: {result:?}"),
            }
        }
        assert_eq!(results.len(), wanted.len());
        let observed = subject.netlink.observe().await.unwrap();
        assert_eq!(observed.addresses.iter().filter(|it| it.ours).count(), 399);
        let start = tokio::time::Instant::now();
        let refreshed = subject.netlink.refresh_addresses(&wanted, LONG).await;
        println!("400 refreshes: {:?}", start.elapsed());
        let of = |kind: Refresh| refreshed.iter().filter(|it| matches!(it, Ok(it) if *it == kind)).count();
        assert_eq!((of(Refresh::Refreshed), of(Refresh::Foreign), of(Refresh::Absent)), (399, 1, 1));
    });
}
