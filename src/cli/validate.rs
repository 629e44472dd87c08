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
    let verdict = Verdict::of(&LastGood::default(), &load(dir));
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
    /// On what `loaded` would bring, where `before` is in force.
    pub(super) fn of(before: &LastGood, loaded: &Loaded) -> Self {
        let resolved = resolve(before, loaded);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::fixtures::{peer, pool, put};

    fn verdict(files: &[(&str, &str)]) -> (u8, String, String) {
        let dir = tempfile::tempdir().unwrap();
        files.iter().for_each(|(name, text)| put(dir.path(), name, text));
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = validate_to(dir.path(), &mut out, &mut err);
        (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    #[test]
    fn the_verdict_on_a_good_directory_is_one_line_on_stdout() {
        let (one, two) = (peer("lb1", "\"192.0.2.1\""), peer("lb2", "\"192.0.2.2\""));
        let web = pool("web", "192.0.2.102:80");
        let (code, out, err) = verdict(&[("a.json", &one), ("b.json", &two), ("c.json", &web)]);
        assert_eq!((code, out.as_str(), err.as_str()), (0, "2 peers, 0 vips, 1 pool: valid\n", ""));
    }

    #[test]
    fn every_bad_file_is_told_of_on_stderr_and_nothing_on_stdout() {
        let (code, out, err) = verdict(&[("a.json", "{"), ("b.json", "["), ("c.json", "")]);
        assert_eq!((code, out.as_str()), (1, ""));
        for name in ["a.json:1:1: error", "b.json:1:1: error", "c.json:1:1: error", "\n3 errors\n"] {
            assert!(err.contains(name), "{err}");
        }
    }

    #[test]
    fn a_consequence_of_another_mistake_is_not_told() {
        let vip = crate::desired::fixtures::vip("web", "198.51.100.10", "\"lb1\"", "web");
        let (_, _, err) =
            verdict(&[("a.json", &peer("lb1", "")), ("b.json", &vip), ("c.json", &pool("web", "192.0.2.1:80"))]);
        assert!(err.ends_with("\n1 error\n") && err.contains("no address: at least one is needed"), "{err}");
    }

    #[test]
    fn what_may_be_the_fault_of_an_unreadable_file_is_said_to_be() {
        let vip = crate::desired::fixtures::vip("web", "198.51.100.10", "\"lb1\"", "web");
        let pool = pool("web", "192.0.2.102:80").replace("\"kind\"", "\"kinds\"");
        let (code, _, err) = verdict(&[("a.json", &peer("lb1", "\"192.0.2.1\"")), ("b.json", &vip), ("c.json", &pool)]);
        assert!(code == 1 && err.ends_with("\n2 errors\n"), "{err}");
        assert!(
            err.contains("there is no Pool \"web\"") && err.contains("c.json cannot be read and might hold it"),
            "{err}"
        );
    }

    #[test]
    fn a_missing_directory_is_an_error() {
        let mut err = Vec::new();
        assert_eq!(validate_to(Path::new("/nonexistent/state"), &mut Vec::new(), &mut err), 1);
        assert!(
            String::from_utf8(err)
                .unwrap()
                .starts_with("error: the state directory \"/nonexistent/state\" cannot be read")
        );
    }
}
