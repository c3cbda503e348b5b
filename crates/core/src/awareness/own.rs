//! When this replica says that somebody is here.

use std::time::Duration;

use super::{LIFE, LONGEST_LIFE, REFRESH, SELDOM};
use crate::{
    budget::{PUT_POINTS, Priority, WriteBudget},
    time::Timestamp,
};

/// The shortest time between two announcements.
const SHORTEST: Duration = Duration::from_millis(1_500);
/// They come this many times more seldom than text may.
const SLOWER_THAN_TEXT: u32 = 3;
/// A view tells where the caret is right after each edit: that is where everyone infers it to be anyway.
const FOLLOWS_EDIT: Duration = Duration::from_millis(250);
/// Who has done nothing for so long is announced no more until they do.
const IDLE: Duration = Duration::from_secs(30 * 60);

/// Decides when presence is written. A typing person needs no announcement of where they type: their edits tell.
#[derive(Debug, Clone)]
pub struct OwnAwareness {
    state: State,
    /// Somebody is to be told of something new since then.
    news: bool,
    last_written: Option<Timestamp>,
    last_active: Timestamp,
    last_edit: Option<Timestamp>,
    /// Everyone is told otherwise where the person is.
    quiet: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Here,
    Hidden,
    /// Goodbye is still to be said.
    Leaving,
    Gone,
}

impl OwnAwareness {
    /// Somebody opens the document: that is announced at once.
    pub fn new(now: Timestamp) -> OwnAwareness {
        OwnAwareness {
            state: State::Here,
            news: true,
            last_written: None,
            last_active: now,
            last_edit: None,
            quiet: false,
        }
    }

    /// The page was hidden or is shown again. While hidden nothing is announced, and the last announcement runs out.
    pub fn set_hidden(&mut self, now: Timestamp, hidden: bool) {
        match (self.state, hidden) {
            (State::Here, true) => self.state = State::Hidden,
            (State::Hidden, false) => {
                self.state = State::Here;
                self.active(now);
                self.news = true;
            }
            _ => {}
        }
    }

    /// The person edited.
    pub fn edited(&mut self, now: Timestamp) {
        self.active(now);
        self.last_edit = Some(now);
        // Wherever the caret was before, it is now where the edit is.
        self.news &= self.last_written.is_none();
    }

    /// The person's caret moved. The first move right after an edit is taken to be the edit's own, which tells where it is; whether
    /// it was that.
    pub fn moved(&mut self, now: Timestamp) -> bool {
        self.active(now);
        let by_edit = self.last_edit.take().is_some_and(|edit| now.saturating_since(edit) <= FOLLOWS_EDIT);
        self.news |= !by_edit && !self.quiet;
        by_edit
    }

    /// There is something new to announce that no caret tells.
    pub fn news(&mut self) {
        self.news = true;
    }

    /// Whether everyone who is here is told otherwise where the person is, so that carets are not announced.
    pub fn set_quiet(&mut self, quiet: bool) {
        self.quiet = quiet;
    }

    /// Whether the page is hidden.
    pub fn is_hidden(&self) -> bool {
        self.state == State::Hidden
    }

    /// The person leaves: goodbye is said if anything was said before.
    pub fn leave(&mut self, _now: Timestamp) {
        if self.state != State::Gone {
            self.state = if self.last_written.is_some() { State::Leaving } else { State::Gone };
        }
    }

    /// What expiry to announce now, if an announcement is due.
    pub fn due(&self, now: Timestamp, budget: &WriteBudget) -> Option<Timestamp> {
        let at = self.deadline(budget)?;
        match self.state {
            _ if at > now => None,
            State::Leaving => Some(now),
            _ if self.quiet => Some(now.saturating_add(LONGEST_LIFE)),
            _ => Some(now.saturating_add(LIFE)),
        }
    }

    /// When an announcement will be due if nothing else happens.
    pub fn deadline(&self, budget: &WriteBudget) -> Option<Timestamp> {
        let at = match self.state {
            State::Hidden | State::Gone => return None,
            State::Leaving => Timestamp::EPOCH,
            State::Here => self.next()?.max(self.quiet_until(budget)),
        };
        Some(budget.allowed_at(PUT_POINTS, Priority::Awareness).map_or(at, |allowed| at.max(allowed)))
    }

    /// An announcement has been sent.
    pub fn written(&mut self, now: Timestamp) {
        self.news = false;
        self.last_written = Some(now);
        if self.state == State::Leaving {
            self.state = State::Gone;
        }
    }

    fn next(&self) -> Option<Timestamp> {
        match self.last_written {
            Some(last) if !self.news => {
                let refresh = last.saturating_add(if self.quiet { SELDOM } else { REFRESH });
                (refresh.saturating_since(self.last_active) < IDLE).then_some(refresh)
            }
            _ => Some(Timestamp::EPOCH),
        }
    }

    fn quiet_until(&self, budget: &WriteBudget) -> Timestamp {
        let quiet = SHORTEST.max(budget.interval(PUT_POINTS) * SLOWER_THAN_TEXT);
        self.last_written.map_or(Timestamp::EPOCH, |last| last.saturating_add(quiet))
    }

    fn active(&mut self, now: Timestamp) {
        self.last_active = self.last_active.max(now);
    }
}
