//! LZ4 frames, around the block codec of `lz4_flex`.
//!
//! Kafka writes independent blocks of 64 KiB without checksums. Frames of other writers are read too: larger
//! and linked blocks, checksums, several frames in a row. Unlike most readers this one insists on the end mark,
//! so that a cut frame is an error and not a short payload.

use bytes::BufMut;
use lz4_flex::block::{
    CompressTable, DecompressError, compress_into_with_table, decompress_into, decompress_into_with_dict,
    get_maximum_output_size,
};
use twox_hash::XxHash32;

use super::output::Output;
use super::{Codec, CodecError, Lz4HeaderChecksum};

const MAGIC: [u8; 4] = 0x184D_2204_u32.to_le_bytes();
/// Frames that hold something else: magic, length, bytes to step over.
const SKIPPABLE: std::ops::RangeInclusive<u32> = 0x184D_2A50..=0x184D_2A5F;

const FLAG_VERSION_MASK: u8 = 0b1100_0000;
const FLAG_VERSION: u8 = 0b0100_0000;
const FLAG_INDEPENDENT: u8 = 0b0010_0000;
const FLAG_BLOCK_CHECKSUMS: u8 = 0b0001_0000;
const FLAG_CONTENT_SIZE: u8 = 0b0000_1000;
const FLAG_CONTENT_CHECKSUM: u8 = 0b0000_0100;
const FLAG_RESERVED: u8 = 0b0000_0010;
const FLAG_DICTIONARY: u8 = 0b0000_0001;

/// In a block's length: its bytes are not compressed.
const BLOCK_STORED: u32 = 0x8000_0000;
/// Block size number 4.
const WRITE_BLOCK_BYTES: usize = 64 * 1024;
const WRITE_BLOCK_SIZE: u8 = 4 << 4;
/// How far back a match reaches.
const WINDOW_BYTES: usize = 64 * 1024;
/// A byte of input makes 255 of output at best, besides what the first token brings.
const EXPANSION_MAX: usize = 255;

pub(super) fn decompress(
    input: &[u8],
    header_checksum: Lz4HeaderChecksum,
    output: &mut Output,
) -> Result<(), CodecError> {
    let mut reader = Reader { rest: input, input_bytes: input.len() };
    loop {
        match Frame::read(&mut reader, header_checksum)? {
            Some(frame) => frame.decompress(&mut reader, output)?,
            None => reader.skippable()?,
        }
        if reader.rest.is_empty() {
            return Ok(());
        }
    }
}

/// A frame, as its header describes it.
struct Frame {
    position: usize,
    block_max_bytes: usize,
    linked: bool,
    block_checksums: bool,
    content_checksum: bool,
    content_bytes: Option<u64>,
}

impl Frame {
    /// Reads a frame header; `None`, and nothing consumed, before a skippable frame.
    fn read(reader: &mut Reader<'_>, checksum: Lz4HeaderChecksum) -> Result<Option<Self>, CodecError> {
        let position = reader.position();
        let bad_header = CodecError::FrameHeader { codec: Codec::Lz4, position };
        let mut ahead = Reader { ..*reader };
        let magic = ahead.chunk::<4>()?;
        if SKIPPABLE.contains(&u32::from_le_bytes(*magic)) {
            return Ok(None);
        }
        let descriptor = ahead.rest;
        let [flags, block_size] = *ahead.chunk::<2>()?;
        if *magic != MAGIC || flags & FLAG_VERSION_MASK != FLAG_VERSION {
            return Err(bad_header);
        }
        if flags & (FLAG_RESERVED | FLAG_DICTIONARY) != 0 || block_size & 0b1000_1111 != 0 {
            return Err(bad_header);
        }
        let block_max_bytes = match block_size >> 4 {
            4 => 64 * 1024,
            5 => 256 * 1024,
            6 => 1024 * 1024,
            7 => 4 * 1024 * 1024,
            _ => return Err(bad_header),
        };
        let content_bytes = match flags & FLAG_CONTENT_SIZE {
            0 => None,
            _ => Some(u64::from_le_bytes(*ahead.chunk()?)),
        };
        let descriptor = descriptor.get(..descriptor.len() - ahead.rest.len()).unwrap_or_default();
        let checksum_position = ahead.position();
        let [stored] = *ahead.chunk::<1>()?;
        if checksum == Lz4HeaderChecksum::Verified && stored != header_checksum(descriptor) {
            return Err(CodecError::Checksum { codec: Codec::Lz4, position: checksum_position });
        }
        *reader = ahead;
        Ok(Some(Self {
            position,
            block_max_bytes,
            linked: flags & FLAG_INDEPENDENT == 0,
            block_checksums: flags & FLAG_BLOCK_CHECKSUMS != 0,
            content_checksum: flags & FLAG_CONTENT_CHECKSUM != 0,
            content_bytes,
        }))
    }

