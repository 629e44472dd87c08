//! The watch and the faults on the way: what the other cases rest on must not lie.

use crate::{
    cases,
    harness::{
        Bench, Failure, Outcome,
        sightings::{SILENCE, Sighting, Sightings},
        state::{State, VIP4, VIP6, vips},
        wait::{eventually, now, stays},
        wire, without_nft,
        world::{SOON, World},
    },
};
use lbagent::drill::lab::{
    impair::{Frames, Way},
    rtnl::Rtnl,
};
use std::{
    net::UdpSocket,
    time::{Duration, Instant},
};

cases![
    two_that_answer_in_turns_are_two_owners,
    a_quick_move_is_not_two_owners,
    one_that_was_silent_and_answers_again_has_not_been_there_meanwhile,
    a_watch_that_slept_has_seen_no_silence,
    the_watch_sees_who_has_it_in_both_families,
    frames_are_lost_in_the_direction_and_number_that_is_asked,
    only_the_frames_that_are_meant_are_lost,
    a_program_without_nftables_runs_and_gets_no_socket_for_it,
];

fn two_that_answer_in_turns_are_two_owners(_: &mut Bench) -> Outcome {
    let start = now();
    let seen = sightings(start, &[("lb1", 0), ("lb1", 10), ("lb2", 12), ("lb1", 20), ("lb2", 22), ("lb2", 40)]);
    let overlaps = seen.overlaps(start, ms(start, 100));
    assert_eq!(overlaps.len(), 1, "{overlaps:?}");
    assert_eq!(overlaps[0].hosts, ["lb1", "lb2"].map(Into::into));
    assert_eq!(seen.dual(start, ms(start, 100)), Duration::from_millis(8));
    assert_eq!(seen.dual(ms(start, 21), ms(start, 100)), Duration::ZERO, "it was over by then");
    assert_eq!(seen.owners(vips()[0], start, ms(start, 100)).len(), 4);
    assert_eq!(seen.silence(vips()[0], start, ms(start, 100)), Duration::from_millis(60));
    Ok(())
}

fn a_quick_move_is_not_two_owners(_: &mut Bench) -> Outcome {
    let start = now();
    let seen = sightings(start, &[("lb1", 0), ("lb1", 10), ("lb2", 11), ("lb2", 20)]);
    assert_eq!(seen.overlaps(start, ms(start, 100)), []);
    assert_eq!(seen.owners(vips()[0], start, ms(start, 100)), ["lb1", "lb2"].map(Into::into));
    assert_eq!(seen.moves(vips()[0], ms(start, 11), ms(start, 100)), 1, "who had it before is not forgotten");
    assert_eq!(seen.moves(vips()[0], ms(start, 12), ms(start, 100)), 0);
    Ok(())
}

fn one_that_was_silent_and_answers_again_has_not_been_there_meanwhile(_: &mut Bench) -> Outcome {
    let (start, pause) = (now(), SILENCE.as_millis() as u64 + 1);
    let seen = sightings(start, &[("lb1", 0), ("lb2", 1), ("lb2", 2), ("lb1", pause)]);
    assert_eq!(seen.overlaps(start, ms(start, 100)), []);
    // Once in the midst of another's answers is enough.
    let seen = sightings(start, &[("lb1", 0), ("lb1", 30), ("lb2", 31), ("lb2", 33), ("lb1", 60)]);
    assert_eq!(seen.dual(start, ms(start, 100)), Duration::from_millis(2));
    Ok(())
}

fn a_watch_that_slept_has_seen_no_silence(_: &mut Bench) -> Outcome {
    let start = now();
    let mut seen = sightings(start, &[("lb1", 0), ("lb1", 500), ("lb1", 600)]);
    seen.add_blind(ms(start, 50), ms(start, 490));
    assert_eq!(seen.silence(vips()[0], start, ms(start, 600)), Duration::from_millis(100));
    assert_eq!(seen.silence(vips()[0], ms(start, 100), ms(start, 500)), Duration::from_millis(10));
    Ok(())
}

fn the_watch_sees_who_has_it_in_both_families(bench: &mut Bench) -> Outcome {
    let world = bench.unattended(&State::pair())?;
    for (ip, bits) in [(VIP4, 32), (VIP6, 128)] {
        let (one, other) = (rtnl(world, "lb1")?, rtnl(world, "lb2")?);
        let address = ip.parse()?;
        let start = now();
        let had_by = |nodes: &[&str]| -> Result<bool, Failure> {
            let mut seen = world.owners_seen(address, now() - Duration::from_millis(100))?;
            seen.sort();
            seen.dedup();
            Ok(seen == nodes)
        };
        one.add_address("eth0", address, bits)?;
        eventually(SOON, &format!("{ip} is had by lb1"), || had_by(&["lb1"]))?;
        one.delete_address("eth0", address, bits)?;
        other.add_address("eth0", address, bits)?;
        eventually(SOON, &format!("{ip} is had by lb2"), || had_by(&["lb2"]))?;
        assert_eq!(world.dual_since(start)?, Duration::ZERO);
        assert_eq!(world.moves_since(start)?, 1);
        one.add_address("eth0", address, bits)?;
        eventually(SOON, &format!("{ip} is had by both"), || had_by(&["lb1", "lb2"]))?;
        stays(Duration::from_millis(100), "the watch goes on", || Ok(true))?;
        assert!(world.judge().is_err(), "two owners went unnoticed");
        assert!(world.dual_since(start)? > Duration::from_millis(50));
        one.delete_address("eth0", address, bits)?;
        other.delete_address("eth0", address, bits)?;
        eventually(SOON, &format!("{ip} is had by nobody"), || had_by(&[]))?;
        world.allow_two_owners();
    }
    Ok(())
}

