//! What passes, and what does not.

use super::*;
use crate::kernel::announce::Announcer;
use nix::sys::socket::{setsockopt, sockopt};

#[test]
fn an_address_without_lease_is_dead_in_both_directions() {
    in_both_modes(|mut scene| {
        scene.grant(&vips(), LONG);
        for vip in vips() {
            assert!(scene.serves(vip), "a client knows the way to {vip}");
        }
        scene.fence().revoke(&vips()).unwrap();
        assert_eq!(scene.answers(), ips(&[]));
        for vip in vips() {
            assert!(!scene.serves(vip), "{vip} is served");
            assert!(!scene.asks_from(vip), "ARP or ND comes from {vip}");
        }
    });
}

#[test]
fn an_active_address_speaks_and_serves() {
    in_both_modes(|mut scene| {
        scene.grant(&vips(), LONG);
        assert_eq!(scene.answers(), ips(&VIPS));
        for vip in vips() {
            assert!(scene.serves(vip) && scene.asks_from(vip), "{vip}");
        }
    });
}

#[test]
fn a_draining_address_serves_and_is_mute() {
    in_both_modes(|mut scene| {
        scene.grant(&vips(), LONG);
        for vip in vips() {
            assert!(scene.serves(vip), "a client knows the way to {vip}");
        }
        scene.fence().mute(&vips(), LONG).unwrap();
        assert_eq!(scene.answers(), ips(&[]));
        for vip in vips() {
            assert!(scene.serves(vip), "{vip} is not served");
            assert!(!scene.asks_from(vip), "ARP or ND comes from {vip}");
        }
    });
}

#[test]
fn other_addresses_never_notice() {
    in_both_modes(|scene| {
        for own in OWN.map(ip) {
            assert!(scene.serves(own), "{own}");
        }
    });
}

#[test]
fn a_host_reaches_its_own_fenced_addresses_and_those_that_another_has() {
    in_both_modes(|scene| {
        for vip in vips() {
            assert!(connects(&scene.host, &scene.host, vip), "by lo");
        }
        scene.host.run(async |net| {
            net.remove("eth0", "192.0.2.10/32").await;
            net.remove("eth0", "2001:db8::10/128").await;
        });
        let owner = scene.asker.clone().with(&["192.0.2.10/32", "2001:db8::10/128"]);
        for vip in vips() {
            assert!(connects(&owner, &scene.host, vip), "{vip} on its owner");
        }
    });
}

#[test]
fn raw_announcements_are_stopped_where_there_is_an_egress_hook() {
    in_both_modes(|mut scene| {
        let announce = |scene: &Scene| {
            scene.host.run(async |net| {
                let link = net.link("eth0").await;
                vips().map(|vip| Announcer::new().unwrap().announce(&link, vip).map_err(|error| error.errno()))
            })
        };
        let stopped = scene.fence().stops_raw_frames();
        let refused = if stopped { Err(Some(libc::ENOBUFS)) } else { Ok(()) };
        assert_eq!(announce(&scene), [refused; 2]);
        scene.grant(&vips(), LONG);
        assert_eq!(announce(&scene), [Ok(()); 2]);
        scene.fence().mute(&vips(), LONG).unwrap();
        assert_eq!(announce(&scene), [refused; 2]);
    });
}

/// Whether a datagram with this mark gets from `source` to the asker.
fn arrives(scene: &Scene, source: IpAddr, mark: u32) -> bool {
    let asker = if source.is_ipv4() { ip("192.0.2.1") } else { ip("2001:db8::1") };
    let receiver = scene.asker.blocking(|| UdpSocket::bind((asker, 0)).unwrap());
    receiver.set_read_timeout(Some(Duration::from_millis(250))).unwrap();
    scene.host.blocking(|| {
        let socket = UdpSocket::bind((source, 0)).unwrap();
        setsockopt(&socket, sockopt::Mark, &mark).unwrap();
        let _ = socket.send_to(b"x", receiver.local_addr().unwrap());
    });
    receiver.recv(&mut [0; 8]).is_ok()
}

#[test]
fn a_mark_that_a_packet_brings_along_opens_nothing() {
    in_both_modes(|mut scene| {
        for own in OWN.map(ip) {
            assert!(arrives(&scene, own, concerns::PERMITTED), "the way is known, and {own} not fenced");
        }
        for vip in vips() {
            assert!(!arrives(&scene, vip, concerns::PERMITTED), "{vip} while the agent lives");
        }
        scene.kill();
        for vip in vips() {
            assert!(!arrives(&scene, vip, concerns::PERMITTED), "{vip} without an agent");
        }
    });
}

#[test]
fn the_mark_of_other_packets_is_left_alone_and_that_of_permitted_ones_cleared() {
    let mut scene = Scene::new(Fence::open);
    scene.grant(&vips(), LONG);
    // Behind the fence: drops what has the bit.
    let socket = scene.host.blocking(|| Socket::open().unwrap());
    let table = Table { family: Family::Netdev, name: "witness" };
    let mut batch = Batch::new();
    batch.new_table(table, true);
    batch.new_base_chain(table, "out", Hook { number: 1, priority: 0, device: Some("eth0") });
    let rule = |matches, action| Rule { matches, action };
    batch.add_rule(table, "out", &rule(vec![Match::Unmarked(concerns::PERMITTED)], Action::Accept));
    // ARP and ND of addresses that are not fenced have no mark.
    batch.add_rule(table, "out", &rule(vec![], Action::Drop));
    socket.commit(batch).unwrap();
    for own in OWN.map(ip) {
        assert!(arrives(&scene, own, 1), "another bit of {own}'s");
        assert!(!arrives(&scene, own, concerns::PERMITTED), "the bit of {own}'s packets is cleared");
    }
    for vip in vips() {
        assert!(arrives(&scene, vip, 1), "the bit of {vip}'s packets is left");
    }
}
