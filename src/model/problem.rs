use super::ObjectRef;
use std::path::PathBuf;

/// Something that is wrong and that the agent works around: it goes on with what it has, and says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Whether anything is held back because of it.
    pub severity: Severity,
    /// One word in CamelCase that stays the same from version to version, as the `reason` of a Kubernetes condition.
    pub reason: &'static str,
    /// What it concerns, where that is known.
    pub object: Option<ObjectRef>,
    /// Where in which file, for problems of the state.
    pub position: Option<Position>,
    /// What was tried, on what, what came of it and what to do. One line, no secrets.
    pub message: String,
}

/// How bad a [`Problem`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing; nothing is held back.
    Warning,
    /// Some of the desired state is not in effect.
    Error,
}

/// A place in a file. Lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// As the user would name it.
    pub file: PathBuf,
    /// 0 where the problem is the file as a whole.
    pub line: usize,
    /// 0 where the problem is the file as a whole.
    pub column: usize,
}

impl Problem {
    /// An [`Severity::Error`] without object or position.
    pub fn error(reason: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, reason, object: None, position: None, message: message.into() }
    }

    /// A [`Severity::Warning`] without object or position.
    pub fn warning(reason: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(reason, message) }
    }

    /// The same problem, about `object`.
    pub fn about(mut self, object: ObjectRef) -> Self {
        self.object = Some(object);
        self
    }
}
