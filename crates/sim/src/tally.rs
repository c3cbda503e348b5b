//! How often what was to be tried truly happened: a promise that nothing put to the test is no promise.

use std::{collections::BTreeMap, fmt};

/// Counts of what happened in a run, or in many.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally(BTreeMap<Occurrence, u64>);

/// Something worth counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // the names say it
pub enum Occurrence {
    SegmentWritten,
    SegmentsFolded,
    LateWritePutBack,
    DocumentWritten,
    PresenceWritten,
    SnapshotInRecord,
    SnapshotInBlob,
    BlobRead,
    WriteRefusedForRate,
    WriteRefusedForSession,
    ConditionFailed,
    RequestLost,
    AnswerLost,
    WriteArrivedTooLate,
    BatchRefused,
    ProcessDied,
    LieTold,
    BellForged,
    PeersLinked,
    FrameSent,
    PeerMisbehaved,
    ForgeryCarried,
    SomethingCarried,
}

impl Tally {
    pub(crate) fn count(&mut self, what: Occurrence) {
        *self.0.entry(what).or_default() += 1;
    }

    pub(crate) fn add(&mut self, other: &Tally) {
        for (what, times) in &other.0 {
            *self.0.entry(*what).or_default() += times;
        }
    }

    /// How often this happened.
    pub fn of(&self, what: Occurrence) -> u64 {
        self.0.get(&what).copied().unwrap_or_default()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts: Vec<String> = self.0.iter().map(|(what, times)| format!("{what:?} {times}")).collect();
        f.write_str(&counts.join(", "))
    }
}
