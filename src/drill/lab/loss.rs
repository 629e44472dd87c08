//! Switches that lose frames: of those that a host sends into its port, a share that is drawn anew for each frame.
//!
//! The rule is one nftables table per port, in the switch room, where no balancer sees it: a chain of the netdev family
//! at the port's ingress, which runs before the bridge gets the frame. Bytes as in linux/netfilter/nf_tables.h.

use super::LabError;
use crate::kernel::netns::NetNs;
use rtnetlink::sys::{Socket, SocketAddr};
use std::io;

const NETLINK_NETFILTER: isize = 12;
const FAMILY_NETDEV: u8 = 5;
const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const NEW_TABLE: u16 = SUBSYSTEM << 8;
const DELETE_TABLE: u16 = SUBSYSTEM << 8 | 2;
const NEW_CHAIN: u16 = SUBSYSTEM << 8 | 3;
const NEW_RULE: u16 = SUBSYSTEM << 8 | 6;
const REQUEST: u16 = 0x1;
const ACK: u16 = 0x4;
const CREATE: u16 = 0x400;
const APPEND: u16 = 0x800;
const NESTED: u16 = 0x8000;
const NLMSG_ERROR: u16 = 2;
const CHAIN: &str = "lose";
const REGISTER: u32 = 1;

/// Loses `percent` (0 to 100) of what comes in at the device `port` of the namespace `switches`; 0 takes the rule away.
pub(super) fn set(switches: &NetNs, port: &str, percent: u8) -> Result<(), LabError> {
    let program = || {
        let mut socket = Socket::new(NETLINK_NETFILTER)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        socket.set_non_blocking(true)?;
        exchange(&socket, &batch(port, percent))
    };
    let programmed = switches.run(program).and_then(|programmed| programmed);
    programmed.map_err(LabError::on(format!("lose {percent} % at port {port}")))
}

/// The transaction that makes the rule of `port` what it should be, whatever was there.
fn batch(port: &str, percent: u8) -> Vec<u8> {
    let table = format!("loss-{port}");
    let mut out = Vec::new();
    message(&mut out, BATCH_BEGIN, 0, 0, SUBSYSTEM, |_| {});
    // Made before it is deleted, because deleting what is not there would fail.
    for (kind, flags) in [(NEW_TABLE, CREATE), (DELETE_TABLE, 0)] {
        message(&mut out, kind, ACK | flags, FAMILY_NETDEV, 0, |out| string(out, 1, &table));
    }
    if percent > 0 {
        message(&mut out, NEW_TABLE, ACK | CREATE, FAMILY_NETDEV, 0, |out| string(out, 1, &table));
        message(&mut out, NEW_CHAIN, ACK | CREATE, FAMILY_NETDEV, 0, |out| ingress_chain(out, &table, port));
        message(&mut out, NEW_RULE, ACK | CREATE | APPEND, FAMILY_NETDEV, 0, |out| losing_rule(out, &table, percent));
    }
    message(&mut out, BATCH_END, 0, 0, SUBSYSTEM, |_| {});
    out
}

fn ingress_chain(out: &mut Vec<u8>, table: &str, port: &str) {
    string(out, 1, table);
    string(out, 3, CHAIN);
    nest(out, 4, |hook| {
        number(hook, 1, 0);
        number(hook, 2, 0);
        string(hook, 3, port);
    });
    string(out, 7, "filter");
}

/// `numgen random mod 100 < percent drop`: the draw is in host order, and comparisons go byte by byte.
fn losing_rule(out: &mut Vec<u8>, table: &str, percent: u8) {
    const RANDOM: u32 = 1;
    const TO_NETWORK_ORDER: u32 = 1;
    const LESS: u32 = 2;
    string(out, 1, table);
    string(out, 2, CHAIN);
    nest(out, 4, |rule| {
        expression(rule, "numgen", |draw| {
            [(1, REGISTER), (2, 100), (3, RANDOM)].iter().for_each(|(kind, value)| number(draw, *kind, *value));
        });
        expression(rule, "byteorder", |order| {
            let fields = [(1, REGISTER), (2, REGISTER), (3, TO_NETWORK_ORDER), (4, 4), (5, 4)];
            fields.iter().for_each(|(kind, value)| number(order, *kind, *value));
        });
        expression(rule, "cmp", |cmp| {
            number(cmp, 1, REGISTER);
            number(cmp, 2, LESS);
            nest(cmp, 3, |value| number(value, 1, percent.into()));
        });
        expression(rule, "immediate", |verdict| {
            number(verdict, 1, 0);
            nest(verdict, 2, |data| nest(data, 2, |code| number(code, 1, 0)));
        });
    });
}

