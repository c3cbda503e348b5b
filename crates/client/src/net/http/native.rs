//! HTTP natively: reqwest over rustls.

use std::{error::Error, sync::OnceLock};

use reqwest::redirect;

use super::{HttpError, MAX_REDIRECTS, Method, Request, Response};
use crate::net::origin;

/// Two sets of connections: a proxy named in the environment is for the world, never for this machine.
#[derive(Clone)]
pub(super) struct Http {
    world: reqwest::Client,
    loopback: reqwest::Client,
}

impl Default for Http {
    fn default() -> Self {
        use_ring();
        let builder = || {
            reqwest::Client::builder()
                .user_agent(concat!("sheaf/", env!("CARGO_PKG_VERSION")))
                .redirect(redirect::Policy::custom(follow))
        };
        let build = |b: reqwest::ClientBuilder| {
            b.build().expect("the settings are constant and the TLS provider is set")
        };
        Self { world: build(builder()), loopback: build(builder().no_proxy()) }
    }
}

/// rustls wants one process-wide choice of cryptography; whoever chose before us is right too.
pub(crate) fn use_ring() {
    static CHOSEN: OnceLock<()> = OnceLock::new();
    CHOSEN.get_or_init(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

fn follow(attempt: redirect::Attempt<'_>) -> redirect::Action {
    let from_loopback =
        attempt.previous().first().is_some_and(|url| origin::is_loopback_host(url.host_str().unwrap_or("")));
    let to_loopback = origin::is_loopback_host(attempt.url().host_str().unwrap_or(""));
    let safe = if from_loopback { to_loopback } else { attempt.url().scheme() == "https" && !to_loopback };
    if safe && attempt.previous().len() <= MAX_REDIRECTS { attempt.follow() } else { attempt.stop() }
}

impl Http {
    pub(super) async fn send(&self, request: Request) -> Result<Response, HttpError> {
        let client = if origin::is_loopback_url(&request.url) { &self.loopback } else { &self.world };
        let method = match request.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
        };
        let mut builder = client.request(method, &request.url);
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        if let Some(body) = request.body {
            builder = builder.body(body);
        }
        let mut response = builder.send().await.map_err(|e| failure(&e))?;
        if response.content_length().is_some_and(|length| length > request.limit as u64) {
            return Err(HttpError::TooLarge { limit: request.limit });
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| HttpError::Interrupted(root_cause(&e)))? {
            if body.len() + chunk.len() > request.limit {
                return Err(HttpError::TooLarge { limit: request.limit });
            }
            body.extend_from_slice(&chunk);
        }
        let status = response.status().as_u16();
        let headers =
            response.headers().iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        Ok(Response::new(status, headers, body))
    }
}

fn failure(error: &reqwest::Error) -> HttpError {
    if error.is_timeout() {
        HttpError::TimedOut
    } else if error.is_connect() || error.is_builder() {
        HttpError::Unreachable(root_cause(error))
    } else {
        HttpError::Interrupted(root_cause(error))
    }
}

/// The innermost reason: the outer layers repeat the URL.
fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
