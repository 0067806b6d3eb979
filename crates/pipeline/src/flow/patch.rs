//! Stage 4: the new header, 61 bytes; the payload stays the slice of the fetched frame that it is.

use super::repack::{self, RepackError, RepackFailure, RepackLimits, Repacked};
use crate::error::StopReason;
use crate::partition::{Failure, Partition};
use crate::task::FlowTask;
use crate::task::events::Event;
use bytes::Bytes;
use tokio::time::Instant;
use verbatim_wire::records::{BatchHeader, HEADER_BYTES, ProducerStamp, patch};

/// A batch that knows its target partition.
#[derive(Debug)]
pub(crate) struct RoutedBatch {
    pub(crate) header: BatchHeader,
    pub(crate) payload: Bytes,
    /// Source offset of its first record.
    pub(crate) source_offset: i64,
    /// Source position after it.
    pub(crate) source_next: i64,
    pub(crate) leader_epoch: i32,
    pub(crate) is_repacked: bool,
}

/// A batch as it goes to the target.
#[derive(Debug)]
pub(crate) struct PatchedBatch {
    pub(crate) header: [u8; HEADER_BYTES],
    pub(crate) payload: Bytes,
    pub(crate) records: i32,
    pub(crate) source_offset: i64,
    pub(crate) source_next: i64,
    pub(crate) leader_epoch: i32,
    /// Sequence number of the record after its last.
    pub(crate) next_sequence: i32,
    pub(crate) is_repacked: bool,
}

impl PatchedBatch {
    pub(crate) fn bytes(&self) -> usize {
        HEADER_BYTES + self.payload.len()
    }

    /// Whether the bytes as fetched match the checksum they came with: reads all of them. The checksum was
    /// moved with the header, not recomputed, so damage done before us still shows.
    pub(crate) fn is_intact(&self) -> bool {
        BatchHeader::parse(&self.header).is_some_and(|header| patch::crc_is_right(&header, &self.payload))
    }
}

impl FlowTask {
    /// The stage itself. The sequence number is that of the first record: the count of records forwarded
    /// before it, so that any life of the flow gives the same batch the same number.
    pub(crate) fn patch(&mut self, number: u32, routed: RoutedBatch, now: Instant) {
        let (producer_id, producer_epoch) = self.producer;
        let Some(partition) = self.partition(number) else { return };
        let records = routed.header.records_count;
        let base_sequence = partition.cursor.sequence;
        let next_sequence = patch::sequence_after(base_sequence, records);
        if partition.cursor.records_to_pass > 0 {
            if i64::from(records) > partition.cursor.records_to_pass {
                return self.end(number, StopReason::NotOurs { offset: routed.source_offset }, now);
            }
            partition.pass_over(records, next_sequence, &routed);
            return self.note_progress(number);
        }
        partition.cursor.sequence = next_sequence;
        let stamp = ProducerStamp { producer_id, producer_epoch, base_sequence };
        let patched = PatchedBatch {
            header: patch::patched(&routed.header, stamp).to_bytes(),
            payload: routed.payload,
            records,
            source_offset: routed.source_offset,
            source_next: routed.source_next,
            leader_epoch: routed.leader_epoch,
            next_sequence,
            is_repacked: routed.is_repacked,
        };
        partition.queued_bytes += patched.bytes();
        partition.queue.push_back(patched);
    }

    /// Sends the backlog of a partition to be repacked, unless that is being done.
    pub(crate) fn repack_backlog(&mut self, number: u32) {
        let unpacked_bytes = self.config.repack_limit_bytes;
        let Some(partition) = self.partitions.get_mut(number as usize) else { return };
        if partition.is_repacking || partition.backlog.is_empty() {
            return;
        }
        let batch_bytes =
            self.routes.topic(partition.topic).map_or(usize::MAX, |r| r.target_max_message_bytes);
        let limits = RepackLimits { unpacked_bytes, batch_bytes };
        partition.is_repacking = true;
        let generation = partition.generation;
        let backlog: Vec<_> = partition.backlog.drain(..).collect();
        let backlog_bytes: usize = backlog.iter().map(|inspected| inspected.batch.bytes.len()).sum();
        partition.queued_bytes -= backlog_bytes;
        let work = tokio::task::spawn_blocking(move || repack::repack(backlog, limits));
        self.beside(async move {
            let (batches, failure) = work.await.unwrap_or_default();
            Event::Repacked { number, generation, batches, failure }
        });
    }

