//! "Did you mean": the nearest of the words that would have been right.

/// The one of `known` that `typed` was most probably meant to be. Case and separators do not count; otherwise a third
/// of the letters may be wrong, or one word may begin with the other.
pub(crate) fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if typed.len() > LONGEST {
        return None;
    }
    let typed = normal(typed);
    let scored = known.into_iter().filter_map(|word| distance(&typed, &normal(word)).map(|score| (score, word)));
    scored.min().map(|(_, word)| word)
}

/// `did you mean "x"?`, or what there is to choose from.
pub(super) fn help(typed: &str, known: &[&str]) -> Option<String> {
    match nearest(typed, known.iter().copied()) {
        Some(word) => Some(format!("did you mean {word:?}?")),
        None => choices(known),
    }
}

/// `"a", "b" or "c"`.
pub(super) fn list(words: &[&str]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| format!("{word:?}")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

/// Longer ones are no slip of the finger, and comparing them takes time in the square of their length.
const LONGEST: usize = 64;

/// More would not be read.
const MOST_CHOICES: usize = 12;

fn choices(known: &[&str]) -> Option<String> {
    match known {
        [] => None,
        [only] => Some(format!("write {only:?}")),
        _ if known.len() > MOST_CHOICES => None,
        _ => Some(format!("write one of {}", list(known))),
    }
}

fn normal(word: &str) -> String {
    word.chars().filter(|c| !matches!(c, '-' | '_' | ' ')).flat_map(char::to_lowercase).collect()
}

fn distance(typed: &str, word: &str) -> Option<usize> {
    let distance = strsim::damerau_levenshtein(typed, word);
    let prefix = typed.len() >= 3 && word.len() >= 3 && (word.starts_with(typed) || typed.starts_with(word));
    (prefix || distance <= 1.max(typed.chars().count() / 3)).then_some(distance)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BALANCE: [&str; 4] = ["roundrobin", "leastconn", "source", "random"];

    #[test]
    fn slips_and_other_spellings_are_recognised() {
        assert_eq!(nearest("round-robin", BALANCE), Some("roundrobin"));
        assert_eq!(nearest("RoundRobin", BALANCE), Some("roundrobin"));
        assert_eq!(nearest("least_conn", BALANCE), Some("leastconn"));
        assert_eq!(nearest("leastconnections", BALANCE), Some("leastconn"));
        assert_eq!(nearest("suorce", BALANCE), Some("source"));
        assert_eq!(nearest("web1", ["web", "api"]), Some("web"));
    }

    #[test]
    fn nothing_is_suggested_for_something_else() {
        assert_eq!(nearest("fastest", BALANCE), None);
        assert_eq!(nearest("", BALANCE), None);
        assert_eq!(nearest(&"roundrobin".repeat(10), BALANCE), None);
        assert_eq!(nearest("x", []), None);
    }

    #[test]
    fn without_a_suggestion_the_choices_are_listed() {
        let help = help("fastest", &BALANCE).unwrap();
        assert_eq!(help, r#"write one of "roundrobin", "leastconn", "source" or "random""#);
        assert_eq!(super::help("x1y2z3", &["lbagent/v1"]).unwrap(), r#"write "lbagent/v1""#);
        assert_eq!(super::help("x", &[]), None);
    }
}