    fn decompress(&self, reader: &mut Reader<'_>, output: &mut Output) -> Result<(), CodecError> {
        let start = output.len();
        loop {
            let position = reader.position();
            let length = u32::from_le_bytes(*reader.chunk()?);
            if length == 0 {
                break;
            }
            let block_bytes = usize::try_from(length & !BLOCK_STORED).unwrap_or(usize::MAX);
            if block_bytes > self.block_max_bytes {
                return Err(CodecError::DeclaredLength { codec: Codec::Lz4, position });
            }
            let block = reader.take(block_bytes)?;
            if self.block_checksums {
                reader.verify(block)?;
            }
            if length & BLOCK_STORED != 0 {
                output.extend(block)?;
            } else {
                self.block(block, position, start, output)?;
            }
        }
        let content = output.as_slice().get(start..).unwrap_or_default();
        if self.content_bytes.is_some_and(|declared| declared != content.len() as u64) {
            return Err(CodecError::DeclaredLength { codec: Codec::Lz4, position: self.position });
        }
        if self.content_checksum {
            reader.verify(content)?;
        }
        Ok(())
    }

    fn block(
        &self,
        block: &[u8],
        position: usize,
        start: usize,
        output: &mut Output,
    ) -> Result<(), CodecError> {
        let most_bytes =
            self.block_max_bytes.min(block.len().saturating_mul(EXPANSION_MAX).saturating_add(64));
        let room_bytes = most_bytes.min(output.remaining_bytes());
        let decompressed = if self.linked {
            // A copy of the window: the dictionary and the room are parts of one buffer.
            let frame = output.as_slice().get(start..).unwrap_or_default();
            let window = frame.get(frame.len().saturating_sub(WINDOW_BYTES)..).unwrap_or_default().to_vec();
            output.fill(room_bytes, |room| decompress_into_with_dict(block, room, &window))?
        } else {
            output.fill(room_bytes, |room| decompress_into(block, room))?
        };
        decompressed.map_err(|source| match source {
            DecompressError::OutputTooSmall { .. } if room_bytes < most_bytes => output.too_large(),
            source => CodecError::Lz4 { position, source },
        })
    }
}

/// A reader that knows its position.
struct Reader<'a> {
    rest: &'a [u8],
    input_bytes: usize,
}

impl<'a> Reader<'a> {
    fn position(&self) -> usize {
        self.input_bytes - self.rest.len()
    }

    fn chunk<const BYTES: usize>(&mut self) -> Result<&'a [u8; BYTES], CodecError> {
        let position = self.position();
        let (chunk, rest) =
            self.rest.split_first_chunk().ok_or(CodecError::Truncated { codec: Codec::Lz4, position })?;
        self.rest = rest;
        Ok(chunk)
    }

    fn take(&mut self, bytes: usize) -> Result<&'a [u8], CodecError> {
        let position = self.position();
        let (taken, rest) =
            self.rest.split_at_checked(bytes).ok_or(CodecError::Truncated { codec: Codec::Lz4, position })?;
        self.rest = rest;
        Ok(taken)
    }

    fn skippable(&mut self) -> Result<(), CodecError> {
        self.chunk::<4>()?;
        let bytes = u32::from_le_bytes(*self.chunk()?);
        self.take(usize::try_from(bytes).unwrap_or(usize::MAX)).map(drop)
    }

    /// Reads the checksum of `content` and compares.
    fn verify(&mut self, content: &[u8]) -> Result<(), CodecError> {
        let position = self.position();
        if u32::from_le_bytes(*self.chunk()?) == XxHash32::oneshot(0, content) {
            Ok(())
        } else {
            Err(CodecError::Checksum { codec: Codec::Lz4, position })
        }
    }
}

fn header_checksum(descriptor: &[u8]) -> u8 {
    (XxHash32::oneshot(0, descriptor) >> 8) as u8
}

pub(super) fn compress(input: &[u8]) -> Result<Vec<u8>, CodecError> {
    let mut out = Vec::with_capacity(input.len() / 2 + 16);
    let descriptor = [FLAG_VERSION | FLAG_INDEPENDENT, WRITE_BLOCK_SIZE];
    out.put_slice(&MAGIC);
    out.put_slice(&descriptor);
    out.put_u8(header_checksum(&descriptor));
    let mut block = vec![0; get_maximum_output_size(WRITE_BLOCK_BYTES)];
    let mut table = CompressTable::large();
    for chunk in input.chunks(WRITE_BLOCK_BYTES) {
        let length = compress_into_with_table(chunk, &mut block, &mut table)
            .map_err(|source| CodecError::Lz4Write { source })?;
        // Lengths are at most 64 KiB: no cast here loses anything.
        match block.get(..length) {
            Some(compressed) if length < chunk.len() => {
                out.put_u32_le(length as u32);
                out.put_slice(compressed);
            }
            _ => {
                out.put_u32_le(chunk.len() as u32 | BLOCK_STORED);
                out.put_slice(chunk);
            }
        }
    }
    out.put_u32_le(0);
    Ok(out)
}
