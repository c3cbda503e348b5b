//! XRPC: how atproto's servers are asked, how they say no, and how they ask for patience.

use std::time::Duration;

use serde::{Deserialize, de::DeserializeOwned};
use sheaf_core::{replica::RateLimits, time::Timestamp};

use super::{
    http::{HttpError, Response},
    origin,
};

/// The longest error name or message kept, in characters.
const MAX_WORDS: usize = 300;
/// Servers may not put us off for longer than this.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 3600);

/// The address of a method with its parameters.
///
/// ```
/// use sheaf_client::net::xrpc::url;
///
/// let url = url("https://pds.example", "com.atproto.sync.getLatestCommit", [("did", "did:web:bob.example")]);
/// assert_eq!(url, "https://pds.example/xrpc/com.atproto.sync.getLatestCommit?did=did:web:bob.example");
/// ```
pub fn url<'a>(
    origin: &str,
    method: &str,
    parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> String {
    format!("{origin}/xrpc/{method}{}", origin::query(parameters))
}

/// A refusal in a server's own words, cut to a length that can be shown. Untrusted: text only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The error's name; empty when the answer was not XRPC.
    pub error: String,
    /// Its explanation.
    pub message: String,
}

impl Refusal {
    /// Reads whatever came with a status that is not 2xx.
    pub fn of(response: &Response) -> Self {
        #[derive(Deserialize)]
        struct Body {
            #[serde(default)]
            error: String,
            #[serde(default)]
            message: String,
        }
        let status = response.status;
        match serde_json::from_slice::<Body>(&response.body) {
            Ok(body) => Self { status, error: tamed(&body.error), message: tamed(&body.message) },
            Err(_) => Self { status, error: String::new(), message: format!("status {status}") },
        }
    }
}

/// Words from outside made fit to show: no control characters, bounded.
fn tamed(words: &str) -> String {
    words.chars().filter(|c| !c.is_control()).take(MAX_WORDS).collect()
}

/// Reads a JSON answer into a type.
///
/// # Errors
/// In words, when the answer is something else, such as a page of HTML.
pub fn parse<T: DeserializeOwned>(response: &Response) -> Result<T, String> {
    serde_json::from_slice(&response.body)
        .map_err(|error| not_what_was_asked(response).unwrap_or(error.to_string()))
}

/// Names the classics among wrong answers.
pub(crate) fn not_what_was_asked(response: &Response) -> Option<String> {
    let html = response
        .header("content-type")
        .is_some_and(|t| t.trim_start().to_ascii_lowercase().starts_with("text/html"));
    if html || response.body.trim_ascii_start().starts_with(b"<") {
        return Some("it sent a web page instead of data".into());
    }
    response.body.is_empty().then(|| "it sent nothing".into())
}

/// When the server asked to come back: `Retry-After` in seconds or as a date, else the reset of a used-up quota.
pub fn retry_after(response: &Response, now: Timestamp) -> Option<Duration> {
    let asked = match response.header("retry-after").map(str::trim) {
        Some(value) => match value.parse::<u64>() {
            Ok(seconds) => Some(Duration::from_secs(seconds)),
            Err(_) => http_date(value).map(|at| at.saturating_since(now)),
        },
        None => {
            rate_limits(response, now).filter(|l| l.remaining == 0).map(|l| l.reset.saturating_since(now))
        }
    };
    asked.map(|wait| wait.min(MAX_RETRY_AFTER))
}

/// What the `RateLimit-*` headers say, where the server sends them and they make sense.
pub fn rate_limits(response: &Response, now: Timestamp) -> Option<RateLimits> {
    let number = |name| response.header(name)?.trim().parse::<u64>().ok();
    let limit = u32::try_from(number("ratelimit-limit")?).ok()?;
    let remaining = u32::try_from(number("ratelimit-remaining")?).ok()?;
    // The reference PDS sends seconds since 1970, the draft standard seconds from now; nobody's window is 30 years.
    let reset = match number("ratelimit-reset")? {
        seconds @ 1_000_000_000.. => Timestamp::from_millis(seconds.checked_mul(1000)?),
        seconds => now.saturating_add(Duration::from_secs(seconds)),
    };
    // `5000;w=3600`
    let policy = response.header("ratelimit-policy").unwrap_or("");
    let window =
        policy.split([';', ',']).find_map(|part| part.trim().strip_prefix("w=")?.parse::<u64>().ok());
    let window = window.map_or_else(|| reset.saturating_since(now), Duration::from_secs);
    Some(RateLimits { limit, remaining, reset, window })
}

