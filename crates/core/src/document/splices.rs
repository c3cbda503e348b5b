//! Splices, as the CRDT library reports changes or as two texts differ; and halves of characters.

use std::borrow::Cow;

use yrs::types::Delta;
use yrs::{Any, Out};

use crate::text::{Splice, Utf16Offset, utf16_len};

/// The text from a UTF-16 unit on. The second half of a character is U+FFFD, as Yjs has it.
pub(super) fn from_unit(text: &str, from: u32) -> Cow<'_, str> {
    let mut unit = 0;
    for (byte, character) in text.char_indices() {
        if unit == from {
            return Cow::Borrowed(&text[byte..]);
        }
        if unit > from {
            return Cow::Owned(format!("\u{fffd}{}", &text[byte..]));
        }
        unit += character.len_utf16() as u32;
    }
    Cow::Borrowed(if unit > from { "\u{fffd}" } else { "" })
}

/// The splices of an event's delta, which goes through the text once from its beginning.
pub(super) fn splices(delta: &[Delta]) -> Vec<Splice> {
    let mut splices: Vec<Splice> = Vec::new();
    let mut at = 0;
    for change in delta {
        match change {
            Delta::Retain(len, _) => at += len,
            Delta::Deleted(len) => match splices.last_mut() {
                Some(last) if last.at.0 + utf16_len(&last.insert) == at => last.delete += len,
                _ => splices.push(Splice::delete(at, *len)),
            },
            Delta::Inserted(Out::Any(Any::String(text)), _) => {
                match splices.last_mut() {
                    Some(last) if last.at.0 + utf16_len(&last.insert) == at => last.insert.push_str(text),
                    _ => splices.push(Splice::insert(at, text.as_ref())),
                }
                at += utf16_len(text);
            }
            Delta::Inserted(..) => unreachable!("the door lets in nothing but text"),
        }
    }
    splices
}

/// One splice that makes `after` of `before`.
pub(super) fn difference(before: &str, after: &str) -> Option<Splice> {
    let prefix: usize =
        before.chars().zip(after.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum();
    let (before_rest, after_rest) = (&before[prefix..], &after[prefix..]);
    let suffix: usize = before_rest
        .chars()
        .rev()
        .zip(after_rest.chars().rev())
        .take_while(|(a, b)| a == b)
        .map(|(a, _)| a.len_utf8())
        .sum();
    let gone = &before_rest[..before_rest.len() - suffix];
    let come = &after_rest[..after_rest.len() - suffix];
    (gone != come).then(|| Splice {
        at: Utf16Offset(utf16_len(&before[..prefix])),
        delete: utf16_len(gone),
        insert: come.to_owned(),
    })
}

/// `len` UTF-16 units of a text from `from` on; half a character is U+FFFD.
pub(crate) fn units(text: &str, from: u32, len: u32) -> String {
    let mut units = String::new();
    let mut left = len;
    for character in from_unit(text, from).chars() {
        match (character.len_utf16() as u32, left) {
            (_, 0) => break,
            (2, 1) => {
                units.push('\u{fffd}');
                break;
            }
            (taken, _) => {
                units.push(character);
                left -= taken;
            }
        }
    }
    units
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::apply_splices;

    #[test]
    #[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
    fn half_a_character_is_a_replacement() {
        assert_eq!(from_unit("a😀b", 1), "😀b");
        assert_eq!(from_unit("a😀b", 2), "\u{fffd}b");
        assert_eq!(from_unit("a😀", 2), "\u{fffd}");
        assert_eq!(from_unit("a😀", 3), "");
        assert_eq!(units("a😀b", 1, 1), "\u{fffd}");
        assert_eq!(units("a😀b", 2, 2), "\u{fffd}b");
        assert_eq!(units("a😀b", 0, 4), "a😀b");
    }

    #[test]
    #[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
    fn the_difference_makes_one_text_of_the_other() {
        let texts = ["", "a", "aa", "a😀a", "a\u{fffd}\u{fffd}a", "שלום", "שלום\r\n", "aba"];
        for before in texts {
            for after in texts {
                let mut text = before.to_owned();
                let splice = difference(before, after);
                assert_eq!(splice.is_none(), before == after);
                apply_splices(&mut text, splice.as_slice()).unwrap();
                assert_eq!(text, after, "from {before:?}");
            }
        }
    }

    #[test]
    #[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
    fn a_delta_becomes_as_few_splices_as_can_be() {
        let insert = |text: &str| Delta::Inserted(Out::Any(Any::from(text)), None);
        let delta = [
            Delta::Retain(1, None),
            Delta::Deleted(2),
            insert("😀"),
            insert("x"),
            Delta::Retain(3, None),
            Delta::Deleted(1),
        ];
        let expected = [Splice { at: Utf16Offset(1), delete: 2, insert: "😀x".into() }, Splice::delete(7, 1)];
        assert_eq!(splices(&delta), expected);
    }
}
