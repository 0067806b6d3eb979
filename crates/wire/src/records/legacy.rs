//! Messages of formats 0 and 1, which old segments still hold and brokers still serve as they are.
//!
//! An entry is one message, or a wrapper: a message whose value is a compressed set of further messages. Inner
//! offsets are absolute in format 0; in format 1 they count from the first, and the wrapper has the offset of the
//! last (KIP-31). There are no headers and no producer ids. Nothing can be forwarded: a new batch is built.

use bytes::{Buf, Bytes};
use flate2::Crc;
use thiserror::Error;

use super::codec::{Codec, CodecError, Lz4HeaderChecksum, UnknownCodec, decompress_with};
use super::header::{Attributes, LOG_OVERHEAD_BYTES, MAGIC_OFFSET};

/// Timestamp of a message of format 0.
const NO_TIMESTAMP: i64 = -1;

/// One entry of a message set, its CRC verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegacyMessage {
    /// Offset as stored; what it means in a compressed set depends on the format.
    pub offset: i64,
    /// Message format, 0 or 1.
    pub magic: i8,
    /// Codec and, in format 1, [`Attributes::LOG_APPEND_TIME`].
    pub attributes: Attributes,
    /// Milliseconds since the epoch, −1 in format 0.
    pub timestamp: i64,
    /// Key, if any.
    pub key: Option<Bytes>,
    /// Value, if any; a message set when the attributes name a codec.
    pub value: Option<Bytes>,
}

impl LegacyMessage {
    /// Reads one whole entry: offset, size, and the message.
    pub fn parse(entry: &Bytes) -> Result<Self, LegacyError> {
        let mut reader = Reader { rest: entry.clone(), entry_bytes: entry.len() };
        let offset = reader.number(Buf::try_get_i64)?;
        let size = reader.number(Buf::try_get_i32)?;
        if usize::try_from(size) != Ok(reader.rest.len()) {
            return Err(LegacyError::Size { position: 8, size, available: reader.rest.len() });
        }
        let stored_crc = reader.number(Buf::try_get_u32)?;
        let computed_crc = crc32(&reader.rest);
        let magic = reader.number(Buf::try_get_i8)?;
        // The format first: in another one the CRC is elsewhere.
        if !matches!(magic, 0 | 1) {
            return Err(LegacyError::Magic { position: MAGIC_OFFSET, magic });
        }
        if stored_crc != computed_crc {
            return Err(LegacyError::Crc { stored: stored_crc, computed: computed_crc });
        }
        let attributes = Attributes(i16::from(reader.number(Buf::try_get_i8)?));
        let timestamp = if magic == 0 { NO_TIMESTAMP } else { reader.number(Buf::try_get_i64)? };
        let key = reader.field()?;
        let value = reader.field()?;
        match reader.rest.len() {
            0 => Ok(Self { offset, magic, attributes, timestamp, key, value }),
            bytes => Err(LegacyError::BytesLeft { position: reader.position(), bytes }),
        }
    }

    /// Codec of the value. Zstd came after these formats.
    pub fn codec(&self) -> Result<Codec, LegacyError> {
        match Codec::from_attributes(self.attributes)? {
            Codec::Zstd => Err(UnknownCodec { id: Codec::Zstd.id() }.into()),
            codec => Ok(codec),
        }
    }

    /// Whether the timestamp is the time of the append. Format 0 has neither.
    pub fn is_log_append_time(&self) -> bool {
        self.magic != 0 && self.attributes.is_log_append_time()
    }
}

/// Takes the first entry off a message set; `None` at its end.
pub fn split_entry(set: &mut Bytes) -> Result<Option<Bytes>, LegacyError> {
    if set.is_empty() {
        return Ok(None);
    }
    let mut reader = Reader { rest: set.clone(), entry_bytes: set.len() };
    reader.number(Buf::try_get_i64)?;
    let size = reader.number(Buf::try_get_i32)?;
    let available = reader.rest.len();
    match usize::try_from(size) {
        Ok(bytes) if bytes <= available => Ok(Some(set.split_to(LOG_OVERHEAD_BYTES + bytes))),
        _ => Err(LegacyError::Size { position: 8, size, available }),
    }
}

