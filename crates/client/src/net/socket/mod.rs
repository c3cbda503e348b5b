//! A WebSocket that is only ever listened to.

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

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest message read, in bytes: a firehose commit with its 2 MB of blocks, generously.
const MAX_MESSAGE: usize = 5 * 1024 * 1024;

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Message {
    Text(String),
    Binary(Vec<u8>),
}

/// Why a stream is not (or no longer) listened to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SocketError {
    #[error("it could not be reached ({0})")]
    Unreachable(String),
    #[error("it did not answer in time")]
    TimedOut,
    #[error("the connection closed ({0})")]
    Closed(String),
}

/// An open connection; dropping it closes it.
pub(crate) struct Socket(imp::Socket);

impl Socket {
    /// Connects to a `ws` or `wss` address.
    pub(crate) async fn connect(url: &str) -> Result<Self, SocketError> {
        let connected = platform::within(CONNECT_TIMEOUT, imp::Socket::connect(url)).await;
        connected.unwrap_or(Err(SocketError::TimedOut)).map(Self)
    }

    /// The next message. Keeps the connection alive meanwhile, and notices where it can that it died. May be dropped at any
    /// time: what has arrived stays here.
    pub(crate) async fn next(&mut self) -> Result<Message, SocketError> {
        self.0.next().await
    }
}
