use super::*;
use crate::kernel::{
    announce::Announcer,
    frames::{Arp, ArpOperation, Neighbour, NeighbourKind},
    testing::{Host, Net, eventually, joined, plug, switched},
};
use std::{
    net::{Ipv4Addr, Ipv6Addr},
    time::Duration,
};

const VIPS: [&str; 2] = ["192.0.2.10", "2001:db8::10"];
/// Always there at the peer. Whatever would answer for another address does so before it, so an answer for a reference
/// that was asked last proves the silence of those that were asked before.
const REFERENCE: &str = "192.0.2.2";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn cidr(text: &str) -> String {
    crate::model::VipAddress::host(ip(text)).to_string()
}

/// A host, and a peer that has the reference.
fn pair() -> [Host; 2] {
    let [host, peer] = joined();
    [host, peer.with(&["192.0.2.2/24"])]
}

async fn prober(net: &Net) -> Prober {
    let prober = Prober::new().unwrap();
    prober.own(&net.observe().await);
    prober
}

async fn ask(prober: &Prober, net: &Net, ips: &[&str]) {
    let link = net.link("eth0").await;
    ips.iter().for_each(|text| prober.send(&link, ip(text)).unwrap());
}

fn mac(host: &Host) -> Mac {
    host.run(async |net| net.link("eth0").await.mac.unwrap())
}

#[test]
fn whoever_has_the_address_answers() {
    for vip in VIPS {
        let [host, peer] = pair();
        let peer = peer.with(&[&cidr(vip)]);
        host.run(async |net| {
            let prober = prober(&net).await;
            ask(&prober, &net, &[vip]).await;
            let link = net.link("eth0").await.index;
            assert_eq!(prober.recv().await, Sight { link, ip: ip(vip), mac: mac(&peer), kind: SightKind::Has });
            assert_eq!(prober.dropped(), 0);
        });
    }
}

/// Whether `eth0` lets frames to the group of 2001:db8::10 pass; read on a thread of the host.
fn hears_questions() -> bool {
    let list = std::fs::read_to_string("/proc/thread-self/net/dev_mcast").unwrap();
    list.lines().any(|line| line.contains("eth0") && line.ends_with("3333ff000010"))
}

/// A network card drops what goes to groups that it was not told of; a veth does not, so the list is looked at.
#[test]
fn who_asks_hears_others_that_ask_until_it_no_longer_matters() {
    let [host, _peer] = pair();
    host.run(async |net| {
        let prober = prober(&net).await;
        prober.watch([ip(VIPS[1])]);
        assert!(!hears_questions());
        ask(&prober, &net, &VIPS).await;
        assert!(hears_questions());
        // Another address of the same group.
        prober.watch([ip("2001:db8:1::10")]);
        assert!(hears_questions());
        prober.watch([ip(VIPS[0])]);
        assert!(!hears_questions());
        ask(&prober, &net, &VIPS).await;
        assert!(hears_questions());
        drop(prober);
        assert!(!hears_questions());
    });
}

#[test]
fn an_address_that_nobody_has_stays_silent() {
    let [host, _peer] = pair();
    host.run(async |net| {
        let prober = prober(&net).await;
        ask(&prober, &net, &[VIPS[0], VIPS[1], REFERENCE]).await;
        assert_eq!(prober.recv().await.ip, ip(REFERENCE));
    });
}

#[test]
fn the_host_itself_does_not_answer() {
    let [host, peer] = pair();
    let host = host.with(&VIPS.map(cidr).each_ref().map(String::as_str));
    host.run(async |net| {
        let prober = prober(&net).await;
        ask(&prober, &net, &VIPS).await;
        // Its own announcement is no answer either.
        let announcer = Announcer::new().unwrap();
        for vip in VIPS {
            announcer.announce(&net.link("eth0").await, ip(vip)).unwrap();
        }
        ask(&prober, &net, &[REFERENCE]).await;
        assert_eq!(
            prober.recv().await,
            Sight { link: net.link("eth0").await.index, ip: ip(REFERENCE), mac: mac(&peer), kind: SightKind::Has }
        );
    });
}

