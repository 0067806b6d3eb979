//! The 61 bytes in front of every record batch of message format 2 (KIP-98), as a typed view.

use bytes::{Buf, BufMut};

/// Size of a record batch header, in bytes. Records follow.
pub const HEADER_BYTES: usize = 61;
/// Bytes before the part that `batch_length` counts: base offset and the length itself.
pub const LOG_OVERHEAD_BYTES: usize = 12;
/// Where the message format number ("magic") stands in every entry of every format.
pub const MAGIC_OFFSET: usize = 16;
/// Where the stored CRC stands.
pub const CRC_OFFSET: usize = 17;
/// Where the CRC's coverage begins; it runs to the end of the batch.
pub const CRC_START: usize = 21;

/// A record batch header, in the order of its bytes. Every field is as it was on the wire, unchecked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the batch's first record (before compaction); 0 on its way to a broker.
    pub base_offset: i64,
    /// Bytes after this field: batch size − 12.
    pub batch_length: i32,
    /// Epoch of the leader that appended the batch; −1 on its way to a broker.
    pub partition_leader_epoch: i32,
    /// Message format: 2.
    pub magic: i8,
    /// CRC-32C of everything from the attributes to the end of the batch.
    pub crc: u32,
    /// Codec and flags.
    pub attributes: Attributes,
    /// Offset of the last record minus `base_offset`.
    pub last_offset_delta: i32,
    /// Milliseconds since the epoch that record timestamps are relative to (with [`Attributes::DELETE_HORIZON`]:
    /// the time tombstones may go).
    pub base_timestamp: i64,
    /// Largest record timestamp, or the append time with [`Attributes::LOG_APPEND_TIME`].
    pub max_timestamp: i64,
    /// Producer id, −1 without idempotence.
    pub producer_id: i64,
    /// Producer epoch, −1 without idempotence.
    pub producer_epoch: i16,
    /// Sequence number of the first record, −1 without idempotence.
    pub base_sequence: i32,
    /// Number of records present.
    pub records_count: i32,
}

impl BatchHeader {
    /// Reads the first 61 bytes; `None` when there are fewer.
    pub fn parse(mut bytes: &[u8]) -> Option<Self> {
        if bytes.len() < HEADER_BYTES {
            return None;
        }
        Some(Self {
            base_offset: bytes.get_i64(),
            batch_length: bytes.get_i32(),
            partition_leader_epoch: bytes.get_i32(),
            magic: bytes.get_i8(),
            crc: bytes.get_u32(),
            attributes: Attributes(bytes.get_i16()),
            last_offset_delta: bytes.get_i32(),
            base_timestamp: bytes.get_i64(),
            max_timestamp: bytes.get_i64(),
            producer_id: bytes.get_i64(),
            producer_epoch: bytes.get_i16(),
            base_sequence: bytes.get_i32(),
            records_count: bytes.get_i32(),
        })
    }

    /// The header as bytes. The inverse of [`BatchHeader::parse`].
    pub fn to_bytes(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let mut out = bytes.as_mut_slice();
        out.put_i64(self.base_offset);
        out.put_i32(self.batch_length);
        out.put_i32(self.partition_leader_epoch);
        out.put_i8(self.magic);
        out.put_u32(self.crc);
        out.put_i16(self.attributes.0);
        out.put_i32(self.last_offset_delta);
        out.put_i64(self.base_timestamp);
        out.put_i64(self.max_timestamp);
        out.put_i64(self.producer_id);
        out.put_i16(self.producer_epoch);
        out.put_i32(self.base_sequence);
        out.put_i32(self.records_count);
        bytes
    }

    /// Size of the whole batch in bytes, header included; `None` if the length field is impossible.
    pub fn batch_bytes(&self) -> Option<usize> {
        let bytes = usize::try_from(self.batch_length).ok()?.checked_add(LOG_OVERHEAD_BYTES)?;
        (bytes >= HEADER_BYTES).then_some(bytes)
    }

    /// Offset of the last record the batch was written with.
    pub fn last_offset(&self) -> i64 {
        self.base_offset.saturating_add(i64::from(self.last_offset_delta))
    }

    /// Offset after the batch.
    pub fn next_offset(&self) -> i64 {
        self.last_offset().saturating_add(1)
    }
}

/// Attribute bits of a batch (`DefaultRecordBatch`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attributes(pub i16);

impl Attributes {
    /// Bits that hold the codec number.
    pub const CODEC_MASK: i16 = 0x07;
    /// Set when the topic stamps records with the append time.
    pub const LOG_APPEND_TIME: i16 = 0x08;
    /// Set when the batch belongs to a transaction.
    pub const TRANSACTIONAL: i16 = 0x10;
    /// Set on batches that end transactions.
    pub const CONTROL: i16 = 0x20;
    /// Set by compaction when the base timestamp holds the delete horizon (KAFKA-8522).
    pub const DELETE_HORIZON: i16 = 0x40;

    /// Codec number: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd; 5 to 7 are not defined.
    pub fn codec(self) -> i16 {
        self.0 & Self::CODEC_MASK
    }
    /// Whether record times are append times.
    pub fn is_log_append_time(self) -> bool {
        self.0 & Self::LOG_APPEND_TIME != 0
    }
    /// Whether the batch belongs to a transaction.
    pub fn is_transactional(self) -> bool {
        self.0 & Self::TRANSACTIONAL != 0
    }
    /// Whether the batch is a commit or abort marker (or another control batch).
    pub fn is_control(self) -> bool {
        self.0 & Self::CONTROL != 0
    }
    /// Whether the base timestamp is a delete horizon.
    pub fn has_delete_horizon(self) -> bool {
        self.0 & Self::DELETE_HORIZON != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bytes_survive_the_round_trip(bytes in proptest::array::uniform::<_, HEADER_BYTES>(any::<u8>())) {
            prop_assert_eq!(BatchHeader::parse(&bytes).unwrap().to_bytes(), bytes);
        }
    }

    #[test]
    fn too_few_bytes_are_no_header() {
        assert!(BatchHeader::parse(&[0; HEADER_BYTES - 1]).is_none());
    }
}
