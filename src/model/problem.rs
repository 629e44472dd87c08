use super::ObjectRef;
use std::{fmt, path::PathBuf};

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

impl fmt::Display for Problem {
    /// `vip-web.json:9:16: Vip/web: unknown balance …`, as far as the parts are known.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.position {
            Some(Position { file, line: 0, .. }) => write!(f, "{}: ", file.display())?,
            Some(Position { file, line, column }) => write!(f, "{}:{line}:{column}: ", file.display())?,
            None => {}
        }
        if let Some(object) = &self.object {
            write!(f, "{object}: ")?;
        }
        f.write_str(&self.message)
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Kind, Name};

    #[test]
    fn a_problem_reads_as_one_line_with_what_is_known() {
        let mut problem = Problem::error("X", "no such thing");
        assert_eq!(problem.to_string(), "no such thing");
        problem = problem.about(ObjectRef { kind: Kind::Vip, name: Name::new("web").unwrap() });
        assert_eq!(problem.to_string(), "Vip/web: no such thing");
        problem.position = Some(Position { file: "web.json".into(), line: 9, column: 16 });
        assert_eq!(problem.to_string(), "web.json:9:16: Vip/web: no such thing");
        problem.position = Some(Position { file: "web.json".into(), line: 0, column: 0 });
        assert_eq!(problem.to_string(), "web.json: Vip/web: no such thing");
    }
}