/// The kernel works a batch off within `send` and has queued its answers when that returns.
fn exchange(socket: &Socket, batch: &[u8]) -> io::Result<()> {
    socket.send(batch, 0)?;
    let mut first_error = Ok(());
    loop {
        let mut answer = Vec::with_capacity(8192);
        match socket.recv(&mut answer, 0) {
            Ok(_) => first_error = first_error.and(check(&answer)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return first_error,
            Err(error) => return Err(error),
        }
    }
}

/// The error that an answer carries, if it does.
fn check(answer: &[u8]) -> io::Result<()> {
    let kind = answer.get(4..6).and_then(|bytes| bytes.try_into().ok()).map_or(0, u16::from_ne_bytes);
    let code = answer.get(16..20).and_then(|bytes| bytes.try_into().ok()).map_or(0, i32::from_ne_bytes);
    if kind == NLMSG_ERROR && code != 0 { Err(io::Error::from_raw_os_error(-code)) } else { Ok(()) }
}

fn message(out: &mut Vec<u8>, kind: u16, flags: u16, family: u8, resource: u16, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend([0; 4]);
    out.extend(kind.to_ne_bytes());
    out.extend((REQUEST | flags).to_ne_bytes());
    out.extend([0; 8]); // sequence and port: the kernel only echoes them
    out.extend([family, 0]);
    out.extend(resource.to_be_bytes());
    body(out);
    let length = (out.len() - start) as u32;
    out[start..start + 4].copy_from_slice(&length.to_ne_bytes());
}

fn expression(out: &mut Vec<u8>, name: &str, data: impl FnOnce(&mut Vec<u8>)) {
    nest(out, 1, |out| {
        string(out, 1, name);
        nest(out, 2, data);
    });
}

fn nest(out: &mut Vec<u8>, kind: u16, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend([0; 4]);
    body(out);
    let length = (out.len() - start) as u16;
    out[start..start + 2].copy_from_slice(&length.to_ne_bytes());
    out[start + 2..start + 4].copy_from_slice(&(kind | NESTED).to_ne_bytes());
}

fn string(out: &mut Vec<u8>, kind: u16, text: &str) {
    attribute(out, kind, &[text.as_bytes(), &[0]].concat());
}

fn number(out: &mut Vec<u8>, kind: u16, value: u32) {
    attribute(out, kind, &value.to_be_bytes());
}

fn attribute(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    out.extend((4 + value.len() as u16).to_ne_bytes());
    out.extend(kind.to_ne_bytes());
    out.extend(value);
    out.resize(out.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use crate::{
        drill::lab::{
            Lab,
            clock::wait_until,
            topology::{HostPlan, HostRole, InterfacePlan, Topology},
        },
        model::{Mac, VipAddress},
    };
    use std::{collections::BTreeMap, net::UdpSocket, path::Path, time::Duration};

    const SENT: usize = 200;
    /// For a frame that may be lost: one that takes longer counts for the next.
    const SHORT: Duration = Duration::from_millis(20);
    /// For one that may not.
    const LONG: Duration = Duration::from_secs(10);

    fn host(name: &str, ip: &str) -> HostPlan {
        let addresses = vec![VipAddress::host(ip.parse().unwrap())];
        let (mac, neighbours) = (Mac([0; 6]), BTreeMap::new());
        let nic = InterfacePlan { name: "eth0".into(), segment: Some(0), mac, addresses, neighbours };
        HostPlan { name: name.into(), role: HostRole::Balancer, interfaces: vec![nic], servers: Vec::new() }
    }

    /// How many of [`SENT`] datagrams arrive, when each is waited for so long.
    fn arrived(from: &UdpSocket, to: &UdpSocket, patience: Duration) -> usize {
        to.set_read_timeout(Some(patience)).unwrap();
        (0..SENT).filter(|_| from.send(b"x").is_ok() && to.recv(&mut [0; 8]).is_ok()).count()
    }

    #[test]
    fn a_share_of_what_one_host_sends_is_lost() {
        let topology = Topology::new(["front"], vec![host("lb1", "192.0.2.1"), host("lb2", "192.0.2.2")], &[]);
        let lab = Lab::build(&topology, Path::new("/tmp")).unwrap();
        let bind = |name: &str, ip: &str| {
            let socket = lab.balancer(name).unwrap().namespace().run(|| UdpSocket::bind((ip, 694)).unwrap()).unwrap();
            socket.set_read_timeout(Some(SHORT)).unwrap();
            socket
        };
        let (one, other) = (bind("lb1", "192.0.2.1"), bind("lb2", "192.0.2.2"));
        one.connect("192.0.2.2:694").unwrap();
        other.connect("192.0.2.1:694").unwrap();
        let reached = || one.send(b"x").is_ok() && other.recv(&mut [0; 8]).is_ok();
        assert!(wait_until(LONG, reached), "the switch carries nothing");
        // What waited for the neighbour to be found.
        while other.recv(&mut [0; 8]).is_ok() {}

        lab.set_loss("lb1", "eth0", 50).unwrap();
        let half = arrived(&one, &other, SHORT);
        // Seven standard deviations.
        assert!((SENT / 4..=SENT * 3 / 4).contains(&half), "{half} of {SENT} at 50 %");
        assert_eq!(arrived(&other, &one, LONG), SENT, "the other host's frames are not lost");
        lab.set_loss("lb1", "eth0", 0).unwrap();
        assert_eq!(arrived(&one, &other, LONG), SENT, "none is lost any more");
        assert!(lab.set_loss("lb1", "eth7", 50).is_err());
    }
}
