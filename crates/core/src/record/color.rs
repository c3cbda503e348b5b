//! Colours of people.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sheaf_repo::did::Did;

/// A colour, as in `#336699`.
///
/// ```
/// use sheaf_core::record::Color;
/// let color: Color = "#336699".parse()?;
/// assert_eq!(color.to_string(), "#336699");
/// assert!("red".parse::<Color>().is_err());
/// # Ok::<(), sheaf_core::record::ColorError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Color([u8; 3]);

/// A text that is no colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a colour as in #336699")]
pub struct ColorError;

/// Luminance from which a colour stands out from a dark page, and under which from a white one, and white from it: three to
/// one both ways, as [WCAG] asks of what is not text.
///
/// [WCAG]: https://www.w3.org/TR/WCAG22/#non-text-contrast
const LEGIBLE: std::ops::RangeInclusive<f32> = 0.13..=0.30;

/// Apart from each other, and legible on light and dark alike.
const PALETTE: [Color; 12] = [
    Color([0xe0, 0x31, 0x31]),
    Color([0xd6, 0x33, 0x6c]),
    Color([0xae, 0x3e, 0xc9]),
    Color([0x7b, 0x5c, 0xf0]),
    Color([0x3b, 0x6f, 0xe0]),
    Color([0x1c, 0x7e, 0xd6]),
    Color([0x0c, 0x85, 0x99]),
    Color([0x0a, 0x8a, 0x63]),
    Color([0x2f, 0x8f, 0x3e]),
    Color([0x6d, 0x88, 0x0c]),
    Color([0xb3, 0x77, 0x00]),
    Color([0xd1, 0x58, 0x10]),
];

impl Color {
    /// The colour of somebody who has chosen none: one of a dozen, always the same for the same account.
    pub fn for_did(did: &Did) -> Color {
        let hash = Sha256::digest(did.as_str().as_bytes());
        PALETTE[usize::from(hash[0]) % PALETTE.len()]
    }

    /// The colour itself, or the nearest lighter or darker one that can be seen on a light page and a dark one, and on which
    /// white text can be read.
    #[must_use]
    pub fn legible(self) -> Color {
        let luminance = self.luminance();
        if LEGIBLE.contains(&luminance) {
            return self;
        }
        let towards = if luminance > *LEGIBLE.end() { 0.0 } else { 255.0 };
        let mixed = |percent: u8| {
            let part = f32::from(percent) / 100.0;
            Color(self.0.map(|channel| (f32::from(channel) * (1.0 - part) + towards * part).round() as u8))
        };
        // A hundredth moves luminance by less than the legible span, so one of them is within.
        (1..=100).map(mixed).find(|color| LEGIBLE.contains(&color.luminance())).unwrap_or(PALETTE[0])
    }

    /// Relative luminance, from 0 for black to 1 for white.
    fn luminance(self) -> f32 {
        let linear = |channel: u8| {
            let part = f32::from(channel) / 255.0;
            if part <= 0.040_45 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        };
        let [red, green, blue] = self.0.map(linear);
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }
}

impl FromStr for Color {
    type Err = ColorError;

    fn from_str(text: &str) -> Result<Color, ColorError> {
        let digits = text.strip_prefix('#').ok_or(ColorError)?;
        if digits.len() != 6 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(ColorError);
        }
        let number = u32::from_str_radix(digits, 16).map_err(|_| ColorError)?;
        let [_, red, green, blue] = number.to_be_bytes();
        Ok(Color([red, green, blue]))
    }
}

impl fmt::Display for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [red, green, blue] = self.0;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

impl TryFrom<String> for Color {
    type Error = ColorError;

    fn try_from(text: String) -> Result<Color, ColorError> {
        text.parse()
    }
}

impl From<Color> for String {
    fn from(color: Color) -> String {
        color.to_string()
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn the_palette_is_legible_and_has_no_twins() {
        for (n, color) in PALETTE.iter().enumerate() {
            assert!(LEGIBLE.contains(&color.luminance()), "{color} has a luminance of {}", color.luminance());
            assert!(!PALETTE[n + 1..].contains(color));
        }
    }

    #[test]
    fn every_colour_becomes_legible_and_then_stays() {
        for number in (0..0x100_0000u32).step_by(4_099).chain([0, 0xff_ffff, 0xff_ff00, 0x00_00ff]) {
            let [_, red, green, blue] = number.to_be_bytes();
            let legible = Color([red, green, blue]).legible();
            assert!(LEGIBLE.contains(&legible.luminance()), "#{number:06x} became {legible}");
            assert_eq!(legible.legible(), legible);
        }
    }

    #[test]
    fn what_is_no_colour_is_refused() {
        for wrong in
            ["", "#", "#12345", "#1234567", "336699", "#33669g", "#+12345", "# 12345", "red", "#1234é"]
        {
            assert_eq!(wrong.parse::<Color>(), Err(ColorError), "{wrong:?}");
        }
        assert_eq!("#ABCDEF".parse::<Color>().unwrap().to_string(), "#abcdef");
    }

    #[test]
    fn accounts_share_out_the_palette() {
        let used: std::collections::BTreeSet<Color> =
            (0..500).map(|n| Color::for_did(&format!("did:plc:{n}").parse().expect("a DID"))).collect();
        assert_eq!(used.len(), PALETTE.len());
    }
}
