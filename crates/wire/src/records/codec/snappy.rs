//! Snappy. Java's library puts blocks of up to 32 KiB into a framing of its own ("xerial"): a magic, two version
//! numbers, then blocks with their length in front. Other clients send one bare block. Both are read, the
//! framing is written.

use bytes::BufMut;
use snap::raw::{Decoder, Encoder, decompress_len, max_compress_len};

use super::output::Output;
use super::{Codec, CodecError};

/// How the framing begins. No bare block does: it would open with a copy of bytes before the first.
const XERIAL_MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
/// Magic, version, lowest version that can read it.
const XERIAL_HEADER_BYTES: usize = 16;
const XERIAL_VERSION: i32 = 1;
/// Block size of `SnappyOutputStream`.
const BLOCK_BYTES: usize = 32 * 1024;
/// Three bytes of input make 64 of output at best.
const EXPANSION_MAX: usize = 22;

pub(super) fn decompress(input: &[u8], output: &mut Output) -> Result<(), CodecError> {
    if !input.starts_with(&XERIAL_MAGIC) {
        return block(input, 0, output);
    }
    let mut rest = input;
    while !rest.is_empty() {
        let position = input.len() - rest.len();
        let truncated = CodecError::Truncated { codec: Codec::Snappy, position };
        // Streams may follow one another, each with its header: the magic is no block length that could be.
        if rest.starts_with(&XERIAL_MAGIC) {
            (_, rest) = rest.split_at_checked(XERIAL_HEADER_BYTES).ok_or(truncated)?;
            continue;
        }
        let Some((length, after)) = rest.split_first_chunk() else {
            return Err(truncated);
        };
        let length = usize::try_from(i32::from_be_bytes(*length))
            .map_err(|_| CodecError::DeclaredLength { codec: Codec::Snappy, position })?;
        let (compressed, after) = after.split_at_checked(length).ok_or(truncated)?;
        block(compressed, position.saturating_add(4), output)?;
        rest = after;
    }
    Ok(())
}

fn block(compressed: &[u8], position: usize, output: &mut Output) -> Result<(), CodecError> {
    if compressed.is_empty() {
        return Err(CodecError::Truncated { codec: Codec::Snappy, position });
    }
    let declared = decompress_len(compressed).map_err(|source| CodecError::Snappy { position, source })?;
    if declared > compressed.len().saturating_mul(EXPANSION_MAX) {
        return Err(CodecError::DeclaredLength { codec: Codec::Snappy, position });
    }
    output
        .fill(declared, |room| Decoder::new().decompress(compressed, room))?
        .map_err(|source| CodecError::Snappy { position, source })
}

pub(super) fn compress(input: &[u8]) -> Result<Vec<u8>, CodecError> {
    let mut out = Vec::with_capacity(XERIAL_HEADER_BYTES + input.len() / 2);
    out.put_slice(&XERIAL_MAGIC);
    out.put_i32(XERIAL_VERSION);
    out.put_i32(XERIAL_VERSION);
    let mut encoder = Encoder::new();
    let mut block = vec![0; max_compress_len(BLOCK_BYTES)];
    for (index, chunk) in input.chunks(BLOCK_BYTES).enumerate() {
        let length = encoder
            .compress(chunk, &mut block)
            .map_err(|source| CodecError::Snappy { position: index.saturating_mul(BLOCK_BYTES), source })?;
        let compressed = block.get(..length).unwrap_or_default();
        // A block of 32 KiB is far from the end of the range.
        out.put_u32(length as u32);
        out.put_slice(compressed);
    }
    Ok(out)
}
