//! Changes that cross: two people, or a person and an engine, change the same text at once, and each change is mapped over
//! the other so that both sides arrive at the same text.
//!
//! A [`Change`] goes through a whole text once, from its beginning: so much is kept, so much goes, this comes in its place.
//! [`Change::map`] is that of CodeMirror's `ChangeSet`, case for case (a fixture made by CodeMirror itself holds it to
//! that): the view's half of the crossing is done there, and the two halves may never disagree.

use super::{Splice, Utf16Offset, utf16_len};

/// One pass through a text. Lengths are in UTF-16 code units.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    sections: Vec<Section>,
}

/// A stretch of the text before, and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Section {
    len: u32,
    /// What takes its place; `None` keeps it.
    put: Option<Put>,
}

/// Text with its length, which is asked for often.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Put {
    text: String,
    units: u32,
}

/// Of two insertions in one place, which one comes first in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comes {
    /// The one that is mapped.
    Before,
    /// The one it is mapped over.
    After,
}

/// Why a change is none of a text, or does not fit another change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// It reaches past the end of the text.
    #[error("the change reaches past the end of the text")]
    PastEnd,
    /// Its splices do not go through the text once from its beginning.
    #[error("the change goes back in the text")]
    Backwards,
    /// Two changes are not of one text.
    #[error("the changes are of texts of different lengths")]
    Lengths,
}

impl Change {
    /// The change that `splices` make of a text of `len` units. Each splice begins where the one before it ended, or later.
    ///
    /// # Errors
    /// [`Misfit`] when they go back, or past the end.
    pub fn of(splices: &[Splice], len: u32) -> Result<Change, Misfit> {
        let mut change = Change::default();
        // Up to where the text before is dealt with, and where that is in the text after.
        let (mut before, mut after) = (0u32, 0u32);
        for splice in splices {
            let kept = splice.at.0.checked_sub(after).ok_or(Misfit::Backwards)?;
            let put = Put { text: splice.insert.clone(), units: utf16_len(&splice.insert) };
            let end = u64::from(before) + u64::from(kept) + u64::from(splice.delete);
            if end > u64::from(len) {
                return Err(Misfit::PastEnd);
            }
            after = splice.at.0.checked_add(put.units).ok_or(Misfit::PastEnd)?;
            before += kept + splice.delete;
            change.add(kept, None);
            change.add(splice.delete, Some(put));
        }
        change.add(len - before, None);
        Ok(change)
    }

    /// How long the text is that it changes.
    pub fn len_before(&self) -> u32 {
        self.sections.iter().map(|section| section.len).sum()
    }

    /// How long the text is that it leads to.
    pub fn len_after(&self) -> u32 {
        self.sections.iter().map(|section| section.put.as_ref().map_or(section.len, |put| put.units)).sum()
    }

    /// The change as splices, as few as there are stretches that change.
    pub fn splices(&self) -> Vec<Splice> {
        let mut splices: Vec<Splice> = Vec::new();
        let mut at = 0;
        let mut joins = false;
        for Section { len, put } in &self.sections {
            let Some(put) = put else {
                at += len;
                joins = false;
                continue;
            };
            match splices.last_mut() {
                Some(last) if joins => {
                    last.delete += len;
                    last.insert.push_str(&put.text);
                }
                _ => splices.push(Splice { at: Utf16Offset(at), delete: *len, insert: put.text.clone() }),
            }
            at += put.units;
            joins = true;
        }
        splices
    }

    /// Where a place is after the change. What is put in right there comes after it.
    pub fn place(&self, at: u32) -> u32 {
        let (mut before, mut after) = (0, 0);
        for Section { len, put } in &self.sections {
            match put {
                None if at <= before + len => return after + (at - before),
                None => after += len,
                // Within what goes, there is only its beginning left.
                Some(_) if at < before + len || (at == before && *len == 0) => return after,
                Some(put) => after += put.units,
            }
            before += len;
        }
        after
    }

