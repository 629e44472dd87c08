//! The lab itself: what the other cases and the drill build on must not lie.
//!
//! A simulated server on the balancer stands in for the agent here, and the case moves the address by hand.

use crate::{
    cases,
    harness::{
        Bench, Failure, Outcome,
        state::{State, VIP4, VIP6},
        wait::{eventually, now, stays},
        wire::{self, Datagram},
    },
};
use lbagent::{
    drill::lab::{
        Lab,
        agent::HTTP,
        host::Host,
        targets::{Ask, Target},
        topology::{HostPlan, HostRole, InterfacePlan, ServerPlan, Topology},
        traffic::{Traffic, record::Record},
    },
    kernel::isolate::SCRATCH,
    model::{Mac, Name, VipAddress},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    path::Path,
    time::Duration,
};

cases![
    clients_reach_servers_over_both_families,
    fresh_clients_begin_at_the_pace_they_are_given,
    a_disabled_port_silences_both_directions_and_keeps_the_carrier,
    one_device_can_be_silenced_alone,
    a_crashed_host_comes_back_as_it_was,
    stopped_servers_refuse_and_started_ones_serve,
    long_lived_connections_break_when_their_host_goes,
    a_lab_is_built_quickly_and_leaves_no_files,
    the_auditor_hears_everyone_who_answers,
    heartbeats_are_recorded_and_sent_again,
];

/// Long enough for anything on a loaded machine.
const SOON: Duration = Duration::from_secs(5);

fn clients_reach_servers_over_both_families(_: &mut Bench) -> Outcome {
    let (lab, traffic) = start()?;
    eventually(SOON, "all targets answer", || Ok(serves(&traffic)))?;
    let since = now();
    stays(Duration::from_millis(500), "no attempt fails", || Ok(fails(&traffic.record(), since) == 0))?;
    let record = traffic.record();
    let served = record.served_since(since);
    assert_eq!(served.keys().copied().collect::<Vec<_>>(), ["mail/a", "web/a"]);
    assert_eq!(lab.holders(&["198.51.100.10".parse()?, "2001:db8::10".parse()?])?, [Name::new("lb1")?]);
    Ok(())
}

fn fresh_clients_begin_at_the_pace_they_are_given(_: &mut Bench) -> Outcome {
    let lab = Lab::build(&topology(), Path::new(SCRATCH))?;
    // Far apart, so that a loaded machine makes few of them come late; a pace that is not heeded makes twenty times more.
    let (pace, start) = (Duration::from_millis(200), now());
    let traffic = Traffic::start_fresh(lab.clients()?.namespace(), targets()?, pace)?;
    eventually(SOON, "some attempts have succeeded", || Ok(goods(&traffic.record(), start) >= 4))?;
    let begun = traffic.record().attempts.len();
    assert!(begun <= (start.elapsed().as_millis() / pace.as_millis()) as usize + 1, "{begun} attempts");
    Ok(())
}

fn a_disabled_port_silences_both_directions_and_keeps_the_carrier(_: &mut Bench) -> Outcome {
    let (lab, traffic) = start()?;
    eventually(SOON, "all targets answer", || Ok(serves(&traffic)))?;
    lab.set_forwarding(HostRole::Balancer, "lb1", false)?;
    let silent_from = now() + Duration::from_millis(20);
    assert!(lab.balancer("lb1")?.rtnl().has_carrier("eth0")?, "the host must not notice");
    eventually(SOON, "attempts fail", || Ok(fails(&traffic.record(), silent_from) > 5))?;
    assert_eq!(goods(&traffic.record(), silent_from), 0, "something got through");
    let deaf = lab.balancer("lb1")?.namespace().run(|| ping_like("203.0.113.1"))?;
    assert!(!deaf, "the host's own packets got out");
    lab.set_forwarding(HostRole::Balancer, "lb1", true)?;
    eventually(SOON, "all targets answer again", || Ok(serves(&traffic)))
}

fn one_device_can_be_silenced_alone(_: &mut Bench) -> Outcome {
    let (lab, traffic) = start()?;
    lab.set_device_forwarding("lb1", "eth1", false)?;
    let since = now();
    eventually(SOON, "the other device works", || Ok(serves(&traffic)))?;
    lab.set_device_forwarding("lb1", "eth0", false)?;
    let silent_from = now() + Duration::from_millis(20);
    eventually(SOON, "attempts fail", || Ok(fails(&traffic.record(), silent_from) > 5))?;
    assert!(goods(&traffic.record(), since) > 0);
    Ok(())
}

