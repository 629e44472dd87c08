//! `lbagent check`: a Monitoring Plugin. Whatever goes wrong on the way is UNKNOWN (3), never another code: 1 and 2
//! mean something here.

pub use super::client::Target;
pub use crate::status::nagios::{Scope, Thresholds};

use super::client::fetch;
use crate::status::{
    Clock, Timestamp,
    nagios::{self, Report},
};
use std::io::{self, Write};

/// Checks `scope` at the agent at `target` and prints the report. The exit code is that of the guidelines: 0 OK,
/// 1 WARNING, 2 CRITICAL, 3 UNKNOWN.
pub fn check(target: &Target, scope: &Scope, thresholds: Thresholds) -> u8 {
    let report = judge(target, scope, thresholds, || Clock::read().now());
    let mut out = io::stdout();
    let _ = writeln!(out, "{report}").and_then(|()| out.flush());
    report.severity.code()
}

fn judge(target: &Target, scope: &Scope, thresholds: Thresholds, now: impl FnOnce() -> Timestamp) -> Report {
    match fetch(target) {
        Ok((status, _)) => nagios::check(&status, scope, thresholds, now()),
        Err(error) => Report::unknown(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::client::tests::{ok, serve_once},
        status::fixture::World,
    };

    #[test]
    fn the_report_is_of_what_the_agent_says_now() {
        let status = World::new().status();
        let judged =
            |now| judge(&serve_once(ok(&status)).0, &Scope::All, Thresholds::default(), || now).severity.code();
        assert_eq!(judged(status.now), 0);
        assert_eq!(judged(Timestamp::from_unix_millis(status.now.unix_millis() + 60_000)), 3);
    }

    #[test]
    fn an_agent_that_is_not_there_is_unknown_with_what_was_tried() {
        let target = Target::Socket("/nonexistent/lbagent.sock".into());
        let report = judge(&target, &Scope::All, Thresholds::default(), Timestamp::default);
        assert_eq!(report.severity.code(), 3);
        assert!(report.to_string().starts_with("LBAGENT UNKNOWN - no agent answers at /nonexistent/lbagent.sock"));
        assert_eq!(check(&target, &Scope::All, Thresholds::default()), 3);
    }
}
