//! Text and its changes, counted in UTF-16 code units: the browser's unit, and that of Yjs.

pub mod change;
mod difference;

use std::fmt;

use serde::{Deserialize, Serialize};

pub(crate) use difference::difference;
pub use difference::differences;

/// A place in a text, in UTF-16 code units from its beginning. `😀` takes two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Utf16Offset(pub u32);

impl fmt::Display for Utf16Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One change of a text: at `at`, `delete` code units go and `insert` comes in their place.
///
/// A list of splices is applied one after another: each offset counts in the text as the splices before it left it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Splice {
    /// Where, in UTF-16 code units.
    pub at: Utf16Offset,
    /// How many UTF-16 code units go.
    pub delete: u32,
    /// What comes in their place.
    pub insert: String,
}

impl Splice {
    /// Puts `text` in at `at`.
    pub fn insert(at: u32, text: impl Into<String>) -> Splice {
        Splice { at: Utf16Offset(at), delete: 0, insert: text.into() }
    }

    /// Takes `len` code units out at `at`.
    pub fn delete(at: u32, len: u32) -> Splice {
        Splice { at: Utf16Offset(at), delete: len, insert: String::new() }
    }
}

/// Why a splice can't be applied to a text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpliceError {
    /// The splice reaches past the end of the text.
    #[error("the change reaches to {end}, but the text ends at {len}")]
    PastEnd {
        /// Where the splice ends, in UTF-16 code units.
        end: u64,
        /// How long the text is, in UTF-16 code units.
        len: u32,
    },
    /// The splice begins or ends between the two code units of one character.
    #[error("the change would cut the character at {at} in half")]
    CutsCharacter {
        /// The offset in question.
        at: Utf16Offset,
    },
    /// More is put in than a document takes in one change, or in all.
    #[error("the change puts in more text than a document can hold")]
    TooLong,
}

/// How many UTF-16 code units `text` takes.
pub fn utf16_len(text: &str) -> u32 {
    let units: usize = text.chars().map(char::len_utf16).sum();
    u32::try_from(units).unwrap_or(u32::MAX)
}

/// Applies `splices` to `text`, one after another; all of them or, on an error, none.
///
/// ```
/// use sheaf_core::text::{Splice, apply_splices};
/// let mut text = String::from("a😀b");
/// apply_splices(&mut text, &[Splice::delete(1, 2), Splice::insert(2, "!")]).unwrap();
/// assert_eq!(text, "ab!");
/// assert!(apply_splices(&mut text, &[Splice::insert(9, "?")]).is_err());
/// ```
///
/// # Errors
/// When a splice lies past the end of the text it is applied to, or cuts a character in half.
pub fn apply_splices(text: &mut String, splices: &[Splice]) -> Result<(), SpliceError> {
    match splices {
        [] => Ok(()),
        [only] => splice(text, only),
        several => {
            let mut changed = text.clone();
            for one in several {
                splice(&mut changed, one)?;
            }
            *text = changed;
            Ok(())
        }
    }
}

/// The splices that take `splices` back, once they are applied to `text`.
///
/// ```
/// use sheaf_core::text::{Splice, apply_splices, inverse};
/// let splices = [Splice::delete(1, 2), Splice::insert(1, "!")];
/// let mut text = String::from("a😀b");
/// let back = inverse(&text, &splices).unwrap();
/// apply_splices(&mut text, &splices).unwrap();
/// apply_splices(&mut text, &back).unwrap();
/// assert_eq!(text, "a😀b");
/// ```
///
/// # Errors
/// When the splices cannot be applied to the text.
pub fn inverse(text: &str, splices: &[Splice]) -> Result<Vec<Splice>, SpliceError> {
    let mut changed = text.to_owned();
    let mut back = Vec::with_capacity(splices.len());
    for one in splices {
        let start = byte_of(&changed, u64::from(one.at.0))?;
        let end = byte_of(&changed, u64::from(one.at.0) + u64::from(one.delete))?;
        let gone = changed[start..end].to_owned();
        back.push(Splice { at: one.at, delete: utf16_len(&one.insert), insert: gone });
        splice(&mut changed, one)?;
    }
    back.reverse();
    Ok(back)
}

fn splice(text: &mut String, splice: &Splice) -> Result<(), SpliceError> {
    let start = byte_of(text, u64::from(splice.at.0))?;
    let end = byte_of(text, u64::from(splice.at.0) + u64::from(splice.delete))?;
    text.replace_range(start..end, &splice.insert);
    Ok(())
}

/// The byte index of a UTF-16 offset.
fn byte_of(text: &str, offset: u64) -> Result<usize, SpliceError> {
    let mut units = 0;
    for (byte, character) in text.char_indices() {
        if units >= offset {
            return whole(units, offset).map(|()| byte);
        }
        units += character.len_utf16() as u64;
    }
    if offset > units {
        return Err(SpliceError::PastEnd { end: offset, len: u32::try_from(units).unwrap_or(u32::MAX) });
    }
    whole(units, offset).map(|()| text.len())
}

fn whole(units: u64, offset: u64) -> Result<(), SpliceError> {
    if units == offset {
        return Ok(());
    }
    Err(SpliceError::CutsCharacter { at: Utf16Offset(u32::try_from(offset).unwrap_or(u32::MAX)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
    fn splices_count_utf16_units_one_after_another() {
        let mut text = String::from("שלום 👩‍👩‍👧\r\né");
        assert_eq!(utf16_len(&text), 5 + 8 + 2 + 1);
        apply_splices(
            &mut text,
            &[Splice::delete(0, 5), Splice::insert(8, "e\u{301}"), Splice::delete(10, 2)],
        )
        .unwrap();
        assert_eq!(text, "👩‍👩‍👧e\u{301}é");
    }

    #[test]
    #[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
    fn a_bad_splice_changes_nothing() {
        let mut text = String::from("a😀");
        let cut = SpliceError::CutsCharacter { at: Utf16Offset(2) };
        assert_eq!(
            apply_splices(&mut text, &[Splice::insert(0, "x"), Splice::insert(3, "y")]),
            Err(SpliceError::CutsCharacter { at: Utf16Offset(3) })
        );
        assert_eq!(apply_splices(&mut text, &[Splice::delete(0, 2)]), Err(cut.clone()));
        assert_eq!(apply_splices(&mut text, &[Splice::delete(2, 1)]), Err(cut));
        assert_eq!(
            apply_splices(&mut text, &[Splice::delete(1, 3)]),
            Err(SpliceError::PastEnd { end: 4, len: 3 })
        );
        assert_eq!(
            apply_splices(&mut text, &[Splice::delete(u32::MAX, u32::MAX)]),
            Err(SpliceError::PastEnd { end: u64::from(u32::MAX), len: 3 })
        );
        assert_eq!(text, "a😀");
    }
}
