//! Folding: several sealed segments of one log become one, so that a document's records do not grow with its history.
//!
//! As in a log-structured merge tree, a segment is only rewritten into one that is at least half as long again, so each edit
//! is written a few times in its life however long the document is worked on, and a log of any length is a few long
//! segments and a handful of short ones. Only the author folds, for only the author can write their repo.

use super::{Entry, MAX_ENTRIES, MAX_ENTRIES_BYTES, MAX_INFLATED, encode_entries, entry_len};

/// The most that the parts of a fold have together, deflated: what comes out must fit a record.
const FOLD_UP_TO: usize = 56 * 1024;
/// As few as this are not worth the points that folding them costs.
const FEWEST: usize = 4;

/// A sealed segment, as far as folding has to know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sealed {
    /// Its number.
    pub seq: u32,
    /// The number of the last segment folded into it, or its own.
    pub last: u32,
    /// How long its `entries` are, deflated.
    pub len: usize,
}

/// Which of a log's sealed segments, given in the order of the log, to make one of now: the index of the first, up to the
/// last of all. `None` while it is not worth it.
///
/// ```
/// use sheaf_core::segment::{Sealed, worth_folding};
/// let log: Vec<Sealed> = (0..5).map(|seq| Sealed { seq, last: seq, len: 4_000 }).collect();
/// assert_eq!(worth_folding(&log[..3]), None);
/// assert_eq!(worth_folding(&log[..4]), Some(0));
/// ```
pub fn worth_folding(log: &[Sealed]) -> Option<usize> {
    let (mut together, mut longest) = (0, 0);
    let mut best = None;
    for (at, segment) in log.iter().enumerate().rev() {
        let follows = log.get(at + 1).is_none_or(|next| segment.last.checked_add(1) == Some(next.seq));
        together += segment.len;
        longest = longest.max(segment.len);
        if !follows || together > FOLD_UP_TO {
            break;
        }
        if log.len() - at >= FEWEST && longest * 3 <= together * 2 {
            best = Some(at);
        }
    }
    best
}

/// The `entries` of the segment that these become, one after another. `None` where it would not fit a record.
pub fn fold<'a>(segments: impl IntoIterator<Item = &'a [Entry]>) -> Option<Vec<u8>> {
    let entries: Vec<Entry> = segments.into_iter().flatten().cloned().collect();
    let inflated: usize = entries.iter().map(entry_len).sum();
    if entries.len() > MAX_ENTRIES || inflated + 8 > MAX_INFLATED {
        return None;
    }
    let deflated = encode_entries(&entries);
    (deflated.len() <= MAX_ENTRIES_BYTES).then_some(deflated)
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    /// Seals a segment of 4 KB after the other and folds whenever it is worth it; joint deflating gains nothing here.
    fn write(segments: u32) -> (Vec<Sealed>, usize) {
        let (mut log, mut rewritten): (Vec<Sealed>, usize) = (Vec::new(), 0);
        for seq in 0..segments {
            log.push(Sealed { seq, last: seq, len: 4_096 });
            while let Some(at) = worth_folding(&log) {
                let folded = log.split_off(at);
                let len = folded.iter().map(|segment| segment.len).sum();
                rewritten += len;
                log.push(Sealed { seq: folded[0].seq, last: folded[folded.len() - 1].last, len });
            }
        }
        (log, rewritten)
    }

    #[test]
    fn a_long_log_is_few_records_and_each_edit_is_rewritten_a_few_times() {
        for segments in [1, 3, 4, 57, 200, 1_000] {
            let (log, rewritten) = write(segments);
            let written = segments as usize * 4_096;
            assert!(log.len() <= 7 + written / (40 * 1024), "{segments}: {}", log.len());
            assert!(rewritten <= written * 3, "{segments}: {rewritten} of {written}");
            let whole = log.windows(2).all(|pair| pair[0].last + 1 == pair[1].seq);
            assert!(whole && log[0].seq == 0 && log[log.len() - 1].last == segments - 1);
            assert!(log.iter().all(|segment| segment.len <= FOLD_UP_TO));
        }
    }

    #[test]
    fn nothing_is_folded_across_a_hole() {
        let sealed = |seq| Sealed { seq, last: seq, len: 4_000 };
        assert_eq!(worth_folding(&[0, 1, 3, 4, 5].map(sealed)), None);
        assert_eq!(worth_folding(&[0, 2, 3, 4, 5].map(sealed)), Some(1));
    }
}
