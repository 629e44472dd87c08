//! Tables, lists and spans of time, as text for a terminal: no colours, no control characters but newlines.

use std::{fmt::Write, time::Duration};

/// A span of time in its two largest units: `"3d 4h"`, `"12m 5s"`, `"8s"`.
pub(super) fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, _, _) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

/// `own` before the first of `rows`, blanks before the others.
pub(super) fn with_rows(own: Vec<String>, rows: Vec<Vec<String>>) -> Vec<Vec<String>> {
    let blank = vec![String::new(); own.len()];
    if rows.is_empty() {
        return vec![own];
    }
    let first = |(index, row): (usize, Vec<String>)| {
        let before = if index == 0 { own.clone() } else { blank.clone() };
        before.into_iter().chain(row).collect()
    };
    rows.into_iter().enumerate().map(first).collect()
}

/// A table below an empty line; nothing at all without rows.
pub(super) fn section(text: &mut String, columns: &[&str], rows: Vec<Vec<String>>) {
    if rows.is_empty() {
        return;
    }
    let header = columns.iter().map(|column| (*column).to_owned()).collect();
    let rows: Vec<Vec<String>> = std::iter::once(header)
        .chain(rows)
        .map(|row: Vec<String>| row.iter().map(|cell| plain(cell)).collect())
        .collect();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns.len()).map(|column| width(column).unwrap_or(0)).collect();
    text.push('\n');
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
}

/// Indented lines below `title`; nothing at all if there are none.
pub(super) fn listed(text: &mut String, title: Option<&str>, lines: impl IntoIterator<Item = String>) {
    for (index, line) in lines.into_iter().enumerate() {
        if let (0, Some(title)) = (index, title) {
            let _ = writeln!(text, "\n{title}");
        }
        let _ = writeln!(text, "  {}", plain(&line));
    }
}

/// The same with a number before each item, which may have several lines.
pub(super) fn numbered(text: &mut String, title: &str, items: impl Iterator<Item = Vec<String>>) {
    let numbered = items.enumerate().flat_map(|(index, item)| {
        let number = format!("{}.", index + 1);
        let lines = item.into_iter().enumerate();
        lines
            .map(move |(line, words)| format!("{:<3} {words}", if line == 0 { &number } else { "" }))
            .collect::<Vec<_>>()
    });
    listed(text, Some(title), numbered);
}

/// Files and peers must not drive the reader's terminal.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_told_in_two_units() {
        let told = |seconds| span(Duration::from_secs(seconds));
        assert_eq!((told(0), told(59), told(60)), ("0s".into(), "59s".into(), "1m 0s".into()));
        assert_eq!((told(3599), told(3600), told(90_061)), ("59m 59s".into(), "1h 0m".into(), "1d 1h".into()));
    }

    #[test]
    fn items_are_numbered_by_their_first_line() {
        let mut text = String::new();
        let items = [vec!["one".to_owned(), "more\tof it".to_owned()], vec!["two".to_owned()]];
        numbered(&mut text, "Items", items.into_iter());
        assert_eq!(text, "\nItems\n  1.  one\n      more of it\n  2.  two\n");
        listed(&mut text, Some("Nothing"), []);
        assert!(text.ends_with("two\n"));
    }
}