fn frames_are_lost_in_the_direction_and_number_that_is_asked(bench: &mut Bench) -> Outcome {
    let world = bench.world(&State::pair())?;
    // Neighbours that know each other need no answers to send.
    assert!(passed(world, "lb1", "lb2", 10)? > 0 && passed(world, "lb2", "lb1", 10)? > 0);
    for (way, there, back) in [(Way::Out, true, false), (Way::In, false, true), (Way::Both, false, false)] {
        let cut = world.lab.impair("lb1", "eth1", way, Frames::All, 100)?;
        assert_eq!(passed(world, "lb2", "lb1", 10)? > 0, there, "{way:?}: to lb1");
        assert_eq!(passed(world, "lb1", "lb2", 10)? > 0, back, "{way:?}: from lb1");
        drop(cut);
        assert!(passed(world, "lb1", "lb2", 10)? > 0, "{way:?}: still lost");
    }
    let loss = world.lab.impair("lb1", "eth1", Way::In, Frames::All, 30)?;
    let mut came = 0;
    // In portions that a socket's buffer holds.
    for _ in 0..10 {
        came += passed(world, "lb2", "lb1", 100)?;
    }
    assert!((600..800).contains(&came), "30 % of 1000 were lost and {came} came");
    drop(loss);
    Ok(())
}

fn only_the_frames_that_are_meant_are_lost(bench: &mut Bench) -> Outcome {
    let world = bench.world(&State::pair())?;
    let beats = world.lab.impair("lb1", "eth1", Way::Both, Frames::Heartbeats, 100)?;
    assert!(passed(world, "lb2", "lb1", 10)? > 0, "UDP to another port");
    assert_eq!(passed_to(world, "lb2", "lb1", wire::PORT, 10)?, 0);
    drop(beats);
    let mac = world.lab.balancer("lb2")?.plan().interfaces[1].mac;
    let from = world.lab.impair("lb1", "eth1", Way::In, Frames::From(mac), 100)?;
    assert_eq!(passed(world, "lb2", "lb1", 10)?, 0);
    drop(from);
    assert!(passed(world, "lb2", "lb1", 10)? > 0);
    Ok(())
}

fn a_program_without_nftables_runs_and_gets_no_socket_for_it(bench: &mut Bench) -> Outcome {
    let world = bench.world(&State::pair())?;
    // Proof that the filter is in force: a launcher of a program that shows it.
    world.config.program = "/bin/grep".into();
    let launcher = without_nft::launcher(world)?;
    let seen = std::process::Command::new(launcher).args(["Seccomp:", "/proc/self/status"]).output()?;
    assert_eq!(String::from_utf8(seen.stdout)?.split_whitespace().last(), Some("2"));
    Ok(())
}

fn sightings(start: Instant, seen: &[(&str, u64)]) -> Sightings {
    let mut sightings = Sightings::default();
    for (host, at) in seen {
        sightings.add(Sighting { at: ms(start, *at), ip: vips()[0], host: (*host).into(), announces: false });
    }
    sightings
}

fn ms(start: Instant, ms: u64) -> Instant {
    start + Duration::from_millis(ms)
}

fn rtnl<'a>(world: &'a World, node: &str) -> Result<&'a Rtnl, Failure> {
    Ok(world.lab.balancer(node)?.rtnl())
}

/// How many of `count` datagrams from one balancer to another on the back segment arrive.
fn passed(world: &World, from: &str, to: &str, count: usize) -> Result<usize, Failure> {
    passed_to(world, from, to, 7, count)
}

fn passed_to(world: &World, from: &str, to: &str, port: u16, count: usize) -> Result<usize, Failure> {
    let address = |node: &str| format!("192.0.2.{}:{port}", node.trim_start_matches("lb"));
    let bind = |node: &str| -> Result<UdpSocket, Failure> {
        Ok(world.lab.balancer(node)?.namespace().run(|| UdpSocket::bind(address(node)))??)
    };
    let (sender, receiver) = (bind(from)?, bind(to)?);
    receiver.set_read_timeout(Some(Duration::from_millis(50)))?;
    let mut passed = 0;
    for _ in 0..count {
        // To a neighbour that cannot be resolved it fails, which is as good as lost.
        let _ = sender.send_to(b"datagram", address(to));
        if count >= 100 {
            continue;
        }
        passed += usize::from(receiver.recv(&mut [0; 64]).is_ok());
    }
    while receiver.recv(&mut [0; 64]).is_ok() {
        passed += 1;
    }
    Ok(passed)
}