/// An HTTP date in its one recommended form, `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110).
fn http_date(value: &str) -> Option<Timestamp> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = value.split_once(", ")?.1.split(' ');
    let (day, month, year, time) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let month = MONTHS.iter().position(|m| *m == month)? + 1;
    Timestamp::parse_rfc3339(&format!("{year}-{month:02}-{day}T{time}Z")).ok()
}

/// The words for a failed exchange, for the kinds of failure that have no case of their own.
pub(crate) fn reason(error: &HttpError) -> String {
    match error {
        HttpError::Unreachable(reason) | HttpError::Interrupted(reason) => reason.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Response {
        Response::new(status, headers.iter().copied(), body.into())
    }

    #[test]
    fn quotas_are_read_in_both_dialects() {
        let reset = (NOW + 600).to_string();
        for reset in [reset.as_str(), "600"] {
            let headers = [
                ("RateLimit-Limit", "5000"),
                ("RateLimit-Remaining", "4998"),
                ("RateLimit-Reset", reset),
                ("RateLimit-Policy", "5000;w=3600"),
            ];
            let limits = rate_limits(&answer(200, &headers, "{}"), at(NOW)).unwrap();
            assert_eq!((limits.limit, limits.remaining), (5000, 4998));
            assert_eq!(limits.reset, at(NOW + 600));
            assert_eq!(limits.window, Duration::from_secs(3600));
        }
    }

    #[test]
    fn nonsense_quotas_are_no_quotas() {
        for (limit, remaining, reset) in [
            ("many", "1", "1"),
            ("-1", "1", "1"),
            ("1", "1", "18446744073709551615"),
            ("99999999999", "1", "1"),
        ] {
            let headers =
                [("RateLimit-Limit", limit), ("RateLimit-Remaining", remaining), ("RateLimit-Reset", reset)];
            assert_eq!(rate_limits(&answer(200, &headers, ""), at(NOW)), None);
        }
    }

    #[test]
    fn patience_is_asked_for_in_three_ways_and_capped() {
        let wait = |headers: &[(&str, &str)]| retry_after(&answer(429, headers, ""), at(NOW));
        assert_eq!(wait(&[("Retry-After", "7")]), Some(Duration::from_secs(7)));
        assert_eq!(wait(&[("Retry-After", "Tue, 14 Nov 2023 22:13:30 GMT")]), Some(Duration::from_secs(10)));
        let used_up = [("RateLimit-Limit", "1"), ("RateLimit-Remaining", "0"), ("RateLimit-Reset", "30")];
        assert_eq!(wait(&used_up), Some(Duration::from_secs(30)));
        assert_eq!(wait(&[("Retry-After", "99999999999")]), Some(MAX_RETRY_AFTER));
        assert_eq!(wait(&[("Retry-After", "soon")]), None);
        assert_eq!(wait(&[]), None);
    }

    #[test]
    fn refusals_are_tamed() {
        let refusal = Refusal::of(&answer(400, &[], r#"{"error":"InvalidSwap","message":"a\u0007b"}"#));
        assert_eq!(refusal, Refusal { status: 400, error: "InvalidSwap".into(), message: "ab".into() });
        let long = format!(r#"{{"error":"E","message":"{}"}}"#, "x".repeat(10_000));
        assert_eq!(Refusal::of(&answer(400, &[], &long)).message.len(), MAX_WORDS);
        assert_eq!(Refusal::of(&answer(502, &[], "<html>")).message, "status 502");
    }

    #[test]
    fn a_web_page_is_called_one() {
        let page = answer(200, &[("Content-Type", "text/html; charset=utf-8")], "Welcome");
        assert_eq!(parse::<serde_json::Value>(&page).unwrap_err(), "it sent a web page instead of data");
        let page = answer(200, &[], "\n <!doctype html>");
        assert_eq!(parse::<serde_json::Value>(&page).unwrap_err(), "it sent a web page instead of data");
    }
}
