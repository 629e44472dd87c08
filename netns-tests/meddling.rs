//! An administrator, or a program of theirs, changes what the agent has made: addresses, rules, devices.

use crate::{
    cases,
    harness::{
        Bench, Failure, Outcome,
        state::{State, VIP4, VIP6, vips},
        verdict::TAKEOVER,
        wait::{eventually, now, stays},
        world::{SOON, World},
    },
};
use lbagent::drill::lab::nft;
use nix::sys::signal::Signal;
use std::{net::IpAddr, time::Duration};

cases![
    an_address_deleted_ten_times_comes_back_each_time_at_once,
    an_address_that_a_backup_is_given_by_hand_stays_silent,
    a_flushed_ruleset_is_made_anew_and_nothing_moves,
    a_device_that_goes_and_comes_back_makes_no_second_owner,
    a_backup_whose_device_came_back_takes_over,
    a_burst_of_changes_that_overflows_the_socket_hides_nothing,
];

/// How soon an address is back: 50 ms where nothing else runs.
const REPAIR: Duration = Duration::from_millis(500);

fn an_address_deleted_ten_times_comes_back_each_time_at_once(bench: &mut Bench) -> Outcome {
    let world = bench.watched(&State::swift())?;
    let (since, mut worst) = (now(), Duration::ZERO);
    for ip in [VIP4, VIP6].repeat(10) {
        delete(world, ip)?;
        let deleted = now();
        while !holds(world, "lb1", ip)? {
            if deleted.elapsed() > REPAIR {
                return Err(format!("{ip} was not back within {REPAIR:?}").into());
            }
            std::thread::yield_now();
        }
        worst = worst.max(deleted.elapsed());
        // By hand, and not faster than the kernel tells of it.
        stays(Duration::from_millis(50), "nothing moves", || Ok(world.moves_since(since)? == 0))?;
    }
    println!("back within {worst:?} at worst");
    assert_eq!(world.moves_since(since)?, 0);
    world.taken_by("lb1")?;
    world.only("lb1", since, REPAIR + Duration::from_millis(300))?;
    eventually(SOON, "lb1 says that somebody deletes it", || {
        Ok(world.reports("lb1", &[VIP4])? || world.reports("lb1", &[VIP6])?)
    })
}

fn an_address_that_a_backup_is_given_by_hand_stays_silent(bench: &mut Bench) -> Outcome {
    let world = bench.watched(&State::swift())?;
    let since = now();
    give(world, "lb2")?;
    stays(Duration::from_secs(2), "lb1 alone answers", || Ok(world.judge().is_ok()))?;
    world.unmoved("lb1", since)
}

fn a_flushed_ruleset_is_made_anew_and_nothing_moves(bench: &mut Bench) -> Outcome {
    let world = bench.watched(&State::swift())?;
    let since = now();
    for _ in 0..3 {
        for node in ["lb1", "lb2"] {
            nft::flush_ruleset(world.lab.balancer(node)?.namespace())?;
        }
        stays(Duration::from_millis(500), "nothing moves", || Ok(world.moves_since(since)? == 0))?;
    }
    world.unmoved("lb1", since)?;
    // Without a fence, lb2's kernel would answer for what it is given now.
    give(world, "lb2")?;
    stays(Duration::from_secs(1), "lb1 alone answers", || Ok(world.judge().is_ok()))?;
    // And lb1's for what its agent, killed, leaves behind.
    world.lab.kill_agent("lb1")?;
    let killed = now();
    eventually(SOON, "lb2 has taken over", || Ok(world.owner_at_last()?.as_deref() == Some("lb2")))?;
    world.judge()?;
    assert!(world.gone_since(vips()[0], killed)? < TAKEOVER);
    Ok(())
}

fn a_device_that_goes_and_comes_back_makes_no_second_owner(bench: &mut Bench) -> Outcome {
    let world = bench.watched(&State::swift())?;
    let since = now();
    world.lab.unplug("lb1", "eth0")?;
    world.taken_by("lb2")?;
    world.dark_at_most(TAKEOVER, since)?;
    world.lab.plug("lb1", "eth0")?;
    // Failback, when its time has come.
    world.taken_by("lb1")?;
    assert_eq!(world.moves_since(since)?, 2);
    Ok(())
}

fn a_backup_whose_device_came_back_takes_over(bench: &mut Bench) -> Outcome {
    let world = bench.watched(&State::swift())?;
    let since = now();
    world.lab.unplug("lb2", "eth0")?;
    stays(Duration::from_millis(500), "nothing moves", || Ok(world.moves_since(since)? == 0))?;
    world.lab.plug("lb2", "eth0")?;
    world.taken_by("lb1")?;
    world.unmoved("lb1", since)?;
    let killed = now();
    world.lab.kill_agent("lb1")?;
    world.taken_by("lb2")?;
    world.dark_at_most(TAKEOVER, killed)
}

/// The agent sleeps a little while its kernel reports so many changes that most reports are lost, and with them the one
/// that matters.
fn a_burst_of_changes_that_overflows_the_socket_hides_nothing(bench: &mut Bench) -> Outcome {
    let world = bench.watched(&State::swift())?;
    let since = now();
    for ip in [VIP4, VIP6] {
        world.lab.signal_agent("lb1", Signal::SIGSTOP)?;
        burst(world, "lb1", 400)?;
        delete(world, ip)?;
        world.lab.signal_agent("lb1", Signal::SIGCONT)?;
        eventually(SOON, "the address is back", || {
            let owner = world.owner_at_last()?;
            Ok(owner.is_some_and(|owner| holds(world, &owner, ip).unwrap_or(false)))
        })?;
    }
    // A Backup that has lost reports, too.
    world.lab.signal_agent("lb2", Signal::SIGSTOP)?;
    burst(world, "lb2", 3000)?;
    world.lab.signal_agent("lb2", Signal::SIGCONT)?;
    world.taken_by("lb1")?;
    world.dark_at_most(TAKEOVER, since)?;
    let killed = now();
    world.lab.kill_agent("lb1")?;
    world.taken_by("lb2")?;
    world.dark_at_most(TAKEOVER, killed)
}

/// Addresses come and go on a device that is nobody's business; two reports each.
fn burst(world: &World, node: &str, count: usize) -> Outcome {
    let rtnl = world.lab.balancer(node)?.rtnl();
    let ip = "203.0.113.99".parse()?;
    for _ in 0..count / 2 {
        rtnl.add_address("lo", ip, 32)?;
        rtnl.delete_address("lo", ip, 32)?;
    }
    Ok(())
}

/// Both addresses, where a kernel answers for them like for its own.
fn give(world: &World, node: &str) -> Outcome {
    let rtnl = world.lab.balancer(node)?.rtnl();
    rtnl.add_address("lo", VIP4.parse()?, 32)?;
    Ok(rtnl.add_address("eth0", VIP6.parse()?, 128)?)
}

/// From whichever device of lb1 has it.
fn delete(world: &World, ip: &str) -> Outcome {
    let bits = if ip.contains(':') { 128 } else { 32 };
    Ok(world.lab.balancer("lb1")?.rtnl().delete_address("eth0", ip.parse()?, bits)?)
}

fn holds(world: &World, node: &str, ip: &str) -> Result<bool, Failure> {
    let ip: IpAddr = ip.parse()?;
    Ok(world.lab.balancer(node)?.rtnl().addresses()?.iter().any(|held| held.ip == ip))
}
