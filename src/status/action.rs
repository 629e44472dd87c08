//! What an operator can ask of a running agent, over its unix socket and nowhere else.
//!
//! [`server`](super::server) takes the request and puts it into a bounded channel, the agent decides and answers in
//! words, and the words go back to the operator:
//!
//! ```text
//! lbagent standby ──POST /standby {"reason": …}──► server ──Ask──► agent
//!                 ◄──200 done · 409 refused, why── server ◄─Result─┘
//! ```

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

/// The longest reason, in characters: it travels in every heartbeat.
pub const LONGEST_REASON: usize = 100;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Own nothing from now on, as long as another node can.
    Standby(StandbyRequest),
    /// Take part again.
    Unstandby,
}

/// The body of `POST /standby`. An empty body is the default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct StandbyRequest {
    /// Even if no other node is eligible.
    pub force: bool,
    /// The operator's words, for status and the log; at most [`LONGEST_REASON`] characters, none of them a control
    /// character. May be empty.
    pub reason: String,
}

/// An [`Action`] and the way to answer it.
#[derive(Debug)]
pub struct Ask {
    /// What is asked.
    pub action: Action,
    /// What was done, or why it was refused; for people. Not to answer (within some seconds) is told as a failure.
    pub reply: oneshot::Sender<Result<String, String>>,
}

impl Action {
    /// Whether there is an action at `path`.
    pub(super) fn exists(path: &str) -> bool {
        matches!(path, "/standby" | "/unstandby")
    }

    /// Reads a request; an error says what is wrong with it.
    pub(super) fn parse(path: &str, body: &[u8]) -> Result<Self, String> {
        if path == "/unstandby" {
            return if body.is_empty() { Ok(Self::Unstandby) } else { Err("/unstandby takes no body".to_owned()) };
        }
        let mut request = StandbyRequest::default();
        if !body.is_empty() {
            request = serde_json::from_slice(body).map_err(|error| format!("the body is not as expected: {error}"))?;
        }
        let length = request.reason.chars().count();
        if length > LONGEST_REASON {
            return Err(format!("the reason has {length} characters; {LONGEST_REASON} are the most"));
        }
        request.reason = request.reason.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        request.reason = request.reason.trim().to_owned();
        Ok(Self::Standby(request))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standby(body: &str) -> Result<StandbyRequest, String> {
        match Action::parse("/standby", body.as_bytes())? {
            Action::Standby(request) => Ok(request),
            Action::Unstandby => panic!("unstandby"),
        }
    }

    #[test]
    fn a_request_is_read_as_it_was_written() {
        let request = StandbyRequest { force: true, reason: "kernel update".into() };
        assert_eq!(standby(&serde_json::to_string(&request).unwrap()), Ok(request));
        assert_eq!(standby(""), Ok(StandbyRequest::default()));
        assert_eq!(standby(r#"{"reason": " a\u001b[31m\nb "}"#).unwrap().reason, "a [31m b");
        assert_eq!(Action::parse("/unstandby", b""), Ok(Action::Unstandby));
    }

    #[test]
    fn what_is_not_understood_is_refused_with_why() {
        assert!(standby(r#"{"froce": true}"#).unwrap_err().contains("froce"));
        assert!(standby("kernel update").unwrap_err().starts_with("the body is not as expected"));
        let long = serde_json::json!({ "reason": "é".repeat(LONGEST_REASON + 1) }).to_string();
        assert_eq!(standby(&long).unwrap_err(), "the reason has 101 characters; 100 are the most");
        assert!(Action::parse("/unstandby", b"{}").is_err());
        assert!(Action::exists("/standby") && !Action::exists("/status"));
    }
}
