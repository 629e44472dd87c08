//! Somebody else changes the machine: what is ours comes back, what is not ours stays.

use crate::{
    cases,
    harness::{
        Bench, Outcome,
        state::{State, VIP4, VIP6},
        wait::{eventually, stays},
        world::{SOON, World},
    },
};
use std::{net::IpAddr, time::Duration};

cases![
    a_deleted_address_comes_back,
    foreign_addresses_survive_everything,
    an_interface_that_went_down_and_up_has_its_addresses_again,
    an_address_of_a_vip_that_the_backup_was_given_by_hand_is_not_removed,
];

/// No address of the state.
const FOREIGN: [&str; 2] = ["203.0.113.77", "2001:db8:77::1"];

fn a_deleted_address_comes_back(bench: &mut Bench) -> Outcome {
    let world = bench.running(&State::pair())?;
    for ip in [VIP4, VIP6] {
        let prefix = if ip.contains(':') { 128 } else { 32 };
        world.lab.balancer("lb1")?.rtnl().delete_address("eth0", ip.parse()?, prefix)?;
        eventually(Duration::from_secs(3), &format!("{ip} is back"), || holds(world, "lb1", ip))?;
    }
    world.settle("lb1")?;
    world.stays_at("lb1", Duration::from_secs(1))
}

fn foreign_addresses_survive_everything(bench: &mut Bench) -> Outcome {
    let world = bench.world(&State::pair())?;
    for node in ["lb1", "lb2"] {
        let rtnl = world.lab.balancer(node)?.rtnl();
        rtnl.add_address("eth0", FOREIGN[0].parse()?, 32)?;
        rtnl.add_address("lo", FOREIGN[1].parse()?, 128)?;
    }
    let there = |world: &World| -> Result<bool, crate::harness::Failure> {
        let mut there = true;
        for node in ["lb1", "lb2"] {
            for ip in FOREIGN {
                there &= holds(world, node, ip)?;
            }
        }
        Ok(there)
    };
    world.start_all()?;
    stays(Duration::from_millis(500), "they are there while lb1 is Active", || there(world))?;
    world.lab.stop_agent("lb1", SOON)?;
    world.settle("lb2")?;
    assert!(there(world)?, "after a handover");
    world.start("lb1")?;
    world.settle("lb1")?;
    assert!(there(world)?, "after failback");
    world.lab.stop_agent("lb2", SOON)?;
    assert!(there(world)?, "after a stop");
    Ok(())
}

fn an_interface_that_went_down_and_up_has_its_addresses_again(bench: &mut Bench) -> Outcome {
    let world = bench.running(&State::balancers(1))?;
    let front = "2001:db8:1::1".parse()?;
    world.lab.balancer("lb1")?.rtnl().set_up("eth0", false)?;
    // The kernel has flushed the IPv6 addresses; the agent may have put its own back already.
    let host = world.lab.balancer("lb1")?;
    host.rtnl().set_up("eth0", true)?;
    // What the host had of its own is an administrator's business.
    host.rtnl().add_address("eth0", front, 128)?;
    host.rtnl().add_neighbour_route("eth0", "2001:db8:1::200".parse()?, Some(front))?;
    host.rtnl().add_neighbour_route("eth0", "198.51.100.200".parse()?, Some("198.51.100.1".parse()?))?;
    world.settle("lb1")
}

fn an_address_of_a_vip_that_the_backup_was_given_by_hand_is_not_removed(bench: &mut Bench) -> Outcome {
    let world = bench.running(&State::pair())?;
    world.lab.balancer("lb2")?.rtnl().add_address("lo", VIP4.parse()?, 32)?;
    stays(Duration::from_secs(2), "the address stays", || holds(world, "lb2", VIP4))
}

fn holds(world: &World, node: &str, ip: &str) -> Result<bool, crate::harness::Failure> {
    let ip: IpAddr = ip.parse()?;
    Ok(world.lab.balancer(node)?.rtnl().addresses()?.iter().any(|held| held.ip == ip))
}
