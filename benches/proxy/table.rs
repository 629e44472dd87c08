//! Ratios and the table.

use std::fmt;

/// What a value counts.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Unit {
    Micros,
    PerSecond,
    Bytes,
    Count,
}

/// One figure of both.
pub(crate) struct Row {
    what: String,
    unit: Unit,
    ours: f64,
    theirs: Option<f64>,
    ratio: Option<f64>,
    bar: Option<f64>,
}

impl Row {
    /// `rounds`: lbagent's value and HAProxy's; the medians of each, and that of the ratios. `bar`: what the latter is held
    /// to.
    pub(crate) fn ratio(what: impl Into<String>, unit: Unit, rounds: &[(f64, Option<f64>)], bar: Option<f64>) -> Self {
        let theirs: Option<Vec<f64>> = rounds.iter().map(|(_, theirs)| *theirs).collect();
        let ratios: Option<Vec<f64>> = rounds.iter().map(|(ours, theirs)| theirs.map(|theirs| ours / theirs)).collect();
        Self {
            what: what.into(),
            unit,
            ours: median(rounds.iter().map(|(ours, _)| *ours).collect()),
            theirs: theirs.map(median),
            ratio: ratios.map(median),
            bar,
        }
    }
}

/// The lower one of an even number's two; zero of none.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or_default()
}

struct Value(f64, Unit);

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(value, unit) = *self;
        match unit {
            Unit::Micros => write!(f, "{value:.1} µs"),
            Unit::PerSecond => write!(f, "{value:.0}/s"),
            Unit::Bytes => write!(f, "{value:.0} B"),
            Unit::Count => write!(f, "{value:.0}"),
        }
    }
}

/// On stdout, as Markdown, so that it can be read here and put into a README.
pub(crate) fn print(rows: &[Row]) {
    println!("| figure | lbagent | haproxy | ratio | bar | |\n|---|---|---|---|---|---|");
    for row in rows {
        let theirs = row.theirs.map_or("not installed".to_owned(), |value| Value(value, row.unit).to_string());
        let ratio = row.ratio.map_or(String::new(), |ratio| format!("{ratio:.2}"));
        let bar = row.bar.map_or(String::new(), |bar| format!("≤ {bar:.2}"));
        let met = row.ratio.zip(row.bar).map_or("", |(ratio, bar)| if ratio <= bar { "met" } else { "MISSED" });
        println!("| {} | {} | {theirs} | {ratio} | {bar} | {met} |", row.what, Value(row.ours, row.unit));
    }
}

/// What the figures were measured on.
pub(crate) fn machine(when: &str) -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let load = read("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(" ");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{when}: load average {load} on {cores} cores, Linux {}", read("/proc/sys/kernel/osrelease"))
}
