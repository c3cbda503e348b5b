//! The grammar: the part of the Yjs v1 update format that a plain text needs, read and written.
//!
//! ```text
//! update    = sections deletions
//! sections  = count section*           one for each client with something new, descending by client
//! section   = count client clock run*  the runs follow each other from `clock` on
//! run       = 10 length                a hole
//!           | info origin? right-origin? ( 1 "text" )? content
//! info      = 1 (deleted) or 4 (text), + 0x80 with an origin, + 0x40 with a right origin; the parent only without both
//! origin    = client clock
//! content   = length | string
//! deletions = count ( client count ( clock length )* )*
//! ```
//! Every number is a varint of 7 bits a byte, low bits first; a string is its length in bytes and UTF-8.

use std::borrow::Cow;

use super::ranges::IdRanges;
use super::{CLOCK_LIMIT, Refusal};
use crate::client_id::ClientId;
use crate::text::utf16_len;

/// The name of the one root of a document.
pub(crate) const ROOT: &str = "text";

const COLLECTED: u8 = 0;
const DELETED: u8 = 1;
const TEXT: u8 = 4;
const HOLE: u8 = 10;
const CONTENT_BITS: u8 = 0b0001_1111;
const HAS_KEY: u8 = 0b0010_0000;
const HAS_RIGHT_ORIGIN: u8 = 0b0100_0000;
const HAS_ORIGIN: u8 = 0b1000_0000;
const PARENT_IS_ROOT: u64 = 1;

/// Names one UTF-16 code unit for ever: the `clock`th that `client` wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id {
    pub(crate) client: ClientId,
    pub(crate) clock: u32,
}

/// An update, taken apart.
#[derive(Debug, Default)]
pub(crate) struct Parsed<'a> {
    /// Descending by client.
    pub(crate) clients: Vec<ClientRuns<'a>>,
    pub(crate) deletes: IdRanges,
}

/// What one client adds.
#[derive(Debug)]
pub(crate) struct ClientRuns<'a> {
    pub(crate) client: ClientId,
    /// At least one, ascending, with a hole between each two.
    pub(crate) runs: Vec<Run<'a>>,
}

/// Pieces that follow each other without a hole: at least one.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    pub(crate) pieces: Vec<Piece<'a>>,
}

impl Run<'_> {
    pub(crate) fn start(&self) -> u32 {
        self.pieces[0].clock
    }

    pub(crate) fn end(&self) -> u32 {
        self.pieces[self.pieces.len() - 1].end()
    }
}

/// Text, or a length of deleted text, inserted between two neighbours.
#[derive(Clone, Debug)]
pub(crate) struct Piece<'a> {
    pub(crate) clock: u32,
    /// In UTF-16 code units; at least 1.
    pub(crate) len: u32,
    pub(crate) origin: Option<Id>,
    pub(crate) right_origin: Option<Id>,
    pub(crate) content: Content<'a>,
}

impl<'a> Piece<'a> {
    pub(crate) fn end(&self) -> u32 {
        self.clock + self.len
    }

    /// What is before a clock, and what is from there on. A character that the cut would go through is all in the latter.
    pub(crate) fn cut(self, client: ClientId, clock: u32) -> (Option<Piece<'a>>, Option<Piece<'a>>) {
        if clock >= self.end() {
            return (Some(self), None);
        }
        let keep = clock.saturating_sub(self.clock);
        let (before, after, keep) = match &self.content {
            Content::Deleted => (Content::Deleted, Content::Deleted, keep),
            Content::Text(text) => {
                let (mut units, mut at) = (0, 0);
                for character in text.chars() {
                    if units + character.len_utf16() as u32 > keep {
                        break;
                    }
                    units += character.len_utf16() as u32;
                    at += character.len_utf8();
                }
                let (before, after) = (text[..at].to_owned(), text[at..].to_owned());
                (Content::Text(before.into()), Content::Text(after.into()), units)
            }
        };
        if keep == 0 {
            return (None, Some(self));
        }
        let rest = Piece {
            clock: self.clock + keep,
            len: self.len - keep,
            origin: Some(Id { client, clock: self.clock + keep - 1 }),
            right_origin: self.right_origin,
            content: after,
        };
        (Some(Piece { len: keep, content: before, ..self }), Some(rest))
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Content<'a> {
    Text(Cow<'a, str>),
    Deleted,
}

/// Takes an update apart. Checks all but its order: [`encode`] puts that right, so an update is canonical when encoding
/// what was read gives the same bytes.
pub(crate) fn parse(bytes: &[u8]) -> Result<Parsed<'_>, Refusal> {
    parse_rooted(Reader { rest: bytes, root: Some(ROOT) })
}

/// The same of a document whose one root may have any name; [`encode`] gives it ours.
pub(crate) fn parse_of_any_root(bytes: &[u8]) -> Result<Parsed<'_>, Refusal> {
    parse_rooted(Reader { rest: bytes, root: None })
}

