//! One pass over a text before the parser sees it. The parser is recursive, and its own limit on nesting is far off; it
//! also lets pass what RFC 8259 does not: a byte order mark, other spaces than the four, and control characters.

use super::SyntaxError;

/// Where in the grammar a character stands.
enum Within {
    Tokens,
    Text,
    Escape,
    LineComment,
    BlockComment,
}

/// Refuses what is nested deeper than `deepest`, and characters that have no place where they stand.
pub(super) fn check(text: &str, deepest: usize) -> Result<(), SyntaxError> {
    if text.starts_with('\u{feff}') {
        let error = SyntaxError::new(0..3, "the file begins with a byte order mark");
        return Err(error.help("save it as UTF-8 without BOM"));
    }
    let mut within = Within::Tokens;
    let mut depth = 0usize;
    let mut previous = ' ';
    for (at, c) in text.char_indices() {
        let error = |message: String| SyntaxError::new(at..at + c.len_utf8(), message);
        if c.is_control() && !matches!(c, '\n' | '\r' | '\t') {
            return Err(error(format!("stray control character {c:?}")));
        }
        if let (Within::Text | Within::Escape, '\n' | '\r' | '\t') = (&within, c) {
            return Err(broken_text(error, c));
        }
        if matches!(within, Within::Tokens) {
            match c {
                '{' | '[' => depth += 1,
                '}' | ']' => depth = depth.saturating_sub(1),
                _ if !c.is_ascii() => return Err(error(format!("stray character {c:?}"))),
                _ => {}
            }
            if depth > deepest {
                return Err(error(format!("nested deeper than {deepest} levels")));
            }
        }
        (within, previous) = step(within, previous, c);
    }
    Ok(())
}

/// What follows, and what counts as the previous character there (the `*` that opens a comment does not close it).
fn step(within: Within, previous: char, c: char) -> (Within, char) {
    let next = match (within, previous, c) {
        (Within::Tokens, '/', '/') => Within::LineComment,
        (Within::Tokens, '/', '*') => return (Within::BlockComment, ' '),
        (Within::Tokens, _, '"') | (Within::Escape, _, _) => Within::Text,
        (Within::Text, _, '"') | (Within::LineComment, _, '\n' | '\r') => Within::Tokens,
        (Within::BlockComment, '*', '/') => return (Within::Tokens, ' '),
        (Within::Text, _, '\\') => Within::Escape,
        (same, _, _) => same,
    };
    (next, c)
}

fn broken_text(error: impl Fn(String) -> SyntaxError, c: char) -> SyntaxError {
    match c {
        '\t' => error("a tab within a text".into()).help("write \\t"),
        _ => error("the line ends within a text".into()).help("is the closing quote missing?"),
    }
}
