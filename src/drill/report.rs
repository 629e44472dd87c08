//! What the drill found: a row per step and Vip, and whether that is good enough. Pure.

use super::{lab::traffic::record::Summary, scenario::Expect};
use crate::model::Name;
use std::{
    fmt::{self, Write},
    time::Duration,
};

/// The whole drill.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// In the order they happened.
    pub steps: Vec<Row>,
    /// Every step was as it should be or did not apply, and at least one did apply.
    pub ok: bool,
}

/// A step, for one Vip.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Row {
    /// `steady`, `takeover`, `return`, `failback`, `backend-down` or `backend-up`; `start` if the drill got no further.
    pub name: &'static str,
    /// Whose clients these are. `None`: the step as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vip: Option<Name>,
    /// The longest time without a good answer. `None` where nothing was asked.
    pub outage_ms: Option<u64>,
    /// Requests over fresh connections without a good answer. One whose connection was there and was cut counts as broken.
    pub failed: Option<usize>,
    /// Established connections that broke.
    pub broken: Option<usize>,
    /// Requests over fresh connections.
    pub requests: Option<usize>,
    /// Why the step does not apply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
    /// As it should be, or skipped.
    pub ok: bool,
    /// What else is worth knowing: what went wrong, who took over.
    pub notes: Vec<String>,
}

impl Row {
    /// A step that does not apply.
    pub fn skipped(name: &'static str, vip: Option<&Name>, reason: impl Into<String>) -> Self {
        Self { skipped: Some(reason.into()), ..Self::empty(name, vip, true) }
    }

    /// A step that could not be carried out.
    pub fn failed(name: &'static str, vip: Option<&Name>, why: impl Into<String>) -> Self {
        Self { notes: vec![why.into()], ..Self::empty(name, vip, false) }
    }

    /// Judges what was seen of `vip` by what was expected. `late` is when the last request failed, from the beginning of
    /// the step.
    pub fn judge(name: &'static str, vip: &Name, seen: &Summary, late: Option<Duration>, expect: &Expect) -> Self {
        if let Expect::Skip(reason) = expect {
            return Self::skipped(name, Some(vip), reason.clone());
        }
        let mut row = Self {
            outage_ms: Some(seen.outage.as_millis() as u64),
            failed: Some(seen.failed),
            broken: Some(seen.broken),
            requests: Some(seen.requests),
            ..Self::empty(name, Some(vip), true)
        };
        row.notes = seen.reasons.iter().take(3).map(|(why, count)| format!("{count}× {why}")).collect();
        match expect {
            Expect::OutageWithin(limit) if seen.outage > *limit => {
                row.object(format!("no good answer for longer than {} ms", limit.as_millis()));
            }
            Expect::FailuresWithin(limit) => {
                if let Some(late) = late.filter(|late| late > limit) {
                    let (late, limit) = (late.as_secs_f64(), limit.as_secs_f64());
                    row.object(format!("a request failed {late:.1} s after the death, the checks allow {limit:.1} s"));
                }
            }
            Expect::Undisturbed if seen.failed + seen.cut > 0 => row.object("no request may fail here"),
            Expect::Moved if seen.failed > 0 => row.object("no request may fail here"),
            _ => {}
        }
        if seen.requests == 0 {
            row.object("nothing was asked");
        }
        row
    }

    /// The step is not as it should be.
    pub fn object(&mut self, why: impl Into<String>) {
        self.ok = false;
        self.notes.insert(0, why.into());
    }

    fn empty(name: &'static str, vip: Option<&Name>, ok: bool) -> Self {
        let vip = vip.cloned();
        Self {
            name,
            vip,
            outage_ms: None,
            failed: None,
            broken: None,
            requests: None,
            skipped: None,
            ok,
            notes: Vec::new(),
        }
    }

    fn cells(&self) -> [String; 7] {
        let number = |value: Option<u64>| value.map_or_else(|| "–".to_owned(), |value| value.to_string());
        let result = match (&self.skipped, self.ok) {
            (Some(_), _) => "skipped",
            (None, true) => "ok",
            (None, false) => "FAILED",
        };
        let failed = match (self.failed, self.requests) {
            (Some(failed), Some(requests)) => format!("{failed} of {requests}"),
            _ => "–".to_owned(),
        };
        [
            self.name.to_owned(),
            self.vip.as_ref().map_or_else(String::new, Name::to_string),
            number(self.outage_ms),
            failed,
            number(self.broken.map(|broken| broken as u64)),
            result.to_owned(),
            self.skipped.clone().unwrap_or_else(|| self.notes.join(", ")),
        ]
    }
}

impl Report {
    /// Takes the rows of a step.
    pub fn add(&mut self, rows: impl IntoIterator<Item = Row>) {
        self.steps.extend(rows);
        let applied = self.steps.iter().any(|row| row.skipped.is_none());
        self.ok = applied && self.steps.iter().all(|row| row.ok);
    }
}

