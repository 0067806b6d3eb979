//! What is read next, where it goes and which sequence number it gets.

use super::{Partition, Producers};
use crate::error::StopReason;
use crate::flow::inspect::InspectedBatch;
use crate::flow::merge;
use crate::positions::Position;
use bytes::Bytes;
use std::sync::Arc;
use verbatim_wire::connection::BufferPool;
use verbatim_wire::records::codec::{Codec, decompress};
use verbatim_wire::records::{Batch, BatchHeader, crc, patch};

/// A partition's reading end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor {
    /// Source offset to fetch from.
    pub(crate) offset: i64,
    /// Records below this source offset are not to be copied.
    pub(crate) keep_from: i64,
    /// Leader epoch of the last batch read, −1 for none.
    pub(crate) last_fetched_epoch: i32,
    /// Source offset up to where everything read is queued or left out, and the leader epoch there.
    pub(crate) passed: i64,
    pub(crate) passed_epoch: i32,
    /// Where the target will end when everything queued is there.
    pub(crate) target: i64,
    /// Sequence number of the next record forwarded.
    pub(crate) sequence: i32,
    /// Records that the target has already and that are passed over.
    pub(crate) records_to_pass: i64,
    /// The target's last batch, to be compared with the source batch it should be.
    pub(crate) landmark: Option<Landmark>,
}

/// The last batch of the target's log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Landmark {
    pub(crate) header: BatchHeader,
    /// CRC-32C of its records as they are uncompressed, where it is compressed and that is known: other bytes may hold the same
    /// records, because compressors change between versions.
    pub(crate) records_crc: Option<u32>,
}

impl Landmark {
    /// Looks into `batch`, which may unpack to `unpacked_bytes`.
    pub(crate) fn of(batch: &Batch, unpacked_bytes: usize) -> Self {
        let header = batch.header;
        let codec = Codec::from_attributes(header.attributes).ok().filter(|codec| *codec != Codec::None);
        let records = codec.and_then(|codec| decompress(codec, &batch.payload(), unpacked_bytes).ok());
        Self { header, records_crc: records.map(|records| crc::crc32c(&records)) }
    }
}

impl Cursor {
    pub(crate) fn at(settled: &Position) -> Self {
        Self {
            offset: settled.source_offset,
            keep_from: settled.source_offset,
            last_fetched_epoch: settled.leader_epoch,
            passed: settled.source_offset,
            passed_epoch: settled.leader_epoch,
            target: settled.target_offset,
            sequence: settled.sequence,
            records_to_pass: 0,
            landmark: None,
        }
    }

    /// Begins at source offset `offset`, which is not before where it is.
    pub(crate) fn read_from(&mut self, offset: i64) {
        if offset > self.offset {
            (self.offset, self.keep_from, self.passed) = (offset, offset, offset);
            self.last_fetched_epoch = -1;
        }
    }
}

impl Partition {
    /// With preserved offsets reading begins at the last batch of records that the target has: whether it is the one there,
    /// and whether only gaps follow up to where the target ends.
    pub(crate) fn agrees(
        &mut self,
        inspected: &InspectedBatch,
        may_be_compacted: bool,
        unpacked_bytes: usize,
        pool: &Arc<BufferPool>,
    ) -> bool {
        let Some(landmark) = self.cursor.landmark else { return true };
        let copy = landmark.header;
        let original = &inspected.batch.header;
        if original.magic != 2 || original.base_offset >= self.cursor.keep_from {
            self.cursor.landmark = None;
            return true; // Offsets are all there is to compare.
        }
        if original.base_offset > copy.last_offset() {
            return inspected.is_gap || may_be_compacted;
        }
        let is_filler = copy.attributes.is_control();
        if inspected.is_gap || is_filler {
            // What compaction takes away leaves a gap, too.
            return inspected.is_gap == is_filler || may_be_compacted;
        }
        let has_all = |h: &BatchHeader| i64::from(h.records_count) == i64::from(h.last_offset_delta) + 1;
        let is_whole = has_all(original) && has_all(&copy) && original.base_offset == copy.base_offset;
        if may_be_compacted && !is_whole {
            return true;
        }
        let is_inside =
            copy.base_offset <= original.base_offset && original.last_offset() <= copy.last_offset();
        if is_inside && original.records_count < copy.records_count {
            return self.is_part_of_landmark(inspected, &landmark, unpacked_bytes, pool);
        }
        // A batch that was not copied from its start, or was too large, is in smaller ones on the target.
        let is_part = original.base_offset < copy.base_offset
            && (original.base_timestamp..=original.max_timestamp).contains(&copy.max_timestamp);
        is_part || patch::is_copy(original, &copy)
    }

    /// `reason`, or another where that calls for the target topic to be deleted, the batch that it ends with is yet to be found in the
    /// source, and none of `producers` wrote that: the topic may be somebody's own, and no policy is to delete it.
    pub(crate) fn unless_it_is_others(
        &self,
        reason: &Arc<StopReason>,
        producers: &Producers,
    ) -> Arc<StopReason> {
        let is_others = |landmark: Landmark| !producers.wrote(&landmark.header);
        if !reason.calls_for_reseed() || !self.is_preserved() || !self.cursor.landmark.is_some_and(is_others)
        {
            return reason.clone();
        }
        let held = match **reason {
            StopReason::OutOfRange { log_start, log_end, .. } => Some((log_start, log_end)),
            _ => None,
        };
        Arc::new(StopReason::NotACopy { target: self.settled.target_offset - 1, held })
    }

    /// Whether a batch can be one of several that the target has as one: known once the last of them is there.
    fn is_part_of_landmark(
        &mut self,
        inspected: &InspectedBatch,
        landmark: &Landmark,
        unpacked_bytes: usize,
        pool: &Arc<BufferPool>,
    ) -> bool {
        let (original, copy) = (&inspected.batch.header, &landmark.header);
        let next = self.landmark_parts.last().map_or(copy.base_offset, |(part, _)| part.next_offset());
        if original.base_offset != next {
            return false;
        }
        // Copied: a frame held here might be all the memory there is.
        let payload = Bytes::copy_from_slice(&inspected.batch.payload());
        self.landmark_parts.push((*original, payload));
        if original.last_offset() < copy.last_offset() {
            return true;
        }
        merge::are_in(self.landmark_parts.drain(..), landmark, unpacked_bytes, pool)
    }
}
