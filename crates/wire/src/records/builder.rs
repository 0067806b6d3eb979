//! Writes a batch of format 2: for records taken out of batches that cannot be forwarded, and for our own.
//!
//! The batch is as a producer would send it: base offset 0, leader epoch −1, CRC in place. Offset deltas count
//! 0, 1, 2 unless [`BatchBuilder::push_at`] leaves holes, which only a broker's own compaction may do.

use bytes::{BufMut, Bytes};
use thiserror::Error;

use super::codec::{Codec, CodecError, compress};
use super::crc::crc32c;
use super::header::{Attributes, BatchHeader, CRC_START, HEADER_BYTES, LOG_OVERHEAD_BYTES};
use super::patch::ProducerStamp;
use super::record::Headers;
use super::varint::{varint_bytes, varlong_bytes, write_varint, write_varlong};

/// Timestamp of a record that has none.
const NO_TIMESTAMP: i64 = -1;

/// What stands in the header of the batch besides what its records say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BatchOptions {
    /// Codec of the payload.
    pub codec: Codec,
    /// Flags; the codec bits in it are replaced.
    pub attributes: Attributes,
    /// For idempotent and transactional batches.
    pub producer: Option<ProducerStamp>,
}

/// What the header holds without idempotence.
const NO_PRODUCER: ProducerStamp = ProducerStamp { producer_id: -1, producer_epoch: -1, base_sequence: -1 };

/// A batch under construction.
#[derive(Debug)]
pub struct BatchBuilder {
    options: BatchOptions,
    /// Room for the header, then the records, not compressed.
    batch: Vec<u8>,
    records_count: i32,
    next_offset_delta: i32,
    base_timestamp: Option<i64>,
    max_timestamp: i64,
}

impl BatchBuilder {
    /// An empty batch.
    pub fn new(options: BatchOptions) -> Self {
        Self {
            options,
            batch: vec![0; HEADER_BYTES],
            records_count: 0,
            next_offset_delta: 0,
            base_timestamp: None,
            max_timestamp: NO_TIMESTAMP,
        }
    }

    /// Appends a record; `timestamp` in milliseconds since the epoch, −1 for none.
    pub fn push(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &Headers,
    ) -> Result<(), BuildError> {
        self.push_at(self.next_offset_delta, timestamp, key, value, headers)
    }

    /// Appends a record at `offset_delta`, after a hole if that is beyond the next.
    pub fn push_at(
        &mut self,
        offset_delta: i32,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &Headers,
    ) -> Result<(), BuildError> {
        if offset_delta < self.next_offset_delta {
            return Err(BuildError::OffsetDelta { offset_delta, next: self.next_offset_delta });
        }
        // `i32::MAX` itself stays out of use: the count is one more than the last delta.
        let next_offset_delta = offset_delta.checked_add(1).ok_or(BuildError::TooManyRecords)?;
        let base_timestamp = self.base_timestamp.unwrap_or(timestamp);
        let timestamp_delta = timestamp.wrapping_sub(base_timestamp);

        let key_bytes = field_bytes(key);
        let value_bytes = field_bytes(value);
        let body_bytes = (1 + varlong_bytes(timestamp_delta) + varint_bytes(offset_delta))
            .saturating_add(key_bytes)
            .saturating_add(value_bytes)
            .saturating_add(headers.section().len());
        let record_bytes = body_bytes.saturating_add(varint_bytes(i32::MAX));
        let batch_bytes = self.batch.len().saturating_add(record_bytes);
        let length = match (i32::try_from(body_bytes), i32::try_from(batch_bytes)) {
            (Ok(length), Ok(_)) => length,
            _ => return Err(BuildError::TooLarge { bytes: batch_bytes }),
        };

        write_varint(&mut self.batch, length);
        self.batch.put_i8(0);
        write_varlong(&mut self.batch, timestamp_delta);
        write_varint(&mut self.batch, offset_delta);
        write_field(&mut self.batch, key);
        write_field(&mut self.batch, value);
        self.batch.extend_from_slice(headers.section());

        self.base_timestamp = Some(base_timestamp);
        self.max_timestamp = self.max_timestamp.max(timestamp);
        self.next_offset_delta = next_offset_delta;
        self.records_count = self.records_count.saturating_add(1);
        Ok(())
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        usize::try_from(self.records_count).unwrap_or(0)
    }

