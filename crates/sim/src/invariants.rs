//! What must hold in every schedule, whatever happens.

use std::fmt;

/// A promise that the simulator watches over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// Once faults stop, every replica shows the same text, and a newcomer reads it too.
    Convergence,
    /// What a device's store has acknowledged is in the document in the end, and is never rewritten.
    NothingLost,
    /// Nothing leaves a device before its store has it.
    DurableFirst,
    /// What somebody has only said live outlives the process that heard it.
    NothingForgotten,
    /// What is published is whole: what it builds on is in its author's repo, or carried along.
    PublishedWhole,
    /// Text that is not proved to be its author's never shows, on any screen, for a moment.
    NothingUnverified,
    /// What a former editor writes later is in nobody's text.
    RemovalHolds,
    /// The verified head of a repo never goes back, whatever its server shows.
    HeadsOnlyGrow,
    /// A view that follows the splices shows the replica's text.
    ViewFollows,
    /// A PDS never has to refuse a write for the quota.
    BudgetKept,
    /// Undo and redo take back only what this replica wrote.
    UndoIsOnesOwn,
    /// Time goes on: no replica spins, and a settled one is quiet.
    Progress,
    /// Nothing panics.
    NoPanic,
}

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which one.
    pub invariant: Invariant,
    /// What was seen.
    pub detail: String,
}

impl Violation {
    pub(crate) fn new(invariant: Invariant, detail: impl Into<String>) -> Violation {
        Violation { invariant, detail: detail.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.invariant, self.detail)
    }
}

/// The client ids whose text an update deletes, read from its Yjs v1 bytes with nothing in them but deletions.
pub(crate) fn deleted_clients(deletes: &[u8]) -> Option<Vec<u64>> {
    let mut rest = deletes;
    let mut number = || {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let (byte, after) = rest.split_first()?;
            rest = after;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    };
    if number()? != 0 {
        return None;
    }
    let clients = number()?;
    let mut found = Vec::new();
    for _ in 0..clients {
        found.push(number()?);
        for _ in 0..number()? {
            number()?;
            number()?;
        }
    }
    Some(found)
}
