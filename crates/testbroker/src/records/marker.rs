//! Transaction markers: control batches of one record, 78 bytes, exactly one offset each.

use bytes::{BufMut, Bytes, BytesMut};
use verbatim_wire::records::header::{Attributes, BatchHeader, HEADER_BYTES, LOG_OVERHEAD_BYTES};

use crate::log::batch::StoredBatch;
use crate::records::varint;

/// Key of a control record: version 0, then 0 for abort and 1 for commit.
const KEY_BYTES: usize = 4;
/// Value of an end-of-transaction control record: version 0, coordinator epoch.
const VALUE_BYTES: usize = 6;

/// What ends a transaction on a partition.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Marker {
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    pub(crate) coordinator_epoch: i32,
    pub(crate) commit: bool,
}

impl Marker {
    /// The marker as a batch, base offset 0, leader epoch 0.
    pub(crate) fn to_batch(self, timestamp_ms: i64) -> StoredBatch {
        let mut payload = BytesMut::with_capacity(17);
        let mut body = BytesMut::with_capacity(16);
        body.put_i8(0);
        varint::write(&mut body, 0);
        varint::write(&mut body, 0);
        varint::write(&mut body, KEY_BYTES as i64);
        body.put_i16(0);
        body.put_i16(i16::from(self.commit));
        varint::write(&mut body, VALUE_BYTES as i64);
        body.put_i16(0);
        body.put_i32(self.coordinator_epoch);
        varint::write(&mut body, 0);
        varint::write(&mut payload, body.len() as i64);
        payload.put_slice(&body);
        let header = BatchHeader {
            base_offset: 0,
            batch_length: (HEADER_BYTES - LOG_OVERHEAD_BYTES + payload.len()) as i32,
            partition_leader_epoch: 0,
            magic: 2,
            crc: 0,
            attributes: Attributes(Attributes::TRANSACTIONAL | Attributes::CONTROL),
            last_offset_delta: 0,
            base_timestamp: timestamp_ms,
            max_timestamp: timestamp_ms,
            producer_id: self.producer_id,
            producer_epoch: self.producer_epoch,
            base_sequence: -1,
            records_count: 1,
        };
        StoredBatch::sealed(header, payload.freeze())
    }

    /// Reads the marker out of a control batch; `None` for other control records and emptied batches.
    pub(crate) fn read(header: &BatchHeader, payload: &Bytes) -> Option<Self> {
        let record = crate::records::walk::walk(payload).next()?.ok()?;
        let key = payload.get(record.key?)?;
        let kind = i16::from_be_bytes([*key.get(2)?, *key.get(3)?]);
        let value_at = record.span.end.checked_sub(VALUE_BYTES + 1)?;
        let epoch: [u8; 4] = payload.get(value_at + 2..value_at + 6)?.try_into().ok()?;
        (kind == 0 || kind == 1).then_some(Self {
            producer_id: header.producer_id,
            producer_epoch: header.producer_epoch,
            coordinator_epoch: i32::from_be_bytes(epoch),
            commit: kind == 1,
        })
    }
}
