//! The record that stands in for marks, as on kernels before 5.18.

use super::*;

#[test]
fn marks_need_no_record_and_survive_a_restart() {
    let [host, _peer] = joined();
    host.run(async |_| {
        let mut subject = Subject::new(true);
        subject.add("eth0", "192.0.2.10/32").await;
        assert!(!subject.record_exists());
        subject.restart();
        assert_eq!(subject.ours("192.0.2.10/32").await, Some(true));
        assert_eq!(subject.remove("eth0", "192.0.2.10/32").await, Removal::Removed);
    });
}

#[test]
fn without_marks_the_record_survives_a_restart() {
    let [host, _peer] = joined();
    host.run(async |_| {
        let mut subject = Subject::new(false);
        for cidr in CIDRS {
            subject.add("eth0", cidr).await;
        }
        assert!(subject.record_exists());
        subject.restart();
        for cidr in CIDRS {
            assert_eq!(subject.ours(cidr).await, Some(true));
            assert_eq!(subject.add("eth0", cidr).await, Addition::Present);
            assert_eq!(subject.remove("eth0", cidr).await, Removal::Removed);
        }
        assert!(!subject.record_exists());
    });
}

#[test]
fn without_marks_and_record_it_is_foreign() {
    let [host, _peer] = joined();
    host.run(async |_| {
        Subject::new(false).add("eth0", "192.0.2.10/32").await;
        // A record of its own, which knows nothing: so it was the record that knew in the cases above.
        let other = Subject::new(false);
        assert_eq!(other.ours("192.0.2.10/32").await, Some(false));
        assert_eq!(other.remove("eth0", "192.0.2.10/32").await, Removal::Foreign);
    });
}

#[test]
fn what_somebody_else_adds_again_is_theirs() {
    let [host, _peer] = joined();
    host.run(async |net| {
        for cidr in CIDRS {
            let mut subject = Subject::new(false);
            subject.add("eth0", cidr).await;
            net.remove("eth0", cidr).await;
            assert_eq!(subject.ours(cidr).await, None);
            // The stamp has hundredths of a second; a person is slower than that.
            tokio::time::sleep(Duration::from_millis(50)).await;
            net.add("eth0", cidr).await;
            for _ in 0..2 {
                assert_eq!(subject.ours(cidr).await, Some(false), "{cidr}");
                assert_eq!(subject.add("eth0", cidr).await, Addition::Foreign);
                assert_eq!(subject.remove("eth0", cidr).await, Removal::Foreign);
                subject.restart();
            }
        }
    });
}

#[test]
fn an_agent_that_died_between_noting_and_stamping_knows_its_address() {
    let [host, _peer] = joined();
    host.run(async |net| {
        let mut subject = Subject::new(false);
        let link = subject.link("eth0").await;
        subject.netlink.note_before(&[(link, cidr_of("192.0.2.10/32"))], &[]).unwrap();
        net.add("eth0", "192.0.2.10/32").await;
        subject.restart();
        assert_eq!(subject.ours("192.0.2.10/32").await, Some(true));
        assert_eq!(subject.remove("eth0", "192.0.2.10/32").await, Removal::Removed);
    });
}

#[test]
fn without_marks_and_a_writable_record_nothing_is_left_behind() {
    let [host, _peer] = joined();
    host.run(async |_| {
        let subject = Subject::new(false);
        // Loading finds nothing; only then does a file stand where the directory should be.
        let netlink = Netlink::connect_without_marks(subject.directory.path().join("later/addresses")).unwrap();
        std::fs::write(subject.directory.path().join("later"), "").unwrap();
        let link = subject.link("eth0").await;
        assert!(netlink.add_address(link, cidr_of("192.0.2.10/32")).await.is_err());
        assert_eq!(subject.ours("192.0.2.10/32").await, None);
    });
}

#[test]
fn with_marks_an_unwritable_record_does_not_matter() {
    let [host, _peer] = joined();
    host.run(async |_| {
        let subject = Subject::new(true);
        let netlink = Netlink::connect(subject.directory.path().join("later/addresses")).unwrap();
        std::fs::write(subject.directory.path().join("later"), "").unwrap();
        let link = subject.link("eth0").await;
        assert_eq!(netlink.add_address(link, cidr_of("192.0.2.10/32")).await.unwrap(), Addition::Added);
    });
}

#[test]
fn an_unreadable_record_is_an_error_that_names_it() {
    let host = Host::new();
    host.run(async |_| {
        let directory = tempfile::tempdir().unwrap();
        let error = Netlink::connect(directory.path()).unwrap_err();
        assert!(error.to_string().contains(&directory.path().display().to_string()), "{error}");
    });
}