    /// Whether there are no records yet.
    pub fn is_empty(&self) -> bool {
        self.records_count == 0
    }

    /// Size of the batch in bytes, before compression.
    pub fn size_estimate_bytes(&self) -> usize {
        self.batch.len()
    }

    /// Compresses, writes the header and returns the batch.
    pub fn finish(self) -> Result<Bytes, BuildError> {
        let Self { options, mut batch, records_count, next_offset_delta, base_timestamp, max_timestamp } =
            self;
        let base_timestamp = base_timestamp.ok_or(BuildError::Empty)?;
        if options.codec != Codec::None {
            let payload = compress(options.codec, batch.get(HEADER_BYTES..).unwrap_or_default())?;
            batch.truncate(HEADER_BYTES);
            batch.extend_from_slice(&payload);
        }
        let producer = options.producer.unwrap_or(NO_PRODUCER);
        let bytes = batch.len();
        let mut header = BatchHeader {
            base_offset: 0,
            batch_length: i32::try_from(bytes.saturating_sub(LOG_OVERHEAD_BYTES))
                .map_err(|_| BuildError::TooLarge { bytes })?,
            partition_leader_epoch: -1,
            magic: 2,
            crc: 0,
            attributes: Attributes((options.attributes.0 & !Attributes::CODEC_MASK) | options.codec.id()),
            last_offset_delta: next_offset_delta.saturating_sub(1),
            base_timestamp,
            max_timestamp,
            producer_id: producer.producer_id,
            producer_epoch: producer.producer_epoch,
            base_sequence: producer.base_sequence,
            records_count,
        };
        write_header(&mut batch, &header);
        header.crc = crc32c(batch.get(CRC_START..).unwrap_or_default());
        write_header(&mut batch, &header);
        Ok(batch.into())
    }
}

fn write_header(batch: &mut [u8], header: &BatchHeader) {
    for (byte, new) in batch.iter_mut().zip(header.to_bytes()) {
        *byte = new;
    }
}

/// Size of a key or value with its length. One too long for the format makes its record too long as well.
fn field_bytes(field: Option<&[u8]>) -> usize {
    field.map_or(1, |field| {
        field.len().saturating_add(varint_bytes(i32::try_from(field.len()).unwrap_or(i32::MAX)))
    })
}

/// Writes a key or value. Its record was measured before: the length fits.
fn write_field(out: &mut Vec<u8>, field: Option<&[u8]>) {
    match field {
        None => write_varint(out, -1),
        Some(field) => {
            write_varint(out, i32::try_from(field.len()).unwrap_or(i32::MAX));
            out.extend_from_slice(field);
        }
    }
}

/// Why there is no batch.
#[derive(Debug, Error)]
pub enum BuildError {
    /// A batch holds a record at least.
    #[error("a batch without records")]
    Empty,
    /// More offsets than a batch can span.
    #[error("more records than a batch can count")]
    TooManyRecords,
    /// Larger than a batch can be.
    #[error("a batch of {bytes} bytes")]
    TooLarge {
        /// Size that the batch would have.
        bytes: usize,
    },
    /// The offset delta is used already, or behind one that is.
    #[error("offset delta {offset_delta} where {next} is the next")]
    OffsetDelta {
        /// The delta asked for.
        offset_delta: i32,
        /// The lowest possible.
        next: i32,
    },
    /// The payload could not be compressed.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

#[cfg(test)]
mod tests;
