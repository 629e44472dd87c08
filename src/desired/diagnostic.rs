use super::source::{Source, Span};
use crate::model::{ObjectRef, Position, Problem, Severity};
use std::sync::Arc;

/// Something wrong with the state, with all that is needed to show it in its file. [`Problem`] is what remains of it
/// in status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Whether the object is held back because of it.
    pub severity: Severity,
    /// As in [`Problem::reason`].
    pub reason: &'static str,
    /// What it concerns, where that is known.
    pub object: Option<ObjectRef>,
    /// The file, and the part of it that is wrong (`None`: the file as a whole).
    pub place: Option<(Arc<Source>, Option<Span>)>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// What the agent does in the meantime; of no interest before the file is in force.
    pub effect: Option<String>,
    /// It is there only because of another one.
    pub consequence: bool,
}

impl Diagnostic {
    /// A [`Severity::Error`].
    pub fn error(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            reason,
            object: None,
            place: None,
            message: message.into(),
            help: None,
            effect: None,
            consequence: false,
        }
    }

    /// A [`Severity::Warning`].
    pub fn warning(reason: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(reason, message) }
    }

    /// About `object`.
    pub fn about(self, object: ObjectRef) -> Self {
        Self { object: Some(object), ..self }
    }

    /// At `span` of `source`.
    pub fn at(self, source: &Arc<Source>, span: Option<Span>) -> Self {
        Self { place: Some((source.clone(), span)), ..self }
    }

    /// With advice.
    pub fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    /// With what the agent does about it.
    pub fn effect(self, effect: impl Into<String>) -> Self {
        Self { effect: Some(effect.into()), ..self }
    }

    /// Whether something is held back because of it.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// Line and column, where it has a file.
    pub fn position(&self) -> Option<Position> {
        let (source, span) = self.place.as_ref()?;
        Some(span.as_ref().map_or_else(|| source.whole(), |span| source.position(span.start)))
    }
}

impl From<&Diagnostic> for Problem {
    fn from(diagnostic: &Diagnostic) -> Self {
        let parts = [Some(&diagnostic.message), diagnostic.help.as_ref(), diagnostic.effect.as_ref()];
        let parts: Vec<_> = parts.into_iter().flatten().map(String::as_str).collect();
        Self {
            severity: diagnostic.severity,
            reason: diagnostic.reason,
            object: diagnostic.object.clone(),
            position: diagnostic.position(),
            message: parts.join("; "),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_keeps_the_place_the_advice_and_the_effect() {
        let source = Arc::new(Source::new("web.json", "{\n  oops\n}"));
        let diagnostic = Diagnostic::error("SyntaxError", "unexpected word")
            .at(&source, Some(4..8))
            .help("put it in quotes")
            .effect("Vip/web stays as it was");
        let problem = Problem::from(&diagnostic);
        assert_eq!(problem.message, "unexpected word; put it in quotes; Vip/web stays as it was");
        assert_eq!(problem.position, Some(Position { file: "web.json".into(), line: 2, column: 3 }));
        assert_eq!(problem.severity, Severity::Error);
    }

    #[test]
    fn a_file_as_a_whole_has_line_0() {
        let source = Arc::new(Source::new("web.json", ""));
        let position = Diagnostic::warning("X", "y").at(&source, None).position().unwrap();
        assert_eq!((position.line, position.column), (0, 0));
    }
}
