//! The ways in which an answer goes wrong.

use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;

/// What happens to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It is served in order, this much later.
    Delay(Duration),
    /// It is never answered, and never reaches the server.
    Hang,
    /// The connection ends without an answer; the request never reaches the server.
    Reset,
    /// The server does what it was asked to, but the connection ends before its answer arrives.
    LoseReply,
    /// The server's answer breaks off in the middle of its body.
    Truncate,
    /// Something in between answers; the request never reaches the server.
    Answer {
        /// The status.
        status: StatusCode,
        /// Headers, by name and value.
        headers: Vec<(&'static str, String)>,
        /// The body.
        body: Bytes,
    },
}

impl Fault {
    /// 500, as XRPC says it.
    pub fn server_error() -> Self {
        Self::json(StatusCode::INTERNAL_SERVER_ERROR, Vec::new(), r#"{"error":"InternalServerError"}"#)
    }

    /// 429 with `Retry-After`, and `RateLimit-*` headers as the reference PDS sends them when nothing is left of the
    /// hourly 5,000 points. `retry_after` is sent in whole seconds.
    pub fn rate_limited(retry_after: Duration) -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let headers = vec![
            ("retry-after", retry_after.as_secs().to_string()),
            ("ratelimit-limit", "5000".to_owned()),
            ("ratelimit-remaining", "0".to_owned()),
            ("ratelimit-reset", (now + retry_after).as_secs().to_string()),
            ("ratelimit-policy", "5000;w=3600".to_owned()),
        ];
        let body = r#"{"error":"RateLimitExceeded","message":"Rate Limit Exceeded"}"#;
        Self::json(StatusCode::TOO_MANY_REQUESTS, headers, body)
    }

    /// 401 `ExpiredToken`, as for an access token past its time.
    pub fn expired_token() -> Self {
        let body = r#"{"error":"ExpiredToken","message":"Token has expired"}"#;
        Self::json(StatusCode::UNAUTHORIZED, Vec::new(), body)
    }

    /// 200 with a web page in place of what was asked for, as captive portals and proxies do.
    pub fn html() -> Self {
        Self::Answer {
            status: StatusCode::OK,
            headers: vec![("content-type", "text/html; charset=utf-8".to_owned())],
            body: Bytes::from_static(b"<!doctype html><title>Welcome</title><p>Please accept our terms.</p>"),
        }
    }

    fn json(status: StatusCode, mut headers: Vec<(&'static str, String)>, body: &'static str) -> Self {
        headers.push(("content-type", "application/json".to_owned()));
        Self::Answer { status, headers, body: Bytes::from_static(body.as_bytes()) }
    }
}
