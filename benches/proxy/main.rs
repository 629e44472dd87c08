//! What a proxied request costs, beside Debian's HAProxy, where its package is installed: both in one namespace, one
//! thread each, in front of the same backend and under the same load, taking turns (A B B A). What counts is the ratio of
//! the two in the same round; the table gives the medians over the rounds.
//!
//! ```text
//! sudo cargo bench --bench proxy                     # all, in about 7 minutes
//! sudo cargo bench --bench proxy -- keep-alive       # only the rows of this workload
//! sudo cargo bench --bench proxy -- tcp --rounds=9   # more (or fewer) rounds than five
//! ```
//!
//! | workload | what | load by |
//! |---|---|---|
//! | instructions | user instructions per request under callgrind: free of the machine's noise | own client |
//! | memory | bytes per idle connection: fresh, used once, and after a burst on all of them at once | own client |
//! | keep-alive | small responses on kept connections: CPU of the proxy per request, requests/s on one core | wrk |
//! | connection | the same, with a connection for each request | wrk |
//! | 64k | responses of 64 KiB on kept connections | wrk |
//! | tcp-connection | TCP mode, a connection for each exchange | wrk |
//! | tcp-bulk | TCP mode, CPU per MiB of long transfers; HAProxy splices | own client |
//! | latency | p50 and p99 at a fixed, moderate rate | own client |
//!
//! The proxies have the first core, everything else has the others. What the proxy does not use of its core, the load
//! could not make it use; that is why the CPU per request is what is held to a bar, and requests/s only shown. Figures are
//! asserted nowhere: the exit code tells only whether they could be had. What needs a program that is not installed is
//! left out and noted. Like the kernel tests it first moves into namespaces of its own and leaves nothing behind.

mod backend;
mod client;
#[path = "../common/mod.rs"]
mod common;
mod contestant;
mod cores;
mod cost;
mod instructions;
mod latency;
mod memory;
mod rounds;
mod table;
mod wrk;

use common::{Failure, Options, machine};
use std::{path::Path, process::ExitCode, time::Duration};
use table::Row;

/// Of each workload, each with two turns of each proxy.
const ROUNDS: usize = 5;
/// How long a turn is under load.
pub(crate) const TURN: Duration = Duration::from_secs(3);

struct Workload {
    name: &'static str,
    /// A program that it takes.
    needs: Option<&'static str>,
    rows: fn(&Options) -> Result<Vec<Row>, Failure>,
}

const WORKLOADS: [Workload; 8] = [
    Workload { name: "instructions", needs: Some("valgrind"), rows: |_| instructions::rows() },
    Workload { name: "memory", needs: None, rows: memory::rows },
    Workload { name: "keep-alive", needs: Some("wrk"), rows: cost::keep_alive },
    Workload { name: "connection", needs: Some("wrk"), rows: cost::connection },
    Workload { name: "64k", needs: Some("wrk"), rows: cost::large },
    Workload { name: "tcp-connection", needs: Some("wrk"), rows: cost::tcp_connection },
    Workload { name: "tcp-bulk", needs: None, rows: cost::tcp_bulk },
    Workload { name: "latency", needs: None, rows: latency::rows },
];

fn main() -> ExitCode {
    common::run("proxy", ("rounds", ROUNDS), |options| {
        contestant::prepare()?;
        Ok(measure(options))
    })
}

/// Whether all that was asked for could be had.
fn measure(options: &Options) -> bool {
    println!("{}", machine("before"));
    let (mut rows, mut notes, mut complete) = (Vec::new(), Vec::new(), true);
    for Workload { name, needs, rows: measure } in WORKLOADS.iter().filter(|it| options.wants(it.name)) {
        if let Some(program) = needs.filter(|program| !is_installed(program)) {
            notes.push(format!("{name}: left out: {program} is not installed"));
            continue;
        }
        eprintln!("{name}");
        match measure(options) {
            Ok(more) => rows.extend(more),
            Err(error) => {
                notes.push(format!("{name}: no figures: {error}"));
                complete = false;
            }
        }
    }
    table::print(&rows);
    notes.iter().for_each(|note| println!("note: {note}"));
    println!("{}", machine("after"));
    complete
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| Path::new(&dir).join(program).exists())
}
