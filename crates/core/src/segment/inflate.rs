//! Inflating what a stranger deflated, within bounds.

use miniz_oxide::inflate::{
    TINFLStatus,
    core::{DecompressorOxide, decompress, inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF},
};

use super::SegmentError;

/// Inflates all of `bytes` to at most `most` bytes. The room for it grows as it fills, so a short bomb takes no more memory
/// than twice what it may become.
pub(super) fn inflate(bytes: &[u8], most: usize) -> Result<Vec<u8>, SegmentError> {
    let mut inflater = Box::<DecompressorOxide>::default();
    let mut out = vec![0; most.min(bytes.len().saturating_mul(4).max(1_024))];
    let (mut read, mut written) = (0, 0);
    loop {
        let (status, took, gave) = decompress(
            &mut inflater,
            &bytes[read..],
            &mut out,
            written,
            TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
        );
        read += took;
        written += gave;
        match status {
            TINFLStatus::Done if read == bytes.len() => {
                out.truncate(written);
                return Ok(out);
            }
            TINFLStatus::HasMoreOutput if out.len() < most => {
                let room = out.len().saturating_mul(2).min(most);
                out.resize(room, 0);
            }
            TINFLStatus::HasMoreOutput => return Err(SegmentError::Bomb(most)),
            _ => return Err(SegmentError::NotDeflated),
        }
    }
}
