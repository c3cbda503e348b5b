//! The three kinds of [DAG-CBOR] values that entries of segments and frames of the live channel are made of, written and read
//! in its one strict form.
//!
//! [DAG-CBOR]: https://ipld.io/specs/codecs/dag-cbor/spec/

const UINT: u8 = 0;
const BYTES: u8 = 2;
const ARRAY: u8 = 4;

pub(crate) fn uint(out: &mut Vec<u8>, value: u64) {
    head(out, UINT, value);
}

pub(crate) fn bytes(out: &mut Vec<u8>, value: &[u8]) {
    head(out, BYTES, value.len() as u64);
    out.extend_from_slice(value);
}

pub(crate) fn array(out: &mut Vec<u8>, len: usize) {
    head(out, ARRAY, len as u64);
}

/// The bytes that a value of this length takes beside its content.
pub(crate) fn head_len(value: u64) -> usize {
    match value {
        0..=23 => 1,
        24..=0xff => 2,
        0x100..=0xffff => 3,
        0x1_0000..=0xffff_ffff => 5,
        _ => 9,
    }
}

fn head(out: &mut Vec<u8>, kind: u8, value: u64) {
    let kind = kind << 5;
    let be = value.to_be_bytes();
    match head_len(value) {
        1 => out.push(kind | be[7]),
        2 => out.extend_from_slice(&[kind | 24, be[7]]),
        3 => {
            out.push(kind | 25);
            out.extend_from_slice(&be[6..]);
        }
        5 => {
            out.push(kind | 26);
            out.extend_from_slice(&be[4..]);
        }
        _ => {
            out.push(kind | 27);
            out.extend_from_slice(&be);
        }
    }
}

/// Reads values one after another from borrowed bytes.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader(bytes)
    }

    pub(crate) fn uint(&mut self) -> Result<u64, &'static str> {
        self.head(UINT, "a number is expected")
    }

    pub(crate) fn array(&mut self) -> Result<u64, &'static str> {
        self.head(ARRAY, "a list is expected")
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], &'static str> {
        let len = self.head(BYTES, "bytes are expected")?;
        let len = usize::try_from(len).map_err(|_| "cut short")?;
        self.take(len)
    }

    pub(crate) fn end(&self) -> Result<(), &'static str> {
        if self.0.is_empty() { Ok(()) } else { Err("something follows the end") }
    }

    fn head(&mut self, kind: u8, otherwise: &'static str) -> Result<u64, &'static str> {
        let first = self.take(1)?[0];
        if first >> 5 != kind {
            return Err(otherwise);
        }
        let width = match first & 31 {
            small @ 0..=23 => return Ok(u64::from(small)),
            24 => 1,
            25 => 2,
            26 => 4,
            27 => 8,
            _ => return Err("a length that is not told"),
        };
        let value = self.take(width)?.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
        if head_len(value) == width + 1 {
            Ok(value)
        } else {
            Err("a number not written in its shortest form")
        }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], &'static str> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or("cut short")?;
        self.0 = rest;
        Ok(taken)
    }
}