/// A record of an old message, offset and timestamp resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegacyRecord {
    /// Offset in the log.
    pub offset: i64,
    /// Milliseconds since the epoch, −1 in format 0; the append time if the topic stamps appends.
    pub timestamp: i64,
    /// Key, if any.
    pub key: Option<Bytes>,
    /// Value, if any.
    pub value: Option<Bytes>,
}

/// Iterator over the records of one entry, compressed or not. Ends after the first error.
#[derive(Debug)]
pub struct LegacyRecords {
    inner: Bytes,
    next_message: usize,
    offsets: Offsets,
    append_time: Option<i64>,
    /// The record of an entry that is no wrapper.
    plain: Option<LegacyRecord>,
}

/// What the offsets of inner messages mean.
#[derive(Debug, Clone, Copy)]
enum Offsets {
    Absolute,
    RelativeTo(i64),
}

impl LegacyRecords {
    /// Opens an entry: verifies it and decompresses it into at most `limit_bytes` bytes.
    pub fn new(entry: &Bytes, limit_bytes: usize) -> Result<Self, LegacyError> {
        let message = LegacyMessage::parse(entry)?;
        match message.codec()? {
            Codec::None => Ok(Self::plain(message)),
            codec => Self::wrapper(&message, codec, limit_bytes),
        }
    }

    fn plain(message: LegacyMessage) -> Self {
        let LegacyMessage { offset, timestamp, key, value, .. } = message;
        Self {
            inner: Bytes::new(),
            next_message: 0,
            offsets: Offsets::Absolute,
            append_time: None,
            plain: Some(LegacyRecord { offset, timestamp, key, value }),
        }
    }

    fn wrapper(message: &LegacyMessage, codec: Codec, limit_bytes: usize) -> Result<Self, LegacyError> {
        let value = message.value.as_ref().ok_or(LegacyError::WrapperWithoutValue)?;
        let lz4_header_checksum =
            if message.magic == 0 { Lz4HeaderChecksum::Ignored } else { Lz4HeaderChecksum::Verified };
        let inner = Bytes::from(decompress_with(codec, value, limit_bytes, lz4_header_checksum)?);
        let last_inner_offset = last_offset(inner.clone())?;
        let offsets = match (message.magic, message.offset) {
            (0, _) => Offsets::Absolute,
            // Some clients left 0 in the wrapper; the offsets inside are right then. As Kafka reads it.
            (_, 0) => Offsets::RelativeTo(0),
            (_, wrapper_offset) => match wrapper_offset.checked_sub(last_inner_offset) {
                Some(base_offset) if base_offset >= 0 => Offsets::RelativeTo(base_offset),
                _ => return Err(LegacyError::WrapperOffset { wrapper_offset, last_inner_offset }),
            },
        };
        let append_time = message.is_log_append_time().then_some(message.timestamp);
        Ok(Self { inner, next_message: 0, offsets, append_time, plain: None })
    }

    fn read(&mut self) -> Result<Option<LegacyRecord>, LegacyError> {
        if let Some(record) = self.plain.take() {
            return Ok(Some(record));
        }
        let message = self.next_message;
        let Some(entry) = split_entry(&mut self.inner)? else {
            return Ok(None);
        };
        self.next_message = message.saturating_add(1);
        let inner = LegacyMessage::parse(&entry)
            .map_err(|error| LegacyError::Inner { message, error: Box::new(error) })?;
        if inner.codec()? != Codec::None {
            return Err(LegacyError::NestedWrapper { message });
        }
        let offset = match self.offsets {
            Offsets::Absolute => inner.offset,
            Offsets::RelativeTo(base_offset) => base_offset
                .checked_add(inner.offset)
                .ok_or(LegacyError::InnerOffset { message, base_offset, inner_offset: inner.offset })?,
        };
        let timestamp = match self.append_time {
            Some(append_time) if inner.magic != 0 => append_time,
            _ => inner.timestamp,
        };
        Ok(Some(LegacyRecord { offset, timestamp, key: inner.key, value: inner.value }))
    }
}

impl Iterator for LegacyRecords {
    type Item = Result<LegacyRecord, LegacyError>;

    fn next(&mut self) -> Option<Self::Item> {
        let record = self.read();
        if record.is_err() {
            self.inner = Bytes::new();
        }
        record.transpose()
    }
}

impl std::iter::FusedIterator for LegacyRecords {}

