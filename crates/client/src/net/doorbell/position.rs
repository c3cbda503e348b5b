//! How far a stream was read, kept over restarts.
//!
//! A position is only ever saved once everything before it has been handed on. It saves nothing but a server's work: after
//! connecting every repo is looked at anyway. So one that cannot be trusted is dropped without a word: one that is old, that is
//! from a clock's future, or that the server did not take.

use std::time::Duration;

use sheaf_core::{replica::StoreOp, time::Timestamp};

use crate::{platform, store::SharedStore};

/// A longer absence is no matter for a stream: looking at the repos costs less than reading through all that happened.
const RESUME_WITHIN: Duration = Duration::from_secs(10 * 60);
/// How often a position is saved while events come in.
const SAVE_EVERY: Duration = Duration::from_secs(5);

/// The position in the stream at one address.
pub(super) struct StreamPosition {
    store: SharedStore,
    key: String,
    read_to: Option<u64>,
    saved_at: Option<Timestamp>,
}

impl StreamPosition {
    pub(super) async fn load(store: &SharedStore, address: &str) -> Self {
        let key = format!("stream/{address}");
        let saved = store.get(&key).await.ok().flatten();
        let read_to = saved.and_then(|saved| parse(&saved, platform::now()));
        Self { store: store.clone(), key, read_to, saved_at: None }
    }

    /// Where to resume, if anywhere.
    pub(super) fn get(&self) -> Option<u64> {
        self.read_to
    }

    /// Everything up to there has been handed on.
    pub(super) async fn advance(&mut self, to: u64) {
        self.read_to = Some(to);
        let now = platform::now();
        if self.saved_at.is_none_or(|at| now.saturating_since(at) >= SAVE_EVERY) {
            self.saved_at = Some(now);
            self.write(StoreOp::Put {
                key: self.key.clone(),
                value: format!("{to} {}", now.as_micros()).into(),
            })
            .await;
        }
    }

    /// It is not this stream's.
    pub(super) async fn forget(&mut self) {
        if self.read_to.take().is_some() {
            self.write(StoreOp::Delete { key: self.key.clone() }).await;
        }
    }

    async fn write(&self, op: StoreOp) {
        if let Err(error) = self.store.write(vec![op]).await {
            tracing::debug!(%error, "the stream position is not saved");
        }
    }
}

/// A position and when it was saved, as `position micros`.
fn parse(saved: &[u8], now: Timestamp) -> Option<u64> {
    let (position, at) = std::str::from_utf8(saved).ok()?.split_once(' ')?;
    let at = Timestamp::from_micros(at.parse().ok()?);
    let fresh = at <= now && now.saturating_since(at) <= RESUME_WITHIN;
    position.parse().ok().filter(|_| fresh)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_fresh_position_is_resumed() {
        let now = Timestamp::from_millis(1_780_000_000_000);
        let saved = |position: &str, at: Timestamp| format!("{position} {}", at.as_micros()).into_bytes();
        assert_eq!(parse(&saved("42", now), now), Some(42));
        assert_eq!(parse(&saved("42", now.saturating_sub(RESUME_WITHIN * 2)), now), None, "too old");
        assert_eq!(parse(&saved("42", now.saturating_add(Duration::from_secs(1))), now), None, "the future");
        for nonsense in ["", "42", "-1 5", "42 x", "1700000000000000", "\u{0}"] {
            assert_eq!(parse(nonsense.as_bytes(), now), None, "{nonsense:?}");
        }
    }
}
