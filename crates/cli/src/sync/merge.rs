//! Which changes make one text of another, and how those made to a copy go into a text that has changed meanwhile.

use sheaf_core::text::{Splice, Utf16Offset, utf16_len};
use similar::{Algorithm, DiffOp, capture_diff_slices_deadline};
use std::{
    ops::Range,
    time::{Duration, Instant},
};
use unicode_segmentation::UnicodeSegmentation as _;

/// After so long a comparison is content with changes that are not the fewest.
const PATIENCE: Duration = Duration::from_millis(500);

/// Where more than so many bytes in a row differ, it is another text and not the same with other words.
const MAX_REFINED: usize = 32 * 1024;

/// One change of a text: this range of its bytes goes, and this comes in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Change<'a> {
    at: Range<usize>,
    insert: &'a str,
}

/// What goes into `text` to make it hold all that was done to `base` to make it `edited`, where `text` may itself have
/// become of `base`. What both sides have changed alike is not changed twice; what one side has put in is never taken out
/// because the other has taken out what was around it.
pub(crate) fn splices(base: &str, edited: &str, text: &str) -> Vec<Splice> {
    if base == edited || edited == text {
        return Vec::new();
    }
    let theirs = changes(base, text);
    let mine = changes(base, edited);
    let place = Place { theirs: &theirs };
    let mut edits: Vec<(Range<usize>, &str)> = Vec::new();
    for change in &mine {
        if theirs.contains(change) {
            continue;
        }
        let mut insert = change.insert;
        let left = place.left_of(&change.at);
        for range in &left {
            edits.push((range.clone(), std::mem::take(&mut insert)));
        }
        if left.is_empty() && !insert.is_empty() {
            let at = place.of(change.at.start);
            edits.push((at..at, insert));
        }
    }
    in_units(text, &edits)
}

/// How much is different in two texts, in bytes.
pub(crate) fn difference(before: &str, after: &str) -> usize {
    changes(before, after).iter().map(|change| change.at.len() + change.insert.len()).sum()
}

/// Where places of the base are in what became of it.
struct Place<'a> {
    theirs: &'a [Change<'a>],
}

impl Place<'_> {
    /// After whatever they have put in there.
    fn of(&self, at: usize) -> usize {
        let around = self.theirs.iter().find(|theirs| theirs.at.start < at && at < theirs.at.end);
        self.after(around.map_or(at, |theirs| theirs.at.end))
    }

    /// A place that is in none of their changes, after those that end there.
    fn after(&self, at: usize) -> usize {
        let before = self.theirs.iter().take_while(|theirs| theirs.at.end <= at);
        let (gone, come) =
            before.fold((0, 0), |(g, c), theirs| (g + theirs.at.len(), c + theirs.insert.len()));
        at - gone + come
    }

    /// The parts of a range that are still there, each by itself where they have put something in between.
    fn left_of(&self, range: &Range<usize>) -> Vec<Range<usize>> {
        let mut left = Vec::new();
        let mut at = range.start;
        let mut add = |from: usize, to: usize| {
            if from < to {
                let start = self.after(from);
                left.push(start..start + (to - from));
            }
        };
        for theirs in
            self.theirs.iter().filter(|theirs| theirs.at.end >= range.start && theirs.at.start < range.end)
        {
            add(at, theirs.at.start);
            at = at.max(theirs.at.end);
        }
        add(at, range.end);
        left
    }
}

/// Edits of ascending, separate ranges of bytes as splices that are applied one after another.
fn in_units(text: &str, edits: &[(Range<usize>, &str)]) -> Vec<Splice> {
    let mut splices = Vec::new();
    let (mut byte, mut units, mut shift) = (0, 0u32, 0i64);
    for (range, insert) in edits {
        units += utf16_len(&text[byte..range.start]);
        let delete = utf16_len(&text[range.clone()]);
        let at =
            u32::try_from(i64::from(units) + shift).expect("what was put in and taken out before is counted");
        splices.push(Splice { at: Utf16Offset(at), delete, insert: (*insert).to_owned() });
        shift += i64::from(utf16_len(insert)) - i64::from(delete);
        units += delete;
        byte = range.end;
    }
    splices
}

/// The changes that make `after` of `before`, as small as makes sense: whole lines where whole lines differ, words within
/// lines, and of a word only what differs, never cutting what a reader sees as one character.
fn changes<'a>(before: &str, after: &'a str) -> Vec<Change<'a>> {
    let deadline = Instant::now() + PATIENCE;
    let mut changes = Vec::new();
    let lines = (before.split_inclusive('\n').collect(), after.split_inclusive('\n').collect());
    for (old, new) in differing(lines, deadline) {
        if old.len().max(new.len()) > MAX_REFINED {
            changes.push(trimmed(&before[old.clone()], old.start, &after[new]));
            continue;
        }
        let old_words = before[old.clone()].split_word_bounds().collect();
        let new_words = after[new.clone()].split_word_bounds().collect();
        for (within_old, within_new) in differing((old_words, new_words), deadline) {
            let at = old.start + within_old.start..old.start + within_old.end;
            let insert = &after[new.start + within_new.start..new.start + within_new.end];
            changes.push(trimmed(&before[at.clone()], at.start, insert));
        }
    }
    // What touches is one change, so that nothing of the other side can come between its halves.
    let mut joined: Vec<Change<'a>> = Vec::new();
    for change in changes {
        match joined.last_mut() {
            Some(last) if last.at.end == change.at.start => {
                let start = offset_in(after, last.insert);
                let end = offset_in(after, change.insert) + change.insert.len();
                last.at.end = change.at.end;
                last.insert = &after[start..end];
            }
            _ => joined.push(change),
        }
    }
    joined
}

/// Where a part of a text begins in it.
fn offset_in(whole: &str, part: &str) -> usize {
    part.as_ptr() as usize - whole.as_ptr() as usize
}

/// The ranges of bytes in which two rows of pieces differ.
fn differing((old, new): (Vec<&str>, Vec<&str>), deadline: Instant) -> Vec<(Range<usize>, Range<usize>)> {
    let ends = |pieces: &[&str]| {
        let lengths = pieces.iter().scan(0, |end, piece| {
            *end += piece.len();
            Some(*end)
        });
        std::iter::once(0).chain(lengths).collect::<Vec<usize>>()
    };
    let (old_at, new_at) = (ends(&old), ends(&new));
    let ops = capture_diff_slices_deadline(Algorithm::Myers, &old, &new, Some(deadline));
    let differ = ops.iter().filter(|op| !matches!(op, DiffOp::Equal { .. }));
    let ranges = differ.map(|op| {
        let (old, new) = (op.old_range(), op.new_range());
        (old_at[old.start]..old_at[old.end], new_at[new.start]..new_at[new.end])
    });
    ranges.collect()
}

/// A change without what is the same at its beginning and its end.
fn trimmed<'a>(old: &str, start: usize, new: &'a str) -> Change<'a> {
    let alike = |pair: &(&str, &str)| pair.0 == pair.1;
    let front: usize =
        old.graphemes(true).zip(new.graphemes(true)).take_while(alike).map(|(piece, _)| piece.len()).sum();
    let (old_rest, new_rest) = (&old[front..], &new[front..]);
    let back: usize = old_rest
        .graphemes(true)
        .rev()
        .zip(new_rest.graphemes(true).rev())
        .take_while(alike)
        .map(|(piece, _)| piece.len())
        .sum();
    Change { at: start + front..start + old.len() - back, insert: &new_rest[..new_rest.len() - back] }
}

#[cfg(test)]
mod tests;
