//! Stage 4: the new header, 61 bytes; the payload stays the slice of the fetched frame that it is.

use super::merge;
use super::repack::{self, NewBatch, RepackError, RepackFailure, RepackLimits, Repacked};
use crate::error::StopReason;
use crate::partition::{Landmark, Partition, Placed, take_places};
use crate::positions::Position;
use crate::task::FlowTask;
use crate::task::events::Event;
use bytes::Bytes;
use std::sync::Arc;
use tokio::time::Instant;
use verbatim_wire::connection::BufferPool;
use verbatim_wire::pipe::Tail;
use verbatim_wire::records::{BatchHeader, HEADER_BYTES, ProducerStamp, patch};

/// A batch that knows its target partition.
#[derive(Debug)]
pub(crate) struct RoutedBatch {
    pub(crate) header: BatchHeader,
    pub(crate) payload: Bytes,
    /// The rest of the payload, where it was left in the kernel.
    pub(crate) tail: Option<Tail>,
    /// Source offset of its first record.
    pub(crate) source_offset: i64,
    /// Source offsets of its records as stretches (first offset, number), if they are not one.
    pub(crate) stretches: Option<Box<[(i64, i64)]>>,
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
    /// The rest of the payload, where it was left in the kernel: gone with the request it is sent in.
    pub(crate) tail: Option<Tail>,
    pub(crate) records: i32,
    pub(crate) source_offset: i64,
    pub(crate) stretches: Option<Box<[(i64, i64)]>>,
    pub(crate) source_next: i64,
    pub(crate) leader_epoch: i32,
    /// Leader epoch of what the source has right before it, left out or not; −1 where that is not known.
    pub(crate) epoch_before: i32,
    /// Offsets of the target to be filled before it goes under way.
    pub(crate) fill_before: i64,
    /// Its records are so old that the target may forget who wrote them.
    pub(crate) is_old: bool,
    /// Only the holder of the claim sends it: its records are so old that the target may forget who wrote them, or
    /// the source may lose records to compaction, and then two instances count differently.
    pub(crate) needs_claim: bool,
    /// Sequence number of the record after its last.
    pub(crate) next_sequence: i32,
    pub(crate) is_repacked: bool,
    /// How many batches it was made of; 0 if it is one.
    pub(crate) merged_from: u32,
}

impl PatchedBatch {
    pub(crate) fn bytes(&self) -> usize {
        HEADER_BYTES + self.payload.len() + self.tail.as_ref().map_or(0, Tail::len)
    }

    /// Number of its codec.
    pub(crate) fn codec(&self) -> i16 {
        BatchHeader::parse(&self.header).map_or(0, |header| header.attributes.codec())
    }

    /// Whether the bytes as fetched match the checksum they came with: reads all of them. The checksum was
    /// moved with the header, not recomputed, so damage done before us still shows. `None` where they were left in the kernel.
    pub(crate) fn is_intact(&self) -> Option<bool> {
        let is_right = |header| patch::crc_is_right(&header, &self.payload);
        self.tail.is_none().then(|| BatchHeader::parse(&self.header).is_some_and(is_right))
    }
}

