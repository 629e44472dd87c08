//! The proof: two or three nodes in a simulated world with a virtual clock, a network that loses, delays, doubles and
//! cuts, kernels that answer for their addresses whatever their agents do, and a seeded generator, so that every
//! schedule can be run again.
//!
//! `LBAGENT_SIM_SEED=1234 cargo test --lib sim::random` runs one schedule; `LBAGENT_SIM_SEEDS=100000` more of them.

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
mod owners;
mod prng;
mod reconcile;
mod setup;
mod vips;
mod world;

use super::machine::Rules;

const SEEDS: u64 = 2000;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Runs `seeds` on two threads; the first failure in order, if any.
fn storm(seeds: std::ops::Range<u64>, rules: Rules) -> Result<(), String> {
    let half = |parity: u64| {
        let seeds = seeds.clone();
        move || seeds.filter(|seed| seed % 2 == parity).try_for_each(|seed| faults::run(seed, rules))
    };
    std::thread::scope(|scope| {
        let odd = scope.spawn(half(1));
        let even = half(0)();
        even.and(odd.join().unwrap())
    })
}

#[test]
fn random_schedules_keep_one_owner() {
    let seeds = match number("LBAGENT_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("LBAGENT_SIM_SEEDS").unwrap_or(SEEDS),
    };
    if let Err(failure) = storm(seeds, Rules::default()) {
        panic!("{failure}");
    }
}
