//! The owner dies, in one way or another, and comes back: never two owners, as a third host sees it.
//!
//! What namespaces cannot show: a virtual machine that is paused stops its kernel's clock, too, so that a lease in its
//! kernel does not run out. Here only the agent stops, and the host's cables go silent.

use crate::{
    cases,
    harness::{
        Bench, Outcome,
        state::State,
        verdict::TAKEOVER,
        wait::{eventually, now, stays},
        world::{SOON, World},
    },
};
use lbagent::drill::lab::topology::HostRole;
use nix::sys::signal::Signal;
use std::time::Duration;

cases![
    a_crashed_host_is_replaced,
    a_host_that_falls_silent_is_replaced_and_may_die_later,
    a_killed_agent_is_replaced_and_its_kernel_says_nothing_more,
    a_killed_owner_that_starts_again_at_once_leaves_one_owner,
    a_hung_agent_is_replaced_and_wakes_up_without_a_stir,
    a_hang_shorter_than_the_lease_moves_nothing,
    a_paused_host_wakes_up_to_another_owner,
    ; long:
    a_hang_of_20_s_is_no_different,
    a_host_paused_for_20_s_is_no_different,
];

/// What a resumed agent may announce before it knows better: a fenced one should not get a frame out.
const ANNOUNCEMENTS: usize = 4;
/// A hang that leaves a lease of 300 ms, renewed every 75 ms, time to spare.
const SHORT: Duration = Duration::from_millis(120);
/// A hang that may or may not have been too long for the lease, because this machine is busy.
const TOO_LONG: Duration = Duration::from_millis(190);

fn state() -> State {
    State::swift().without_failback()
}

fn a_crashed_host_is_replaced(bench: &mut Bench) -> Outcome {
    let world = bench.watched(&state())?;
    let since = now();
    world.lab.crash("lb1")?;
    world.taken_by("lb2")?;
    world.dark_at_most(TAKEOVER, since)?;
    assert_eq!(world.moves_since(since)?, 1);
    assert!(world.announcements_since("lb2", since)? > 0, "nobody was told");
    Ok(())
}

fn a_host_that_falls_silent_is_replaced_and_may_die_later(bench: &mut Bench) -> Outcome {
    let world = bench.watched(&state())?;
    let since = now();
    world.lab.set_forwarding(HostRole::Balancer, "lb1", false)?;
    world.taken_by("lb2")?;
    world.dark_at_most(TAKEOVER, since)?;
    let since = now();
    world.lab.crash("lb1")?;
    world.lab.boot("lb1")?;
    world.start("lb1")?;
    eventually(SOON, "lb1 is Backup", || Ok(world.has_yielded("lb1")))?;
    world.taken_by("lb2")?;
    world.steady("lb2", since)
}

fn a_killed_agent_is_replaced_and_its_kernel_says_nothing_more(bench: &mut Bench) -> Outcome {
    let world = bench.watched(&state())?;
    let since = now();
    world.lab.kill_agent("lb1")?;
    world.taken_by("lb2")?;
    world.dark_at_most(TAKEOVER, since)?;
    assert_eq!(world.moves_since(since)?, 1);
    let since = now();
    world.start("lb1")?;
    eventually(SOON, "lb1 is Backup", || Ok(world.has_yielded("lb1")))?;
    world.taken_by("lb2")?;
    world.steady("lb2", since)?;
    assert_eq!(world.holders_of_any()?, ["lb2"], "lb1 has an address from its former life");
    Ok(())
}

fn a_killed_owner_that_starts_again_at_once_leaves_one_owner(bench: &mut Bench) -> Outcome {
    let world = bench.watched(&state())?;
    for _ in 0..3 {
        let since = now();
        let owner = world.taken_by_one()?;
        world.lab.kill_agent(&owner)?;
        world.start(&owner)?;
        world.taken_by_one()?;
        world.dark_at_most(TAKEOVER, since)?;
    }
    Ok(())
}

fn a_hung_agent_is_replaced_and_wakes_up_without_a_stir(bench: &mut Bench) -> Outcome {
    hang(bench, Duration::from_secs(2))
}

fn a_hang_of_20_s_is_no_different(bench: &mut Bench) -> Outcome {
    hang(bench, Duration::from_secs(20))
}

fn hang(bench: &mut Bench, duration: Duration) -> Outcome {
    let world = bench.watched(&state())?;
    let since = now();
    world.lab.signal_agent("lb1", Signal::SIGSTOP)?;
    world.taken_by("lb2")?;
    world.dark_at_most(TAKEOVER, since)?;
    assert_eq!(world.moves_since(since)?, 1);
    let taken = now();
    stays(duration.saturating_sub(since.elapsed()), "lb2 alone answers", || Ok(world.judge().is_ok()))?;
    world.lab.signal_agent("lb1", Signal::SIGCONT)?;
    let resumed = now();
    eventually(SOON, "lb1 is Backup", || Ok(world.has_yielded("lb1")))?;
    world.taken_by("lb2")?;
    world.steady("lb2", taken)?;
    let announced = world.announcements_since("lb1", resumed)?;
    assert!(announced <= ANNOUNCEMENTS, "lb1 announced {announced} times what it has no more");
    Ok(())
}

fn a_hang_shorter_than_the_lease_moves_nothing(bench: &mut Bench) -> Outcome {
    let world = bench.watched(&state())?;
    let (since, mut hangs) = (now(), 0);
    eventually(SOON, "five hangs that were short in fact", || {
        let stopped = now();
        world.lab.signal_agent("lb1", Signal::SIGSTOP)?;
        std::thread::sleep(SHORT);
        world.lab.signal_agent("lb1", Signal::SIGCONT)?;
        if stopped.elapsed() > TOO_LONG {
            return Err(format!("this machine is too busy: it made {SHORT:?} {:?}", stopped.elapsed()).into());
        }
        stays(Duration::from_millis(300), "lb1 alone answers", || Ok(world.moves_since(since)? == 0))?;
        hangs += 1;
        Ok(hangs == 5)
    })?;
    world.only("lb1", since, Duration::from_millis(300))?;
    world.taken_by("lb1")
}

fn a_paused_host_wakes_up_to_another_owner(bench: &mut Bench) -> Outcome {
    pause(bench, Duration::from_secs(2))
}

fn a_host_paused_for_20_s_is_no_different(bench: &mut Bench) -> Outcome {
    pause(bench, Duration::from_secs(20))
}

fn pause(bench: &mut Bench, duration: Duration) -> Outcome {
    let world = bench.watched(&state())?;
    let since = now();
    set_paused(world, true)?;
    world.taken_by("lb2")?;
    world.dark_at_most(TAKEOVER, since)?;
    let taken = now();
    stays(duration.saturating_sub(since.elapsed()), "lb2 alone answers", || Ok(world.judge().is_ok()))?;
    set_paused(world, false)?;
    eventually(SOON, "lb1 is Backup", || Ok(world.has_yielded("lb1")))?;
    world.taken_by("lb2")?;
    world.steady("lb2", taken)
}

fn set_paused(world: &mut World, paused: bool) -> Outcome {
    let signal = if paused { Signal::SIGSTOP } else { Signal::SIGCONT };
    world.lab.set_forwarding(HostRole::Balancer, "lb1", !paused)?;
    Ok(world.lab.signal_agent("lb1", signal)?)
}