fn parse_rooted(mut reader: Reader<'_>) -> Result<Parsed<'_>, Refusal> {
    let section_count = reader.count(SMALLEST_SECTION)?;
    let mut clients: Vec<ClientRuns<'_>> = Vec::new();
    for _ in 0..section_count {
        clients.push(section(&mut reader)?);
    }
    clients.sort_by_key(|section| std::cmp::Reverse(section.client));
    if let Some(pair) = clients.windows(2).find(|pair| pair[0].client == pair[1].client) {
        return Err(Refusal::DuplicateClient(pair[0].client));
    }
    let deletes = deletions(&mut reader)?;
    if !reader.rest.is_empty() {
        return Err(Refusal::TrailingBytes(reader.rest.len()));
    }
    Ok(Parsed { clients, deletes })
}

/// The fewest bytes that a section, a run and a client's deletions can take.
const SMALLEST_SECTION: usize = 5;
const SMALLEST_RUN: usize = 2;
const SMALLEST_DELETIONS: usize = 4;

fn section<'a>(reader: &mut Reader<'a>) -> Result<ClientRuns<'a>, Refusal> {
    let run_count = reader.count(SMALLEST_RUN)?;
    let client = reader.client()?;
    let mut clock = reader.clock()?;
    let mut runs = Vec::new();
    let mut pieces = Vec::new();
    for _ in 0..run_count {
        let info = reader.byte()?;
        if info == HOLE {
            if pieces.is_empty() {
                return Err(Refusal::StrayHole);
            }
            runs.push(Run { pieces: std::mem::take(&mut pieces) });
            clock = advance(clock, reader.length()?)?;
        } else {
            let piece = piece(reader, info, clock)?;
            clock = advance(clock, piece.len)?;
            pieces.push(piece);
        }
    }
    if pieces.is_empty() {
        return Err(Refusal::StrayHole);
    }
    runs.push(Run { pieces });
    Ok(ClientRuns { client, runs })
}

fn piece<'a>(reader: &mut Reader<'a>, info: u8, clock: u32) -> Result<Piece<'a>, Refusal> {
    let kind = info & CONTENT_BITS;
    match kind {
        DELETED | TEXT => {}
        COLLECTED => return Err(Refusal::Collected),
        other => return Err(Refusal::ForeignContent(other)),
    }
    if info & HAS_KEY != 0 {
        return Err(Refusal::Keyed);
    }
    let origin = if info & HAS_ORIGIN != 0 { Some(reader.id()?) } else { None };
    let right_origin = if info & HAS_RIGHT_ORIGIN != 0 { Some(reader.id()?) } else { None };
    if origin.is_none() && right_origin.is_none() {
        reader.parent()?;
    }
    let (len, content) = if kind == TEXT {
        let text = reader.string()?;
        (utf16_len(text), Content::Text(Cow::Borrowed(text)))
    } else {
        (reader.length()?, Content::Deleted)
    };
    if len == 0 {
        return Err(Refusal::EmptyRun);
    }
    Ok(Piece { clock, len, origin, right_origin, content })
}

fn deletions(reader: &mut Reader<'_>) -> Result<IdRanges, Refusal> {
    let mut deletes = IdRanges::default();
    let client_count = reader.count(SMALLEST_DELETIONS)?;
    for _ in 0..client_count {
        let client = reader.client()?;
        let range_count = reader.count(2)?;
        for _ in 0..range_count {
            let start = reader.clock()?;
            let end = advance(start, reader.length()?)?;
            deletes.insert(client, start..end);
        }
    }
    Ok(deletes)
}

fn advance(clock: u32, len: u32) -> Result<u32, Refusal> {
    clock.checked_add(len).filter(|&end| end < CLOCK_LIMIT).ok_or(Refusal::ClockOutOfRange)
}

