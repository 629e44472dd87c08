use crate::desired::{Pointer, Span, suggest};
use std::fmt;

/// Why a text is no JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::desired) struct SyntaxError {
    pub(in crate::desired) span: Span,
    pub(in crate::desired) message: String,
    pub(in crate::desired) help: Option<String>,
}

impl SyntaxError {
    pub(super) fn new(span: Span, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), help: None }
    }

    pub(super) fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

/// Why a document does not have the shape that was wanted. It is made where serde finds it, and learns its place
/// on the way out: each enclosing field and list adds itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::desired) struct DecodeError {
    /// What is wrong.
    pub(in crate::desired) mistake: Mistake,
    /// Where in the document.
    pub(in crate::desired) pointer: Pointer,
    /// Where in the text; `None` until a field or element has claimed it.
    pub(in crate::desired) span: Option<Span>,
}

/// What serde reports, as it reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::desired) enum Mistake {
    UnknownField { field: String, known: &'static [&'static str] },
    UnknownValue { value: String, known: &'static [&'static str] },
    Missing(&'static str),
    Duplicate(String),
    Type { expected: String, found: String },
    Other(String),
}

impl DecodeError {
    pub(super) fn new(mistake: Mistake) -> Self {
        Self { mistake, pointer: Pointer::root(), span: None }
    }

    /// Claims `span` unless a place further in was claimed before.
    pub(super) fn at(mut self, span: Span) -> Self {
        self.span.get_or_insert(span);
        self
    }

    pub(super) fn within_key(self, key: &str) -> Self {
        Self { pointer: self.pointer.within_key(key), ..self }
    }

    pub(super) fn within_index(self, index: usize) -> Self {
        Self { pointer: self.pointer.within_index(index), ..self }
    }

    /// As in [`crate::model::Problem::reason`].
    pub(in crate::desired) fn reason(&self) -> &'static str {
        match &self.mistake {
            Mistake::UnknownField { .. } => "UnknownField",
            Mistake::UnknownValue { .. } => "UnknownValue",
            Mistake::Missing(_) => "MissingField",
            Mistake::Duplicate(_) => "DuplicateField",
            Mistake::Type { .. } => "WrongType",
            Mistake::Other(_) => "InvalidValue",
        }
    }

    /// What is wrong, without the place.
    pub(in crate::desired) fn message(&self) -> String {
        match &self.mistake {
            Mistake::UnknownField { field, .. } => format!("unknown field {}", quote(field)),
            Mistake::UnknownValue { value, .. } => format!("unknown {} {}", self.pointer.noun(), quote(value)),
            Mistake::Missing(field) => format!("missing field {field:?}"),
            Mistake::Duplicate(field) => format!("field {} is given twice", quote(field)),
            Mistake::Type { expected, found } => format!("expected {expected}, found {found}"),
            Mistake::Other(message) => message.clone(),
        }
    }

    /// What would have been right.
    pub(in crate::desired) fn help(&self) -> Option<String> {
        match &self.mistake {
            Mistake::UnknownField { field, known } => suggest::help(field, known),
            Mistake::UnknownValue { value, known } => suggest::help(value, known),
            Mistake::Type { found, .. } if found == "null" => Some("leave the field out to have its default".into()),
            _ => None,
        }
    }
}

/// A text of the user's within quotes; of a very long one, its beginning.
pub(in crate::desired) fn quote(text: &str) -> String {
    const LONGEST: usize = 80;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())
    }
}

impl std::error::Error for DecodeError {}

impl serde::de::Error for DecodeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(Mistake::Other(message.to_string()))
    }

    fn unknown_field(field: &str, known: &'static [&'static str]) -> Self {
        Self::new(Mistake::UnknownField { field: field.to_owned(), known })
    }

    fn unknown_variant(value: &str, known: &'static [&'static str]) -> Self {
        Self::new(Mistake::UnknownValue { value: value.to_owned(), known })
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(Mistake::Missing(field))
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::new(Mistake::Duplicate(field.to_owned()))
    }

    fn invalid_type(found: serde::de::Unexpected<'_>, expected: &dyn serde::de::Expected) -> Self {
        Self::new(Mistake::Type { expected: in_json_words(&expected.to_string()), found: describe(found) })
    }

    fn invalid_value(found: serde::de::Unexpected<'_>, expected: &dyn serde::de::Expected) -> Self {
        Self::invalid_type(found, expected)
    }
}

/// serde says what Rust would want.
fn in_json_words(expected: &str) -> String {
    match expected {
        "i64" | "u64" | "u32" | "u16" => "a whole number",
        "a sequence" => "a list",
        "a string" => "a text",
        "a boolean" => "true or false",
        "a map" => "an object",
        _ if expected.starts_with("struct ") => "an object",
        _ if expected.starts_with("enum ") || expected.contains("variant") => "a text",
        other => other,
    }
    .to_owned()
}

fn describe(found: serde::de::Unexpected<'_>) -> String {
    use serde::de::Unexpected as Found;
    match found {
        Found::Bool(value) => value.to_string(),
        Found::Unsigned(value) => format!("the number {value}"),
        Found::Signed(value) => format!("the number {value}"),
        Found::Float(value) => format!("the number {value}"),
        Found::Str(text) => format!("the text {}", quote(text)),
        Found::Unit | Found::Option => "null".into(),
        Found::Seq => "a list".into(),
        Found::Map => "an object".into(),
        other => other.to_string(),
    }
}
