//! Words of strangers that are shown to people: titles and names.

use super::{MAX_NAME_BYTES, MAX_NAME_GRAPHEMES, MAX_TITLE_BYTES, MAX_TITLE_GRAPHEMES};

/// More marks on one character than any script uses; the rest would only cover the lines above and below.
const MAX_MARKS: usize = 8;

/// A title made fit to be shown: no control characters (a line break becomes a space), nothing invisible that turns the
/// reading direction of what stands beside it, no spaces around it, at most [`MAX_TITLE_GRAPHEMES`] characters and
/// [`MAX_TITLE_BYTES`]. It is still only ever text. Cleaning twice changes nothing.
///
/// ```
/// # use sheaf_core::record::clean_title;
/// assert_eq!(clean_title(" Field\u{202e}\nnotes\u{7} "), "Field notes");
/// ```
pub fn clean_title(title: &str) -> String {
    clean(title, MAX_TITLE_GRAPHEMES, MAX_TITLE_BYTES)
}

/// A person's name made fit to be shown: like a title, but at most [`MAX_NAME_GRAPHEMES`] characters and
/// [`MAX_NAME_BYTES`]. Empty when nothing of it can be seen.
pub fn clean_name(name: &str) -> String {
    let name = clean(name, MAX_NAME_GRAPHEMES, MAX_NAME_BYTES);
    if name.chars().all(|ch| ch.is_whitespace() || extends(ch) || is_blank(ch)) {
        String::new()
    } else {
        name
    }
}

/// Whether a name that somebody chose could be taken for an account's handle or DID. Those are shown where they are verified;
/// a chosen name must not look like one.
///
/// ```
/// # use sheaf_core::record::could_be_account;
/// assert!(could_be_account("alice.test") && could_be_account("@alice") && could_be_account("did:plc:x"));
/// assert!(!could_be_account("J. R. R. Tolkien") && !could_be_account("Prof. Ada, M.D."));
/// ```
pub fn could_be_account(name: &str) -> bool {
    // Full stops of other scripts and look-alikes count as well.
    let stop = |ch| {
        matches!(
            ch,
            '.' | '\u{2024}' | '\u{3002}' | '\u{ff0e}' | '\u{ff61}' | '\u{fe52}' | '\u{701}' | '\u{702}'
        )
    };
    let at = |ch| matches!(ch, '@' | '\u{ff20}' | '\u{fe6b}');
    let colon = |ch| matches!(ch, ':' | '\u{ff1a}' | '\u{a789}' | '\u{2236}');
    name.contains(at)
        || name.split_whitespace().any(|word| {
            // A top-level domain has two letters at least: initials are none.
            let parts: Vec<&str> = word.split(stop).collect();
            let letters = |part: &str| part.chars().filter(|ch| ch.is_alphanumeric()).count();
            parts.windows(2).any(|pair| letters(pair[0]) > 0 && letters(pair[1]) > 1)
                || word.split_once(colon).is_some_and(|(first, _)| first.eq_ignore_ascii_case("did"))
        })
}

fn clean(text: &str, most_graphemes: usize, most_bytes: usize) -> String {
    let shown: String = text.chars().filter_map(shown).collect();
    let mut out = String::new();
    // The end of the last whole character, in case the next does not fit.
    let mut whole = 0;
    let (mut graphemes, mut marks) = (0, 0);
    let mut before = None;
    for ch in shown.trim().chars() {
        if before.is_some_and(|before| joins(before, ch)) {
            marks += usize::from(extends(ch));
            if marks > MAX_MARKS && extends(ch) && ch != JOINER {
                continue;
            }
        } else {
            whole = out.len();
            graphemes += 1;
            marks = 0;
        }
        if graphemes > most_graphemes || out.len() + ch.len_utf8() > most_bytes {
            out.truncate(whole);
            break;
        }
        out.push(ch);
        before = Some(ch);
    }
    out.truncate(out.trim_end().len());
    out
}

/// What becomes of a character: a space for what breaks lines, nothing for what cannot be seen and only misleads.
fn shown(ch: char) -> Option<char> {
    match ch {
        '\t' | '\n' | '\u{b}' | '\u{c}' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' => Some(' '),
        _ if ch.is_control() => None,
        // Embeddings, overrides and isolates of the writing direction; deprecated format characters; byte order mark and
        // interlinear annotation; tags.
        '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{200b}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' => None,
        '\u{e0000}'..='\u{e0fff}' => None,
        _ => Some(ch),
    }
}

const JOINER: char = '\u{200d}';

/// Whether `ch` is part of the same user-perceived character as `before`. An approximation of Unicode's extended grapheme
/// clusters that never joins more than they do, so a text within our limit is within theirs.
fn joins(before: char, ch: char) -> bool {
    extends(ch)
        || (before == JOINER
            && matches!(ch, '\u{1f000}'..='\u{1faff}' | '\u{2600}'..='\u{27bf}' | '\u{2b00}'..='\u{2bff}'))
}

/// Marks on the character before: common combining marks, variation selectors, skin tones, and the joiner itself.
fn extends(ch: char) -> bool {
    matches!(ch,
        '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{591}'..='\u{5bd}' | '\u{64b}'..='\u{65f}'
        | '\u{1ab0}'..='\u{1ace}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20f0}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{fe20}'..='\u{fe2f}' | '\u{1f3fb}'..='\u{1f3ff}' | JOINER)
}

/// Characters that take room and show nothing.
fn is_blank(ch: char) -> bool {
    matches!(
        ch,
        '\u{200c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{61c}'
            | '\u{ad}'
            | '\u{34f}'
            | '\u{115f}'
            | '\u{1160}'
            | '\u{17b4}'
            | '\u{17b5}'
            | '\u{180b}'..='\u{180e}' | '\u{2800}' | '\u{3164}' | '\u{ffa0}'
    )
}
