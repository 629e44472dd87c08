//! The figures that a pair of balancers is judged by, from real agents with the shipped state on a virtual network
//! ([`lbagent::drill::lab`]): how long a takeover takes, what a failback costs, how soon an edit is in effect, and what
//! an idle pair uses.
//!
//! ```text
//! sudo cargo bench                      # all, in less than three minutes
//! sudo cargo bench -- takeover          # only rows of these families: idle, takeover, failback, edit
//! ```
//!
//! Figures are printed with the bar that each is held against, and asserted nowhere: they say as much about the machine
//! as about the agent. The exit code tells only whether they could be had. Like the kernel tests it first moves into
//! namespaces of its own and leaves nothing behind.

mod edits;
mod figures;
mod idle;
mod moves;
mod pair;

use figures::{Figure, machine, print};
use pair::{Failure, Pair, Site};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo bench` passes it; `cargo test --all-targets` runs benchmarks, too, and does not.
    if !arguments.iter().any(|argument| argument == "--bench") {
        println!("failover: nothing to test here; `cargo bench` measures");
        return ExitCode::SUCCESS;
    }
    let families: Vec<&str> =
        arguments.iter().map(String::as_str).filter(|argument| !argument.starts_with('-')).collect();
    let measured = Site::shipped().and_then(|site| {
        lbagent::kernel::isolate::enter()?;
        measure(site, |family| families.is_empty() || families.iter().any(|wanted| family.contains(wanted)))
    });
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("failover: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(site: Site, wanted: impl Fn(&str) -> bool) -> Result<(), Failure> {
    println!("{}", machine("before"));
    let mut pair = Pair::build(site)?;
    let figures = all(&mut pair, wanted).inspect_err(|_| pair.explain())?;
    print(&figures);
    println!("{}", machine("after"));
    Ok(())
}

/// In an order in which none disturbs the next.
fn all(pair: &mut Pair, wanted: impl Fn(&str) -> bool) -> Result<Vec<Figure>, Failure> {
    let mut figures = Vec::new();
    pair.start()?;
    if wanted("idle") {
        figures.extend(idle::figures(pair)?);
    }
    if wanted("takeover") || wanted("failback") {
        figures.extend(moves::figures(pair)?);
    }
    if wanted("edit") {
        figures.extend(edits::figures(pair)?);
    }
    Ok(figures)
}
