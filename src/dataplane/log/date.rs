//! Dates in UTC, as logs write them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A moment taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Date {
    year: u64,
    /// From 1.
    month: u64,
    day: u64,
    seconds_of_day: u64,
    milliseconds: u32,
}

impl Date {
    /// In the proleptic Gregorian calendar; a clock before 1970 is taken for 1970.
    pub(super) fn of(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let (days, seconds_of_day) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
        // Howard Hinnant's civil_from_days: years begin in March, so that the leap day is the last one.
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * from_march + 2) / 5 + 1;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        let year = year_of_era + era * 400 + u64::from(month <= 2);
        Self { year, month, day, seconds_of_day, milliseconds: since.subsec_millis() }
    }

    /// `23/Nov/2026:05:10:26.123`
    pub(super) fn haproxy(&self) -> String {
        let (year, month, day, clock) = (self.year, self.month_name(), self.day, self.clock());
        format!("{day:02}/{month}/{year:04}:{clock}.{:03}", self.milliseconds)
    }

    /// RFC 3339: `2026-11-23T05:10:26.123Z`
    pub(super) fn rfc3339(&self) -> String {
        let (year, month, day, clock) = (self.year, self.month, self.day, self.clock());
        format!("{year:04}-{month:02}-{day:02}T{clock}.{:03}Z", self.milliseconds)
    }

    /// RFC 3164: `Nov  3 05:10:26`
    pub(super) fn rfc3164(&self) -> String {
        format!("{} {:2} {}", self.month_name(), self.day, self.clock())
    }

    fn month_name(&self) -> &'static str {
        MONTHS[(self.month as usize - 1) % 12]
    }

    fn clock(&self) -> String {
        let seconds = self.seconds_of_day;
        format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(seconds: u64) -> Date {
        Date::of(UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_millis(7))
    }

    #[test]
    fn moments_are_those_of_the_calendar() {
        for (seconds, wanted) in [
            (0, "1970-01-01T00:00:00.007Z"),
            (951_782_399, "2000-02-28T23:59:59.007Z"),
            (951_782_400, "2000-02-29T00:00:00.007Z"),
            (951_868_800, "2000-03-01T00:00:00.007Z"),
            (1_795_410_626, "2026-11-23T05:10:26.007Z"),
            (4_107_542_400, "2100-03-01T00:00:00.007Z"),
            (4_107_542_399, "2100-02-28T23:59:59.007Z"),
        ] {
            assert_eq!(date(seconds).rfc3339(), wanted);
        }
        assert_eq!(Date::of(UNIX_EPOCH - Duration::from_secs(9)).rfc3339(), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn each_log_has_its_way_to_write_them() {
        assert_eq!(date(1_795_410_626).haproxy(), "23/Nov/2026:05:10:26.007");
        assert_eq!(date(1_793_682_626).rfc3164(), "Nov  3 05:10:26");
    }
}
