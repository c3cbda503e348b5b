//! Places in a text that keep their meaning while others write: carets and selections.

use crate::client_id::ClientId;
use crate::door::CLOCK_LIMIT;

/// Which of its two neighbours a place stays with when text comes in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bias {
    /// With the character before it: text that comes in here comes after it.
    Before,
    /// With the character after it: text that comes in here comes before it.
    After,
}

/// A place in a text, given by a neighbour instead of a number. Plain data: what a stranger made is as safe as one's own.
///
/// [`Document::sticky`](crate::document::Document::sticky) makes one, and
/// [`Document::resolve`](crate::document::Document::resolve) finds out where it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sticky {
    /// The beginning of the text, whatever it becomes.
    Start,
    /// The end of the text, whatever it becomes.
    End,
    /// Beside a code unit that someone wrote, even when it is deleted.
    Beside {
        /// Who wrote it.
        client: ClientId,
        /// Their how manieth code unit it was.
        clock: u32,
        /// [`Bias::Before`]: the place just after this unit, which stays with it. [`Bias::After`]: the place just before.
        bias: Bias,
    },
}

/// Bytes that should be a sticky place are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a place in a text")]
pub struct StickyError;

const START: u8 = 0;
const END: u8 = 1;
const BESIDE_BEFORE: u8 = 2;
const BESIDE_AFTER: u8 = 3;
const BESIDE_LEN: usize = 12;

impl Sticky {
    /// As bytes: one that tells the kind; for a neighbour then 7 of its client id and 4 of its clock, big-endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Sticky::Start => vec![START],
            Sticky::End => vec![END],
            Sticky::Beside { client, clock, bias } => {
                let mut bytes = Vec::with_capacity(BESIDE_LEN);
                bytes.push(if *bias == Bias::Before { BESIDE_BEFORE } else { BESIDE_AFTER });
                bytes.extend_from_slice(&client.get().to_be_bytes()[1..]);
                bytes.extend_from_slice(&clock.to_be_bytes());
                bytes
            }
        }
    }

    /// Reads what [`Sticky::to_bytes`] wrote.
    ///
    /// # Errors
    /// For anything else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Sticky, StickyError> {
        let (&kind, rest) = bytes.split_first().ok_or(StickyError)?;
        let bias = match (kind, rest.len()) {
            (START, 0) => return Ok(Sticky::Start),
            (END, 0) => return Ok(Sticky::End),
            (BESIDE_BEFORE, 11) => Bias::Before,
            (BESIDE_AFTER, 11) => Bias::After,
            _ => return Err(StickyError),
        };
        let number = |bytes: &[u8]| bytes.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
        let client = ClientId::new(number(&rest[..7])).ok_or(StickyError)?;
        let clock =
            u32::try_from(number(&rest[7..])).ok().filter(|&clock| clock < CLOCK_LIMIT).ok_or(StickyError)?;
        Ok(Sticky::Beside { client, clock, bias })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
    fn places_survive_their_bytes() {
        let client = ClientId::new((1 << 53) - 1).unwrap();
        for sticky in [
            Sticky::Start,
            Sticky::End,
            Sticky::Beside { client, clock: 0, bias: Bias::After },
            Sticky::Beside { client, clock: CLOCK_LIMIT - 1, bias: Bias::Before },
        ] {
            assert_eq!(Sticky::from_bytes(&sticky.to_bytes()), Ok(sticky));
        }
    }

    #[test]
    #[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
    fn other_bytes_are_no_places() {
        let cases: [&[u8]; 8] = [
            &[],
            &[0, 0],
            &[2],
            &[4],
            &[2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            &[2, 255, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0],
            &[2, 0, 0, 0, 0, 0, 0, 1, 255, 0, 0, 0],
            &[3, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0],
        ];
        for bytes in cases {
            assert_eq!(Sticky::from_bytes(bytes), Err(StickyError), "{bytes:?}");
        }
    }
}
