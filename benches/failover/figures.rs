//! Samples, what is said of them, and the table.

use std::time::Duration;

/// A row of the table.
pub(crate) struct Figure {
    what: String,
    runs: usize,
    median: String,
    worst: String,
    bar: &'static str,
    met: Option<bool>,
}

impl Figure {
    /// What is only there to compare with.
    pub(crate) fn of(what: impl Into<String>, samples: &Samples) -> Self {
        let (median, worst) = (millis(samples.median()), millis(samples.worst()));
        Self { what: what.into(), runs: samples.0.len(), median, worst, bar: "", met: None }
    }

    /// A single value.
    pub(crate) fn single(what: impl Into<String>, value: String) -> Self {
        Self { what: what.into(), runs: 1, median: value, worst: String::new(), bar: "", met: None }
    }

    /// Held against a bar.
    pub(crate) fn against(self, bar: &'static str, met: bool) -> Self {
        Self { bar, met: Some(met), ..self }
    }
}

/// What was measured, run by run.
#[derive(Default)]
pub(crate) struct Samples(Vec<Duration>);

impl Samples {
    pub(crate) fn add(&mut self, sample: Duration) {
        self.0.push(sample);
        self.0.sort();
    }

    /// Of an even number the upper one; zero of none.
    pub(crate) fn median(&self) -> Duration {
        self.0.get(self.0.len() / 2).copied().unwrap_or_default()
    }

    pub(crate) fn worst(&self) -> Duration {
        self.0.last().copied().unwrap_or_default()
    }
}

/// The table, on stdout.
pub(crate) fn print(figures: &[Figure]) {
    let widest = figures.iter().map(|figure| figure.what.chars().count()).max().unwrap_or_default();
    println!("{:<widest$}  runs     median      worst  bar", "figure");
    for Figure { what, runs, median, worst, bar, met } in figures {
        let verdict = match met {
            Some(true) => "met",
            Some(false) => "MISSED",
            None => "",
        };
        let line = format!("{what:<widest$}  {runs:>4}  {median:>9}  {worst:>9}  {bar:<26}  {verdict}");
        println!("{}", line.trim_end());
    }
}

/// What the figures were measured on.
pub(crate) fn machine(when: &str) -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let load = read("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(" ");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    format!("{when}: load average {load} on {cores} cores, Linux {kernel}, {build} build")
}

fn millis(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
}
