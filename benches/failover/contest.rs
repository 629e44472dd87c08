//! One case for every contender: runs that alternate between them, and rows with a figure of each.

use super::{
    Options, Report,
    common::Failure,
    figures::{Bar, Figure, Samples, Unit},
    rig::{Contender, Rig, Setup},
};

/// A case that gives `N` figures per run.
pub(crate) struct Contest<const N: usize> {
    /// For progress and notes.
    pub(crate) name: &'static str,
    pub(crate) rows: [Row; N],
    /// keepalived has no more runs than this, because each takes it so long.
    pub(crate) most_of_others: usize,
    /// How a rig is built.
    pub(crate) setup: fn(Contender) -> Setup,
}

/// A figure of a case.
pub(crate) struct Row {
    pub(crate) what: &'static str,
    pub(crate) unit: Unit,
    /// lbagent is held to it.
    pub(crate) bar: Option<Bar>,
}

/// A contender in a contest.
struct Entry {
    who: Contender,
    rig: Option<Rig>,
    runs: usize,
    failed: usize,
}

impl<const N: usize> Contest<N> {
    /// Runs `case`, which settles its rig first. A run that fails is left out and said so.
    pub(crate) fn hold(
        &self,
        options: &Options,
        case: impl Fn(&mut Rig) -> Result<[f64; N], Failure>,
    ) -> Result<Report, Failure> {
        let mut entries = self.entries(options)?;
        let mut samples: Vec<[Samples; N]> =
            entries.iter().map(|_| std::array::from_fn(|row| Samples::new(self.rows[row].unit))).collect();
        for run in 0..options.times {
            for (entry, samples) in entries.iter_mut().zip(&mut samples) {
                let Some(rig) = entry.rig.as_mut().filter(|_| run < entry.runs) else { continue };
                eprintln!("{}: {}, {} of {}", self.name, entry.who, run + 1, entry.runs);
                match case(rig) {
                    Ok(values) => samples.iter_mut().zip(values).for_each(|(samples, value)| samples.add(value)),
                    Err(error) => {
                        eprintln!("{}: {}: {error}", self.name, entry.who);
                        rig.explain();
                        entry.failed += 1;
                    }
                }
                // Nothing of it runs beside the others' runs.
                rig.reset()?;
            }
        }
        Ok(self.report(options, &entries, &samples))
    }

    fn entries(&self, options: &Options) -> Result<Vec<Entry>, Failure> {
        let entry = |who: Contender| {
            let runs = if who == Contender::Lbagent { options.times } else { options.times.min(self.most_of_others) };
            let rig = if who.is_installed() { Some(Rig::build((self.setup)(who))?) } else { None };
            Ok(Entry { who, rig, runs, failed: 0 })
        };
        Contender::ALL.into_iter().map(entry).collect()
    }

    fn report(&self, options: &Options, entries: &[Entry], samples: &[[Samples; N]]) -> Report {
        let mut report = Report::default();
        for (number, row) in self.rows.iter().enumerate() {
            for (entry, samples) in entries.iter().zip(samples) {
                report.figures.push(figure(row, entry, &samples[number]));
            }
        }
        for entry in entries.iter().filter(|entry| entry.failed > 0) {
            let Entry { who, failed, runs, .. } = entry;
            report.notes.push(format!("{}, {who}: {failed} of {runs} runs could not be had", self.name));
        }
        if self.most_of_others < options.times {
            report.notes.push(format!(
                "{}: cut short for keepalived: {} of {} runs",
                self.name, self.most_of_others, options.times
            ));
        }
        report
    }
}

fn figure(row: &Row, entry: &Entry, samples: &Samples) -> Figure {
    let who = entry.who.to_string();
    match &row.bar {
        _ if entry.rig.is_none() => Figure::absent(row.what, who, "not installed"),
        Some(bar) if entry.who == Contender::Lbagent => Figure::held(row.what, who, samples, bar),
        _ => Figure::of(row.what, who, samples),
    }
}
