//! The log itself: batches in offset order and everything derived from them.
//!
//! Invariant: batches are ordered and do not overlap; `start <= every last offset < end`. The high watermark is
//! the log end, because replication is nominal, unless a test holds it back.

use std::collections::VecDeque;

use crate::error::ErrorCode;
use crate::log::batch::StoredBatch;
use crate::log::epochs::Epochs;
use crate::log::producers::Producers;
use crate::log::transactions::{AbortedIndex, AbortedTransaction};
use crate::log::validate::Examined;
use crate::records::marker::Marker;
use crate::topics::limits::{Limits, TimestampType};

/// One partition's data and derived state.
#[derive(Debug, Clone, Default)]
pub(crate) struct PartitionLog {
    pub(super) batches: VecDeque<StoredBatch>,
    start: i64,
    end: i64,
    bytes: usize,
    /// Where a test holds the high watermark.
    held: Option<i64>,
    pub(crate) producers: Producers,
    pub(crate) epochs: Epochs,
    pub(crate) aborted: AbortedIndex,
}

/// Outcome of a successful append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Appended {
    pub(crate) base_offset: i64,
    /// −1 unless the topic stamps append times.
    pub(crate) log_append_time_ms: i64,
}

impl PartitionLog {
    pub(crate) fn start(&self) -> i64 {
        self.start
    }

    pub(crate) fn end(&self) -> i64 {
        self.end
    }

    pub(crate) fn high_watermark(&self) -> i64 {
        self.held.map_or(self.end, |held| held.min(self.end))
    }

    /// Keeps the high watermark where it is, or lets it go on.
    pub(crate) fn hold_high_watermark(&mut self, hold: bool) {
        self.held = hold.then(|| self.high_watermark());
    }

    /// Bytes of all batches.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Up to here every transaction has ended.
    pub(crate) fn last_stable_offset(&self) -> i64 {
        let open = self.producers.first_open_transaction().unwrap_or(self.end);
        open.min(self.high_watermark())
    }

    pub(crate) fn batches(&self) -> impl DoubleEndedIterator<Item = &StoredBatch> + ExactSizeIterator {
        self.batches.iter()
    }

    /// Appends what a producer sent. A duplicate is answered with its original offset and not written.
    pub(crate) fn append_produced(
        &mut self,
        examined: &Examined,
        limits: &Limits,
        leader_epoch: i32,
        now_ms: i64,
    ) -> Result<Appended, ErrorCode> {
        let batch = examined.validate(limits, now_ms)?;
        let header = batch.header();
        if header.producer_id >= 0 {
            if let Some(original) = self.producers.duplicate(&header) {
                // Kafka has its own idea of an append time here (`LogAppendInfo.setLogAppendTime(duplicate.timestamp)`).
                let log_append_time_ms = original.max_timestamp_ms;
                return Ok(Appended { base_offset: original.base_offset, log_append_time_ms });
            }
            self.producers.check(&header)?;
        }
        let base_offset = self.append(batch, leader_epoch);
        self.retain_bytes(limits.retention_bytes);
        let stamps = limits.timestamp_type == TimestampType::LogAppendTime;
        Ok(Appended { base_offset, log_append_time_ms: if stamps { now_ms } else { -1 } })
    }

    /// Appends a transaction marker; returns its offset.
    pub(crate) fn append_marker(
        &mut self,
        marker: Marker,
        leader_epoch: i32,
        now_ms: i64,
    ) -> Result<i64, ErrorCode> {
        self.producers.check_marker(marker.producer_id, marker.producer_epoch, marker.coordinator_epoch)?;
        Ok(self.append(marker.to_batch(now_ms), leader_epoch))
    }

    /// Appends a batch without any check, at the log end, and notes what it says.
    pub(crate) fn append(&mut self, mut batch: StoredBatch, leader_epoch: i32) -> i64 {
        let base_offset = self.end;
        batch.place(base_offset, leader_epoch);
        self.push(batch);
        base_offset
    }

