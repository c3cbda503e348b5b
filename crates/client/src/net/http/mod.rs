//! One HTTP request, one bounded answer.
//!
//! Every answer has a time limit over the whole exchange and a size limit enforced while it streams in, so that a server
//! that hangs, dribbles or floods costs a known amount. Statuses are answers, not errors: what they mean is the business
//! of [`super::xrpc`].

use std::time::Duration;

use crate::platform;

#[cfg(target_arch = "wasm32")]
mod browser;
#[cfg(not(target_arch = "wasm32"))]
mod native;

#[cfg(target_arch = "wasm32")]
use browser as imp;
#[cfg(not(target_arch = "wasm32"))]
use native as imp;

#[cfg(target_arch = "wasm32")]
pub(crate) use browser::{send_with, words};
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use native::use_ring;

/// How long an exchange may take unless its request says otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(15);
/// The largest JSON answer read, in bytes.
pub const MAX_JSON: usize = 256 * 1024;
/// The largest CAR read, in bytes.
pub const MAX_CAR: usize = 8 * 1024 * 1024;
/// How many redirects are followed, and only towards https or the same kind of loopback.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) const MAX_REDIRECTS: usize = 3;
/// The longest header value kept, in bytes.
const MAX_HEADER: usize = 1024;

/// The headers anyone here reads; all others are dropped at the door.
pub(crate) const WANTED_HEADERS: [&str; 8] = [
    "content-type",
    "retry-after",
    "ratelimit-limit",
    "ratelimit-remaining",
    "ratelimit-reset",
    "ratelimit-policy",
    "www-authenticate",
    "dpop-nonce",
];

/// The two methods XRPC has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Writes.
    Post,
}

impl Method {
    /// As it stands in the request line.
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
        }
    }
}

/// What to ask.
#[derive(Clone)]
pub struct Request {
    /// How.
    pub method: Method,
    /// Where, in full.
    pub url: String,
    /// Extra headers. May hold secrets, so `Debug` shows the names alone.
    pub headers: Vec<(&'static str, String)>,
    /// What to send, if anything.
    pub body: Option<Vec<u8>>,
    /// The largest answer accepted, in bytes.
    pub limit: usize,
    /// The time limit for the whole exchange.
    pub timeout: Duration,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| *name).collect();
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("url", &self.url)
            .field("headers", &names)
            .field("body", &self.body.as_ref().map(Vec::len))
            .finish_non_exhaustive()
    }
}

impl Request {
    /// A GET of JSON with the default limits.
    pub fn get(url: impl Into<String>) -> Self {
        Self {
            method: Method::Get,
            url: url.into(),
            headers: vec![],
            body: None,
            limit: MAX_JSON,
            timeout: DEFAULT_TIMEOUT,
        }
    }

    /// A POST of a JSON body with the default limits.
    pub fn post_json(url: impl Into<String>, body: &serde_json::Value) -> Self {
        Self {
            method: Method::Post,
            headers: vec![("content-type", "application/json".into())],
            body: Some(body.to_string().into_bytes()),
            ..Self::get(url)
        }
    }

    /// A POST of bytes of some media type with the default limits.
    pub fn post_bytes(url: impl Into<String>, media_type: &str, body: Vec<u8>) -> Self {
        Self {
            method: Method::Post,
            headers: vec![("content-type", media_type.into())],
            body: Some(body),
            ..Self::get(url)
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Sets the largest answer accepted, in bytes.
    #[must_use]
    pub fn limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }

    /// Sets the time limit for the whole exchange.
    #[must_use]
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }
}

/// What came back, whatever its status.
#[derive(Debug, Clone)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The headers of interest, names in lower case.
    headers: Vec<(&'static str, String)>,
    /// At most as long as the request's limit.
    pub body: Vec<u8>,
}

impl Response {
    /// An answer from its parts; headers nobody reads are dropped.
    pub fn new<'a>(
        status: u16,
        headers: impl IntoIterator<Item = (&'a str, &'a str)>,
        body: Vec<u8>,
    ) -> Self {
        let mut kept = Vec::new();
        for (name, value) in headers {
            let wanted = WANTED_HEADERS.into_iter().find(|wanted| wanted.eq_ignore_ascii_case(name));
            if let Some(name) = wanted.filter(|_| value.len() <= MAX_HEADER) {
                kept.push((name, value.to_owned()));
            }
        }
        Self { status, headers: kept, body }
    }

    /// A header by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| *n == name).map(|(_, value)| value.as_str())
    }

    /// Whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// No connection: no network, no such host, refused, or the certificate does not fit.
    #[error("it could not be reached ({0})")]
    Unreachable(String),
    /// The connection broke before the answer was complete; a write may or may not have happened.
    #[error("the connection broke off ({0})")]
    Interrupted(String),
    /// No complete answer in time; a write may or may not have happened.
    #[error("it did not answer in time")]
    TimedOut,
    /// The answer is larger than any honest one.
    #[error("its answer is larger than {limit} bytes")]
    TooLarge {
        /// The limit it passed.
        limit: usize,
    },
}

/// Sends requests. Cheap to clone; connections are reused.
#[derive(Clone, Default)]
pub struct Http(imp::Http);

impl Http {
    /// A client with its own connections.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sends a request once.
    ///
    /// # Errors
    /// [`HttpError`] when there is no complete answer within the request's limits.
    pub async fn send(&self, request: Request) -> Result<Response, HttpError> {
        let limit = request.timeout;
        let (method, url) = (request.method.as_str(), request.url.clone());
        let result = platform::within(limit, self.0.send(request)).await.unwrap_or(Err(HttpError::TimedOut));
        // URLs hold no secrets here: DIDs, record keys and CIDs.
        match &result {
            Ok(response) => {
                let body_bytes = response.body.len() as u64;
                tracing::debug!(method, url, status = response.status, body_bytes, "answered");
            }
            Err(error) => tracing::debug!(method, url, %error, "no answer"),
        }
        result
    }

    /// Sends a GET, and once more if the connection broke, which servers do to kept-alive connections. Every other kind
    /// of retry belongs to core, which knows what waits.
    ///
    /// # Errors
    /// As [`Http::send`].
    pub async fn get(&self, request: Request) -> Result<Response, HttpError> {
        debug_assert_eq!(request.method, Method::Get, "only reads are repeated");
        match self.send(request.clone()).await {
            Err(HttpError::Interrupted(reason)) => {
                tracing::debug!(url = %request.url, reason, "connection broke, asking once more");
                platform::sleep(platform::jittered(Duration::from_millis(60))).await;
                self.send(request).await
            }
            other => other,
        }
    }
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests;

#[cfg(test)]
mod request_tests {
    use super::*;

    #[test]
    fn only_headers_somebody_reads_are_kept() {
        let long = "x".repeat(MAX_HEADER + 1);
        let headers = [("RateLimit-Limit", "5000"), ("Set-Cookie", "a=b"), ("Retry-After", long.as_str())];
        let response = Response::new(200, headers, vec![]);
        assert_eq!(response.header("ratelimit-limit"), Some("5000"));
        assert_eq!(response.headers.len(), 1);
    }

    #[test]
    fn debug_shows_no_secret() {
        let request = Request::get("https://pds.example/").header("authorization", "Bearer very-secret");
        let shown = format!("{request:?}");
        assert!(shown.contains("authorization") && !shown.contains("very-secret"), "{shown}");
    }
}
