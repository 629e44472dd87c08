//! Diagnostics as a compiler shows them: place and message, the line, a caret below what is wrong, and advice.

use super::{Diagnostic, Source, source::Span};
use crate::model::Severity;
use std::fmt::Write;

/// The text for one diagnostic, ending in a newline.
///
/// ```text
/// pool-web.json:5:16: error: unknown balance "round-robin" at /spec/balance
///   5 |     "balance": "round-robin",
///     |                ^^^^^^^^^^^^^
/// help: did you mean "roundrobin"?
/// ```
///
/// Whatever a file holds, the text holds no control characters but newlines, and no line of the file is shown
/// beyond the part around the caret.
pub fn render(diagnostic: &Diagnostic) -> String {
    let mut text = String::new();
    if let Some((source, span)) = &diagnostic.place {
        text += &printable(&source.path.to_string_lossy());
        if let Some(span) = span {
            let position = source.position(span.start);
            _ = write!(text, ":{}:{}", position.line, position.column);
        }
        text += ": ";
    }
    let severity = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    _ = writeln!(text, "{severity}: {}", printable(&diagnostic.message));
    if let Some((source, Some(span))) = &diagnostic.place
        && !source.text.is_empty()
    {
        text += &excerpt(source, span);
    }
    if let Some(help) = &diagnostic.help {
        _ = writeln!(text, "help: {}", printable(help));
    }
    text
}

/// As much of a line as is shown.
const WIDTH: usize = 120;

/// How much of a long line is shown before the caret.
const LEAD: usize = 40;

/// The line and the caret line.
fn excerpt(source: &Source, span: &Span) -> String {
    let number = source.position(span.start).line.to_string();
    let (start, line) = source.line(span.start);
    let column = source.text.get(start..span.start).map_or(0, |before| before.chars().count());
    let marked = source.text.get(span.clone()).map_or(1, |text| text.lines().next().unwrap_or("").chars().count());
    let hidden = if line.chars().count() > WIDTH { column.saturating_sub(LEAD) } else { 0 };
    let shown = window(&printable(line), hidden);
    let room = WIDTH.saturating_sub(column - hidden);
    let carets = "^".repeat(marked.clamp(1, room.max(1)));
    let (gutter, indent) = (" ".repeat(number.len()), " ".repeat(column - hidden));
    format!("  {number} | {}\n  {gutter} | {indent}{carets}\n", shown.trim_end())
}

/// [`WIDTH`] characters of `line` after the first `hidden`, with an ellipsis where there are more.
fn window(line: &str, hidden: usize) -> String {
    let mut shown: Vec<char> = line.chars().skip(hidden).take(WIDTH + 1).collect();
    if shown.len() > WIDTH {
        shown.truncate(WIDTH);
        shown[WIDTH - 1] = '…';
    }
    if hidden > 0 {
        shown[0] = '…';
    }
    shown.into_iter().collect()
}

/// One character for each of `text`, none of which moves the cursor or changes the terminal.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c == '\t' {
                ' '
            } else if c.is_control() || is_invisible(c) {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

/// Characters without a width of their own that change how the others are laid out.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn shown(text: &str, span: Span) -> String {
        render(&Diagnostic::error("X", "bad").at(&Arc::new(Source::new("f.json", text)), Some(span)))
    }

    #[test]
    fn it_looks_like_a_compilers() {
        let source = Arc::new(Source::new("pool-web.json", "{\n  \"balance\": \"round-robin\"\n}"));
        let diagnostic = Diagnostic::error("UnknownValue", "unknown balance \"round-robin\" at /balance")
            .at(&source, Some(15..28))
            .help("did you mean \"roundrobin\"?");
        let expected = "\
pool-web.json:2:14: error: unknown balance \"round-robin\" at /balance
  2 |   \"balance\": \"round-robin\"
    |              ^^^^^^^^^^^^^
help: did you mean \"roundrobin\"?
";
        assert_eq!(render(&diagnostic), expected);
    }

    #[test]
    fn tabs_and_wide_text_keep_the_caret_in_place() {
        assert_eq!(shown("\t\"ä\": x", 7..8), "f.json:1:7: error: bad\n  1 |  \"ä\": x\n    |       ^\n");
    }

    #[test]
    fn of_a_very_long_line_the_part_around_the_caret_is_shown() {
        let text = format!("[{}oops{}]", "1,".repeat(500_000), ",1".repeat(1000));
        let at = text.find("oops").unwrap();
        let shown = shown(&text, at..at + 4);
        let lines: Vec<_> = shown.lines().collect();
        assert!(shown.len() < 400 && lines[1].contains("| …") && lines[1].ends_with('…'));
        let column = |line: &str, mark: &str| line.split(mark).next().unwrap().chars().count();
        assert_eq!(column(lines[1], "oops"), column(lines[2], "^^^^"));
    }

    #[test]
    fn a_mark_ends_with_its_line() {
        assert_eq!(shown("{\n\n}", 0..4), "f.json:1:1: error: bad\n  1 | {\n    | ^\n");
        assert_eq!(shown("abc", 3..3), "f.json:1:4: error: bad\n  1 | abc\n    |    ^\n");
    }

    #[test]
    fn a_file_cannot_speak_to_the_terminal() {
        let text = shown("\u{1b}[2J\u{202e}\u{7f}", 0..1);
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
        assert!(!text.contains('\u{202e}'));
        let named = Diagnostic::error("X", "bad\u{7}").at(&Arc::new(Source::new("a\nb\u{1b}.json", "")), None);
        assert_eq!(render(&named), "a\u{fffd}b\u{fffd}.json: error: bad\u{fffd}\n");
    }

    #[test]
    fn without_a_file_there_is_only_the_message() {
        assert_eq!(render(&Diagnostic::warning("X", "careful")), "warning: careful\n");
    }
}