    /// Stores a batch at the offset in its header, which may leave a gap behind the log end.
    pub(crate) fn push(&mut self, batch: StoredBatch) {
        self.note(&batch);
        self.epochs.begin(batch.leader_epoch(), batch.base_offset());
        self.end = batch.last_offset() + 1;
        self.bytes += batch.bytes();
        self.batches.push_back(batch);
    }

    /// Lets an empty log begin at `offset`.
    pub(crate) fn begin_at(&mut self, offset: i64) {
        if self.batches.is_empty() {
            self.start = offset;
            self.end = offset;
        }
    }

    /// Raises the log start (`DeleteRecords`); whole batches below it go, a batch it cuts stays.
    pub(crate) fn delete_before(&mut self, offset: i64) -> Result<i64, ErrorCode> {
        let offset = if offset == -1 { self.high_watermark() } else { offset };
        if offset < 0 || offset > self.high_watermark() {
            return Err(ErrorCode::OFFSET_OUT_OF_RANGE);
        }
        self.start = self.start.max(offset);
        while self.batches.front().is_some_and(|batch| batch.last_offset() < self.start) {
            self.pop_front();
        }
        self.aborted.forget_below(self.start);
        Ok(self.start)
    }

    /// Drops everything from `offset` on. A batch that contains `offset` goes as a whole.
    pub(crate) fn truncate(&mut self, offset: i64) {
        while self.batches.back().is_some_and(|batch| batch.last_offset() >= offset) {
            if let Some(batch) = self.batches.pop_back() {
                self.bytes -= batch.bytes();
                self.end = batch.base_offset();
            }
        }
        self.end = self.end.min(offset).max(self.start.min(offset));
        self.start = self.start.min(self.end);
        self.epochs.truncate(self.end);
        self.replay();
    }

    /// Drops the last `count` batches: what a broker loses that had not flushed them.
    pub(crate) fn lose_tail(&mut self, count: usize) {
        let kept = self.batches.len().saturating_sub(count);
        if let Some(first_lost) = self.batches.get(kept).map(StoredBatch::base_offset) {
            self.truncate(first_lost);
        }
    }

    /// Replaces the batches, keeping start and end: what compaction does.
    pub(super) fn replace(&mut self, batches: VecDeque<StoredBatch>) {
        self.bytes = batches.iter().map(StoredBatch::bytes).sum();
        self.batches = batches;
    }

    /// Rebuilds producer state and the aborted index from the batches that are left.
    fn replay(&mut self) {
        self.producers = Producers::default();
        self.aborted = AbortedIndex::default();
        for batch in std::mem::take(&mut self.batches) {
            self.note(&batch);
            self.batches.push_back(batch);
        }
    }

    fn note(&mut self, batch: &StoredBatch) {
        let header = batch.header();
        if header.producer_id < 0 {
            return;
        }
        if !header.attributes.is_control() {
            self.producers.note_data(&header);
        } else if let Some(marker) = Marker::read(&header, batch.payload())
            && let Some(first_offset) = self.producers.note_marker(&header, marker.coordinator_epoch)
            && !marker.commit
        {
            self.aborted.push(AbortedTransaction {
                producer_id: header.producer_id,
                first_offset,
                last_offset: header.base_offset,
            });
        }
    }

    /// Drops the oldest batches while there are more bytes than allowed. Kafka drops segments; we have none.
    fn retain_bytes(&mut self, retention_bytes: Option<usize>) {
        let Some(limit) = retention_bytes else { return };
        while self.bytes > limit && self.batches.len() > 1 {
            self.pop_front();
        }
        if let Some(front) = self.batches.front() {
            self.start = self.start.max(front.base_offset());
        }
    }

    fn pop_front(&mut self) {
        if let Some(batch) = self.batches.pop_front() {
            self.bytes -= batch.bytes();
        }
    }
}
