//! How the text of one document becomes that of another, by who wrote what.

use super::engine::{Engine, Stretch};
use super::splices::units;
use crate::door::Id;
use crate::door::ranges::IdRanges;
use crate::text::{Splice, apply_splices, difference, utf16_len};

/// The splices that make `before`'s text `after`'s. What shows in both is in the same order in both, so one walk finds what
/// went and what came.
pub(super) fn splices(before: &Engine, after: &Engine) -> Vec<Splice> {
    let (old, new) = (shown(before), shown(after));
    let (in_old, in_new) = (ids(&old), ids(&new));
    let mut splices: Vec<Splice> = Vec::new();
    let mut at = 0;
    let mut olds = parts(&old, &in_new).into_iter().peekable();
    let mut news = parts(&new, &in_old).into_iter().peekable();
    loop {
        while let Some(gone) = olds.next_if(|part| !part.is_common) {
            match splices.last_mut() {
                Some(last) if last.at.0 + utf16_len(&last.insert) == at => last.delete += gone.len,
                _ => splices.push(Splice::delete(at, gone.len)),
            }
        }
        while let Some(come) = news.next_if(|part| !part.is_common) {
            match splices.last_mut() {
                Some(last) if last.at.0 + utf16_len(&last.insert) == at => last.insert.push_str(&come.text),
                _ => splices.push(Splice::insert(at, come.text)),
            }
            at += come.len;
        }
        let (Some(kept), Some(same)) = (olds.peek_mut(), news.peek_mut()) else { break };
        let len = kept.len.min(same.len);
        at += len;
        kept.len -= len;
        same.len -= len;
        let (kept_done, same_done) = (kept.len == 0, same.len == 0);
        if kept_done {
            olds.next();
        }
        if same_done {
            news.next();
        }
    }
    let (text, wanted) = (before.text(), after.text());
    let mut changed = text.clone();
    match apply_splices(&mut changed, &splices) {
        Ok(()) if changed == wanted => splices,
        // Characters that are whole in one and cut in the other, or an author who moved their own words.
        _ => difference(&text, &wanted).into_iter().collect(),
    }
}

struct Part {
    len: u32,
    text: String,
    is_common: bool,
}

fn shown(engine: &Engine) -> Vec<Stretch> {
    engine.stretches().into_iter().filter(|stretch| !stretch.deleted).collect()
}

fn ids(stretches: &[Stretch]) -> IdRanges {
    let mut ids = IdRanges::default();
    for Stretch { id: Id { client, clock }, len, .. } in stretches {
        ids.insert(*client, *clock..clock + len);
    }
    ids
}

/// The stretches, cut where what is in the other text begins or ends.
fn parts(stretches: &[Stretch], other: &IdRanges) -> Vec<Part> {
    let mut parts = Vec::new();
    for Stretch { id: Id { client, clock }, len, text, .. } in stretches {
        let end = clock + len;
        let mut part = |from: u32, to: u32, is_common| {
            if from < to {
                parts.push(Part { len: to - from, text: units(text, from - clock, to - from), is_common });
            }
        };
        let mut from = *clock;
        for common in other.within(*client, *clock..end) {
            part(from, common.start, false);
            part(common.start, common.end, true);
            from = common.end;
        }
        part(from, end, false);
    }
    parts
}

#[cfg(test)]
mod tests {
    use crate::{
        client_id::ClientId,
        document::Document,
        text::{Splice, Utf16Offset, apply_splices},
        time::Timestamp,
    };

    #[test]
    #[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
    fn each_difference_is_a_splice_of_its_own() {
        let edit = |document: &mut Document, splice: Splice| {
            document.edit(Timestamp::EPOCH, &[splice]).unwrap().updates.remove(0)
        };
        let mut hers = Document::new(ClientId::new(1).unwrap());
        let mut his = Document::new(ClientId::new(2).unwrap());
        let first = edit(&mut hers, Splice::insert(0, "the quick 🦊 jumps over"));
        his.apply(&first);
        edit(&mut hers, Splice::delete(4, 6));
        for (at, word) in [(0, "See: "), (28, " the dog")] {
            edit(&mut his, Splice::insert(at, word));
        }
        let splices = hers.splices_to(&his);
        let places: Vec<_> = splices.iter().map(|s| (s.at, s.delete, s.insert.as_str())).collect();
        let expected = [(0, 0, "See: "), (9, 0, "quick "), (28, 0, " the dog")];
        assert_eq!(places, expected.map(|(at, delete, insert)| (Utf16Offset(at), delete, insert)));
        let mut text = his.text();
        apply_splices(&mut text, &his.splices_to(&hers)).unwrap();
        assert_eq!(text, hers.text());
    }
}