    /// This change as one of the text that `over`, a change of the same text, leads to.
    ///
    /// ```
    /// use sheaf_core::text::{Splice, apply_splices, change::{Change, Comes}};
    ///
    /// let (hers, his) = (Change::of(&[Splice::insert(1, "A")], 2)?, Change::of(&[Splice::insert(1, "B")], 2)?);
    /// let mut text = "ab".to_owned();
    /// apply_splices(&mut text, &hers.splices()).unwrap();
    /// apply_splices(&mut text, &his.map(&hers, Comes::After)?.splices()).unwrap();
    /// assert_eq!(text, "aABb");
    ///
    /// let mut text = "ab".to_owned();
    /// apply_splices(&mut text, &his.splices()).unwrap();
    /// apply_splices(&mut text, &hers.map(&his, Comes::Before)?.splices()).unwrap();
    /// assert_eq!(text, "aABb");
    /// # Ok::<(), sheaf_core::text::change::Misfit>(())
    /// ```
    ///
    /// # Errors
    /// [`Misfit::Lengths`] when the two are not of one text.
    pub fn map(&self, over: &Change, comes: Comes) -> Result<Change, Misfit> {
        let mut mapped = Change::default();
        let (mut a, mut b) = (Walk::over(self), Walk::over(over));
        // The section of this change whose text has been put in already: one may be dealt with piece by piece.
        let mut put_in = None;
        loop {
            match (a.section(), b.section()) {
                (None, None) => return Ok(mapped),
                (None, Some(_)) if b.len > 0 => return Err(Misfit::Lengths),
                (Some(_), None) if a.len > 0 => return Err(Misfit::Lengths),
                (Some(Section { put: None, .. }), Some(Section { put: None, .. })) => {
                    let both = a.len.min(b.len);
                    mapped.add(both, None);
                    a.forward(both);
                    b.forward(both);
                }
                // The other change begins here first: it is walked past, and with it what of this one lies under it.
                (mine, Some(Section { put: Some(theirs), .. }))
                    if b_is_first(mine, &a, &b, put_in, comes) =>
                {
                    let mut len = b.len;
                    mapped.add(theirs.units, None);
                    while len > 0 {
                        let Some(mine) = a.section() else { return Err(Misfit::Lengths) };
                        let piece = a.len.min(len);
                        if let Some(put) = &mine.put
                            && put_in != Some(a.index)
                            && a.len <= piece
                        {
                            mapped.add(0, Some(put.clone()));
                            put_in = Some(a.index);
                        }
                        a.forward(piece);
                        len -= piece;
                    }
                    b.next();
                }
                // A part of this change, up to where the other one puts something in.
                (Some(Section { put: Some(put), .. }), _) => {
                    let (mut len, mut left) = (0, a.len);
                    while left > 0 {
                        match b.section() {
                            Some(Section { put: None, .. }) => {
                                let piece = left.min(b.len);
                                len += piece;
                                left -= piece;
                                b.forward(piece);
                            }
                            Some(Section { put: Some(theirs), .. }) if theirs.units == 0 && b.len < left => {
                                left -= b.len;
                                b.next();
                            }
                            _ => break,
                        }
                    }
                    let put = if put_in == Some(a.index) { Put::default() } else { put.clone() };
                    mapped.add(len, Some(put));
                    put_in = Some(a.index);
                    a.forward(a.len - left);
                }
                _ => return Err(Misfit::Lengths),
            }
        }
    }

    fn add(&mut self, len: u32, put: Option<Put>) {
        let puts_nothing = put.as_ref().is_none_or(|put| put.units == 0);
        if len == 0 && puts_nothing {
            return;
        }
        if let Some(last) = self.sections.last_mut() {
            let alike = match (&put, &last.put) {
                (None, None) => true,
                (Some(put), Some(before)) => put.units == 0 && before.units == 0,
                _ => false,
            };
            if alike {
                last.len += len;
                return;
            }
            if let (0, 0, Some(put), Some(before)) = (len, last.len, &put, &mut last.put) {
                before.text.push_str(&put.text);
                before.units += put.units;
                return;
            }
        }
        self.sections.push(Section { len, put });
    }
}

/// Whether what the other change does comes before what this one does next: by where it begins, then by how long it is,
/// then by what was asked for.
fn b_is_first(
    mine: Option<&Section>,
    a: &Walk<'_>,
    b: &Walk<'_>,
    put_in: Option<usize>,
    comes: Comes,
) -> bool {
    match mine {
        Some(Section { put: Some(_), .. }) => {
            put_in == Some(a.index)
                || a.is_at_its_beginning && (b.len < a.len || b.len == a.len && comes == Comes::After)
        }
        _ => true,
    }
}

/// A walk through a change, section by section or in parts of them.
struct Walk<'a> {
    change: &'a Change,
    index: usize,
    /// What is left of the section.
    len: u32,
    is_at_its_beginning: bool,
}

impl<'a> Walk<'a> {
    fn over(change: &'a Change) -> Self {
        let len = change.sections.first().map_or(0, |section| section.len);
        Self { change, index: 0, len, is_at_its_beginning: true }
    }

    fn section(&self) -> Option<&'a Section> {
        self.change.sections.get(self.index)
    }

    fn next(&mut self) {
        self.index += 1;
        self.len = self.section().map_or(0, |section| section.len);
        self.is_at_its_beginning = true;
    }

    fn forward(&mut self, len: u32) {
        if len == self.len {
            self.next();
        } else {
            self.len -= len;
            self.is_at_its_beginning &= len == 0;
        }
    }
}