/// The table.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["STEP", "VIP", "OUTAGE ms", "FAILED", "BROKEN", "RESULT", "NOTES"].map(str::to_owned);
        let lines: Vec<[String; 7]> = std::iter::once(head).chain(self.steps.iter().map(Row::cells)).collect();
        let widths: Vec<usize> =
            (0..7).map(|column| lines.iter().map(|cells| cells[column].chars().count()).max().unwrap_or(0)).collect();
        for cells in &lines {
            let mut line = String::new();
            for (column, (cell, width)) in cells.iter().zip(&widths).enumerate() {
                // Numbers to the right, words to the left.
                match column {
                    2..=4 => write!(line, "{cell:>width$}  ")?,
                    _ => write!(line, "{cell:<width$}  ")?,
                }
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vip() -> Name {
        Name::new("web").unwrap()
    }

    fn seen(outage: u64, failed: usize) -> Summary {
        let reasons = if failed > 0 { vec![("timed out".to_owned(), failed)] } else { Vec::new() };
        Summary { outage: Duration::from_millis(outage), requests: 300, failed, cut: 0, broken: 2, reasons }
    }

    fn judge(seen: &Summary, late: Option<u64>, expect: &Expect) -> Row {
        Row::judge("step", &vip(), seen, late.map(Duration::from_millis), expect)
    }

    #[test]
    fn undisturbed_means_not_one_failed_request() {
        assert!(judge(&seen(12, 0), None, &Expect::Undisturbed).ok);
        let cut = Summary { cut: 1, ..seen(12, 0) };
        assert!(!judge(&cut, None, &Expect::Undisturbed).ok);
        assert!(judge(&cut, None, &Expect::Moved).ok, "what is under way may break when a VIP moves");
        assert!(!judge(&seen(12, 1), Some(5), &Expect::Moved).ok);
        let row = judge(&seen(12, 1), Some(5), &Expect::Undisturbed);
        assert!(!row.ok);
        assert_eq!(row.notes, ["no request may fail here", "1× timed out"]);
    }

    #[test]
    fn a_takeover_is_judged_by_its_longest_outage() {
        let expect = Expect::OutageWithin(Duration::from_millis(1100));
        assert!(judge(&seen(1100, 50), Some(900), &expect).ok);
        assert!(!judge(&seen(1101, 50), Some(900), &expect).ok);
    }

    #[test]
    fn a_dying_backend_may_fail_requests_until_its_check_falls() {
        let expect = Expect::FailuresWithin(Duration::from_secs(8));
        assert!(judge(&seen(20, 9), Some(7900), &expect).ok);
        assert!(judge(&seen(20, 0), None, &expect).ok);
        assert!(!judge(&seen(20, 9), Some(8100), &expect).ok);
    }

    #[test]
    fn no_traffic_proves_nothing() {
        assert!(!judge(&Summary::default(), None, &Expect::Undisturbed).ok);
    }

    #[test]
    fn what_does_not_apply_is_no_failure_and_shows_no_figures() {
        let row = judge(&seen(5000, 99), None, &Expect::Skip("failback is manual".into()));
        assert!(row.ok);
        let json = serde_json::to_value(&row).unwrap();
        assert_eq!(json["skipped"], "failback is manual");
        assert!(json["outage_ms"].is_null());
    }

    #[test]
    fn one_bad_step_fails_the_drill_and_so_does_none() {
        let mut report = Report::default();
        assert!(!report.ok);
        report.add([Row::skipped("takeover", None, "a lone node")]);
        assert!(!report.ok, "a drill that asks nothing shows nothing");
        report.add([judge(&seen(12, 0), None, &Expect::Undisturbed)]);
        assert!(report.ok);
        report.add([Row::failed("takeover", None, "nobody took over")]);
        report.add([Row::skipped("failback", None, "nothing to fail back")]);
        assert!(!report.ok);
    }

    #[test]
    fn json_has_the_fields_that_the_readme_promises() {
        let mut report = Report::default();
        report.add([judge(&seen(12, 0), None, &Expect::Undisturbed)]);
        assert_eq!(
            serde_json::to_string(&report).unwrap(),
            r#"{"steps":[{"name":"step","vip":"web","outage_ms":12,"failed":0,"broken":2,"requests":300,"ok":true,"notes":[]}],"ok":true}"#
        );
    }

    #[test]
    fn the_table_lines_up() {
        let mut report = Report::default();
        report.add([judge(&seen(12, 0), None, &Expect::Undisturbed), Row::skipped("failback", None, "a lone node")]);
        let expected = "\
STEP      VIP  OUTAGE ms    FAILED  BROKEN  RESULT   NOTES
step      web         12  0 of 300       2  ok
failback               –         –       –  skipped  a lone node
";
        assert_eq!(report.to_string(), expected);
    }
}