fn a_crashed_host_comes_back_as_it_was(_: &mut Bench) -> Outcome {
    let (mut lab, traffic) = start()?;
    eventually(SOON, "all targets answer", || Ok(serves(&traffic)))?;
    let links = |host: &Host| -> Result<_, Failure> {
        Ok(host.rtnl().links()?.into_iter().map(|(_, name, mac)| (name, mac)).collect::<BTreeSet<_>>())
    };
    let before = (links(lab.balancer("lb1")?)?, lab.balancer("lb1")?.rtnl().addresses()?);
    lab.crash("lb1")?;
    let gone_from = now();
    assert_eq!(lab.holders(&["198.51.100.10".parse()?])?, []);
    eventually(SOON, "attempts fail", || Ok(fails(&traffic.record(), gone_from) > 5))?;
    lab.boot("lb1")?;
    assert_eq!((links(lab.balancer("lb1")?)?, lab.balancer("lb1")?.rtnl().addresses()?), before);
    eventually(SOON, "all targets answer again", || Ok(serves(&traffic)))
}

fn stopped_servers_refuse_and_started_ones_serve(_: &mut Bench) -> Outcome {
    let (mut lab, traffic) = start()?;
    eventually(SOON, "all targets answer", || Ok(serves(&traffic)))?;
    lab.host_mut(HostRole::Balancer, "lb1")?.stop_servers();
    let since = now();
    eventually(SOON, "attempts are refused", || Ok(fails(&traffic.record(), since) > 5))?;
    let summary = traffic.record().summary(&vip(), since, now());
    assert!(summary.reasons.iter().any(|(why, _)| why == "connection refused"), "{:?}", summary.reasons);
    lab.host_mut(HostRole::Balancer, "lb1")?.start_servers()?;
    eventually(SOON, "all targets answer again", || Ok(serves(&traffic)))?;
    let (status, body) = lab.balancer("lb1")?.get(HTTP, "/status?x")?;
    assert_eq!((status, body.as_str()), (204, "status /status?x\n"));
    Ok(())
}

fn long_lived_connections_break_when_their_host_goes(_: &mut Bench) -> Outcome {
    let (mut lab, traffic) = start()?;
    eventually(SOON, "all targets answer", || Ok(serves(&traffic)))?;
    let since = now();
    stays(Duration::from_millis(300), "no connection breaks", || Ok(traffic.record().broken.is_empty()))?;
    lab.crash("lb1")?;
    lab.boot("lb1")?;
    let expected = lbagent::drill::lab::traffic::STAYING;
    eventually(SOON, "each connection breaks once", || Ok(traffic.record().broken.len() == expected))?;
    assert_eq!(traffic.record().summary(&vip(), since, now()).broken, expected);
    Ok(())
}

fn a_lab_is_built_quickly_and_leaves_no_files(_: &mut Bench) -> Outcome {
    let before = std::fs::read_dir(SCRATCH)?.count();
    let start = now();
    let lab = Lab::build(&topology(), Path::new(SCRATCH))?;
    println!("a lab of {} hosts took {:?}", lab.hosts().len(), start.elapsed());
    lab.write_key("auth.key")?;
    assert!(std::fs::read_dir(SCRATCH)?.count() > before);
    drop(lab);
    assert_eq!(std::fs::read_dir(SCRATCH)?.count(), before);
    Ok(())
}

fn the_auditor_hears_everyone_who_answers(bench: &mut Bench) -> Outcome {
    let world = bench.world(&State::pair())?;
    for (ip, bits) in [(VIP4, 32), (VIP6, 128)] {
        assert_eq!(world.answering(ip)?.len(), 0);
        world.lab.balancer("lb1")?.rtnl().add_address("eth0", ip.parse()?, bits)?;
        assert_eq!(world.answering(ip)?, ["lb1"]);
        world.lab.balancer("lb2")?.rtnl().add_address("eth0", ip.parse()?, bits)?;
        assert_eq!(world.answering(ip)?, ["lb1", "lb2"]);
    }
    Ok(())
}

