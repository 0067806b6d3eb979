//! The codecs of batch payloads, in Rust alone: gzip, snappy, LZ4, zstd.
//!
//! Output is bounded by the caller and grows as it is produced: a length that the input declares is never
//! believed, at most refused. What is written here, Kafka's Java client reads, and the other way round.

use std::fmt;
use std::io;

use bytes::Bytes;
use thiserror::Error;

use super::header::Attributes;

mod gzip;
mod lz4;
mod output;
mod snappy;
mod zstd;

use output::Output;

/// How a payload is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Codec {
    /// Not at all.
    #[default]
    None,
    /// Gzip (RFC 1952).
    Gzip,
    /// Snappy in the framing of the Java library (xerial), or bare.
    Snappy,
    /// LZ4 frames.
    Lz4,
    /// Zstandard frames (KIP-110).
    Zstd,
}

impl Codec {
    /// All codecs, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The codec in the attributes of a batch.
    pub fn from_attributes(attributes: Attributes) -> Result<Self, UnknownCodec> {
        Self::from_id(attributes.codec())
    }

    /// The codec with this number.
    pub fn from_id(id: i16) -> Result<Self, UnknownCodec> {
        Self::ALL.into_iter().find(|codec| codec.id() == id).ok_or(UnknownCodec { id })
    }

    /// Number of the codec in attributes.
    pub fn id(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }

    /// Name, as in Kafka's `compression.type`.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The attributes name a codec that does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("codec {id}")]
pub struct UnknownCodec {
    /// Number of the codec.
    pub id: i16,
}

/// Decompresses `input` into at most `limit_bytes` bytes.
pub fn decompress(codec: Codec, input: &[u8], limit_bytes: usize) -> Result<Vec<u8>, CodecError> {
    decompress_with(codec, input, limit_bytes, Lz4HeaderChecksum::Verified)
}

/// [`decompress`] for a payload that is shared: without a codec the result is the payload itself.
pub fn decompress_shared(codec: Codec, payload: &Bytes, limit_bytes: usize) -> Result<Bytes, CodecError> {
    match codec {
        Codec::None if payload.len() <= limit_bytes => Ok(payload.clone()),
        codec => decompress(codec, payload, limit_bytes).map(Bytes::from),
    }
}

/// [`decompress`] with a say in whether the checksum in LZ4 frame headers counts.
pub fn decompress_with(
    codec: Codec,
    input: &[u8],
    limit_bytes: usize,
    lz4_header_checksum: Lz4HeaderChecksum,
) -> Result<Vec<u8>, CodecError> {
    let mut output = Output::new(limit_bytes);
    match codec {
        Codec::None => output.extend(input)?,
        Codec::Gzip => gzip::decompress(input, &mut output)?,
        Codec::Snappy => snappy::decompress(input, &mut output)?,
        Codec::Lz4 => lz4::decompress(input, lz4_header_checksum, &mut output)?,
        Codec::Zstd => zstd::decompress(input, &mut output)?,
    }
    Ok(output.into_bytes())
}

/// Whether the checksum in the header of an LZ4 frame counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lz4HeaderChecksum {
    /// It has to be right.
    Verified,
    /// It is not looked at: in messages of format 0, Kafka computed it over too many bytes (KAFKA-3160).
    Ignored,
}

/// Compresses `input`. Without a codec this is a copy.
pub fn compress(codec: Codec, input: &[u8]) -> Result<Vec<u8>, CodecError> {
    match codec {
        Codec::None => Ok(input.to_vec()),
        Codec::Gzip => gzip::compress(input),
        Codec::Snappy => snappy::compress(input),
        Codec::Lz4 => lz4::compress(input),
        Codec::Zstd => Ok(zstd::compress(input)),
    }
}

/// What is wrong with a compressed payload, and where: bytes from its start.
#[derive(Debug, Error)]
pub enum CodecError {
    /// The output would be larger than allowed.
    #[error("decompresses to more than {limit_bytes} bytes")]
    TooLarge {
        /// Most bytes allowed.
        limit_bytes: usize,
    },
    /// The input ends in the middle.
    #[error("{codec}: ends early at byte {position}")]
    Truncated {
        /// The codec.
        codec: Codec,
        /// Where something was expected.
        position: usize,
    },
    /// A frame header is not one, or asks for what is not supported.
    #[error("{codec}: bad frame header at byte {position}")]
    FrameHeader {
        /// The codec.
        codec: Codec,
        /// Where the header begins.
        position: usize,
    },
    /// A checksum does not match.
    #[error("{codec}: checksum mismatch at byte {position}")]
    Checksum {
        /// The codec.
        codec: Codec,
        /// Where the checksum stands.
        position: usize,
    },
    /// A length in the input is impossible, or not what came out.
    #[error("{codec}: wrong length declared at byte {position}")]
    DeclaredLength {
        /// The codec.
        codec: Codec,
        /// Where the length stands, or where the frame that it belongs to begins.
        position: usize,
    },
    /// Gzip failed.
    #[error("gzip: at byte {position}: {source}")]
    Gzip {
        /// How far the decoder read.
        position: usize,
        /// Why.
        source: io::Error,
    },
    /// A snappy block is malformed.
    #[error("snappy: block at byte {position}: {source}")]
    Snappy {
        /// Where the block begins.
        position: usize,
        /// Why.
        source: snap::Error,
    },
    /// An LZ4 block is malformed.
    #[error("lz4: block at byte {position}: {source}")]
    Lz4 {
        /// Where the block begins.
        position: usize,
        /// Why.
        source: lz4_flex::block::DecompressError,
    },
    /// A zstd frame is malformed.
    #[error("zstd: at byte {position}: {source}")]
    Zstd {
        /// How far the decoder read.
        position: usize,
        /// Why.
        source: ruzstd::decoding::errors::FrameDecoderError,
    },
    /// LZ4 could not compress a block.
    #[error("lz4: {source}")]
    Lz4Write {
        /// Why.
        source: lz4_flex::block::CompressError,
    },
}

#[cfg(test)]
mod tests;
