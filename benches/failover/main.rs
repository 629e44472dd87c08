//! The figures that a pair of balancers is judged by, from real agents on a virtual network ([`lbagent::drill::lab`]), and
//! beside them those of keepalived, where its package is installed: with its default timers and tuned as far as sites do,
//! in the same run, taking turns.
//!
//! ```text
//! sudo cargo bench --bench failover                      # all, in about 20 minutes
//! sudo cargo bench --bench failover -- takeover kill     # only the rows of these families
//! sudo cargo bench --bench failover -- hang --runs=3     # fewer (or more) runs of each case than ten
//! ```
//!
//! | family | what |
//! |---|---|
//! | idle | an idle pair with the shipped state: CPU, memory |
//! | failback | the first owner returns, with the shipped state |
//! | edit | a file is edited: how soon it is in effect |
//! | takeover | the owner's host crashes |
//! | kill | only its daemon is killed |
//! | hang | its daemon is stopped for 5 s, and resumed |
//! | heartbeat | the heartbeats' path is cut while both run; both boot while it is cut |
//! | heal | a full partition ends |
//! | loss | lossy paths for a minute, on a busy machine |
//! | many | the owner of 200 Vips crashes |
//!
//! Everything is measured from outside: clients with a fresh connection every few milliseconds, and a third host that asks
//! for the address every 2 ms and counts who answers. Figures are printed with the bar that each of lbagent's is held to,
//! and asserted nowhere: they say as much about the machine as about the agent. What was cut short is said below the
//! table. The exit code tells only whether the figures could be had. Like the kernel tests it first moves into namespaces
//! of its own and leaves nothing behind.

mod audit;
#[path = "../common/mod.rs"]
mod common;
mod contest;
mod crash;
mod cuts;
mod edits;
mod failback;
mod figures;
mod ground;
mod idle;
mod keepalived;
mod loss;
mod many;
mod pair;
mod rig;
mod watch;
mod wire;

use common::{Failure, Options, machine};
use figures::{Figure, print};
use pair::{Pair, Site};
use std::{process::ExitCode, time::Duration};

/// A row's figures come from so many runs.
const RUNS: usize = 10;

/// What a family found.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) figures: Vec<Figure>,
    /// What was cut short, and why.
    pub(crate) notes: Vec<String>,
}

/// A family by its name.
type Family = (&'static str, fn(&Options) -> Result<Report, Failure>);

/// The shorter ones first.
const FAMILIES: [Family; 10] = [
    ("idle", |_| with_shipped_pair(|pair| Ok(idle::figures(pair)?.into()))),
    ("edit", |_| with_shipped_pair(|pair| Ok(edits::figures(pair)?.into()))),
    ("failback", |options| with_shipped_pair(|pair| failback::figures(pair, options.times))),
    ("takeover", crash::takeover),
    ("kill", crash::kill),
    ("hang", crash::hang),
    ("heartbeat", cuts::heartbeats),
    ("heal", cuts::heal),
    ("many", many::figures),
    ("loss", loss::figures),
];

fn main() -> ExitCode {
    common::run("failover", ("runs", RUNS), |options| Ok(measure(options)))
}

/// Whether all that was asked for could be had.
fn measure(options: &Options) -> bool {
    println!("{}", machine("before"));
    let (mut report, mut complete) = (Report::default(), true);
    for (name, family) in FAMILIES.iter().filter(|(name, _)| options.wants(name)) {
        match family(options) {
            Ok(more) => report.append(more),
            Err(error) => {
                report.notes.push(format!("{name}: no figures: {error}"));
                complete = false;
            }
        }
    }
    print(&report.figures);
    report.notes.iter().for_each(|note| println!("note: {note}"));
    println!("{}", machine("after"));
    complete
}

impl Report {
    /// Adds another's rows and notes.
    pub(crate) fn append(&mut self, other: Self) {
        self.figures.extend(other.figures);
        self.notes.extend(other.notes);
    }
}

impl From<Vec<Figure>> for Report {
    fn from(figures: Vec<Figure>) -> Self {
        Self { figures, notes: Vec::new() }
    }
}

fn with_shipped_pair(measure: impl FnOnce(&mut Pair) -> Result<Report, Failure>) -> Result<Report, Failure> {
    let mut pair = Pair::build(Site::shipped()?)?;
    pair.start().and_then(|()| measure(&mut pair)).inspect_err(|_| pair.explain())
}

/// A time as a sample.
pub(crate) fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// The same for what may not have happened while it was watched.
pub(crate) fn never_or(duration: Option<Duration>) -> f64 {
    duration.map_or(f64::INFINITY, millis)
}
