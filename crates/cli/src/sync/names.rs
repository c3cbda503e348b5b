//! Files' names for documents' titles: readable, safe on every system, and each once.

use std::collections::BTreeSet;

use unicode_segmentation::UnicodeSegmentation as _;

/// The most bytes of a title in a file's name: with an ending and a number it stays within what every file system takes.
const MAX_BYTES: usize = 180;
/// Names that mean a device on Windows, whatever their ending.
const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];

/// A title as the stem of a file's name.
pub(crate) fn safe(title: &str) -> String {
    let is_hidden = |c: char| {
        // What turns the order of letters around would let a name look like another.
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    let joiner = |c: char| c == '\u{200d}' || c == '\u{200c}';
    let shown: String = title
        .chars()
        .filter(|c| !is_hidden(*c) || joiner(*c) || c.is_whitespace())
        .map(|c| if matches!(c, '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|') { '-' } else { c })
        .collect();
    let shown = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut name = String::new();
    for grapheme in shown.trim_start_matches(['.', ' ', '-', '~']).graphemes(true) {
        if name.len() + grapheme.len() > MAX_BYTES {
            break;
        }
        name += grapheme;
    }
    let name = name.trim_end_matches(['.', ' ']);
    let lower = name.to_lowercase();
    let first = lower.split('.').next().unwrap_or_default();
    let is_port = |port: &str| {
        first.strip_prefix(port).is_some_and(|n| n.len() == 1 && n.as_bytes()[0].is_ascii_digit())
    };
    match name {
        "" => "Untitled".to_owned(),
        _ if DEVICES.contains(&first) || is_port("com") || is_port("lpt") => format!("{name}_"),
        _ => name.to_owned(),
    }
}

/// A file's name for a title that is none of those taken, which are told apart as file systems do that ignore case.
pub(crate) fn unique(title: &str, taken: &BTreeSet<String>) -> String {
    let stem = safe(title);
    let numbered = (2u32..).map(|n| format!("{stem} {n}.md"));
    let mut names = std::iter::once(format!("{stem}.md")).chain(numbered);
    names.find(|name| !taken.contains(&folded(name))).expect("there are more numbers than files")
}

/// A name as file systems compare them that ignore case.
pub(crate) fn folded(name: &str) -> String {
    name.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_readable_and_safe() {
        let (long, ten) = ("👩‍👩‍👧".repeat(50), "👩‍👩‍👧".repeat(10));
        for (title, name) in [
            ("Field notes", "Field notes"),
            ("  Two\n lines\t", "Two lines"),
            ("../../etc/passwd", "etc-passwd"),
            ("C:\\x?*\"<>|", "C--x------"),
            (".hidden", "hidden"),
            ("ends with dots...", "ends with dots"),
            ("", "Untitled"),
            ("...", "Untitled"),
            ("con", "con_"),
            ("COM1", "COM1_"),
            ("common", "common"),
            ("nul.txt", "nul.txt_"),
            ("שלום e\u{301} 👩‍👩‍👧", "שלום e\u{301} 👩‍👩‍👧"),
            ("exe\u{202e}dm.x", "exedm.x"),
            (&long, &ten),
        ] {
            assert_eq!(safe(title), name, "{title:?}");
        }
    }

    #[test]
    fn no_two_documents_have_one_name() {
        let mut taken = BTreeSet::new();
        let mut name = |title: &str| {
            let name = unique(title, &taken);
            taken.insert(folded(&name));
            name
        };
        assert_eq!(name("Notes"), "Notes.md");
        assert_eq!(name("notes"), "notes 2.md");
        assert_eq!(name("Notes"), "Notes 3.md");
        assert_eq!(name(""), "Untitled.md");
    }
}