#[test]
fn its_own_frames_that_come_back_through_another_device_are_not_somebody_elses() {
    let ([host, peer], switch) = switched();
    plug(&switch, &host, "second", "eth1");
    let peer = peer.with(&["192.0.2.2/24"]);
    let host = host.with(&VIPS.map(cidr).each_ref().map(String::as_str));
    // Known from an observation, or from the probes that went out there.
    for probing in [&[][..], &["eth0", "eth1"]] {
        host.run(async |net| {
            let prober = Prober::new().unwrap();
            prober.watch(VIPS.map(ip));
            if probing.is_empty() {
                prober.own(&net.observe().await);
            }
            let announcer = Announcer::new().unwrap();
            for vip in VIPS {
                for device in ["eth0", "eth1"] {
                    announcer.announce(&net.link(device).await, ip(vip)).unwrap();
                }
                for device in probing {
                    prober.send(&net.link(device).await, ip(vip)).unwrap();
                }
            }
            ask(&prober, &net, &[REFERENCE]).await;
            let answer = prober.recv().await;
            assert_eq!((answer.ip, answer.mac), (ip(REFERENCE), mac(&peer)));
        });
    }
}

#[test]
fn two_owners_are_both_heard() {
    for vip in VIPS {
        let ([host, one, two], _switch) = switched();
        let owners = [one, two].map(|owner| owner.with(&[&cidr(vip)]));
        host.run(async |net| {
            let prober = prober(&net).await;
            ask(&prober, &net, &[vip]).await;
            let mut heard = [prober.recv().await, prober.recv().await].map(|answer| answer.mac);
            let mut expected = [mac(&owners[0]), mac(&owners[1])];
            heard.sort();
            expected.sort();
            assert_eq!(heard, expected);
        });
    }
}

#[test]
fn announcements_of_others_are_heard_without_asking() {
    for vip in VIPS {
        let [host, peer] = pair();
        host.run(async |net| {
            let prober = prober(&net).await;
            prober.watch([ip(vip)]);
            peer.run(async |net| Announcer::new().unwrap().announce(&net.link("eth0").await, ip(vip)).unwrap());
            assert_eq!(
                prober.recv().await,
                Sight { link: net.link("eth0").await.index, ip: ip(vip), mac: mac(&peer), kind: SightKind::Has }
            );
        });
    }
}

#[test]
fn asking_from_the_address_shows_having_it() {
    let [host, peer] = pair();
    host.run(async |net| {
        let prober = prober(&net).await;
        prober.watch(VIPS.map(ip));
        peer.run(async |net| {
            let link = net.link("eth0").await;
            let (from, sender) = (link.mac.unwrap(), PacketSender::open().unwrap());
            let (sender_ip, target_ip) = (Ipv4Addr::new(192, 0, 2, 10), Ipv4Addr::new(192, 0, 2, 77));
            let zero = Mac([0; 6]);
            let operation = ArpOperation::Request;
            let arp = Arp { operation, sender_mac: from, sender_ip, target_mac: zero, target_ip };
            sender.send(link.index, &frames::arp(Mac([0xff; 6]), arp)).unwrap();
            let target: Ipv6Addr = "2001:db8::77".parse().unwrap();
            let source = VIPS[1].parse().unwrap();
            let nd = Neighbour { kind: NeighbourKind::Solicitation, source, target, mac: Some(from) };
            sender.send(link.index, &frames::neighbour(from, frames::solicited_node(target), nd)).unwrap();
        });
        for vip in VIPS {
            let answer = prober.recv().await;
            assert_eq!((answer.ip, answer.mac), (ip(vip), mac(&peer)));
        }
    });
}

