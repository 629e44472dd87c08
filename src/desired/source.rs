use crate::model::Position;
use std::{ops::Range, path::PathBuf};

/// A state file as it was read: what diagnostics point into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// As the user would name it.
    pub path: PathBuf,
    /// Its whole text; empty where it could not be read.
    pub text: String,
}

/// A part of a [`Source`], in bytes.
pub type Span = Range<usize>;

impl Source {
    /// `path` with `text` in it.
    pub fn new(path: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        Self { path: path.into(), text: text.into() }
    }

    /// Whether comments are allowed in it: the name ends in `.jsonc`.
    pub fn has_comments(&self) -> bool {
        self.path.extension().is_some_and(|extension| extension == "jsonc")
    }

    /// Line and column of the byte at `offset`.
    pub fn position(&self, offset: usize) -> Position {
        let before = self.text.get(..offset).unwrap_or(&self.text);
        let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        Position { file: self.path.clone(), line, column }
    }

    /// The place of the file as a whole.
    pub fn whole(&self) -> Position {
        Position { file: self.path.clone(), line: 0, column: 0 }
    }

    /// The line that holds the byte at `offset`, without its end, and where it begins.
    pub fn line(&self, offset: usize) -> (usize, &str) {
        let offset = if self.text.is_char_boundary(offset) { offset } else { 0 };
        let (before, after) = self.text.split_at(offset);
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let end = after.find('\n').map_or(self.text.len(), |at| offset + at);
        (start, self.text[start..end].trim_end_matches('\r'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, offset: usize) -> (usize, usize) {
        let position = Source::new("x.json", text).position(offset);
        (position.line, position.column)
    }

    #[test]
    fn lines_and_columns_count_from_one_and_columns_count_characters() {
        assert_eq!(at("", 0), (1, 1));
        assert_eq!(at("ab\ncd", 1), (1, 2));
        assert_eq!(at("ab\ncd", 3), (2, 1));
        assert_eq!(at("äöü!", 6), (1, 4));
        assert_eq!(at("ab", 99), (1, 3));
    }

    #[test]
    fn a_line_is_found_from_any_of_its_bytes() {
        let source = Source::new("x.json", "first\r\nsecond\nthird");
        assert_eq!(source.line(0), (0, "first"));
        assert_eq!(source.line(9), (7, "second"));
        assert_eq!(source.line(source.text.len()), (14, "third"));
    }

    #[test]
    fn only_jsonc_has_comments() {
        assert!(Source::new("a/web.jsonc", "").has_comments());
        assert!(!Source::new("a/web.json", "").has_comments());
    }
}
