//! `lbagent validate DIR`: says whether a state directory could be put in force as it is, and if not, why.

use crate::desired::{Diagnostic, LastGood, Loaded, load, render, resolve};
use std::{
    io::{self, Write},
    path::Path,
};

/// Validates `dir`: problems go to stderr, the verdict on a good one to stdout. 0: valid, perhaps with warnings. 1: not.
pub fn validate(dir: &Path) -> u8 {
    validate_to(dir, &mut io::stdout().lock(), &mut io::stderr().lock())
}

/// As [`validate`], writing to `out` and `err`. A reader that hangs up early does not change the verdict.
pub fn validate_to(dir: &Path, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let verdict = Verdict::of(&load(dir));
    _ = write!(err, "{}", verdict.problems);
    if verdict.errors > 0 {
        _ = writeln!(err, "{}", count(verdict.errors, "error"));
        return 1;
    }
    _ = writeln!(out, "{}: valid", verdict.summary);
    0
}

/// What there is to say of a directory.
pub(super) struct Verdict {
    /// Rendered.
    pub(super) problems: String,
    /// How many of them are errors.
    pub(super) errors: usize,
    /// `3 peers, 1 vip, 2 pools`
    pub(super) summary: String,
}

impl Verdict {
    pub(super) fn of(loaded: &Loaded) -> Self {
        let resolved = resolve(&LastGood::default(), loaded);
        // A pool that is refused makes its Vip invalid too, but it is the pool that must be mended.
        let own = |diagnostic: &&Diagnostic| !diagnostic.consequence;
        let shown: Vec<_> = resolved.diagnostics.iter().filter(own).collect();
        let errors = shown.iter().filter(|diagnostic| diagnostic.is_error()).count();
        let problems: Vec<_> = shown.into_iter().map(render).collect();
        let desired = &resolved.desired;
        let counts = [(desired.peers.len(), "peer"), (desired.vips.len(), "vip"), (desired.pools.len(), "pool")];
        let summary: Vec<_> = counts.iter().map(|(number, noun)| count(*number, noun)).collect();
        Self { problems: problems.join("\n"), errors, summary: summary.join(", ") }
    }
}

/// `1 vip`, `2 vips`
pub(super) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// The state in `dir`, or all that is wrong with it, rendered.
pub fn load_valid(dir: &Path) -> Result<crate::model::Desired, String> {
    let resolved = resolve(&LastGood::default(), &load(dir));
    let errors: Vec<_> = resolved.diagnostics.iter().filter(|it| it.is_error()).map(render).collect();
    if errors.is_empty() { Ok(resolved.desired) } else { Err(errors.join("\n")) }
}