/// Reads from the front of `rest`.
struct Reader<'a> {
    rest: &'a [u8],
    /// What the root is called, once that is known.
    root: Option<&'a str>,
}

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Result<u8, Refusal> {
        let (&first, rest) = self.rest.split_first().ok_or(Refusal::Truncated)?;
        self.rest = rest;
        Ok(first)
    }

    fn parent(&mut self) -> Result<(), Refusal> {
        if self.number()? != PARENT_IS_ROOT {
            return Err(Refusal::ForeignParent);
        }
        let name = self.string()?;
        if *self.root.get_or_insert(name) == name { Ok(()) } else { Err(Refusal::ForeignParent) }
    }

    fn number(&mut self) -> Result<u64, Refusal> {
        let mut number = 0;
        for shift in (0..).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift >= 53 || bits > ((1 << 53) - 1) >> shift {
                return Err(Refusal::NumberTooLarge);
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        Ok(number)
    }

    /// A count of things that take at least `smallest` bytes each.
    fn count(&mut self, smallest: usize) -> Result<u64, Refusal> {
        let count = self.number()?;
        if count > (self.rest.len() / smallest) as u64 {
            return Err(Refusal::CountTooLarge);
        }
        Ok(count)
    }

    fn client(&mut self) -> Result<ClientId, Refusal> {
        ClientId::new(self.number()?).ok_or(Refusal::ClientOutOfRange)
    }

    fn clock(&mut self) -> Result<u32, Refusal> {
        u32::try_from(self.number()?)
            .ok()
            .filter(|&clock| clock < CLOCK_LIMIT)
            .ok_or(Refusal::ClockOutOfRange)
    }

    fn length(&mut self) -> Result<u32, Refusal> {
        match self.clock()? {
            0 => Err(Refusal::EmptyRun),
            length => Ok(length),
        }
    }

    fn id(&mut self) -> Result<Id, Refusal> {
        Ok(Id { client: self.client()?, clock: self.clock()? })
    }

    fn string(&mut self) -> Result<&'a str, Refusal> {
        let len = self.number()?;
        let len =
            usize::try_from(len).ok().filter(|&len| len <= self.rest.len()).ok_or(Refusal::Truncated)?;
        let (text, rest) = self.rest.split_at(len);
        self.rest = rest;
        std::str::from_utf8(text).map_err(|_| Refusal::NotUtf8)
    }
}

/// Writes an update in the canonical way.
pub(crate) fn encode(parsed: &Parsed<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    write_number(&mut out, parsed.clients.len() as u64);
    for section in &parsed.clients {
        let holes = section.runs.len() - 1;
        let pieces: usize = section.runs.iter().map(|run| run.pieces.len()).sum();
        write_number(&mut out, (pieces + holes) as u64);
        write_number(&mut out, section.client.get());
        write_number(&mut out, u64::from(section.runs[0].start()));
        let mut clock = section.runs[0].start();
        for run in &section.runs {
            if run.start() > clock {
                out.push(HOLE);
                write_number(&mut out, u64::from(run.start() - clock));
            }
            for piece in &run.pieces {
                write_piece(&mut out, piece);
            }
            clock = run.end();
        }
    }
    write_number(&mut out, parsed.deletes.client_count() as u64);
    for (client, ranges) in parsed.deletes.by_client_descending() {
        write_number(&mut out, client.get());
        write_number(&mut out, ranges.len() as u64);
        for (&start, &end) in ranges {
            write_number(&mut out, u64::from(start));
            write_number(&mut out, u64::from(end - start));
        }
    }
    out
}

fn write_piece(out: &mut Vec<u8>, piece: &Piece<'_>) {
    let kind = if matches!(piece.content, Content::Text(_)) { TEXT } else { DELETED };
    let origin_bit = if piece.origin.is_some() { HAS_ORIGIN } else { 0 };
    let right_bit = if piece.right_origin.is_some() { HAS_RIGHT_ORIGIN } else { 0 };
    out.push(kind | origin_bit | right_bit);
    for id in [piece.origin, piece.right_origin].into_iter().flatten() {
        write_number(out, id.client.get());
        write_number(out, u64::from(id.clock));
    }
    if piece.origin.is_none() && piece.right_origin.is_none() {
        write_number(out, PARENT_IS_ROOT);
        write_string(out, ROOT);
    }
    match &piece.content {
        Content::Text(text) => write_string(out, text),
        Content::Deleted => write_number(out, u64::from(piece.len)),
    }
}

fn write_string(out: &mut Vec<u8>, text: &str) {
    write_number(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Writes a number as a varint: 7 bits a byte, low bits first.
pub(crate) fn write_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}
