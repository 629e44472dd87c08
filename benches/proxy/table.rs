//! Medians, ratios, bars, and the table.

use super::rounds::Round;
use std::fmt;

/// What a value counts.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Unit {
    Micros,
    PerSecond,
    Percent,
    Bytes,
    Instructions,
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
    /// Of the figure `at` of each round: the medians of both proxies', and that of the ratios, which `bar` is for.
    pub(crate) fn of<const N: usize>(
        what: impl Into<String>,
        unit: Unit,
        (rounds, at): (&[Round<N>], usize),
        bar: Option<f64>,
    ) -> Self {
        let theirs = |round: &Round<N>| round.theirs.map(|theirs| theirs[at]);
        Self {
            what: what.into(),
            unit,
            ours: median(rounds.iter().map(|round| round.ours[at]).collect()),
            theirs: rounds.iter().map(theirs).collect::<Option<_>>().map(median),
            ratio: rounds.iter().map(|round| Some(round.ours[at] / theirs(round)?)).collect::<Option<_>>().map(median),
            bar,
        }
    }
}

/// Of an even number the mean of both in the middle; not a number of none.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let (below, above) = (values.len().saturating_sub(1) / 2, values.len() / 2);
    values.get(below).zip(values.get(above)).map_or(f64::NAN, |(below, above)| (below + above) / 2.0)
}

struct Value(f64, Unit);

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(value, unit) = *self;
        match unit {
            Unit::Micros => write!(f, "{value:.1} µs"),
            Unit::PerSecond => write!(f, "{value:.0}/s"),
            Unit::Percent => write!(f, "{value:.0} %"),
            Unit::Bytes => write!(f, "{value:.0} B"),
            Unit::Instructions => write!(f, "{value:.0}"),
        }
    }
}

/// On stdout, as Markdown: it can be read here and put into a README.
pub(crate) fn print(rows: &[Row]) {
    println!("| figure | lbagent | haproxy | ratio | bar | |\n|---|--:|--:|--:|--:|---|");
    for row in rows {
        let theirs = row.theirs.map_or("not installed".to_owned(), |value| Value(value, row.unit).to_string());
        let ratio = row.ratio.map_or(String::new(), |ratio| format!("{ratio:.2}"));
        let bar = row.bar.map_or(String::new(), |bar| format!("≤ {bar:.2}"));
        let met = row.ratio.zip(row.bar).map_or("", |(ratio, bar)| if ratio <= bar { "met" } else { "MISSED" });
        println!("| {} | {} | {theirs} | {ratio} | {bar} | {met} |", row.what, Value(row.ours, row.unit));
    }
}
