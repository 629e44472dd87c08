//! What the benchmarks share: the command line, a world of their own, and what the machine was like.

use std::{error::Error, process::ExitCode};

/// Why there are no figures, in words.
pub(crate) type Failure = Box<dyn Error>;

/// What the command line asks for.
pub(crate) struct Options {
    /// How often each case is measured.
    pub(crate) times: usize,
    /// All, if there is none.
    names: Vec<String>,
}

/// A benchmark's `main`: parses the command line, on which `--COUNT=N` replaces `times`, moves into namespaces of its own
/// ([`lbagent::kernel::isolate`]) and measures there. `measure` says whether all that was asked for could be had.
pub(crate) fn run(
    bench: &str,
    (count, times): (&str, usize),
    measure: impl FnOnce(&Options) -> Result<bool, Failure>,
) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo bench` passes it; `cargo test --all-targets` runs benchmarks, too, and does not.
    if !arguments.iter().any(|argument| argument == "--bench") {
        println!("{bench}: nothing to test here; `cargo bench` measures");
        return ExitCode::SUCCESS;
    }
    let measured = Options::parse(&arguments, count, times).and_then(|options| {
        lbagent::kernel::isolate::enter()?;
        measure(&options)
    });
    match measured {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{bench}: {error}");
            ExitCode::FAILURE
        }
    }
}

impl Options {
    fn parse(arguments: &[String], count: &str, times: usize) -> Result<Self, Failure> {
        let mut options = Self { times, names: Vec::new() };
        for argument in arguments {
            if let Some(times) = argument.strip_prefix(&format!("--{count}=")) {
                options.times = times.parse().map_err(|error| format!("{argument}: {error}"))?;
            } else if !argument.starts_with('-') {
                options.names.push(argument.clone());
            }
        }
        Ok(options)
    }

    /// Whether the case is one of those that are asked for; a part of its name will do.
    pub(crate) fn wants(&self, case: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|wanted| case.contains(wanted.as_str()))
    }
}

/// What the figures were measured on.
pub(crate) fn machine(when: &str) -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let load = read("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(" ");
    let cores = cores();
    let kernel = read("/proc/sys/kernel/osrelease");
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    format!("{when}: load average {load} on {cores} cores, Linux {kernel}, {build} build")
}

/// How many the machine has, wherever this process may run.
pub(crate) fn cores() -> usize {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    text.lines().filter(|line| line.starts_with("processor")).count().max(1)
}
