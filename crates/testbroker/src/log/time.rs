//! Finding offsets by time (`ListOffsets`). Scans: it is asked rarely.

use crate::log::batch::StoredBatch;
use crate::log::partition_log::PartitionLog;
use crate::records::walk;

/// A record found by its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimedOffset {
    pub(crate) timestamp_ms: i64,
    pub(crate) offset: i64,
}

impl PartitionLog {
    /// The first record at or after `timestamp_ms`. In a compressed batch: its first record.
    pub(crate) fn offset_for_timestamp(&self, timestamp_ms: i64) -> Option<TimedOffset> {
        let wanted = |found: &TimedOffset| found.timestamp_ms >= timestamp_ms && found.offset >= self.start();
        self.batches()
            .filter(|batch| batch.max_timestamp() >= timestamp_ms)
            .find_map(|batch| timed_records(batch).into_iter().find(wanted))
    }

    /// The first record with the largest time.
    pub(crate) fn offset_of_max_timestamp(&self) -> Option<TimedOffset> {
        let mut latest: Option<&StoredBatch> = None;
        for batch in self.batches() {
            if latest.is_none_or(|known| batch.max_timestamp() > known.max_timestamp()) {
                latest = Some(batch);
            }
        }
        let wanted = latest?.max_timestamp();
        timed_records(latest?).into_iter().find(|found| found.timestamp_ms >= wanted)
    }
}

fn timed_records(batch: &StoredBatch) -> Vec<TimedOffset> {
    let header = batch.header();
    if header.attributes.codec() != 0 || header.attributes.is_log_append_time() {
        return vec![TimedOffset { timestamp_ms: header.max_timestamp, offset: header.base_offset }];
    }
    walk::walk(batch.payload())
        .map_while(Result::ok)
        .map(|record| TimedOffset {
            timestamp_ms: header.base_timestamp.wrapping_add(record.timestamp_delta),
            offset: header.base_offset + record.offset_delta,
        })
        .collect()
}
