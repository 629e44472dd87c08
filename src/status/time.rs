use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

const MILLIS_PER_DAY: u64 = 86_400_000;

/// A moment of wall time, to the millisecond; written in RFC 3339, UTC: `2026-11-22T15:04:05.678Z`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

/// A text that is no moment as [`Timestamp`] writes it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no RFC 3339 time in UTC, as \"2026-11-22T15:04:05.678Z\"")]
pub struct TimestampError(String);

impl Timestamp {
    /// Milliseconds since 1970-01-01T00:00:00Z, leap seconds left out, as Unix counts.
    pub fn from_unix_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub fn unix_millis(self) -> u64 {
        self.0
    }

    /// Seconds since 1970-01-01T00:00:00Z, as Prometheus wants them.
    pub fn unix_seconds(self) -> f64 {
        self.0 as f64 / 1e3
    }

    /// From `earlier` to this moment; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// Reads what [`fmt::Display`] writes. A fraction may have any number of digits or be left out.
    pub fn parse(text: &str) -> Result<Self, TimestampError> {
        parse(text).map(Self).ok_or_else(|| TimestampError(text.chars().take(40).collect()))
    }
}

impl From<SystemTime> for Timestamp {
    /// Times before 1970 become 1970.
    fn from(time: SystemTime) -> Self {
        Self(time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil_from_days(self.0 / MILLIS_PER_DAY);
        let (second, milli) = (self.0 % MILLIS_PER_DAY / 1000, self.0 % 1000);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// The date of a day counted from 1970-01-01: Howard Hinnant's `civil_from_days`, whose years begin in March so that
/// the leap day comes last, in eras of 400 years.
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

fn days_from_civil(year: u64, month: u64, day: u64) -> Option<u64> {
    let year = if month <= 2 { year.checked_sub(1)? } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let shifted_month = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * 146_097 + day_of_era).checked_sub(719_468)
}

fn parse(text: &str) -> Option<u64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let [year, month, day] = fields(date, '-', [4, 2, 2])?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let [hour, minute, second] = fields(time, ':', [2, 2, 2])?;
    if hour > 23 || minute > 59 || second > 60 || fraction.is_empty() {
        return None;
    }
    let days = days_from_civil(year, month, day)?;
    // The 31st of a short month is found out by writing it back.
    if civil_from_days(days) != (year, month, day) {
        return None;
    }
    let seconds = hour * 3600 + minute * 60 + second.min(59);
    let digits = fraction.bytes().all(|byte| byte.is_ascii_digit()).then(|| format!("{fraction:0<3.3}"))?;
    Some(days * MILLIS_PER_DAY + seconds * 1000 + digits.parse::<u64>().ok()?)
}

fn fields(text: &str, separator: char, widths: [usize; 3]) -> Option<[u64; 3]> {
    let mut parts = text.split(separator);
    let mut values = [0; 3];
    for (value, width) in values.iter_mut().zip(widths) {
        let part = parts.next().filter(|part| part.len() == width && part.bytes().all(|b| b.is_ascii_digit()))?;
        *value = part.parse().ok()?;
    }
    parts.next().is_none().then_some(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_moments_read_as_date_shows_them() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199_999, "2024-02-29T23:59:59.999Z"),
            (1_795_359_845_678, "2026-11-22T15:04:05.678Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(Timestamp(millis).to_string(), text);
            assert_eq!(Timestamp::parse(text), Ok(Timestamp(millis)));
        }
    }

    #[test]
    fn any_fraction_is_read() {
        let second = Timestamp::parse("2026-11-22T15:04:05Z").unwrap();
        assert_eq!(Timestamp::parse("2026-11-22T15:04:05.5Z").unwrap().since(second), Duration::from_millis(500));
        assert_eq!(Timestamp::parse("2026-11-22T15:04:05.123456789Z").unwrap().since(second).as_millis(), 123);
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for bad in [
            "",
            "now",
            "2026-11-22T15:04:05",
            "2026-11-22T15:04:05+00:00",
            "2026-13-22T15:04:05Z",
            "2026-00-22T15:04:05Z",
            "2026-02-30T15:04:05Z",
            "2026-11-22T24:04:05Z",
            "2026-11-22T15:04:05.Z",
            "2026-11-22T15:04:05.-1Z",
            "1969-12-31T23:59:59Z",
            "+026-11-22T15:04:05Z",
        ] {
            assert!(Timestamp::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn earlier_and_later_are_told_apart() {
        assert_eq!(Timestamp(1500).since(Timestamp(1000)), Duration::from_millis(500));
        assert_eq!(Timestamp(1000).since(Timestamp(1500)), Duration::ZERO);
        assert_eq!(Timestamp::from(UNIX_EPOCH - Duration::from_secs(1)), Timestamp(0));
    }

    proptest! {
        #[test]
        fn write_then_read_is_identity(millis in 0u64..253_402_300_800_000) {
            prop_assert_eq!(Timestamp::parse(&Timestamp(millis).to_string()), Ok(Timestamp(millis)));
        }

        #[test]
        fn text_never_panics(text in "[0-9TZ:.+-]{0,30}|\\PC{0,30}") {
            let _ = Timestamp::parse(&text);
        }

        #[test]
        fn later_moments_are_written_later(a in 0u64..253_402_300_800_000, b in 0u64..253_402_300_800_000) {
            prop_assert_eq!(a.cmp(&b), Timestamp(a).to_string().cmp(&Timestamp(b).to_string()));
        }
    }
}
