use std::time::Duration;

/// The longest duration that state may name: one day. Longer ones are mistakes (a unit too many), and shorter ones
/// leave every sum of a few of them far from overflow.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Why a text is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// No number, or something that is not a number, before the unit.
    #[error("a duration is a number and a unit, as \"250ms\" or \"2s\"")]
    Number,
    /// A number without a unit.
    #[error("a duration needs a unit: \"{0}ms\", \"{0}s\", \"{0}m\" or \"{0}h\"")]
    NoUnit(String),
    /// Not one of `us ms s m h`.
    #[error("unknown unit {0:?}: the units are us, ms, s, m and h")]
    Unit(String),
    /// Zero, or more than a day.
    #[error("a duration lies between 1us and 24h")]
    Range,
}

/// Reads `"250ms"`, `"2s"`, `"1.5s"`, `"5m"`, `"1h"`, `"100us"`. The result is at least 1 µs and at most 24 h.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let value: f64 = number.parse().map_err(|_| DurationError::Number)?;
    let seconds = match unit {
        "us" => value / 1e6,
        "ms" => value / 1e3,
        "s" => value,
        "m" => value * 60.0,
        "h" => value * 3600.0,
        "" => return Err(DurationError::NoUnit(number.to_owned())),
        other => return Err(DurationError::Unit(other.to_owned())),
    };
    let duration = Duration::try_from_secs_f64(seconds).map_err(|_| DurationError::Range)?;
    let rounded = Duration::from_micros((duration.as_nanos() as u64).div_ceil(1000));
    if rounded.is_zero() || rounded > LONGEST { Err(DurationError::Range) } else { Ok(rounded) }
}

/// Writes a duration the way state writes it, in the largest unit that needs no fraction.
pub fn format_duration(duration: Duration) -> String {
    let micros = duration.as_micros();
    let units = [(3_600_000_000, "h"), (60_000_000, "m"), (1_000_000, "s"), (1000, "ms")];
    match units.into_iter().find(|(unit, _)| micros >= *unit && micros.is_multiple_of(*unit)) {
        Some((unit, suffix)) => format!("{}{suffix}", micros / unit),
        None => format!("{micros}us"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_each_unit() {
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse_duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(parse_duration("1h"), Ok(Duration::from_secs(3600)));
        assert_eq!(parse_duration("100us"), Ok(Duration::from_micros(100)));
    }

    #[test]
    fn refuses_what_it_would_have_to_guess() {
        assert_eq!(parse_duration("5"), Err(DurationError::NoUnit("5".into())));
        assert_eq!(parse_duration("5 s"), Err(DurationError::Unit(" s".into())));
        assert_eq!(parse_duration("s"), Err(DurationError::Number));
        assert_eq!(parse_duration("-1s"), Err(DurationError::Number));
        assert_eq!(parse_duration("1..5s"), Err(DurationError::Number));
        assert_eq!(parse_duration("0s"), Err(DurationError::Range));
        assert_eq!(parse_duration("25h"), Err(DurationError::Range));
        assert_eq!(parse_duration(&format!("{}h", "9".repeat(400))), Err(DurationError::Range));
    }

    proptest! {
        #[test]
        fn format_then_parse_is_identity(micros in 1u64..86_400_000_000) {
            let duration = Duration::from_micros(micros);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }

        #[test]
        fn never_panics(text in "\\PC{0,12}") {
            let _ = parse_duration(&text);
        }
    }
}
