//! What can be wrong with reading somebody's repo, told in words that need no protocol.

use crate::{
    replica::{FetchFailure, ResolveFailure},
    time::Timestamp,
};

/// Why a repo is not (or no longer) followed to its newest state. What was verified before stays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// The account cannot be looked up.
    #[error("{0}")]
    Resolve(ResolveFailure),
    /// The blocks cannot be had.
    #[error("{0}")]
    Fetch(FetchFailure),
    /// The newest commit is not signed by the account's key.
    #[error("the signature of the repo does not fit its account; nothing of it is shown")]
    BadSignature,
    /// The server shows a state older than one already seen.
    #[error("its server shows an older state than before; what was seen is kept")]
    RolledBack,
    /// The server shows another history at a revision already seen.
    #[error("its server shows two histories at once; what was seen is kept")]
    TwoHistories,
    /// The newest commit claims to be from the future.
    #[error("the repo claims to be from the future")]
    FromTheFuture,
    /// What the server sent is no valid repo.
    #[error("the repo cannot be verified ({0})")]
    Invalid(String),
}

impl Trouble {
    /// Whether trying again soon is likely to help.
    pub fn is_passing(&self) -> bool {
        match self {
            Trouble::Resolve(failure) => matches!(failure, ResolveFailure::Unreachable(_)),
            Trouble::Fetch(failure) => !matches!(
                failure,
                FetchFailure::RepoNotFound | FetchFailure::RepoDeactivated | FetchFailure::RepoTakendown
            ),
            _ => false,
        }
    }
}

/// When to try again: 1 s, doubling, at most a minute for what passes and ten for what probably does not; `jitter`
/// (0..=1023) spreads many replicas that failed at once over a quarter of the wait.
pub(super) fn next_try(now: Timestamp, attempts: u32, passing: bool, jitter: u64) -> Timestamp {
    let cap: u64 = if passing { 60_000 } else { 600_000 };
    let wait = 1_000u64.saturating_mul(1 << attempts.saturating_sub(1).min(16)).min(cap);
    now.saturating_add(std::time::Duration::from_millis(wait + wait * (jitter & 1023) / 4096))
}
