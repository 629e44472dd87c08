use super::*;
use crate::{
    kernel::{
        frames,
        testing::{Host, Net, joined, plug, switched},
    },
    model::Mac,
};
use std::net::IpAddr;

const SENDER: Mac = Mac([2, 0, 0, 0, 0, 0x99]);
const IPS: [&str; 2] = ["192.0.2.10", "2001:db8::10"];

fn probe(ip: &str) -> Vec<u8> {
    frames::probe(SENDER, ip.parse().unwrap())
}

/// The namespace's kernel itself no longer sends ND, which would be heard among what the test sends.
fn hush(host: &Host) {
    host.blocking(|| std::fs::write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1").unwrap());
}

fn hushed() -> [Host; 2] {
    let hosts = joined();
    hosts.iter().for_each(hush);
    hosts
}

async fn send(net: &Net, frames: &[Vec<u8>]) {
    let link = net.link("eth0").await.index;
    let sender = PacketSender::open().unwrap();
    frames.iter().for_each(|frame| sender.send(link, frame).unwrap());
}

#[test]
fn hears_arp_and_nd_with_the_device_and_nothing_else() {
    let [host, peer] = hushed();
    host.run(async |net| {
        let listener = PacketListener::open().unwrap();
        let good = [probe(IPS[0]), probe(IPS[1]), frames::announcement(SENDER, IPS[1].parse().unwrap()).remove(0)];
        let with = |at: usize, value| {
            let mut other = good[1].clone();
            other[at] = value;
            other
        };
        let ipv4 = [[0xff; 6].as_slice(), &SENDER.0, &[0x08, 0x00], &[0x45; 40]].concat();
        let (udp, echo, router_solicitation) = (with(20, 17), with(54, 128), with(54, 133));
        let short = good[1][..30].to_vec();
        let sent = [&ipv4, &good[0], &udp, &echo, &good[1], &router_solicitation, &short, &good[2]].map(Clone::clone);
        peer.run(async |net| send(&net, &sent).await);
        let link = net.link("eth0").await.index;
        for expected in good {
            let heard = listener.recv().await.unwrap();
            assert_eq!((heard.link, heard.bytes()), (link, &expected[..]));
        }
    });
}

#[test]
fn does_not_hear_what_this_host_sends() {
    let [host, peer] = hushed();
    host.run(async |net| {
        let listener = PacketListener::open().unwrap();
        send(&net, &[probe(IPS[0])]).await;
        peer.run(async |net| send(&net, &[probe(IPS[1])]).await);
        assert_eq!(listener.recv().await.unwrap().bytes(), probe(IPS[1]));
    });
}

#[test]
fn the_filter_alone_also_drops_outgoing_frames() {
    // As on kernels before 4.20, which know no PACKET_IGNORE_OUTGOING.
    let [host, peer] = hushed();
    host.run(async |net| {
        let socket = raw_socket().unwrap();
        socket.attach_filter(&filter()).unwrap();
        socket.bind(&address(libc::ETH_P_ALL as u16, 0)).unwrap();
        let listener = PacketListener { socket: raw::readable(socket).unwrap(), dropped: AtomicU64::new(0) };
        send(&net, &[probe(IPS[0])]).await;
        peer.run(async |net| send(&net, &[probe(IPS[1])]).await);
        assert_eq!(listener.recv().await.unwrap().bytes(), probe(IPS[1]));
    });
}

#[test]
fn frames_of_a_vlan_are_heard_only_where_they_belong() {
    let tagged = |vlan: u8| {
        let frame = probe(IPS[0]);
        [&frame[..12], &[0x81, 0x00, 0x00, vlan], &frame[12..]].concat()
    };
    let [host, peer] = hushed();
    host.run(async |_| {
        let listener = PacketListener::open().unwrap();
        // Nothing here has VLAN 10. VLAN 0 means: no VLAN.
        peer.run(async |net| send(&net, &[tagged(10), tagged(0), probe(IPS[1])]).await);
        assert_eq!(listener.recv().await.unwrap().bytes(), probe(IPS[0]));
        assert_eq!(listener.recv().await.unwrap().bytes(), probe(IPS[1]));
    });
}

#[test]
fn hears_devices_that_appear_later() {
    let ([host, other], switch) = switched();
    for quiet in [&host, &other, &switch] {
        hush(quiet);
    }
    host.run(async |net| {
        let listener = PacketListener::open().unwrap();
        plug(&switch, &host, "late", "eth7");
        let links = [net.link("eth0").await.index, net.link("eth7").await.index];
        other.run(async |net| send(&net, &[probe(IPS[0])]).await);
        let mut heard = [listener.recv().await.unwrap().link, listener.recv().await.unwrap().link];
        heard.sort();
        assert_eq!(heard, links);
    });
}

#[test]
fn drops_and_counts_what_nobody_reads() {
    let [host, peer] = hushed();
    host.run(async |_| {
        let listener = PacketListener::open().unwrap();
        assert_eq!(listener.dropped(), 0);
        peer.run(async |net| send(&net, &vec![probe(IPS[0]); 5000]).await);
        let dropped = listener.dropped();
        assert!(dropped > 0);
        assert_eq!(listener.dropped(), dropped, "counted once, and kept");
        for _ in dropped..5000 {
            listener.recv().await.unwrap();
        }
        peer.run(async |net| send(&net, &[probe(IPS[1])]).await);
        assert_eq!(listener.recv().await.unwrap().bytes(), probe(IPS[1]));
    });
}

#[test]
fn understands_the_kernels_own_frames() {
    let [host, peer] = joined();
    host.run(async |_| {
        let listener = PacketListener::open().unwrap();
        let peer = peer.with(&["192.0.2.2/24", "2001:db8::2/64"]);
        peer.blocking(|| {
            for ip in IPS {
                let any = if ip.contains(':') { "[::]:0" } else { "0.0.0.0:0" };
                let _ = std::net::UdpSocket::bind(any).unwrap().send_to(b"x", (ip, 9));
            }
        });
        let mut asked: Vec<IpAddr> = IPS.map(|ip| ip.parse().unwrap()).into();
        while !asked.is_empty() {
            let heard = listener.recv().await.unwrap();
            let frame = frames::parse(heard.bytes()).expect("every ARP and ND frame of a kernel is understood");
            asked.retain(|ip| match frame.body {
                frames::Body::Arp(arp) => *ip != arp.target_ip,
                frames::Body::Neighbour(nd) => *ip != nd.target,
            });
        }
    });
}

#[test]
fn sending_says_what_is_wrong_with_the_device() {
    let [host, _peer] = joined();
    host.run(async |net| {
        let sender = PacketSender::open().unwrap();
        let errno = |link| sender.send(link, &probe(IPS[0])).unwrap_err().raw_os_error();
        assert_eq!(errno(4711), Some(libc::ENXIO));
        net.down("eth0").await;
        assert_eq!(errno(net.link("eth0").await.index), Some(libc::ENETDOWN));
    });
}
