//! Samples, what is said of them, and the table.

use std::fmt;

/// What a figure counts.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Unit {
    /// Milliseconds. Infinite: it never happened while it was watched.
    Millis,
    /// Events, nodes, frames.
    Count,
    /// Of a core.
    Percent,
    Mebibytes,
}

/// What a figure is held to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bar {
    median: f64,
    worst: f64,
    /// Below this it is odd, too.
    least: f64,
}

impl Bar {
    /// For every run.
    pub(crate) const fn worst(worst: f64) -> Self {
        Self { median: worst, worst, least: 0.0 }
    }

    /// For the median, and for every run.
    pub(crate) const fn median(median: f64, worst: f64) -> Self {
        Self { median, worst, least: 0.0 }
    }

    /// Neither more nor less, in any run.
    pub(crate) const fn exactly(value: f64) -> Self {
        Self { median: value, worst: value, least: value }
    }

    fn is_met(&self, samples: &Samples) -> bool {
        samples.median() <= self.median && samples.worst() <= self.worst && samples.least() >= self.least
    }

    fn describe(&self, unit: Unit) -> String {
        let show = |value| Value(value, unit);
        if self.least > 0.0 {
            format!("= {}", show(self.least))
        } else if self.worst.is_infinite() {
            format!("median ≤ {}", show(self.median))
        } else if self.median < self.worst {
            format!("median ≤ {}, worst ≤ {}", show(self.median), show(self.worst))
        } else {
            format!("≤ {}", show(self.worst))
        }
    }
}

/// A row of the table.
pub(crate) struct Figure {
    what: String,
    who: String,
    runs: String,
    median: String,
    worst: String,
    bar: String,
    met: Option<bool>,
}

impl Figure {
    /// What is only there to compare with.
    pub(crate) fn of(what: impl Into<String>, who: impl Into<String>, samples: &Samples) -> Self {
        let show =
            |value| if samples.values.is_empty() { "–".into() } else { Value(value, samples.unit).to_string() };
        let single = samples.values.len() == 1;
        Self {
            what: what.into(),
            who: who.into(),
            runs: samples.values.len().to_string(),
            median: show(samples.median()),
            worst: if single { String::new() } else { show(samples.worst()) },
            bar: String::new(),
            met: None,
        }
    }

    /// Held to a bar; without a run it is missed.
    pub(crate) fn held(what: impl Into<String>, who: impl Into<String>, samples: &Samples, bar: &Bar) -> Self {
        let met = !samples.values.is_empty() && bar.is_met(samples);
        Self { bar: bar.describe(samples.unit), met: Some(met), ..Self::of(what, who, samples) }
    }

    /// Not to be had, for the reason `why`.
    pub(crate) fn absent(what: impl Into<String>, who: impl Into<String>, why: &str) -> Self {
        Self { runs: String::new(), median: why.into(), ..Self::of(what, who, &Samples::new(Unit::Count)) }
            .without_worst()
    }

    fn without_worst(self) -> Self {
        Self { worst: String::new(), ..self }
    }
}

/// What was measured, run by run.
#[derive(Debug, Clone)]
pub(crate) struct Samples {
    unit: Unit,
    /// Ascending.
    values: Vec<f64>,
}

impl Samples {
    pub(crate) fn new(unit: Unit) -> Self {
        Self { unit, values: Vec::new() }
    }

    /// A single one.
    pub(crate) fn one(unit: Unit, value: f64) -> Self {
        Self { unit, values: vec![value] }
    }

    pub(crate) fn add(&mut self, sample: f64) {
        self.values.push(sample);
        self.values.sort_by(f64::total_cmp);
    }

    /// Of an even number the upper one; zero of none.
    pub(crate) fn median(&self) -> f64 {
        self.values.get(self.values.len() / 2).copied().unwrap_or_default()
    }

    /// The greatest; zero of none.
    pub(crate) fn worst(&self) -> f64 {
        self.values.last().copied().unwrap_or_default()
    }

    fn least(&self) -> f64 {
        self.values.first().copied().unwrap_or_default()
    }
}

struct Value(f64, Unit);

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self(value, _) if value.is_infinite() => write!(f, "never"),
            Self(value, Unit::Millis) if value.fract() == 0.0 => write!(f, "{value:.0} ms"),
            Self(value, Unit::Millis) => write!(f, "{value:.1} ms"),
            Self(value, Unit::Count) => write!(f, "{value:.0}"),
            Self(value, Unit::Percent) => write!(f, "{value:.2} %"),
            Self(value, Unit::Mebibytes) => write!(f, "{value:.1} MiB"),
        }
    }
}

/// The table, on stdout.
pub(crate) fn print(figures: &[Figure]) {
    let widest = |text: fn(&Figure) -> &str, least: usize| {
        figures.iter().map(|figure| text(figure).chars().count()).fold(least, usize::max)
    };
    let (what, who, median) = (widest(|it| &it.what, 6), widest(|it| &it.who, 3), widest(|it| &it.median, 6));
    let bar = widest(|it| &it.bar, 3);
    println!("{:what$}  {:who$}  runs  {:>median$}  {:>10}  bar", "figure", "who", "median", "worst");
    for it in figures {
        let verdict = it.met.map_or("", |met| if met { "met" } else { "MISSED" });
        let line = format!(
            "{:what$}  {:who$}  {:>4}  {:>median$}  {:>10}  {:bar$}  {verdict}",
            it.what, it.who, it.runs, it.median, it.worst, it.bar
        );
        println!("{}", line.trim_end());
    }
}