fn heartbeats_are_recorded_and_sent_again(bench: &mut Bench) -> Outcome {
    let world = bench.world(&State::pair())?;
    let sender = world.lab.balancer("lb1")?.namespace().clone();
    let like = Datagram { from: "192.0.2.1:694".parse()?, to: "192.0.2.2:694".parse()?, payload: Vec::new() };
    let copy = like.clone();
    let sending = std::thread::spawn(move || {
        for _ in 0..20 {
            wire::send(&sender, &copy, b"one").map_err(|error| error.to_string())?;
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok::<(), String>(())
    });
    let host = world.lab.balancer("lb2")?.namespace();
    let seen = wire::record(host, &["192.0.2.1".parse()?], Duration::from_millis(150))?;
    sending.join().map_err(|_| "the sender panicked")??;
    assert!(!seen.is_empty());
    assert!(seen.iter().all(|seen| seen.payload == b"one" && seen.from == like.from && seen.to == like.to));
    assert!(wire::record(host, &["192.0.2.9".parse()?], Duration::from_millis(50))?.is_empty());
    Ok(())
}

fn vip() -> Name {
    Name::new("web").expect("a good name")
}

fn serves(traffic: &Traffic) -> bool {
    let since = now() - Duration::from_millis(300);
    traffic.record().serves_since(&vip(), &traffic.addresses(&vip()), since)
}

fn fails(record: &Record, since: std::time::Instant) -> usize {
    record.attempts.iter().filter(|attempt| attempt.started >= since && attempt.result.is_err()).count()
}

fn goods(record: &Record, since: std::time::Instant) -> usize {
    record.attempts.iter().filter(|attempt| attempt.started >= since && attempt.result.is_ok()).count()
}

/// Whether a host answers at all: a refused connection is an answer.
fn ping_like(ip: &str) -> bool {
    let Ok(ip) = ip.parse::<IpAddr>() else { return false };
    let tried = std::net::TcpStream::connect_timeout(&SocketAddr::new(ip, 9), Duration::from_millis(300));
    tried.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
}

fn start() -> Result<(Lab, Traffic), Failure> {
    let lab = Lab::build(&topology(), Path::new(SCRATCH))?;
    let traffic = Traffic::start(lab.clients()?.namespace(), targets()?)?;
    Ok((lab, traffic))
}

fn targets() -> Result<BTreeMap<Name, Vec<Target>>, Failure> {
    let http = Ask::Http { host: "www.example.com".into(), path: "/".into(), fields: String::new(), redirects: false };
    let target =
        |address: &str, ask: &Ask| -> Result<_, Failure> { Ok(Target { address: address.parse()?, ask: ask.clone() }) };
    let targets = vec![
        target("198.51.100.10:80", &http)?,
        target("[2001:db8::10]:80", &http)?,
        target("198.51.100.10:25", &Ask::Line)?,
        target("[2001:db8::10]:25", &Ask::Line)?,
    ];
    Ok(BTreeMap::from([(vip(), targets)]))
}

/// A balancer that serves by itself, a silent one, and clients.
fn topology() -> Topology {
    let server = |listen: &str, name: &str, greets| ServerPlan {
        listen: listen.parse().expect("an address"),
        name: name.into(),
        greets,
        statuses: BTreeMap::from([("/status".into(), 204)]),
    };
    let front = ["198.51.100.10", "2001:db8::10"];
    let lb1 = HostPlan {
        name: "lb1".into(),
        role: HostRole::Balancer,
        interfaces: vec![
            nic("eth0", 0, &["198.51.100.2", "2001:db8::2", front[0], front[1]]),
            nic("eth1", 1, &["192.0.2.1"]),
        ],
        servers: vec![
            server("198.51.100.10:80", "web/a", false),
            server("[2001:db8::10]:80", "web/a", false),
            server("198.51.100.10:25", "mail/a", true),
            server("[2001:db8::10]:25", "mail/a", true),
            server("127.0.0.1:9694", "status", false),
        ],
    };
    let clients = HostPlan {
        name: "clients".into(),
        role: HostRole::Clients,
        interfaces: vec![nic("eth0", 0, &["203.0.113.1", "2001:db8:ffff::1"])],
        servers: Vec::new(),
    };
    Topology::new(["front", "back"], vec![lb1, clients], &[])
}

fn nic(name: &str, segment: usize, ips: &[&str]) -> InterfacePlan {
    let addresses = ips.iter().map(|ip| VipAddress::host(ip.parse().expect("an address"))).collect();
    InterfacePlan {
        name: name.into(),
        segment: Some(segment),
        mac: Mac([0; 6]),
        addresses,
        neighbours: BTreeMap::new(),
    }
}
