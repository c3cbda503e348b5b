//! A point in time as a person says it.

use std::{str::FromStr, time::Duration};

use sheaf_core::time::Timestamp;

/// A moment, or how long ago it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    At(Timestamp),
    Ago(Duration),
}

impl When {
    pub(crate) fn from(self, now: Timestamp) -> Timestamp {
        match self {
            When::At(at) => at,
            When::Ago(ago) => now.saturating_sub(ago),
        }
    }
}

/// What was said names no time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoTime;

impl std::error::Error for NoTime {}

impl std::fmt::Display for NoTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a time is such as 2026-11-23, 2026-11-23T02:30:00Z, or 90m, 2h, 3d, 1w for so long ago")
    }
}

impl FromStr for When {
    type Err = NoTime;

    fn from_str(text: &str) -> Result<When, NoTime> {
        if let Some(ago) = ago(text) {
            return Ok(When::Ago(ago));
        }
        // A date is all of that day; minutes without seconds, and no place, are what people write.
        let whole = match text.len() {
            10 => format!("{text}T23:59:59.999999Z"),
            16 => format!("{}:00Z", text.replacen(' ', "T", 1)),
            19 => format!("{}Z", text.replacen(' ', "T", 1)),
            _ => text.to_owned(),
        };
        Timestamp::parse_rfc3339(&whole).map(When::At).map_err(|_| NoTime)
    }
}

fn ago(text: &str) -> Option<Duration> {
    let unit = text.chars().last()?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 7 * 86_400,
        _ => return None,
    };
    let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
    number.checked_mul(seconds).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_date_a_moment_or_so_long_ago() {
        let at = |text: &str| When::At(Timestamp::parse_rfc3339(text).unwrap());
        for (said, meant) in [
            ("2026-11-23", at("2026-11-23T23:59:59.999999Z")),
            ("2026-11-23 02:30", at("2026-11-23T02:30:00Z")),
            ("2026-11-23T02:30:05", at("2026-11-23T02:30:05Z")),
            ("2026-11-23T02:30:00+01:00", at("2026-11-23T01:30:00Z")),
            ("90m", When::Ago(Duration::from_secs(5_400))),
            ("1w", When::Ago(Duration::from_secs(604_800))),
        ] {
            assert_eq!(said.parse(), Ok(meant), "{said}");
        }
        for said in
            ["", "yesterday", "2026-13-01", "-2h", "2", "h", "2é", "99999999999999999999w", "1969-01-01"]
        {
            assert_eq!(said.parse::<When>(), Err(NoTime), "{said}");
        }
        assert_eq!(When::Ago(Duration::from_secs(2)).from(Timestamp::from_millis(1)), Timestamp::EPOCH);
    }
}
