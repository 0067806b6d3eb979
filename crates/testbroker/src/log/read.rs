//! Reading a byte-limited slice of the log, cut where Kafka cuts it (`LogSegment.read`).

use crate::error::ErrorCode;
use crate::log::batch::StoredBatch;
use crate::log::partition_log::PartitionLog;

/// Whole batches, of which only the first `bytes` are to be sent: the last one may be cut anywhere.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReadSlice {
    pub(crate) batches: Vec<StoredBatch>,
    pub(crate) bytes: usize,
}

/// How much a read may return.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReadLimits {
    /// Offset the read stops before: high watermark or last stable offset.
    pub(crate) up_to: i64,
    pub(crate) max_bytes: usize,
    /// Return the first batch whole even if it is larger than `max_bytes`.
    pub(crate) at_least_one: bool,
}

impl PartitionLog {
    /// Reads from the batch whose last offset is at or above `from`.
    pub(crate) fn read(&self, from: i64, limits: ReadLimits) -> Result<ReadSlice, ErrorCode> {
        if from < self.start() || from > self.end() {
            return Err(ErrorCode::OFFSET_OUT_OF_RANGE);
        }
        let mut slice = ReadSlice::default();
        let first = self.batches.partition_point(|batch| batch.last_offset() < from);
        let mut max_bytes = limits.max_bytes;
        for batch in self.batches.range(first..).take_while(|batch| batch.base_offset() < limits.up_to) {
            if slice.batches.is_empty() && batch.bytes() > max_bytes {
                if !limits.at_least_one {
                    return Ok(slice);
                }
                max_bytes = batch.bytes();
            }
            if slice.bytes >= max_bytes {
                break;
            }
            slice.bytes += batch.bytes();
            slice.batches.push(batch.clone());
        }
        slice.bytes = slice.bytes.min(max_bytes);
        Ok(slice)
    }
}
