//! The records of a format-2 batch, read one by one from an uncompressed payload.
//!
//! Keys, values and headers are slices of the payload, never copies. Nothing is allocated for a count from the
//! wire; a field cannot reach outside its record, nor a record outside the payload. What the batch header
//! counts must be exactly what the payload holds: the target broker checks the same (`DefaultRecordBatch`).

use bytes::Bytes;
use thiserror::Error;

use super::varint::{VarintError, read_varint, read_varlong};

mod headers;
pub use headers::{HeaderIter, Headers, HeadersError};

/// Size of the smallest record: length, attributes, two deltas, null key, null value, no headers.
const RECORD_MIN_BYTES: usize = 7;

/// One record. Deltas count from the batch header's base offset and base timestamp.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Unused by Kafka, always 0 so far.
    pub attributes: i8,
    /// Milliseconds after the base timestamp; negative when records are out of order.
    pub timestamp_delta: i64,
    /// Offset minus base offset.
    pub offset_delta: i32,
    /// Key, if any. Empty is not the same as none.
    pub key: Option<Bytes>,
    /// Value; none is a tombstone in a compacted topic.
    pub value: Option<Bytes>,
    /// Headers, in order, with duplicates.
    pub headers: Headers,
}

impl Record {
    /// Milliseconds since the epoch. Wraps as Kafka's own arithmetic does, so that re-encoding is exact.
    pub fn timestamp(&self, base_timestamp: i64) -> i64 {
        base_timestamp.wrapping_add(self.timestamp_delta)
    }

    /// Offset in the log.
    pub fn offset(&self, base_offset: i64) -> i64 {
        base_offset.wrapping_add(i64::from(self.offset_delta))
    }
}

/// Iterator over the records of an uncompressed payload. Ends after the first error.
///
/// The last item is an error if the payload holds fewer or more records than `records_count`.
#[derive(Debug, Clone)]
pub struct Records {
    payload: Bytes,
    position: usize,
    next_record: i32,
    records_count: i32,
    finished: bool,
}

impl Records {
    /// Reads `payload`, everything after the batch header, decompressed; `records_count` as in the header.
    pub fn new(payload: Bytes, records_count: i32) -> Self {
        Self { payload, position: 0, next_record: 0, records_count, finished: false }
    }

    fn read(&mut self) -> Result<Option<Record>, RecordError> {
        let mut walk =
            Walk { rest: self.payload.get(self.position..).unwrap_or_default(), position: self.position };
        let Some(mut body) = walk.next_record(self.next_record, self.records_count)? else {
            return Ok(None);
        };
        let (attributes, timestamp_delta, offset_delta) = body.head()?;
        // `slice_ref` refuses slices that are not within the payload; these are, by construction.
        let key = body.bytes()?.map(|key| self.payload.slice_ref(key));
        let value = body.bytes()?.map(|value| self.payload.slice_ref(value));
        let headers = self.payload.slice_ref(body.headers()?);
        body.end()?;

        self.position = walk.position;
        self.next_record = self.next_record.saturating_add(1);
        let headers = Headers::checked(headers);
        Ok(Some(Record { attributes, timestamp_delta, offset_delta, key, value, headers }))
    }
}

impl Iterator for Records {
    type Item = Result<Record, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.finished {
            return None;
        }
        let record = self.read();
        self.finished = !matches!(record, Ok(Some(_)));
        record.transpose()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let remaining_bytes = self.payload.len().saturating_sub(self.position);
        (0, Some(remaining_bytes / RECORD_MIN_BYTES + 1))
    }
}

impl std::iter::FusedIterator for Records {}

/// Whether the offset deltas are 0, 1, 2 and so on: then a batch that lost records at its end only can be
/// forwarded with a lowered last offset delta.
///
/// Reads the heads of the records and steps over the rest. `Ok(false)` at the first delta out of place, whatever
/// follows it.
pub fn offset_deltas_are_dense_prefix(payload: &[u8], records_count: i32) -> Result<bool, RecordError> {
    let mut walk = Walk::new(payload);
    let mut expected_delta = 0;
    while let Some(mut body) = walk.next_record(expected_delta, records_count)? {
        let (_, _, offset_delta) = body.head()?;
        if offset_delta != expected_delta {
            return Ok(false);
        }
        expected_delta = expected_delta.saturating_add(1);
    }
    Ok(true)
}

/// Where the walk over a payload stands, between two records.
pub(super) struct Walk<'a> {
    rest: &'a [u8],
    position: usize,
}

impl<'a> Walk<'a> {
    pub(super) fn new(payload: &'a [u8]) -> Self {
        Self { rest: payload, position: 0 }
    }

    /// Steps over record number `record` and returns its body; `None` at the end, if the count was right.
    pub(super) fn next_record(
        &mut self,
        record: i32,
        records_count: i32,
    ) -> Result<Option<Body<'a>>, RecordError> {
        let position = self.position;
        if records_count < 0 {
            return Err(RecordError::NegativeCount { records_count });
        }
        if record == records_count {
            return match self.rest.len() {
                0 => Ok(None),
                bytes => Err(RecordError::BytesAfterLastRecord { records_count, position, bytes }),
            };
        }
        if self.rest.is_empty() {
            return Err(RecordError::RecordsMissing { records_count, found: record, position });
        }
        let mut payload = Body { rest: self.rest, position, record };
        let length = payload.varint()?;
        let bytes = payload.take(length, position)?;
        let body = Body { rest: bytes, position: payload.position - bytes.len(), record };
        (self.rest, self.position) = (payload.rest, payload.position);
        Ok(Some(body))
    }
}