impl FlowTask {
    /// The stage itself. The sequence number is that of the first record: the count of records written before
    /// it, so that any life of the flow gives the same batch the same number.
    #[inline(never)] // Its instructions are counted.
    pub(crate) fn patch(&mut self, number: u32, routed: RoutedBatch, now: Instant) {
        let (producer_id, producer_epoch) = self.producers.records;
        let oldest_ms = self.remembered.oldest_ms(now);
        let Some(partition) = self.partitions.get_mut(number as usize) else { return };
        let Some(route) = self.routes.topic(partition.topic) else { return };
        let is_old = routed.header.max_timestamp < oldest_ms && !route.target_traits.is_append_time;
        let needs_claim = is_old || route.source_traits.may_be_compacted;
        let records = routed.header.records_count;
        let base_sequence = partition.cursor.sequence;
        let next_sequence = patch::sequence_after(base_sequence, records);
        if partition.cursor.records_to_pass > 0 {
            return self.pass_over(number, routed, next_sequence, now);
        }
        partition.cursor.sequence = next_sequence;
        let fill_before =
            if partition.is_preserved() { routed.source_offset - partition.cursor.target } else { 0 };
        if fill_before < 0 {
            let reason = StopReason::Behind { offset: routed.source_offset, target: partition.cursor.target };
            return self.end(number, reason, now);
        }
        partition.cursor.target += fill_before + i64::from(records);
        // Compaction leaves nothing behind that would tell the epoch of what it has taken away.
        let is_seamless = partition.cursor.passed == routed.source_offset;
        let epoch_before = if is_seamless { partition.cursor.passed_epoch } else { -1 };
        partition.cursor.passed = partition.cursor.passed.max(routed.source_next);
        partition.cursor.passed_epoch = routed.leader_epoch;
        let stamp = ProducerStamp { producer_id, producer_epoch, base_sequence };
        let patched = PatchedBatch {
            header: patch::patched(&routed.header, stamp).to_bytes(),
            payload: routed.payload,
            tail: routed.tail,
            records,
            source_offset: routed.source_offset,
            stretches: routed.stretches,
            source_next: routed.source_next,
            leader_epoch: routed.leader_epoch,
            epoch_before,
            fill_before,
            is_old,
            needs_claim,
            next_sequence,
            is_repacked: routed.is_repacked,
            merged_from: 0,
        };
        partition.queued_bytes += patched.bytes();
        partition.queue.push_back(patched);
    }

    /// The target holds this batch already, from an earlier life or another instance. That is believed once the last
    /// of what it holds has been compared.
    fn pass_over(&mut self, number: u32, routed: RoutedBatch, next_sequence: i32, now: Instant) {
        let (unpacked_bytes, pool) = (self.config.repack_limit_bytes, self.source.pool().clone());
        let Some(partition) = self.partition(number) else { return };
        let left = partition.cursor.records_to_pass - i64::from(routed.header.records_count);
        let landmark = partition.cursor.landmark.filter(|_| left == 0);
        // Those that may be in the target's last batch are kept whole: it may be several in one.
        let last_records = partition.cursor.landmark.map_or(0, |landmark| landmark.header.records_count);
        let is_near_the_end = partition.cursor.records_to_pass <= i64::from(last_records);
        let (records, bytes) = (routed.header.records_count, HEADER_BYTES + routed.payload.len());
        let is_repacked = routed.is_repacked;
        // Of the others only what tells their place is. Copied: a frame held here might be all the memory there is.
        let payload = if is_near_the_end { Bytes::copy_from_slice(&routed.payload) } else { Bytes::new() };
        partition.passing.push(RoutedBatch { payload, ..routed });
        // A batch built anew may have been built otherwise then: it is compared record by record.
        let is_it = landmark.is_none_or(|landmark| partition.has_passed(&landmark, unpacked_bytes, &pool));
        if left < 0 || !is_it {
            return self.realign(number, now);
        }
        partition.cursor.records_to_pass = left;
        partition.cursor.sequence = next_sequence;
        // Sent by this process and its answer lost: it counts. What an earlier process sent does not.
        if partition.generation > 0 {
            partition.count(records, bytes, is_repacked, 0);
        }
        if left == 0 {
            partition.passed_over();
            self.note_progress(number);
        }
    }

    /// Sends the backlog of a partition to be repacked, unless that is being done.
    pub(crate) fn repack_backlog(&mut self, number: u32) {
        let unpacked_bytes = self.config.repack_limit_bytes;
        let Some(partition) = self.partitions.get_mut(number as usize) else { return };
        if partition.is_repacking || partition.backlog.is_empty() {
            return;
        }
        let batch_bytes =
            self.routes.topic(partition.topic).map_or(usize::MAX, |r| r.target_traits.max_message_bytes);
        let limits = RepackLimits { unpacked_bytes, batch_bytes, splits_at_holes: partition.is_preserved() };
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
        // Any of them may have set the partition back.
        if self.partition(number).is_none_or(|p| p.generation != generation) {
            return;
        }
        if let Some(failure) = failure {
            return self.repack_failed(number, failure, now);
        }
        for inspected in waiting {
            self.take(number, inspected, now);
        }
        self.repack_backlog(number);
        self.make_ready(number, now);
        self.pause_or_unpause(number);
        self.realign_if_short(number, now);
    }

