//! A stored batch: its own copy of the 61 header bytes, and the payload as the slice that was received.

use bytes::{BufMut, Bytes, BytesMut};
use verbatim_wire::records::crc;
use verbatim_wire::records::header::{BatchHeader, CRC_START, HEADER_BYTES};

/// A batch as the log keeps it. The payload is never copied on its way in or out.
#[derive(Debug, Clone)]
pub(crate) struct StoredBatch {
    head: [u8; HEADER_BYTES],
    payload: Bytes,
}

impl StoredBatch {
    /// Splits one whole batch; `None` when there are fewer bytes than a header.
    pub(crate) fn split(bytes: &Bytes) -> Option<(Self, BatchHeader)> {
        let header = BatchHeader::parse(bytes)?;
        Some((Self { head: header.to_bytes(), payload: bytes.slice(HEADER_BYTES..) }, header))
    }

    /// A batch from a header and a payload, with the CRC computed.
    pub(crate) fn sealed(mut header: BatchHeader, payload: Bytes) -> Self {
        header.crc = computed_crc(&header.to_bytes(), &payload);
        Self { head: header.to_bytes(), payload }
    }

    pub(crate) fn header(&self) -> BatchHeader {
        // The head was written by `BatchHeader::to_bytes`: it always parses.
        BatchHeader::parse(&self.head).unwrap_or(EMPTY_HEADER)
    }

    pub(crate) fn head(&self) -> &[u8; HEADER_BYTES] {
        &self.head
    }

    pub(crate) fn payload(&self) -> &Bytes {
        &self.payload
    }

    pub(crate) fn base_offset(&self) -> i64 {
        i64::from_be_bytes(field(&self.head, 0))
    }

    pub(crate) fn last_offset(&self) -> i64 {
        self.base_offset() + i64::from(i32::from_be_bytes(field(&self.head, 23)))
    }

    pub(crate) fn leader_epoch(&self) -> i32 {
        i32::from_be_bytes(field(&self.head, 12))
    }

    pub(crate) fn max_timestamp(&self) -> i64 {
        i64::from_be_bytes(field(&self.head, 35))
    }

    /// Size of the whole batch in bytes.
    pub(crate) fn bytes(&self) -> usize {
        HEADER_BYTES + self.payload.len()
    }

    /// What the broker overwrites on append; both fields stand before the CRC's coverage.
    pub(crate) fn place(&mut self, base_offset: i64, leader_epoch: i32) {
        self.head[..8].copy_from_slice(&base_offset.to_be_bytes());
        self.head[12..16].copy_from_slice(&leader_epoch.to_be_bytes());
    }

    /// Whether the stored CRC is the CRC of the bytes it covers.
    pub(crate) fn crc_is_right(&self) -> bool {
        self.header().crc == computed_crc(&self.head, &self.payload)
    }

    /// Header and payload in one buffer.
    pub(crate) fn to_bytes(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(self.bytes());
        bytes.put_slice(&self.head);
        bytes.put_slice(&self.payload);
        bytes.freeze()
    }
}

fn computed_crc(head: &[u8; HEADER_BYTES], payload: &[u8]) -> u32 {
    // crc(head ++ payload), without joining them: move the head's part over the payload's length, and replace
    // the payload's own initial value (see `verbatim_wire::records::crc`).
    let covered = &head[CRC_START..];
    let length = payload.len() as u32;
    crc::crc32c(payload) ^ crc::shift(crc::crc32c(covered), length)
}

fn field<const N: usize>(head: &[u8; HEADER_BYTES], at: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&head[at..at + N]);
    bytes
}

const EMPTY_HEADER: BatchHeader = BatchHeader {
    base_offset: 0,
    batch_length: 0,
    partition_leader_epoch: -1,
    magic: 2,
    crc: 0,
    attributes: verbatim_wire::records::header::Attributes(0),
    last_offset_delta: 0,
    base_timestamp: -1,
    max_timestamp: -1,
    producer_id: -1,
    producer_epoch: -1,
    base_sequence: -1,
    records_count: 0,
};