/// A reader that ends where its record ends.
pub(super) struct Body<'a> {
    rest: &'a [u8],
    position: usize,
    record: i32,
}

impl<'a> Body<'a> {
    /// Attributes, timestamp delta, offset delta.
    pub(super) fn head(&mut self) -> Result<(i8, i64, i32), RecordError> {
        let attributes = self.take(1, self.position)?.first().map_or(0, |byte| byte.cast_signed());
        let timestamp_delta = self.number(read_varlong)?;
        let offset_delta = self.varint()?;
        Ok((attributes, timestamp_delta, offset_delta))
    }

    /// What has not been read yet.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// A key or a value: length −1 is none.
    fn bytes(&mut self) -> Result<Option<&'a [u8]>, RecordError> {
        let position = self.position;
        match self.varint()? {
            -1 => Ok(None),
            length => self.take(length, position).map(Some),
        }
    }

    /// The header section: count and entries.
    fn headers(&mut self) -> Result<&'a [u8], RecordError> {
        let section_bytes = headers::section_bytes(self.rest).map_err(|error| {
            let (record, position) = (self.record, self.position.saturating_add(error.position()));
            RecordError::Headers { record, position, error }
        })?;
        let (section, rest) = self.rest.split_at_checked(section_bytes).unwrap_or((self.rest, &[]));
        self.advance(rest);
        Ok(section)
    }

    fn end(&self) -> Result<(), RecordError> {
        match self.rest.len() {
            0 => Ok(()),
            bytes => {
                Err(RecordError::BytesInRecordLeft { record: self.record, position: self.position, bytes })
            }
        }
    }

    fn varint(&mut self) -> Result<i32, RecordError> {
        self.number(read_varint)
    }

    fn number<T>(&mut self, read: fn(&mut &'a [u8]) -> Result<T, VarintError>) -> Result<T, RecordError> {
        let mut rest = self.rest;
        let (record, position) = (self.record, self.position);
        let value = read(&mut rest).map_err(|error| RecordError::Varint { record, position, error })?;
        self.advance(rest);
        Ok(value)
    }

    /// `length` bytes; `position` is where the length stood.
    fn take(&mut self, length: i32, position: usize) -> Result<&'a [u8], RecordError> {
        let record = self.record;
        let bytes =
            usize::try_from(length).map_err(|_| RecordError::NegativeLength { record, position, length })?;
        let available = self.rest.len();
        let (taken, rest) = self.rest.split_at_checked(bytes).ok_or(RecordError::LengthTooLarge {
            record,
            position,
            length,
            available,
        })?;
        self.advance(rest);
        Ok(taken)
    }

    fn advance(&mut self, rest: &'a [u8]) {
        self.position += self.rest.len() - rest.len();
        self.rest = rest;
    }
}

/// What is wrong with a payload, and where: record index and byte position, both from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RecordError {
    /// The batch header counts less than nothing.
    #[error("batch header counts {records_count} records")]
    NegativeCount {
        /// The count.
        records_count: i32,
    },
    /// The payload ends before the last record that the batch header counts.
    #[error("payload ends at byte {position} after {found} of {records_count} records")]
    RecordsMissing {
        /// Records that the batch header counts.
        records_count: i32,
        /// Records present.
        found: i32,
        /// Size of the payload.
        position: usize,
    },
    /// The payload goes on after the last record that the batch header counts.
    #[error("{bytes} bytes at byte {position} after the last of {records_count} records")]
    BytesAfterLastRecord {
        /// Records that the batch header counts.
        records_count: i32,
        /// Where the last of them ends.
        position: usize,
        /// Bytes left over.
        bytes: usize,
    },
    /// A number is malformed or reaches outside its record.
    #[error("record {record}, byte {position}: {error}")]
    Varint {
        /// Record index.
        record: i32,
        /// Where the number begins.
        position: usize,
        /// What is wrong with it.
        error: VarintError,
    },
    /// A length is negative where null is not allowed, or below −1.
    #[error("record {record}, byte {position}: length {length}")]
    NegativeLength {
        /// Record index.
        record: i32,
        /// Where the length stands.
        position: usize,
        /// The length.
        length: i32,
    },
    /// A record reaches outside the payload, or a field outside its record.
    #[error("record {record}, byte {position}: length {length} with {available} bytes left")]
    LengthTooLarge {
        /// Record index.
        record: i32,
        /// Where the length stands.
        position: usize,
        /// The length.
        length: i32,
        /// Bytes that there are.
        available: usize,
    },
    /// The headers are malformed.
    #[error("record {record}, byte {position}: {error}")]
    Headers {
        /// Record index.
        record: i32,
        /// Where in the payload.
        position: usize,
        /// What is wrong; positions in it count from the start of the header section.
        error: HeadersError,
    },
    /// A record is longer than its fields.
    #[error("record {record}, byte {position}: {bytes} bytes after its headers")]
    BytesInRecordLeft {
        /// Record index.
        record: i32,
        /// Where the fields end.
        position: usize,
        /// Bytes left over.
        bytes: usize,
    },
}

#[cfg(test)]
mod tests;
