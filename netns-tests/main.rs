//! Kernel tests: real agents on real (if virtual) wires, in namespaces of their own.
//!
//! Runs like any other test binary (names, filters, `--list`, `--include-ignored`), with two differences: it first
//! moves into a world of its own ([`lbagent::kernel::isolate`]), which needs root or a user namespace and must happen
//! before any thread exists; and only two cases run at a time unless it is told otherwise: they mostly wait, and a loaded
//! machine makes them lie.
//!
//! `harness/` builds the pair and its surroundings; each other file holds the cases of one family of faults.

mod backends;
mod bad_input;
mod boot;
mod cut;
mod drift;
mod drill;
mod dying;
mod failback;
mod files;
mod harness;
mod heartbeats;
mod isolation;
mod lab;
mod listeners;
mod lossy;
mod meddling;
mod restart;
mod seeing;
mod standby;
mod surroundings;
mod takeover;
mod watching;

use libtest_mimic::{Arguments, Trial};
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(code) = isolation::act_as_probe().or_else(harness::without_nft::act_as_launcher) {
        return code;
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(2);
    if !arguments.list
        && let Err(error) = lbagent::kernel::isolate::enter()
    {
        eprintln!("netns tests cannot run: {error}");
        return ExitCode::FAILURE;
    }
    let cases = [
        isolation::CASES,
        lab::CASES,
        watching::CASES,
        takeover::CASES,
        dying::CASES,
        cut::CASES,
        lossy::CASES,
        boot::CASES,
        meddling::CASES,
        surroundings::CASES,
        standby::CASES,
        failback::CASES,
        restart::CASES,
        drift::CASES,
        files::CASES,
        bad_input::CASES,
        heartbeats::CASES,
        backends::CASES,
        listeners::CASES,
        seeing::CASES,
        drill::CASES,
    ];
    let trials = cases
        .into_iter()
        .flatten()
        .map(|case| Trial::test(case.name, || harness::run(case)).with_ignored_flag(case.long));
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}
