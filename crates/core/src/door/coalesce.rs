//! Making one update of many, and many of one.

use std::borrow::Cow;

use super::grammar::{ClientRuns, Content, Id, Parsed, Piece, Run};
use super::ranges::IdRanges;
use super::{MAX_UPDATE_BYTES, VettedUpdate};
use crate::client_id::ClientId;
use crate::text::utf16_len;

/// Why updates can't be merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// They add text of more than one client.
    #[error("the updates are of different authors")]
    DifferentAuthors,
    /// One does not go on where the one before it ended.
    #[error("the updates do not follow each other")]
    NotConsecutive,
    /// The merged update would be longer than [`MAX_UPDATE_BYTES`].
    #[error("the merged update would be too long")]
    TooLarge,
}

/// Makes one canonical update of consecutive updates of one client, given in their order: runs that go on are joined,
/// deletions united. Linear in their length; it does not ask the CRDT.
///
/// ```
/// use sheaf_core::client_id::ClientId;
/// use sheaf_core::document::Document;
/// use sheaf_core::door::merge;
/// use sheaf_core::text::Splice;
/// use sheaf_core::time::Timestamp;
/// let mut document = Document::new(ClientId::new(7).unwrap());
/// let mut updates = Vec::new();
/// for (at, letter) in ["h", "i", "!"].into_iter().enumerate() {
///     updates.extend(document.edit(Timestamp::EPOCH, &[Splice::insert(at as u32, letter)]).unwrap().updates);
/// }
/// assert_eq!(merge(&updates).unwrap().bytes(), document.encode_state());
/// ```
///
/// # Errors
/// [`MergeError`] when they are not consecutive updates of one client, or too long together.
pub fn merge(updates: &[VettedUpdate]) -> Result<VettedUpdate, MergeError> {
    let mut merged: Option<(ClientId, Run<'_>)> = None;
    let mut deletes = IdRanges::default();
    for update in updates {
        let parsed = update.parsed();
        deletes.extend(&parsed.deletes);
        for section in parsed.clients {
            for run in section.runs {
                merged = Some(match merged {
                    None => (section.client, run),
                    Some((client, _)) if client != section.client => {
                        return Err(MergeError::DifferentAuthors);
                    }
                    Some((_, before)) if before.end() != run.start() => {
                        return Err(MergeError::NotConsecutive);
                    }
                    Some((client, mut before)) => {
                        before.pieces.extend(run.pieces);
                        (client, before)
                    }
                });
            }
        }
    }
    let clients = merged.map(|(client, run)| ClientRuns { client, runs: vec![run] }).into_iter().collect();
    let mut parsed = Parsed { clients, deletes };
    join(&mut parsed);
    let author = updates.iter().find_map(VettedUpdate::author);
    let update = VettedUpdate::by(author, &parsed);
    if update.bytes().len() > MAX_UPDATE_BYTES { Err(MergeError::TooLarge) } else { Ok(update) }
}

/// Joins pieces of which one simply goes on where the one before it ended.
pub(super) fn join(parsed: &mut Parsed<'_>) {
    for section in &mut parsed.clients {
        for run in &mut section.runs {
            let mut joined: Vec<Piece<'_>> = Vec::with_capacity(run.pieces.len());
            for piece in run.pieces.drain(..) {
                match joined.last_mut() {
                    Some(before) if goes_on(section.client, before, &piece) => {
                        before.len += piece.len;
                        if let (Content::Text(text), Content::Text(more)) =
                            (&mut before.content, &piece.content)
                        {
                            text.to_mut().push_str(more);
                        }
                    }
                    _ => joined.push(piece),
                }
            }
            run.pieces = joined;
        }
    }
}

fn goes_on(client: ClientId, before: &Piece<'_>, piece: &Piece<'_>) -> bool {
    piece.clock == before.end()
        && piece.origin == Some(Id { client, clock: piece.clock - 1 })
        && piece.right_origin == before.right_origin
        && matches!(
            (&before.content, &piece.content),
            (Content::Text(_), Content::Text(_)) | (Content::Deleted, Content::Deleted)
        )
}

/// About the most bytes that one piece takes beside its text: its info, two ids of 8 + 5 bytes, a length.
const PIECE_OVERHEAD: usize = 32;
/// About the most bytes that a section takes beside its pieces, and a range of deletions.
const SECTION_OVERHEAD: usize = 20;
const DELETION_BYTES: usize = 20;

/// Takes an update apart into several of about `max_bytes`, in an order in which they can be applied.
pub(super) fn split(update: &VettedUpdate, max_bytes: usize) -> Vec<VettedUpdate> {
    let parsed = update.parsed();
    let mut parts = match parsed.clients.as_slice() {
        [only] => split_section(only, max_bytes),
        several => split_at_holes(several),
    };
    let room = ((max_bytes - SECTION_OVERHEAD) / DELETION_BYTES).max(1);
    let mut deletes = IdRanges::default();
    for (client, range) in parsed.deletes.iter() {
        deletes.insert(client, range);
        if deletes.range_count() >= room {
            parts.push(Parsed { clients: Vec::new(), deletes: std::mem::take(&mut deletes) });
        }
    }
    if !deletes.is_empty() {
        parts.push(Parsed { clients: Vec::new(), deletes });
    }
    parts.iter().map(|part| VettedUpdate::by(update.author(), part)).collect()
}

fn part<'a>(client: ClientId, pieces: Vec<Piece<'a>>) -> Parsed<'a> {
    Parsed { clients: vec![ClientRuns { client, runs: vec![Run { pieces }] }], deletes: IdRanges::default() }
}

