//! The drill: a rehearsal of a state directory, as it is, before anyone's traffic depends on it.
//!
//! ```text
//! steady → the owner crashes → takeover → it returns → failback → a backend dies → and is back
//! ```
//!
//! [`main`] reads the state, moves into a world of its own ([`crate::kernel::isolate`]), builds the network that the
//! state implies ([`lab`]), starts a real agent on every balancer and real clients beside them, and goes through the
//! steps. What a step should look like is decided by pure code ([`scenario`]) and judged by pure code ([`report`]);
//! `rehearsal` only does and watches.
//!
//! Nothing here knows how an agent works: who owns a Vip is what the kernels say.

mod files;
#[cfg(test)]
mod fixture;
pub mod lab;
mod rehearsal;
pub mod report;
pub mod scenario;

use crate::{kernel::isolate, model::Desired};
use files::StateFiles;
use lab::{Lab, agent::AgentConfig, topology::Topology};
use rehearsal::Rehearsal;
use report::Report;
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

/// `lbagent drill`
#[derive(Debug, Clone, clap::Args)]
pub struct DrillArgs {
    /// The state directory to rehearse; it is only read.
    #[arg(long, default_value = "state")]
    pub state_dir: PathBuf,
    /// How to print the result.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
    /// Show what the agents said, also when all is well; twice: let them say more.
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// How a [`Report`] is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
}

/// Rehearses a state directory and prints what came of it: progress on stderr, the result on stdout. Exit 0 if every step
/// was as it should be, 1 otherwise.
///
/// Call it before any thread exists ([`isolate::enter`]). `load` turns a directory into a valid state, or says (for
/// people, in as many lines as it takes) why it cannot.
pub fn main(args: &DrillArgs, load: impl FnOnce(&Path) -> Result<Desired, String>) -> ExitCode {
    let report = match rehearse(args, load) {
        Ok(report) => report,
        Err(error) => {
            eprintln!("lbagent drill: {error}");
            return ExitCode::FAILURE;
        }
    };
    match args.output {
        Output::Table => print!("{report}"),
        Output::Json => println!("{}", serde_json::to_string(&report).unwrap_or_default()),
    }
    if report.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn rehearse(
    args: &DrillArgs,
    load: impl FnOnce(&Path) -> Result<Desired, String>,
) -> Result<Report, Box<dyn std::error::Error>> {
    let desired = load(&args.state_dir)?;
    let files = StateFiles::read(&args.state_dir)?;
    isolate::enter()?;
    let topology = Topology::plan(&desired);
    let lab = Lab::build(&topology, Path::new(isolate::SCRATCH))?;
    let state_dir = lab.dir().join("state");
    files.write(&state_dir)?;
    let config = AgentConfig {
        program: "/proc/self/exe".into(),
        state_dir,
        key_file: lab.write_key("auth.key")?,
        arguments: Vec::new(),
        log_filter: (args.verbose > 1).then(|| "debug".to_owned()),
    };
    let mut rehearsal = Rehearsal::new(&desired, &topology, lab, config)?;
    let report = rehearsal.run();
    if args.verbose > 0 || !report.as_ref().is_ok_and(|report| report.ok) {
        rehearsal.explain();
    }
    Ok(report?)
}
