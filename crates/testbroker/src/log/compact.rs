//! What Kafka's cleaner leaves of a partition: the last record per key.
//!
//! As the cleaner does it, a thinned batch keeps its base offset, last offset delta, producer id and sequence, and
//! its records keep their offset deltas; only the record count falls. Everything below the last stable offset
//! counts as cleanable, the newest batch too. Compressed batches stay as they are.

use std::collections::{HashMap, VecDeque};

use bytes::{BufMut, Bytes, BytesMut};
use verbatim_wire::records::header::{Attributes, BatchHeader, HEADER_BYTES, LOG_OVERHEAD_BYTES};

use crate::log::batch::StoredBatch;
use crate::log::partition_log::PartitionLog;
use crate::records::varint;
use crate::records::walk::{self, RecordView};

impl PartitionLog {
    /// Compacts; `delete_horizon_ms` is put into batches that hold tombstones (KAFKA-8522).
    pub(crate) fn compact(&mut self, delete_horizon_ms: Option<i64>) {
        let boundary = self.last_stable_offset();
        let latest = self.latest_offsets(boundary);
        let mut kept = VecDeque::new();
        for batch in &self.batches {
            let header = batch.header();
            let cleanable = header.last_offset() < boundary && header.attributes.codec() == 0;
            if !cleanable || header.attributes.is_control() {
                kept.push_back(batch.clone());
                continue;
            }
            // Keys of aborted records are not in `latest`, so those records go, too.
            let keep = |record: &RecordView| {
                let offset = header.base_offset + record.offset_delta;
                record_key(batch, record).is_some_and(|key| latest.get(&key) == Some(&offset))
            };
            if let Some(thinned) = self.thin(batch, keep, delete_horizon_ms) {
                kept.push_back(thinned);
            }
        }
        self.replace(kept);
    }

    fn latest_offsets(&self, boundary: i64) -> HashMap<Bytes, i64> {
        let mut latest = HashMap::new();
        for batch in &self.batches {
            let header = batch.header();
            let readable = header.attributes.codec() == 0 && !header.attributes.is_control();
            if header.last_offset() >= boundary || !readable || self.is_aborted(&header) {
                continue;
            }
            for record in walk::walk(batch.payload()).map_while(Result::ok) {
                if let Some(key) = record_key(batch, &record) {
                    latest.insert(key, header.base_offset + record.offset_delta);
                }
            }
        }
        latest
    }

    fn is_aborted(&self, header: &BatchHeader) -> bool {
        let overlapping = self.aborted.overlapping(header.base_offset, header.next_offset());
        header.attributes.is_transactional()
            && overlapping.iter().any(|aborted| aborted.producer_id == header.producer_id)
    }

    /// What is left of one batch; `None` when it goes as a whole.
    fn thin(
        &self,
        batch: &StoredBatch,
        keep: impl Fn(&RecordView) -> bool,
        delete_horizon_ms: Option<i64>,
    ) -> Option<StoredBatch> {
        let mut header = batch.header();
        let records: Vec<_> = walk::walk(batch.payload()).map_while(Result::ok).collect();
        let kept: Vec<_> = records.iter().filter(|record| keep(record)).collect();
        if kept.is_empty() {
            return self.holds_last_sequence(&header).then(|| emptied(header));
        }
        let tombstones = kept.iter().any(|record| !record.has_value);
        let horizon = delete_horizon_ms.filter(|_| tombstones && !header.attributes.has_delete_horizon());
        if kept.len() == records.len() && horizon.is_none() {
            return Some(batch.clone());
        }
        let timestamps = kept.iter().map(|record| header.base_timestamp.wrapping_add(record.timestamp_delta));
        if !header.attributes.is_log_append_time() {
            header.max_timestamp = timestamps.max().unwrap_or(header.max_timestamp);
        }
        let base_timestamp = horizon.unwrap_or(header.base_timestamp);
        let mut payload = BytesMut::with_capacity(batch.payload().len());
        for record in &kept {
            let timestamp = header.base_timestamp.wrapping_add(record.timestamp_delta);
            put_rebased(&mut payload, batch.payload(), record, timestamp.wrapping_sub(base_timestamp));
        }
        if horizon.is_some() {
            header.attributes.0 |= Attributes::DELETE_HORIZON;
            header.base_timestamp = base_timestamp;
        }
        header.records_count = kept.len() as i32;
        header.batch_length = (HEADER_BYTES - LOG_OVERHEAD_BYTES + payload.len()) as i32;
        Some(StoredBatch::sealed(header, payload.freeze()))
    }

    /// An emptied batch stays while it carries the last sequence of a live producer.
    fn holds_last_sequence(&self, header: &BatchHeader) -> bool {
        let last = self.producers.state(header.producer_id).and_then(|state| state.batches.back());
        last.is_some_and(|batch| batch.last_offset == header.last_offset())
    }
}

fn record_key(batch: &StoredBatch, record: &RecordView) -> Option<Bytes> {
    Some(batch.payload().slice(record.key.clone()?))
}

/// Writes a record with another timestamp delta; everything behind it stays byte for byte.
fn put_rebased(out: &mut BytesMut, payload: &[u8], record: &RecordView, timestamp_delta: i64) {
    let mut delta = BytesMut::with_capacity(10);
    varint::write(&mut delta, timestamp_delta);
    let rest = payload.get(record.after_timestamp.clone()).unwrap_or_default();
    varint::write(out, (1 + delta.len() + rest.len()) as i64);
    out.put_i8(0);
    out.put_slice(&delta);
    out.put_slice(rest);
}

/// `DefaultRecordBatch.writeEmptyHeader`.
fn emptied(mut header: BatchHeader) -> StoredBatch {
    header.batch_length = (HEADER_BYTES - LOG_OVERHEAD_BYTES) as i32;
    header.attributes.0 &= !Attributes::CODEC_MASK;
    header.base_timestamp = -1;
    header.records_count = 0;
    StoredBatch::sealed(header, Bytes::new())
}