fn split_section<'a>(section: &'a ClientRuns<'a>, max_bytes: usize) -> Vec<Parsed<'a>> {
    let mut parts = Vec::new();
    for run in &section.runs {
        let mut pieces: Vec<Piece<'a>> = Vec::new();
        let mut size = SECTION_OVERHEAD;
        for piece in &run.pieces {
            let mut rest = Some(piece.clone());
            while let Some(piece) = rest.take() {
                let text_bytes = if let Content::Text(text) = &piece.content { text.len() } else { 0 };
                let room = max_bytes.saturating_sub(size + PIECE_OVERHEAD);
                if text_bytes <= room {
                    size += PIECE_OVERHEAD + text_bytes;
                    pieces.push(piece);
                } else if let Some((head, tail)) = cut_text(section.client, &piece, room) {
                    pieces.push(head);
                    parts.push(part(section.client, std::mem::take(&mut pieces)));
                    size = SECTION_OVERHEAD;
                    rest = Some(tail);
                } else if pieces.is_empty() {
                    // Not even one character fits: it goes alone.
                    parts.push(part(section.client, vec![piece]));
                } else {
                    parts.push(part(section.client, std::mem::take(&mut pieces)));
                    size = SECTION_OVERHEAD;
                    rest = Some(piece);
                }
            }
        }
        if !pieces.is_empty() {
            parts.push(part(section.client, pieces));
        }
    }
    parts
}

/// Cuts a piece of text after at most `room` bytes, between two characters; `None` when one side would be empty.
fn cut_text<'a>(client: ClientId, piece: &Piece<'a>, room: usize) -> Option<(Piece<'a>, Piece<'a>)> {
    let Content::Text(text) = &piece.content else { return None };
    let at = text.floor_char_boundary(room);
    if at == 0 || at == text.len() {
        return None;
    }
    let (head, tail) = match text {
        Cow::Borrowed(text) => (Cow::Borrowed(&text[..at]), Cow::Borrowed(&text[at..])),
        Cow::Owned(text) => (Cow::Owned(text[..at].to_owned()), Cow::Owned(text[at..].to_owned())),
    };
    let head_len = utf16_len(&head);
    let clock = piece.clock + head_len;
    let tail = Piece {
        clock,
        len: piece.len - head_len,
        origin: Some(Id { client, clock: clock - 1 }),
        right_origin: piece.right_origin,
        content: Content::Text(tail),
    };
    Some((Piece { len: head_len, content: Content::Text(head), ..piece.clone() }, tail))
}

/// One part for each run, in the order in which the runs of one client follow each other; several clients' first runs
/// may refer to each other, so what has no hole before it stays together.
fn split_at_holes<'a>(sections: &'a [ClientRuns<'a>]) -> Vec<Parsed<'a>> {
    let copy = |client: ClientId, run: &Run<'a>| ClientRuns {
        client,
        runs: vec![Run { pieces: run.pieces.clone() }],
    };
    let first: Vec<ClientRuns<'a>> =
        sections.iter().map(|section| copy(section.client, &section.runs[0])).collect();
    let mut parts = Vec::new();
    if !first.is_empty() {
        parts.push(Parsed { clients: first, deletes: IdRanges::default() });
    }
    for section in sections {
        for run in &section.runs[1..] {
            parts.push(Parsed { clients: vec![copy(section.client, run)], deletes: IdRanges::default() });
        }
    }
    parts
}
