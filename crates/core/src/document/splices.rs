//! Splices, as the CRDT library reports changes; and halves of characters.

use std::borrow::Cow;

use yrs::types::Delta;
use yrs::{Any, Out};

use crate::text::{Splice, utf16_len};

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
    use crate::text::Utf16Offset;

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
