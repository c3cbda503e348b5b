//! Standard output: data and nothing else. Standard error: sentences. Neither complains when whoever reads it has gone.

use std::{
    borrow::Cow,
    io::{ErrorKind, IsTerminal as _, Write as _},
};

use crate::failure::Failure;

/// Writes text: to a file or a pipe as it is, to a terminal without what would command it.
pub(crate) fn text(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let shown = if out.is_terminal() { tame(text) } else { text.into() };
    written(out.write_all(shown.as_bytes()).and_then(|()| out.flush()))
}

fn written(outcome: std::io::Result<()>) -> Result<(), Failure> {
    match outcome {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::Other(format!("the output cannot be written: {error}")))
        }
        _ => Ok(()),
    }
}

/// Writes what is no text: to a file or a pipe.
pub(crate) fn bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    if out.is_terminal() {
        return Err(Failure::Other(
            "this is not for a terminal: name a file with --output, or use a pipe".into(),
        ));
    }
    written(out.write_all(bytes).and_then(|()| out.flush()))
}

/// Writes a line.
pub(crate) fn line(line: &str) -> Result<(), Failure> {
    text(&format!("{line}\n"))
}

/// Says something to the person.
pub(crate) fn say(sentence: &str) {
    // Where nobody listens there is nobody to tell.
    let _ = writeln!(std::io::stderr().lock(), "{}", tame(sentence));
}

/// Other people's text may hold escape sequences; a terminal is to show it, not to obey it.
fn tame(text: &str) -> Cow<'_, str> {
    let commands = |c: char| c.is_control() && !matches!(c, '\n' | '\t' | '\r');
    if !text.contains(commands) {
        return text.into();
    }
    text.replace(commands, "\u{fffd}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_not_commanded_by_a_text() {
        assert_eq!(tame("a\tb\r\nשלום e\u{301} 🌾\n"), "a\tb\r\nשלום e\u{301} 🌾\n");
        assert_eq!(tame("\u{1b}]0;owned\u{7}\u{9b}2J"), "\u{fffd}]0;owned\u{fffd}\u{fffd}2J");
    }
}
