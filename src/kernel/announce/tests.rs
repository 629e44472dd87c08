use super::*;
use crate::{
    kernel::{
        packet_socket::PacketListener,
        testing::{Host, eventually, joined, switched},
    },
    model::{Mac, VipAddress},
};
use std::net::UdpSocket;

const VIPS: [&str; 2] = ["192.0.2.10", "2001:db8::10"];

fn mac(host: &Host) -> Mac {
    host.run(async |net| net.link("eth0").await.mac.unwrap())
}

/// Makes the kernel of `client` resolve `ip`, and waits for what it learns.
fn resolve(client: &Host, ip: IpAddr) -> Mac {
    client.blocking(|| {
        let any: IpAddr = if ip.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
        UdpSocket::bind((any, 0)).unwrap().send_to(b"x", (ip, 9)).unwrap();
    });
    client.run(async |net| eventually("resolved", async || net.neighbour(ip).await).await)
}

#[test]
fn an_entry_that_was_just_learned_from_one_owner_moves_to_the_next() {
    for vip in VIPS {
        let ip: IpAddr = vip.parse().unwrap();
        let cidr = VipAddress::host(ip).to_string();
        let ([one, two, client], _switch) = switched();
        let client = client.with(&["192.0.2.3/24", "2001:db8::3/64"]);
        let one = one.with(&["192.0.2.1/24", "2001:db8::1/64", &cidr]);
        let two = two.with(&["192.0.2.2/24", "2001:db8::2/64"]);
        assert_eq!(resolve(&client, ip), mac(&one));
        one.run(async |net| net.remove("eth0", &cidr).await);
        two.run(async |net| {
            net.add("eth0", &cidr).await;
            let still = client.run(async |net| net.neighbour(ip).await);
            assert_eq!(still, Some(mac(&one)), "adding alone tells nobody");
            Announcer::new().unwrap().announce(&net.link("eth0").await, ip).unwrap();
        });
        let new = mac(&two);
        client.run(async |net| {
            eventually("the entry moved", async || (net.neighbour(ip).await == Some(new)).then_some(())).await;
        });
    }
}

#[test]
fn sends_these_frames_and_no_others() {
    for vip in VIPS {
        let ip = vip.parse().unwrap();
        let [host, peer] = joined();
        for quiet in [&host, &peer] {
            quiet.blocking(|| std::fs::write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1").unwrap());
        }
        let end = frames::probe(Mac([2; 6]), "192.0.2.99".parse().unwrap());
        peer.run(async |_| {
            let listener = PacketListener::open().unwrap();
            let own = mac(&host);
            host.run(async |net| {
                let announcer = Announcer::new().unwrap();
                announcer.announce(&net.link("eth0").await, ip).unwrap();
                announcer.0.send(net.link("eth0").await.index, &end).unwrap();
            });
            for expected in frames::announcement(own, ip).into_iter().chain([end.clone()]) {
                assert_eq!(listener.recv().await.unwrap().bytes(), expected);
            }
        });
    }
}

#[test]
fn on_lo_there_is_nobody_to_tell() {
    let host = Host::new();
    host.run(async |net| {
        Announcer::new().unwrap().announce(&net.link("lo").await, VIPS[0].parse().unwrap()).unwrap();
    });
}

#[test]
fn a_device_that_is_down_or_gone_is_an_error_that_names_it() {
    let [host, _peer] = joined();
    host.run(async |net| {
        let announcer = Announcer::new().unwrap();
        net.down("eth0").await;
        let down = net.link("eth0").await;
        let gone = Link { index: 4711, name: "eth9".to_owned(), ..down.clone() };
        for (link, errno) in [(down, libc::ENETDOWN), (gone, libc::ENXIO)] {
            let error = announcer.announce(&link, VIPS[0].parse().unwrap()).unwrap_err();
            assert_eq!(error.errno(), Some(errno));
            assert!(error.to_string().contains(&format!("announce 192.0.2.10 on {}", link.name)), "{error}");
        }
    });
}
