//! `lbagent schema KIND`: the JSON Schema of a kind, for editors.

use crate::{desired::schema::document, model::Kind};
use std::io::{self, Write};

/// Prints the JSON Schema of the kind called `word` (in any case, singular or plural). 0: printed. 1: there is no such kind.
pub fn schema(word: &str) -> u8 {
    schema_to(word, &mut io::stdout().lock(), &mut io::stderr().lock())
}

fn schema_to(word: &str, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let singular = word.to_ascii_lowercase();
    let singular = singular.strip_suffix('s').unwrap_or(&singular);
    match Kind::ALL.into_iter().find(|kind| kind.as_str().eq_ignore_ascii_case(singular)) {
        Some(kind) => {
            _ = write!(out, "{}", document(kind));
            0
        }
        None => {
            _ = writeln!(err, "error: unknown kind {word:?}\nhelp: write one of \"Vip\", \"Pool\" or \"Peer\"");
            1
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_found_however_it_is_written() {
        for word in ["Vip", "vip", "VIPS"] {
            let mut out = Vec::new();
            assert_eq!(schema_to(word, &mut out, &mut Vec::new()), 0);
            assert_eq!(String::from_utf8(out).unwrap(), document(Kind::Vip));
        }
    }

    #[test]
    fn another_kind_is_an_error_that_says_which_there_are() {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        assert_eq!(schema_to("Service", &mut out, &mut err), 1);
        assert!(out.is_empty());
        assert!(String::from_utf8(err).unwrap().contains("\"Vip\", \"Pool\" or \"Peer\""));
    }
}