    fn repack_failed(&mut self, number: u32, failure: RepackFailure, now: Instant) {
        let RepackFailure { offset, reason, error } = failure;
        let why = reason.describe();
        let RepackError::Crc { bytes } = error else {
            return self.end(number, StopReason::Repack { offset, why, problem: error }, now);
        };
        self.damaged(number, offset, bytes, now);
    }

    fn take_repacked(
        &mut self,
        number: u32,
        batches: Vec<NewBatch>,
        leader_epoch: i32,
        next_offset: i64,
        now: Instant,
    ) {
        for NewBatch { bytes, stretches, next_offset: source_next } in batches {
            let Some((header, payload)) = repack::taken_apart(&bytes) else { continue };
            let Some((source_offset, _)) = stretches.first().copied() else { continue };
            let is_live = |p: &&mut Partition| p.state.is_copying() && p.ending.is_none();
            if self.partition(number).filter(is_live).is_none() {
                return;
            }
            let stretches = (stretches.len() > 1).then(|| stretches.into_boxed_slice());
            let routed = RoutedBatch {
                header,
                payload,
                tail: None,
                source_offset,
                stretches,
                source_next,
                leader_epoch,
                is_repacked: true,
            };
            self.patch(number, routed, now);
        }
        if let Some(partition) = self.partition(number) {
            partition.pass_to(next_offset, leader_epoch);
        }
    }
}

impl Partition {
    /// Whether the target's last batch is the one passed over last, or the last ones in one.
    fn has_passed(&self, landmark: &Landmark, unpacked_bytes: usize, pool: &Arc<BufferPool>) -> bool {
        let (Some(last), copy) = (self.passing.last(), &landmark.header) else { return false };
        if patch::is_copy(&last.header, copy) {
            return true;
        }
        let mut records = i64::from(copy.records_count);
        let is_in_it = |batch: &&RoutedBatch| {
            records -= i64::from(batch.header.records_count);
            records >= 0
        };
        let mut run: Vec<_> = self.passing.iter().rev().take_while(is_in_it).collect();
        run.reverse();
        merge::are_in(
            run.iter().map(|batch| (batch.header, batch.payload.clone())),
            landmark,
            unpacked_bytes,
            pool,
        )
    }

    /// All that was passed over is what the target holds.
    fn passed_over(&mut self) {
        for routed in std::mem::take(&mut self.passing) {
            let records = routed.header.records_count;
            let places = if self.shares_target {
                take_places(&mut self.places, i64::from(records))
            } else {
                vec![(self.settled.target_offset, i64::from(records))]
            };
            let target_end =
                places.last().map_or(self.settled.target_offset, |(offset, count)| offset + count);
            self.settled = Position {
                source_offset: routed.source_next,
                target_offset: target_end,
                sequence: patch::sequence_after(self.settled.sequence, records),
                leader_epoch: routed.leader_epoch,
            };
            self.note_in_map(routed.source_offset, routed.stretches.as_deref(), &places, records);
            self.map.pass(routed.source_next);
        }
        self.cursor.passed = self.cursor.passed.max(self.settled.source_offset);
        self.cursor.target = self.settled.target_offset;
    }

    /// Records of a batch are known to be on the target.
    pub(crate) fn note_in_map(
        &mut self,
        source_offset: i64,
        stretches: Option<&[(i64, i64)]>,
        places: &[Placed],
        records: i32,
    ) {
        let whole = [(source_offset, i64::from(records))];
        let mut places = places.iter().copied();
        let (mut target, mut room) = places.next().unwrap_or_default();
        for (source, count) in stretches.unwrap_or(&whole) {
            let (mut source, mut left) = (*source, *count);
            while left > 0 {
                if room == 0 {
                    let Some(next) = places.next() else { return };
                    (target, room) = next;
                    continue;
                }
                let some = left.min(room);
                self.map.push(source, target, some);
                (source, target) = (source + some, target + some);
                (left, room) = (left - some, room - some);
            }
        }
    }
}
