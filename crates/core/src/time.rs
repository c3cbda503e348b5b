//! Points in time, as core is told them: core has no clock of its own.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

const MICROS_PER_SECOND: u64 = 1_000_000;
const SECONDS_PER_DAY: u64 = 86_400;

/// A point in time: whole microseconds since 1970-01-01T00:00:00Z.
///
/// Every event that core handles carries one; core never asks a clock. The arithmetic saturates, so a device whose
/// clock is absurd gets absurd delays but never a panic.
///
/// ```
/// use sheaf_core::time::Timestamp;
/// let at = Timestamp::parse_rfc3339("2026-11-23T02:30:00.250Z").unwrap();
/// assert_eq!(at.as_millis(), 1_795_401_000_250);
/// assert_eq!(at.to_rfc3339(), "2026-11-23T02:30:00.250Z");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The beginning of 1970, UTC.
    pub const EPOCH: Timestamp = Timestamp(0);
    /// The last point in time there is: a deadline that never comes.
    pub const MAX: Timestamp = Timestamp(u64::MAX);

    /// From microseconds since 1970.
    pub const fn from_micros(micros: u64) -> Timestamp {
        Timestamp(micros)
    }

    /// From milliseconds since 1970; saturates.
    pub const fn from_millis(millis: u64) -> Timestamp {
        Timestamp(millis.saturating_mul(1_000))
    }

    /// Microseconds since 1970.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Whole milliseconds since 1970, rounded down.
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000
    }

    /// `self` later by `duration`, at most [`Timestamp::MAX`].
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(micros(duration)))
    }

    /// `self` earlier by `duration`, at least [`Timestamp::EPOCH`].
    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> Timestamp {
        Timestamp(self.0.saturating_sub(micros(duration)))
    }

    /// `self` later by `duration`, or `None` past the end of time.
    pub fn checked_add(self, duration: Duration) -> Option<Timestamp> {
        self.0.checked_add(micros(duration)).map(Timestamp)
    }

    /// How long after `earlier` this is; zero when it is not after it.
    pub fn saturating_since(self, earlier: Timestamp) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// How long after `earlier` this is, or `None` when it is before it.
    pub fn checked_since(self, earlier: Timestamp) -> Option<Duration> {
        self.0.checked_sub(earlier.0).map(Duration::from_micros)
    }

    /// As atproto writes a `datetime`: RFC 3339, UTC, milliseconds, `Z`.
    pub fn to_rfc3339(self) -> String {
        let seconds = self.0 / MICROS_PER_SECOND;
        let millis = self.0 % MICROS_PER_SECOND / 1_000;
        let (year, month, day) = civil_from_days(seconds / SECONDS_PER_DAY);
        let of_day = seconds % SECONDS_PER_DAY;
        let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
    }

    /// Reads an atproto `datetime` (RFC 3339 with `T`, seconds, and `Z` or an offset; any number of decimals, of which
    /// six are kept).
    ///
    /// # Errors
    /// When it is no such date, or lies before 1970.
    pub fn parse_rfc3339(text: &str) -> Result<Timestamp, TimestampError> {
        parse(text).ok_or(TimestampError)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_rfc3339())
    }
}

/// A text that should be a date and time is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a date and time as in 2026-11-23T02:30:00.000Z, or one before 1970")]
pub struct TimestampError;

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn parse(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    if bytes.len() > 64 || !text.is_ascii() || bytes.len() < 20 {
        return None;
    }
    let year = digits(bytes, 0, 4)?;
    let month = digits(bytes, 5, 2)?;
    let day = digits(bytes, 8, 2)?;
    let hour = digits(bytes, 11, 2)?;
    let minute = digits(bytes, 14, 2)?;
    let second = digits(bytes, 17, 2)?;
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if marks.iter().any(|&(at, mark)| bytes[at] != mark) {
        return None;
    }
    // A leap second (:60) is read as the first moment of the next minute.
    if !(1..=12).contains(&month)
        || day < 1
        || day > days_in_month(year, month)
        || hour > 23
        || minute > 59
        || second > 60
    {
        return None;
    }
    let mut at = 19;
    let mut fraction = 0;
    if bytes[at] == b'.' {
        at += 1;
        let start = at;
        while bytes.get(at).is_some_and(u8::is_ascii_digit) {
            if at - start < 6 {
                fraction = fraction * 10 + u64::from(bytes[at] - b'0');
            }
            at += 1;
        }
        if at == start {
            return None;
        }
        for _ in (at - start)..6 {
            fraction *= 10;
        }
    }
    let offset_minutes: i64 = match bytes.get(at)? {
        b'Z' if bytes.len() == at + 1 => 0,
        sign @ (b'+' | b'-') if bytes.len() == at + 6 && bytes[at + 3] == b':' => {
            let (hours, minutes) = (digits(bytes, at + 1, 2)?, digits(bytes, at + 4, 2)?);
            if hours > 23 || minutes > 59 || (*sign == b'-' && hours == 0 && minutes == 0) {
                return None;
            }
            let total = i64::try_from(hours * 60 + minutes).ok()?;
            if *sign == b'+' { total } else { -total }
        }
        _ => return None,
    };
    let seconds = days_from_civil(year, month, day)? * 86_400
        + i64::try_from(hour * 3_600 + minute * 60 + second).ok()?
        - offset_minutes * 60;
    u64::try_from(seconds).ok()?.checked_mul(MICROS_PER_SECOND)?.checked_add(fraction).map(Timestamp)
}