    /// Repacked batches take their place in the queue, then what was read meanwhile.
    pub(crate) fn repacked(
        &mut self,
        number: u32,
        generation: u32,
        batches: Vec<Repacked>,
        failure: Option<RepackFailure>,
        now: Instant,
    ) {
        let Some(partition) = self.partition(number).filter(|p| p.generation == generation) else { return };
        partition.is_repacking = false;
        let waiting: Vec<_> = partition.backlog.drain(..).collect();
        partition.queued_bytes -= waiting.iter().map(|inspected| inspected.batch.bytes.len()).sum::<usize>();
        for repacked in batches {
            match repacked {
                Repacked::Untouched(inspected) => self.take(number, inspected, now),
                Repacked::Batches { batches, leader_epoch, next_offset } => {
                    self.take_repacked(number, batches, leader_epoch, next_offset, now);
                }
            }
        }
        if let Some(failure) = failure {
            return self.repack_failed(number, failure, now);
        }
        for inspected in waiting {
            self.take(number, inspected, now);
        }
        self.repack_backlog(number);
        self.make_ready(number);
        self.pause_or_unpause(number);
    }

    fn repack_failed(&mut self, number: u32, failure: RepackFailure, now: Instant) {
        let RepackFailure { offset, reason, error } = failure;
        let why = reason.describe();
        let RepackError::Crc { bytes } = error else {
            return self.end(number, StopReason::Repack { offset, why, problem: error }, now);
        };
        let Some(partition) = self.partition(number) else { return };
        match partition.corrupt(offset, bytes) {
            Failure::Passing => self.fail(number, Failure::Passing, now),
            Failure::Final(_) => self.end(number, StopReason::CorruptAtSource { offset, bytes }, now),
        }
    }

    fn take_repacked(
        &mut self,
        number: u32,
        batches: Vec<(Bytes, i64)>,
        leader_epoch: i32,
        next_offset: i64,
        now: Instant,
    ) {
        let mut source_offset = self.partition(number).map_or(0, |partition| partition.read_to());
        for (batch, source_next) in batches {
            let Some((header, payload)) = repack::taken_apart(&batch) else { continue };
            let routed =
                RoutedBatch { header, payload, source_offset, source_next, leader_epoch, is_repacked: true };
            self.patch(number, routed, now);
            source_offset = source_next;
        }
        if let Some(partition) = self.partition(number) {
            partition.pass_to(next_offset, leader_epoch);
        }
    }
}

impl Partition {
    /// The target holds this batch already, from an earlier life.
    fn pass_over(&mut self, records: i32, next_sequence: i32, routed: &RoutedBatch) {
        self.cursor.records_to_pass -= i64::from(records);
        self.cursor.sequence = next_sequence;
        self.settled.source_offset = routed.source_next;
        self.settled.leader_epoch = routed.leader_epoch;
        self.settled.sequence = next_sequence;
        self.settled.target_offset = self.settled.target_offset.map(|offset| offset + i64::from(records));
        // Sent by this process and its answer lost: it counts. What an earlier process sent does not.
        if self.generation > 0 {
            self.count(records, HEADER_BYTES + routed.payload.len(), routed.is_repacked);
        }
    }

    /// Source position after the last batch queued.
    fn read_to(&self) -> i64 {
        self.queue.back().map_or(self.settled.source_offset, |last| last.source_next)
    }
}