/// Offset as stored of the last message in a set.
fn last_offset(mut set: Bytes) -> Result<i64, LegacyError> {
    let mut last = None;
    while let Some(mut entry) = split_entry(&mut set)? {
        last = entry.try_get_i64().ok();
    }
    last.ok_or(LegacyError::EmptyWrapper)
}

/// CRC-32 (IEEE 802.3), which format 2 replaced by CRC-32C.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// A reader that knows its position in the entry.
struct Reader {
    rest: Bytes,
    entry_bytes: usize,
}

impl Reader {
    fn position(&self) -> usize {
        self.entry_bytes - self.rest.len()
    }

    fn number<T, E>(&mut self, read: fn(&mut Bytes) -> Result<T, E>) -> Result<T, LegacyError> {
        let position = self.position();
        read(&mut self.rest).map_err(|_| LegacyError::Truncated { position })
    }

    /// A key or a value: length −1 is none.
    fn field(&mut self) -> Result<Option<Bytes>, LegacyError> {
        let position = self.position();
        let length = self.number(Buf::try_get_i32)?;
        let available = self.rest.len();
        match usize::try_from(length) {
            Ok(bytes) if bytes <= available => Ok(Some(self.rest.split_to(bytes))),
            Err(_) if length == -1 => Ok(None),
            _ => Err(LegacyError::FieldLength { position, length, available }),
        }
    }
}

/// What is wrong with an entry, and where: bytes from the start of the entry or message set read.
#[derive(Debug, Error)]
pub enum LegacyError {
    /// The bytes end in the middle.
    #[error("message ends early at byte {position}")]
    Truncated {
        /// Where something was expected.
        position: usize,
    },
    /// The size of the entry is not that of the bytes.
    #[error("byte {position}: message of {size} bytes where there are {available}")]
    Size {
        /// Where the size stands.
        position: usize,
        /// The size.
        size: i32,
        /// Bytes that there are.
        available: usize,
    },
    /// Neither format 0 nor format 1.
    #[error("byte {position}: message format {magic}")]
    Magic {
        /// Where the format stands.
        position: usize,
        /// The format.
        magic: i8,
    },
    /// The message is not what was written.
    #[error("message has CRC {stored:#010x}, its bytes {computed:#010x}")]
    Crc {
        /// CRC in the message.
        stored: u32,
        /// CRC of the bytes.
        computed: u32,
    },
    /// A key or value reaches outside the message, or its length is below −1.
    #[error("byte {position}: length {length} with {available} bytes left")]
    FieldLength {
        /// Where the length stands.
        position: usize,
        /// The length.
        length: i32,
        /// Bytes that there are.
        available: usize,
    },
    /// The message is longer than its fields.
    #[error("byte {position}: {bytes} bytes after the value")]
    BytesLeft {
        /// Where the fields end.
        position: usize,
        /// Bytes left over.
        bytes: usize,
    },
    /// A codec that these formats do not have.
    #[error(transparent)]
    UnknownCodec(#[from] UnknownCodec),
    /// The wrapper's value cannot be decompressed.
    #[error("compressed message: {0}")]
    Codec(#[from] CodecError),
    /// A compressed message has no value.
    #[error("compressed message without a value")]
    WrapperWithoutValue,
    /// A compressed message holds no messages.
    #[error("compressed message without messages inside")]
    EmptyWrapper,
    /// The offset of the wrapper is lower than the inner offsets allow.
    #[error("compressed message at offset {wrapper_offset} with inner offsets up to {last_inner_offset}")]
    WrapperOffset {
        /// Offset of the wrapper.
        wrapper_offset: i64,
        /// Offset of the last message inside, as stored.
        last_inner_offset: i64,
    },
    /// An inner offset leads outside the range of offsets.
    #[error("inner message {message}: offset {inner_offset} from {base_offset}")]
    InnerOffset {
        /// Index in the wrapper.
        message: usize,
        /// Offset of the wrapper's first message.
        base_offset: i64,
        /// Offset of the message, as stored.
        inner_offset: i64,
    },
    /// A compressed message inside a compressed message.
    #[error("inner message {message} is compressed")]
    NestedWrapper {
        /// Index in the wrapper.
        message: usize,
    },
    /// A message inside a compressed message is malformed.
    #[error("inner message {message}: {error}")]
    Inner {
        /// Index in the wrapper.
        message: usize,
        /// What is wrong; positions in it count from the start of the inner message.
        error: Box<LegacyError>,
    },
}

#[cfg(test)]
mod tests;
