//! Zstandard frames, around `ruzstd`.
//!
//! The decoder keeps a window's worth of output back, and the window's size is the input's choice. A window
//! beyond the output limit serves no purpose (nothing can lie that far back), so the header is shown to the
//! decoder with a smaller one: memory follows the limit, and frames of any compression level are still read.

use std::io::Read;

use ruzstd::decoding::errors::FrameDecoderError;
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::output::Output;
use super::{Codec, CodecError};

const MAGIC: u32 = 0xFD2F_B528;
/// Frames that hold something else: magic, length, bytes to step over.
const SKIPPABLE: std::ops::RangeInclusive<u32> = 0x184D_2A50..=0x184D_2A5F;

const DESCRIPTOR_SINGLE_SEGMENT: u8 = 0b0010_0000;
const DESCRIPTOR_CONTENT_SIZE: u8 = 0b1100_0000;
/// Blocks are as large as the window, up to this: a smaller window would change their meaning.
const WINDOW_MIN_BYTES: u64 = 128 * 1024;
/// More than any limit in use, and far from the end of what a header can express.
const WINDOW_MAX_BYTES: u64 = 1 << 40;

pub(super) fn decompress(input: &[u8], output: &mut Output) -> Result<(), CodecError> {
    let mut rest = input;
    loop {
        let position = input.len() - rest.len();
        let (magic, after) =
            rest.split_first_chunk().ok_or(CodecError::Truncated { codec: Codec::Zstd, position })?;
        rest = match u32::from_le_bytes(*magic) {
            MAGIC => frame(rest, position, output)?,
            magic if SKIPPABLE.contains(&magic) => skip(after, position)?,
            _ => return Err(CodecError::FrameHeader { codec: Codec::Zstd, position }),
        };
        if rest.is_empty() {
            return Ok(());
        }
    }
}

/// Steps over a skippable frame after its magic.
fn skip(rest: &[u8], position: usize) -> Result<&[u8], CodecError> {
    rest.split_first_chunk()
        .and_then(|(length, rest)| rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?))
        .map(|(_, rest)| rest)
        .ok_or(CodecError::Truncated { codec: Codec::Zstd, position })
}

/// Decompresses one frame and returns what follows it.
fn frame<'a>(input: &'a [u8], position: usize, output: &mut Output) -> Result<&'a [u8], CodecError> {
    let (head, body) =
        input.split_first_chunk().ok_or(CodecError::Truncated { codec: Codec::Zstd, position })?;
    let head = with_bounded_window(*head, output.limit_bytes());
    let [_, _, _, _, descriptor, _] = head;
    let start = output.len();

    let mut source = head.chain(body);
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(u64::MAX);
    let reached = |body: &[u8]| position.saturating_add(input.len() - body.len());
    decoder.init(&mut source).map_err(|error| failed(error, reached(source.get_ref().1)))?;
    if descriptor & DESCRIPTOR_SINGLE_SEGMENT != 0 && decoder.content_size() > output.remaining_bytes() as u64
    {
        return Err(output.too_large());
    }
    while !decoder.is_finished() {
        decoder
            .decode_blocks(&mut source, BlockDecodingStrategy::UptoBlocks(1))
            .map_err(|error| failed(error, reached(source.get_ref().1)))?;
        if decoder.collect_to_writer(&mut *output).is_err() {
            return Err(output.too_large());
        }
    }

    let (_, rest) = source.into_inner();
    let declares_size = descriptor & (DESCRIPTOR_SINGLE_SEGMENT | DESCRIPTOR_CONTENT_SIZE) != 0;
    if declares_size && decoder.content_size() != (output.len() - start) as u64 {
        return Err(CodecError::DeclaredLength { codec: Codec::Zstd, position });
    }
    if decoder
        .get_checksum_from_data()
        .is_some_and(|stored| Some(stored) != decoder.get_calculated_checksum())
    {
        return Err(CodecError::Checksum { codec: Codec::Zstd, position: reached(rest) });
    }
    Ok(rest)
}

/// Magic, descriptor, and, unless the frame is a single segment, the window: exponent and eighths of a power of 2.
fn with_bounded_window(head: [u8; 6], limit_bytes: usize) -> [u8; 6] {
    let [m0, m1, m2, m3, descriptor, window] = head;
    if descriptor & DESCRIPTOR_SINGLE_SEGMENT != 0 {
        return head;
    }
    let enough = (limit_bytes as u64).clamp(WINDOW_MIN_BYTES, WINDOW_MAX_BYTES);
    let exponent = enough.ilog2();
    let power = 1_u64 << exponent;
    // Rounded up; eight eighths carry into the exponent.
    let eighths = (enough - power).div_ceil(power / 8);
    let bounded = (u64::from(exponent - 10) << 3) + eighths;
    [m0, m1, m2, m3, descriptor, window.min(u8::try_from(bounded).unwrap_or(u8::MAX))]
}

fn failed(source: FrameDecoderError, position: usize) -> CodecError {
    CodecError::Zstd { position, source }
}

pub(super) fn compress(input: &[u8]) -> Vec<u8> {
    compress_to_vec(input, CompressionLevel::Fastest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window_bytes(head: [u8; 6]) -> u64 {
        let power = 1_u64 << (10 + (head[5] >> 3));
        power + power / 8 * u64::from(head[5] & 7)
    }

    #[test]
    fn the_window_follows_the_limit() {
        let asks_for_all = [0x28, 0xB5, 0x2F, 0xFD, 0, 0xFF];
        for limit_bytes in [0, 1, 128 * 1024, 128 * 1024 + 1, 1_000_000, 1 << 20, (1 << 20) - 1, 100_000_000]
        {
            let enough = (limit_bytes as u64).max(WINDOW_MIN_BYTES);
            let window = window_bytes(with_bounded_window(asks_for_all, limit_bytes));
            assert!((enough..=enough + enough / 8).contains(&window), "{limit_bytes}: {window}");
        }
        assert!(window_bytes(with_bounded_window(asks_for_all, usize::MAX)) >= WINDOW_MAX_BYTES);
        // What is small already, or is no window, stays.
        for head in [[0x28, 0xB5, 0x2F, 0xFD, 0, 3 << 3], [0x28, 0xB5, 0x2F, 0xFD, 0b0010_0000, 0xFF]] {
            assert_eq!(with_bounded_window(head, 1 << 20), head);
        }
    }
}
