//! The proof: two or three nodes in a simulated world with a virtual clock. Its network loses, delays, doubles and cuts;
//! its kernels answer for their addresses, and fence them, whatever their agents do; its gateway and client remember
//! whose an address was. A seeded generator makes faults, and every schedule can be run again.
//!
//! ```text
//! world (clock, queue) ── host (agent, clock, disk) ── kernel (addresses, fence, leases, tickets)
//!    │                      ├─ driver (turns of the machine, effects one by one)
//!    │                      └─ reconcile (passes: addresses follow roles; announcements)
//!    ├── net (heartbeat paths), front (frames, caches, traffic)
//!    └── check (after every step: never two that could know, never nobody)
//! ```
//!
//! `LBAGENT_SIM_SEED=1234 cargo test --lib sim::random` runs one schedule, and tells its story if it fails.
//! `cargo test --release --lib sim:: -- --ignored` runs 100,000 of them, `LBAGENT_SIM_SEEDS` as many as it says.

mod cases;
mod check;
mod claims;
mod driver;
mod faults;
mod front;
mod host;
mod kernel;
mod moves;
mod mutants;
mod net;
mod offers;
mod owners;
mod power;
mod prng;
mod proof;
mod reconcile;
mod setup;
mod starts;
mod told;
mod vips;
mod world;

use super::machine::Rules;
use faults::Tally;
use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

/// Seeds of the plain test, and of the long one.
const SEEDS: u64 = 5_000;
const MANY_SEEDS: u64 = 100_000;

/// Seeds whose schedules once failed.
const REGRESSIONS: [u64; 14] = [33, 67, 82, 92, 99, 116, 178, 241, 256, 397, 2195, 5014, 5646, 973];

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Runs the schedules of these seeds; the failure of the lowest seed that fails, if any does.
fn storm(seeds: std::ops::Range<u64>, rules: Rules) -> Result<Tally, String> {
    let next = AtomicU64::new(seeds.start);
    let worker = || {
        let mut tally = Tally::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return Ok(tally);
            }
            if let Err(failure) = faults::run(seed, rules).map(|run| tally.add(&run)) {
                // Nobody needs to begin another.
                next.store(seeds.end, Ordering::Relaxed);
                return Err((seed, failure));
            }
        }
    };
    let threads = thread::available_parallelism().map_or(2, |count| count.get().max(2));
    let results: Vec<Result<Tally, (u64, String)>> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    let mut sum = Tally::default();
    let mut failures = Vec::new();
    for result in results {
        match result {
            Ok(tally) => sum.add(&tally),
            Err(failure) => failures.push(failure),
        }
    }
    failures.into_iter().min().map_or(Ok(sum), |(_, failure)| Err(failure))
}

fn expect_one_owner(seeds: std::ops::Range<u64>) {
    match storm(seeds, Rules::default()) {
        Ok(tally) => println!("{tally}"),
        Err(failure) => panic!("{failure}"),
    }
}

#[test]
fn random_schedules_keep_one_owner() {
    let seeds = match number("LBAGENT_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("LBAGENT_SIM_SEEDS").unwrap_or(SEEDS),
    };
    expect_one_owner(seeds);
}

#[test]
#[ignore = "minutes, optimised; finds about one schedule in 20,000 in which a heal takes longer than it may (11023 first)"]
fn a_hundred_thousand_random_schedules_keep_one_owner() {
    expect_one_owner(0..number("LBAGENT_SIM_SEEDS").unwrap_or(MANY_SEEDS));
}

#[test]
fn schedules_that_once_failed() {
    for seed in REGRESSIONS {
        expect_one_owner(seed..seed + 1);
    }
}
