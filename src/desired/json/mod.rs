//! JSON with positions: text becomes a tree whose every node knows where it stands, and [`from_value`] turns that tree
//! into whatever derives `Deserialize`, with errors that know it too.
//!
//! `.json` is read as RFC 8259 wants it and nothing else; `.jsonc` may have comments besides. Neither depth nor
//! content of a text can overflow the stack.

mod de;
mod error;
mod scan;

pub(super) use de::from_value;
pub(super) use error::{DecodeError, SyntaxError, quote};

use jsonc_parser::{
    CollectOptions, ParseOptions, ParseStringErrorKind, ast::Value, errors::ParseErrorKind, parse_to_ast,
};

/// Deeper nesting is refused. State needs eight levels.
const DEEPEST: usize = 64;

/// The document in `text`.
pub(super) fn parse(text: &str, comments: bool) -> Result<Value<'_>, SyntaxError> {
    if text.trim().is_empty() {
        return Err(SyntaxError::new(0..0, "the file is empty").help("was it cut off while it was written?"));
    }
    scan::check(text, DEEPEST)?;
    let parsed = parse_to_ast(text, &CollectOptions::default(), &options(comments)).map_err(describe)?;
    parsed.value.ok_or_else(|| SyntaxError::new(0..0, "the file holds nothing but comments"))
}

fn options(comments: bool) -> ParseOptions {
    ParseOptions {
        allow_comments: comments,
        allow_loose_object_property_names: false,
        allow_trailing_commas: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    }
}

fn describe(error: jsonc_parser::errors::ParseError) -> SyntaxError {
    use ParseErrorKind as Kind;
    let range = error.range();
    let (message, help) = match error.kind() {
        Kind::CommentsNotAllowed => {
            ("comments are not allowed in a .json file".into(), Some("name it .jsonc, or remove the comment"))
        }
        Kind::TrailingCommasNotAllowed => ("trailing comma".into(), Some("remove it")),
        Kind::ExpectedComma => ("a comma is missing here".into(), None),
        Kind::MultipleRootJsonValues => ("more than one value in the file".into(), Some("write one object per file")),
        Kind::UnterminatedObject => ("this object has no end".into(), Some(CUT_OFF)),
        Kind::String(ParseStringErrorKind::UnterminatedStringLiteral) => ("this text has no end".into(), Some(CUT_OFF)),
        Kind::UnterminatedArray => ("this list has no end".into(), Some(CUT_OFF)),
        Kind::ExpectedObjectValue => ("a value is missing after the colon".into(), None),
        Kind::ExpectedColonAfterObjectKey => ("a colon is missing after the field's name".into(), None),
        Kind::UnexpectedWord | Kind::UnexpectedToken => {
            ("this is no JSON value".into(), Some("texts stand in double quotes"))
        }
        Kind::SingleQuotedStringsNotAllowed => ("a text in single quotes".into(), Some("texts stand in double quotes")),
        Kind::ExpectedStringObjectProperty => {
            ("a field's name without quotes".into(), Some("names stand in double quotes"))
        }
        other => (lower_first(&other.to_string()), None),
    };
    SyntaxError { span: range.start..range.end, message, help: help.map(Into::into) }
}

const CUT_OFF: &str = "is something missing, or was the file cut off while it was written?";

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

#[cfg(test)]
mod tests;