fn digits(bytes: &[u8], at: usize, count: usize) -> Option<u64> {
    bytes
        .get(at..at + count)?
        .iter()
        .try_fold(0, |number, byte| byte.is_ascii_digit().then(|| number * 10 + u64::from(byte - b'0')))
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_in_month(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 0000-03-01 to 1970-01-01 in the Gregorian calendar.
const EPOCH_FROM_MARCH_ZERO: u64 = 719_468;
const DAYS_PER_ERA: u64 = 146_097;

/// The civil date of a day counted from 1970-01-01. Years are taken to begin in March, so that the leap day is the last
/// one; 400 of them are an era of fixed length.
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let days = days + EPOCH_FROM_MARCH_ZERO;
    let (era, of_era) = (days / DAYS_PER_ERA, days % DAYS_PER_ERA);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

/// The inverse of [`civil_from_days`], negative before 1970; `None` before March of the year 0.
fn days_from_civil(year: u64, month: u64, day: u64) -> Option<i64> {
    let year = if month <= 2 { year.checked_sub(1)? } else { year };
    let march_month = if month > 2 { month - 3 } else { month + 9 };
    let (era, year_of_era) = (year / 400, year % 400);
    let of_year = (153 * march_month + 2) / 5 + day - 1;
    let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
    (era * DAYS_PER_ERA + of_era).checked_signed_diff(EPOCH_FROM_MARCH_ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
    fn every_day_of_eight_centuries_survives_the_calendar() {
        let mut expected = (1970, 1, 1);
        for days in 0..300_000 {
            let (year, month, day) = civil_from_days(days);
            assert_eq!((year, month, day), expected, "day {days}");
            assert_eq!(days_from_civil(year, month, day), Some(days as i64));
            expected = if day < days_in_month(year, month) {
                (year, month, day + 1)
            } else if month < 12 {
                (year, month + 1, 1)
            } else {
                (year + 1, 1, 1)
            };
        }
    }

    #[test]
    #[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
    fn dates_of_all_shapes_are_read() {
        let cases = [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01T00:00:00.000001Z", 1),
            ("1970-01-01T00:00:00.1234567Z", 123_456),
            ("2000-02-29T12:30:15.5+02:00", 951_820_215_500_000),
            ("2016-12-31T23:59:60Z", 1_483_228_800_000_000),
            ("1969-12-31T23:30:00-01:00", 1_800_000_000),
        ];
        for (text, micros) in cases {
            assert_eq!(Timestamp::parse_rfc3339(text), Ok(Timestamp::from_micros(micros)), "{text}");
        }
    }

    #[test]
    #[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
    fn what_is_no_date_is_refused() {
        let cases = [
            "",
            "now",
            "1969-12-31T23:59:59Z",
            "2026-13-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01 00:00:00Z",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00z",
            "2026-01-01T00:00:00-00:00",
            "2026-01-01T00:00:00Zjunk",
            "2026-01-01T00:00:0٣Z",
            "+026-01-01T00:00:00Z",
        ];
        for text in cases {
            assert_eq!(Timestamp::parse_rfc3339(text), Err(TimestampError), "{text}");
        }
    }

    #[test]
    #[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
    fn arithmetic_saturates() {
        let at = Timestamp::from_millis(5);
        assert_eq!(at.saturating_add(Duration::MAX), Timestamp::MAX);
        assert_eq!(at.saturating_sub(Duration::from_secs(1)), Timestamp::EPOCH);
        assert_eq!(at.saturating_since(Timestamp::MAX), Duration::ZERO);
        assert_eq!(at.checked_since(Timestamp::MAX), None);
        assert_eq!(Timestamp::MAX.checked_add(Duration::from_micros(1)), None);
        assert_eq!(at.saturating_since(Timestamp::from_millis(2)), Duration::from_millis(3));
        assert!(Timestamp::MAX.to_rfc3339().starts_with("586524-"));
    }
}
