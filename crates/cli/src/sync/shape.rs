//! What a file looks like beside its text: the ends of its lines, and a mark at its beginning. Editors on some systems want
//! theirs, and the document is spared them.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

const MARK: char = '\u{feff}';

/// How a file writes down a text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shape {
    /// Its lines end with CR and LF where the text's end with LF.
    crlf: bool,
    /// It begins with a byte order mark that is not part of the text.
    mark: bool,
}

impl Shape {
    /// The shape of a file that belongs to this text, or to one that it was, and had another shape before.
    pub(crate) fn of(file: &str, text: &str, before: Shape) -> Shape {
        let ends = file.matches('\n').count();
        let crlf = match ends {
            0 => before.crlf,
            // A text that has such ends itself is written down as it is.
            _ => !text.contains("\r\n") && file.matches("\r\n").count() == ends,
        };
        Shape { crlf, mark: file.starts_with(MARK) && !text.starts_with(MARK) }
    }

    /// The text that a file holds.
    pub(crate) fn text(self, file: &str) -> Cow<'_, str> {
        let text = if self.mark { file.strip_prefix(MARK).unwrap_or(file) } else { file };
        if self.crlf { text.replace("\r\n", "\n").into() } else { text.into() }
    }

    /// The file that holds a text.
    pub(crate) fn file(self, text: &str) -> Cow<'_, str> {
        let file: Cow<'_, str> =
            if self.crlf { text.replace("\r\n", "\n").replace('\n', "\r\n").into() } else { text.into() };
        if self.mark { format!("{MARK}{file}").into() } else { file }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_keeps_the_ends_of_its_lines_and_the_text_is_spared_them() {
        let plain = Shape::default();
        let windows = Shape::of("a\r\nb\r\n", "a\nb\n", plain);
        assert_eq!(windows.text("a\r\nc\r\n"), "a\nc\n");
        assert_eq!(windows.file("a\nd"), "a\r\nd");
        // An editor that turns them all around changes the shape and not the text.
        assert_eq!(Shape::of("a\nb\n", "a\nb\n", windows), plain);
        // Without an end of a line there is nothing to tell by.
        assert_eq!(Shape::of("a", "a\nb\n", windows), windows);
        // Mixed ends, and those of the text itself, are text.
        assert_eq!(Shape::of("a\r\nb\n", "a\nb\n", plain), plain);
        assert_eq!(Shape::of("a\r\nb\r\n", "a\r\nb", plain), plain);
        let marked = Shape::of("\u{feff}a\r\n", "a\n", plain);
        assert_eq!(
            (marked.text("\u{feff}b\r\n"), marked.file("b\n")),
            ("b\n".into(), "\u{feff}b\r\n".into())
        );
    }
}