#[test]
fn asking_about_the_address_shows_no_more_than_that() {
    let [host, peer] = pair();
    host.run(async |net| {
        let prober = prober(&net).await;
        prober.watch(VIPS.map(ip));
        peer.run(async |net| {
            let other = Prober::new().unwrap();
            ask(&other, &net, &VIPS).await;
        });
        for vip in VIPS {
            let link = net.link("eth0").await.index;
            let asks = Sight { link, ip: ip(vip), mac: mac(&peer), kind: SightKind::Asks(None) };
            assert_eq!(prober.recv().await, asks);
        }
        ask(&prober, &net, &[REFERENCE]).await;
        assert_eq!(prober.recv().await.ip, ip(REFERENCE));
    });
}

#[test]
fn only_watched_addresses_are_told_of() {
    let [host, peer] = pair();
    let peer = peer.with(&["192.0.2.3/32", "192.0.2.4/32"]);
    host.run(async |net| {
        let prober = prober(&net).await;
        prober.watch([ip("192.0.2.3")]);
        prober.watch([ip("192.0.2.4")]);
        peer.run(async |net| {
            let (announcer, link) = (Announcer::new().unwrap(), net.link("eth0").await);
            for text in ["192.0.2.2", "192.0.2.3", "192.0.2.4"] {
                announcer.announce(&link, ip(text)).unwrap();
            }
        });
        assert_eq!(prober.recv().await.ip, ip("192.0.2.4"));
    });
}

#[test]
fn works_on_a_device_that_appears_later_and_is_silent_on_lo() {
    let ([host, peer], switch) = switched();
    let peer = peer.with(&[&cidr(VIPS[0])]);
    host.run(async |net| {
        let prober = prober(&net).await;
        prober.send(&net.link("lo").await, ip(VIPS[0])).unwrap();
        plug(&switch, &host, "late", "eth7");
        let late = net.link("eth7").await;
        // The switch may not forward yet what a new port says.
        let sight = eventually("an answer", async || {
            prober.send(&late, ip(VIPS[0])).unwrap();
            tokio::time::timeout(Duration::from_millis(100), prober.recv()).await.ok()
        });
        assert_eq!(sight.await, Sight { link: late.index, ip: ip(VIPS[0]), mac: mac(&peer), kind: SightKind::Has });
    });
}

#[test]
fn a_flood_about_others_neither_starves_tasks_nor_hides_the_answer_for_ever() {
    let [host, peer] = pair();
    let peer = peer.with(&[&cidr(VIPS[0])]);
    host.run(async |net| {
        let prober = prober(&net).await;
        peer.run(async |net| {
            let (announcer, link) = (Announcer::new().unwrap(), net.link("eth0").await);
            (0..3000).for_each(|_| announcer.announce(&link, ip("192.0.2.99")).unwrap());
        });
        let turns = std::cell::Cell::new(0);
        let other_task = async {
            loop {
                turns.set(turns.get() + 1);
                tokio::task::yield_now().await;
            }
        };
        let probing = async {
            crate::kernel::testing::eventually("an answer in spite of the flood", async || {
                ask(&prober, &net, &[VIPS[0]]).await;
                tokio::time::timeout(Duration::from_millis(200), prober.recv()).await.ok()
            })
            .await
        };
        tokio::select! {
            answer = probing => assert_eq!(answer.ip, ip(VIPS[0])),
            () = other_task => {}
        }
        assert!(turns.get() > 1 && prober.dropped() > 0);
    });
}

#[test]
fn a_device_that_is_down_is_an_error_that_names_it() {
    let [host, _peer] = pair();
    host.run(async |net| {
        let prober = prober(&net).await;
        net.down("eth0").await;
        let error = prober.send(&net.link("eth0").await, ip(VIPS[0])).unwrap_err();
        assert_eq!(error.errno(), Some(libc::ENETDOWN));
        assert!(error.to_string().contains("probe 192.0.2.10 on eth0"), "{error}");
    });
}
