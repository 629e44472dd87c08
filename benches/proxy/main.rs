//! What a proxied request costs, beside Debian's HAProxy, where its package is installed: both in one namespace, one thread
//! each, in front of the same backend and under the same load, taking turns (A B B A). What counts is the ratio of the
//! two in the same round; the table gives the median over the rounds.
//!
//! ```text
//! sudo cargo bench --bench proxy                     # all, in about 10 minutes
//! sudo cargo bench --bench proxy -- keep-alive       # only the rows of this workload
//! sudo cargo bench --bench proxy -- tcp --rounds=9   # more rounds than five
//! ```
//!
//! | workload | what | load by |
//! |---|---|---|
//! | keep-alive | small responses on kept connections: CPU of the proxy per request, requests/s on one core | wrk |
//! | connection | the same, with a connection for each request | wrk |
//! | 64k | responses of 64 KiB | wrk |
//! | tcp-connection | TCP mode, a connection for each exchange | wrk |
//! | bulk | TCP mode, CPU per MiB of a long transfer; HAProxy splices | own client |
//! | latency | p50 and p99 at a fixed, moderate rate | own client |
//! | memory | bytes per idle connection, fresh and after a burst of requests on it | own client |
//! | instructions | user instructions per request, under callgrind: free of the machine's noise | own client, valgrind |
//!
//! The proxies are pinned to one core and everything else to the other ones, if there are any. Figures are asserted
//! nowhere. The exit code tells only whether they could be had.

mod backend;
mod client;
mod contestant;
mod cost;
mod latency;
mod memory;
mod table;
mod wrk;

use contestant::{Contestant, Kind};
use std::{process::ExitCode, time::Duration};
use table::{Row, machine};

/// Why there are no figures, in words.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Of each workload, each with two turns of each proxy.
const ROUNDS: usize = 5;
/// How long each turn is under load.
pub(crate) const TURN: Duration = Duration::from_secs(3);

/// What the command line asks for.
pub(crate) struct Options {
    pub(crate) rounds: usize,
    /// All, if there is none.
    workloads: Vec<String>,
}

type Workload = (&'static str, fn(&Options) -> Result<Vec<Row>, Failure>);

const WORKLOADS: [Workload; 8] = [
    ("instructions", cost::instructions),
    ("memory", memory::rows),
    ("keep-alive", cost::keep_alive),
    ("connection", cost::connection),
    ("64k", cost::large),
    ("tcp-connection", cost::tcp_connection),
    ("bulk", cost::bulk),
    ("latency", latency::rows),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if !arguments.iter().any(|argument| argument == "--bench") {
        println!("proxy: nothing to test here; `cargo bench` measures");
        return ExitCode::SUCCESS;
    }
    let measured = Options::parse(&arguments).and_then(|options| {
        lbagent::kernel::isolate::enter()?;
        contestant::prepare()?;
        Ok(measure(&options))
    });
    match measured {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("proxy: {error}");
            ExitCode::FAILURE
        }
    }
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self, Failure> {
        let mut options = Self { rounds: ROUNDS, workloads: Vec::new() };
        for argument in arguments {
            if let Some(rounds) = argument.strip_prefix("--rounds=") {
                options.rounds = rounds.parse().map_err(|error| format!("{argument}: {error}"))?;
            } else if !argument.starts_with('-') {
                options.workloads.push(argument.clone());
            }
        }
        Ok(options)
    }

    fn wants(&self, workload: &str) -> bool {
        self.workloads.is_empty() || self.workloads.iter().any(|wanted| wanted == workload)
    }

    /// Runs `turn` with each proxy twice a round, in the order A B B A; the sums of each round, lbagent's first.
    /// HAProxy's are absent if it is not installed.
    pub(crate) fn take_turns(
        &self,
        mut turn: impl FnMut(&Contestant) -> Result<f64, Failure>,
    ) -> Result<Vec<(f64, Option<f64>)>, Failure> {
        let ours = Contestant::start(Kind::Lbagent)?;
        let theirs = Kind::Haproxy.is_installed().then(|| Contestant::start(Kind::Haproxy)).transpose()?;
        let mut rounds = Vec::new();
        for _ in 0..self.rounds {
            let first = turn(&ours)?;
            let other = theirs.as_ref().map(|theirs| Ok::<_, Failure>(turn(theirs)? + turn(theirs)?)).transpose()?;
            rounds.push((first + turn(&ours)?, other));
        }
        Ok(rounds)
    }
}

/// Whether all that was asked for could be had.
fn measure(options: &Options) -> bool {
    println!("{}", machine("before"));
    let (mut rows, mut complete) = (Vec::new(), true);
    for (name, workload) in WORKLOADS.iter().filter(|(name, _)| options.wants(name)) {
        eprintln!("{name} …");
        match workload(options) {
            Ok(more) => rows.extend(more),
            Err(error) => {
                println!("note: {name}: no figures: {error}");
                complete = false;
            }
        }
    }
    table::print(&rows);
    println!("{}", machine("after"));
    complete
}
