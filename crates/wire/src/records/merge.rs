//! Neighbouring batches as one: the heads of their records are written anew, the rest of each is copied once.
//!
//! A record's place and time are differences to its batch's first; in a batch that begins earlier they are larger, and so is
//! the record's length before them. Nothing else of a record changes. The same batches give the same bytes, always.

use super::header::{Attributes, BatchHeader, HEADER_BYTES, LOG_OVERHEAD_BYTES};
use super::patch::ProducerStamp;
use super::record::{RecordError, Walk};
use super::varint::{varint_bytes, varlong_bytes, write_varint, write_varlong};
use super::{codec::Codec, crc};
use thiserror::Error;

/// Most bytes that a record grows by when its batch becomes part of another: its length, its time and its offset.
pub const GROWTH_BYTES: usize = 4 + 9 + 4;

/// Why batches cannot become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum MergeError {
    /// A payload is malformed.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A batch with holes: its records are not numbered from 0 on.
    #[error("record {record} has offset delta {offset_delta}")]
    Hole {
        /// Index of the record in its batch.
        record: i32,
        /// What it is numbered.
        offset_delta: i32,
    },
    /// Larger than a batch can be.
    #[error("more than a batch can hold")]
    TooLarge,
}

/// Writes the payload of the new batch.
#[derive(Debug)]
pub struct Merger<'a> {
    out: &'a mut Vec<u8>,
    base_timestamp: i64,
    max_timestamp: i64,
    records_count: i32,
}

impl<'a> Merger<'a> {
    /// Writes to the end of `out`; `base_timestamp`, in milliseconds since the epoch, is that of the first batch.
    pub fn new(out: &'a mut Vec<u8>, base_timestamp: i64) -> Self {
        Self { out, base_timestamp, max_timestamp: i64::MIN, records_count: 0 }
    }

    /// Adds the records of an uncompressed `payload`, whose header is `header`.
    ///
    /// # Errors
    /// When the payload is not what the header says, or has holes. What has been written is then of no use.
    pub fn push(&mut self, header: &BatchHeader, payload: &[u8]) -> Result<(), MergeError> {
        let later = header.base_timestamp.wrapping_sub(self.base_timestamp);
        let before = self.records_count;
        let mut walk = Walk::new(payload);
        let mut record = 0;
        while let Some(mut body) = walk.next_record(record, header.records_count)? {
            let (attributes, timestamp_delta, offset_delta) = body.head()?;
            if offset_delta != record {
                return Err(MergeError::Hole { record, offset_delta });
            }
            let timestamp = header.base_timestamp.wrapping_add(timestamp_delta);
            let (timestamp_delta, rest) = (timestamp_delta.wrapping_add(later), body.rest());
            let offset_delta = before.checked_add(record).ok_or(MergeError::TooLarge)?;
            let bytes = 1 + varlong_bytes(timestamp_delta) + varint_bytes(offset_delta) + rest.len();
            write_varint(self.out, i32::try_from(bytes).map_err(|_| MergeError::TooLarge)?);
            self.out.push(attributes.cast_unsigned());
            write_varlong(self.out, timestamp_delta);
            write_varint(self.out, offset_delta);
            self.out.extend_from_slice(rest);
            self.max_timestamp = self.max_timestamp.max(timestamp);
            record += 1;
        }
        self.records_count = before.checked_add(record).ok_or(MergeError::TooLarge)?;
        Ok(())
    }

    /// Number of records so far.
    pub fn records_count(&self) -> i32 {
        self.records_count
    }

    /// Ends the payload; the header is made when it is known how the payload is stored.
    pub fn finish(self) -> Merged {
        let Self { base_timestamp, max_timestamp, records_count, .. } = self;
        Merged { base_timestamp, max_timestamp, records_count }
    }
}

/// What the header of the new batch says of its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Merged {
    /// Time that those of the records are differences to, in milliseconds since the epoch.
    pub base_timestamp: i64,
    max_timestamp: i64,
    /// How many records there are.
    pub records_count: i32,
}

impl Merged {
    /// The header of the batch whose payload, compressed by `codec`, is `payload`. Hashes all of it.
    ///
    /// # Errors
    /// When the batch is larger than 2 GiB.
    pub fn header(
        &self,
        codec: Codec,
        payload: &[u8],
        stamp: ProducerStamp,
    ) -> Result<BatchHeader, MergeError> {
        let batch_length = i32::try_from(payload.len() + HEADER_BYTES - LOG_OVERHEAD_BYTES);
        let mut header = BatchHeader {
            base_offset: 0,
            batch_length: batch_length.map_err(|_| MergeError::TooLarge)?,
            partition_leader_epoch: -1,
            magic: 2,
            crc: 0,
            attributes: Attributes(codec.id()),
            last_offset_delta: self.records_count - 1,
            base_timestamp: self.base_timestamp,
            max_timestamp: self.max_timestamp,
            producer_id: stamp.producer_id,
            producer_epoch: stamp.producer_epoch,
            base_sequence: stamp.base_sequence,
            records_count: self.records_count,
        };
        header.crc = crc::of_batch(&header, payload);
        Ok(header)
    }
}

#[cfg(test)]
mod tests;
