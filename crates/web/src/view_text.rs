//! The engine's half of a text that is shown and written in elsewhere.
//!
//! A view never waits: it shows what is typed at once, and tells the engine. Meanwhile the engine's text has changed by
//! others. Both are right, so each maps the other's change over its own (operational transformation between two parties, as
//! in Jupiter). The engine numbers each splice that it tells a view; the view says with its change how many it had seen; the
//! engine maps the change over those it had not.
//!
//! A view has one change on its way at a time, until it is told that the change is durable. Up to then nothing more is told
//! to it of the text. So whatever the view knows of the engine's text when the engine dies, its own change is not part of
//! it, and can be offered to the next engine.
//!
//! ```
//! use sheaf_core::text::Splice;
//! use sheaf_web::view_text::ViewText;
//!
//! let mut view = ViewText::new(2);
//! let told = view.show(&[Splice::insert(0, "others ")])?.unwrap();
//! assert_eq!(told.number, 1);
//! // The view had not seen it when somebody typed after its first two characters.
//! let taken = view.take(0, &[Splice::insert(2, "!")], None)?;
//! assert_eq!(taken.splices, [Splice::insert(9, "!")]);
//! assert!(view.show(&[Splice::insert(0, "more ")])?.is_none(), "it is told once the change is durable");
//! assert_eq!(view.release()?.unwrap().number, 2);
//! # Ok::<(), sheaf_web::view_text::OutOfStep>(())
//! ```

use sheaf_core::text::{
    Splice,
    change::{Change, Comes, Misfit},
};

/// What one view has been told of the text.
#[derive(Debug)]
pub struct ViewText {
    /// How many splices it was told.
    told: u32,
    /// The last of them, which it may not have seen.
    unseen: Vec<Change>,
    /// The text's length with all of them.
    length: u32,
    /// While a change of the view's own becomes durable: what happened since.
    held: Option<Vec<Splice>>,
}

/// Splices to tell a view; the last of them has this number.
#[derive(Debug, PartialEq, Eq)]
pub struct Told {
    /// How many it has been told with these.
    pub number: u32,
    /// One after another.
    pub splices: Vec<Splice>,
}

/// A view's change as one of the engine's text.
#[derive(Debug, PartialEq, Eq)]
pub struct Taken {
    /// The change.
    pub splices: Vec<Splice>,
    /// Where the selection is after it.
    pub selection: Option<(u32, u32)>,
}

/// The view and the engine do not speak of the same text: the view has to begin anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutOfStep {
    /// The view says that it has seen what it was not told, or cannot have forgotten.
    #[error("a view has seen {seen} changes of {told}")]
    Seen {
        /// As it says.
        seen: u32,
        /// As it was told.
        told: u32,
    },
    /// A second change before the first was confirmed.
    #[error("a view sends a change before the last one was confirmed")]
    TooSoon,
    /// The change is none of the text.
    #[error(transparent)]
    Misfit(#[from] Misfit),
}

impl ViewText {
    /// A view that has just been given a text of this length, in UTF-16 units.
    pub fn new(length: u32) -> Self {
        Self { told: 0, unseen: Vec::new(), length, held: None }
    }

    /// How many splices it was told, where it was told everything.
    pub fn is_even(&self) -> Option<u32> {
        self.held.is_none().then_some(self.told)
    }

    /// The engine's text has changed otherwise than by this view. What to tell it now, if anything.
    ///
    /// # Errors
    /// [`OutOfStep::Misfit`] when the splices are none of the text that the view has led to.
    pub fn show(&mut self, splices: &[Splice]) -> Result<Option<Told>, OutOfStep> {
        if let Some(held) = &mut self.held {
            held.extend_from_slice(splices);
            return Ok(None);
        }
        let mut told = Vec::with_capacity(splices.len());
        for splice in splices.iter().filter(|splice| splice.delete > 0 || !splice.insert.is_empty()) {
            let change = Change::of(std::slice::from_ref(splice), self.length)?;
            self.length = change.len_after();
            self.unseen.push(change);
            self.told += 1;
            told.push(splice.clone());
        }
        Ok((!told.is_empty()).then_some(Told { number: self.told, splices: told }))
    }

    /// A change of the view's own, made when it had seen so many splices; and its selection after that. From now on what
    /// happens is held back, until [`ViewText::release`].
    ///
    /// # Errors
    /// [`OutOfStep`]; nothing has changed then.
    pub fn take(
        &mut self,
        seen: u32,
        splices: &[Splice],
        selection: Option<(u32, u32)>,
    ) -> Result<Taken, OutOfStep> {
        if self.held.is_some() {
            return Err(OutOfStep::TooSoon);
        }
        self.saw(seen)?;
        let length = self.unseen.first().map_or(self.length, Change::len_before);
        let mut change = Change::of(splices, length)?;
        let mut selection = selection;
        for unseen in &self.unseen {
            let over = unseen.map(&change, Comes::Before)?;
            selection = selection.map(|(anchor, head)| (over.place(anchor), over.place(head)));
            change = change.map(unseen, Comes::After)?;
        }
        // What comes next from this view comes after it has seen all of them.
        self.unseen.clear();
        self.length = change.len_after();
        self.held = Some(Vec::new());
        Ok(Taken { splices: change.splices(), selection })
    }

    /// Where a selection is now that the view had when it had seen so many splices and nothing was on its way.
    ///
    /// # Errors
    /// [`OutOfStep::Seen`].
    pub fn place(&mut self, seen: u32, (anchor, head): (u32, u32)) -> Result<(u32, u32), OutOfStep> {
        self.saw(seen)?;
        let over = |at: u32| self.unseen.iter().fold(at, |at, unseen| unseen.place(at));
        Ok((over(anchor), over(head)))
    }

    /// The view's change is durable: what to tell it of the time since.
    ///
    /// # Errors
    /// As [`ViewText::show`].
    pub fn release(&mut self) -> Result<Option<Told>, OutOfStep> {
        let held = self.held.take().unwrap_or_default();
        self.show(&held)
    }

    fn saw(&mut self, seen: u32) -> Result<(), OutOfStep> {
        let unseen = self.told.checked_sub(seen).map(|unseen| unseen as usize);
        match unseen.and_then(|unseen| self.unseen.len().checked_sub(unseen)) {
            Some(known) => {
                self.unseen.drain(..known);
                Ok(())
            }
            None => Err(OutOfStep::Seen { seen, told: self.told }),
        }
    }
}

/// A short sum of a text, to notice that two are not the same: FNV-1a over its UTF-16 units.
pub fn sum(text: &str) -> u32 {
    text.encode_utf16().fold(0x811c_9dc5, |sum, unit| (sum ^ u32::from(unit)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_is_what_the_view_makes_of_the_same_text() {
        // `web/test/crossing.test.ts` has it too.
        assert_eq!(sum("The same 😀"), 0x9818_32d3);
    }
}
