//! A partition on its way from source to target: where it is, what is queued, what is under way.

mod align;
mod cursor;
mod landmarks;
mod resume;
mod shared;
mod side;
mod state;
mod trouble;

pub(crate) use align::{Align, Aligned, Misaligned, align};
pub(crate) use cursor::{Cursor, Landmark};
pub(crate) use resume::{Ground, Producers, Resume, ResumeAnswer, look_at_target};
pub(crate) use shared::{Placed, take_places};
pub(crate) use side::{Leader, SourceSide, TargetSide};
pub(crate) use state::{Failure, State};
pub use trouble::{Cause, Holder, Obstacle, Trouble};
pub(crate) use trouble::{PRODUCE, Troubled, WORD_AFTER};

use crate::config::FlowConfig;
use crate::error::StopReason;
use crate::flow::accident::Ending;
use crate::flow::inspect::InspectedBatch;
use crate::flow::patch::{PatchedBatch, RoutedBatch};
use crate::positions::{Gap, OffsetMap, OffsetsHeld, PartitionChange, Position, Summary};
use crate::prepare::PreparedPartition;
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use verbatim_wire::cluster::Backoff;
use verbatim_wire::records::BatchHeader;

/// Batches of a partition that may be under way at once near by: what brokers remember of a producer
/// (`ProducerStateEntry.NUM_BATCHES_TO_RETAIN`), so that any repetition of them is recognised. To a far target there may be more:
/// one that is repeated too late is refused, and then the target is looked at.
pub(crate) const MAX_IN_FLIGHT: usize = 5;

/// How long after a look, or an answer, the end of the target's log is taken to be where it was, for old records.
const TRUSTED: Duration = Duration::from_secs(30);

/// How long a batch is tried again that the target refuses with an error that nobody knows.
const UNKNOWN_PATIENCE: Duration = Duration::from_secs(120);

/// One source partition and its target.
#[derive(Debug)]
pub(crate) struct Partition {
    /// Index of its topic in the flow.
    pub(crate) topic: usize,
    pub(crate) partition: i32,
    pub(crate) state: State,
    /// Counts restarts; answers to questions of an earlier life are ignored.
    pub(crate) generation: u32,
    pub(crate) source: SourceSide,
    pub(crate) target: TargetSide,
    /// Up to where the source is known to be on the target. With preserved offsets both offsets are the end of the target's
    /// log, except before the first record, when the source offset is that record's.
    pub(crate) settled: Position,
    pub(crate) offsets: OffsetsHeld,
    /// Why offsets are not preserved although they might be.
    pub(crate) translated_because: Option<Arc<str>>,
    /// Where translated records are.
    pub(crate) map: OffsetMap,
    /// Target offset from where on the map is valid.
    pub(crate) map_from: i64,
    /// What is missing, by the policy to go on.
    pub(crate) gaps: Vec<Gap>,
    /// How many of those are stored.
    pub(crate) stored_gaps: usize,
    /// Nothing of it had been copied when the flow first saw it, and it starts where the log does.
    pub(crate) follows_log_start: bool,
    /// With preserved offsets: where to read from, if that is beyond the end of the target's log.
    pub(crate) read_from: i64,
    /// Where the target stood when it was looked at last, and what was settled then.
    pub(crate) ground: Option<Ground>,
    pub(crate) ground_from: Position,
    /// Up to where the source has been read.
    pub(crate) cursor: Cursor,
    /// Others write to the target too.
    pub(crate) shares_target: bool,
    /// Then: the settled sequence number is not known.
    pub(crate) is_set_back: bool,
    /// Then: where the records are that were found on the target and are yet to be passed over.
    pub(crate) places: VecDeque<Placed>,
    /// With preserved offsets: batches of the source that may be in the last one of the target.
    pub(crate) landmark_parts: Vec<(BatchHeader, Bytes)>,
    /// The source is not read on until it is known where a record came from.
    pub(crate) is_learning: bool,
    /// Read, found to be on the target already, and waiting for the last of these to be compared.
    pub(crate) passing: Vec<RoutedBatch>,
    /// Patched batches in order; the first `in_flight` are under way.
    pub(crate) queue: VecDeque<PatchedBatch>,
    pub(crate) in_flight: usize,
    /// How many of those have been answered behind one that failed.
    pub(crate) answered: usize,
    pub(crate) queued_bytes: usize,
    /// Read, and waiting for batches before them to be repacked.
    pub(crate) backlog: VecDeque<InspectedBatch>,
    pub(crate) is_repacking: bool,
    /// Some that wait are being made one, beside the task: none of them goes under way meanwhile.
    pub(crate) is_merging: bool,
    /// How many of those that wait cannot be made one.
    pub(crate) unmerged: usize,
    /// The size that batches may be merged to, in bytes: less once the target has refused one for its size.
    pub(crate) largest_merged: usize,
    /// A gap is being filled: nothing else may go under way.
    pub(crate) is_filling: bool,
    /// When the target was looked at last, and the number of the claim that was held then.
    pub(crate) looked_at: Option<Instant>,
    pub(crate) looked_under: Option<i64>,
    /// Number of the claim under which this partition's gaps were filled last: older instances are fenced.
    pub(crate) fenced_with: Option<i64>,
    /// A batch that cannot go on has been read, or the log has changed: once everything before it is settled,
    /// stop or leave a gap.
    pub(crate) ending: Option<Ending>,
    /// Source offset of a batch whose checksum was wrong once. It is fetched again: damage on the way heals,
    /// damage on the source's disk does not.
    pub(crate) suspect: Option<i64>,
    pub(crate) backoff: Backoff,
    /// Source offset of a batch that the target has refused with an error that nobody knows, and since when.
    pub(crate) unknown: Option<(i64, Instant)>,
    /// What keeps it from getting on, for now.
    pub(crate) troubled: Troubled,
    pub(crate) goal: Goal,
    pub(crate) counters: Counters,
    /// Taken out of the flow.
    pub(crate) is_forgotten: bool,
}

/// Whether the partition has come to where the source ended when the flow first looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Goal {
    Unknown,
    Offset(i64),
    Reached,
}

/// What became of the batches read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Batches whose bytes went on as they were.
    pub forwarded_batches: u64,
    /// Those of them whose payload was left in the kernel on its way (but for its first bytes).
    pub spliced_batches: u64,
    /// Batches whose records went on in a new batch.
    pub repacked_batches: u64,
    /// Batches that went on as a part of a larger one, because the partition was behind.
    pub merged_batches: u64,
    /// Records settled on the target.
    pub records: u64,
    /// Bytes of batches settled on the target.
    pub bytes: u64,
    /// Batches of aborted transactions, left out.
    pub aborted_batches: u64,
    /// Batches that a flow had copied to the source, left out.
    pub foreign_batches: u64,
    /// Commit and abort markers, and batches emptied by compaction, left out.
    pub empty_batches: u64,
    /// Offsets filled on the target because the source has no record there.
    pub filled_offsets: u64,
}

impl Counters {
    /// Whether records went on in other batches than they came in.
    pub fn is_changed(&self) -> bool {
        self.repacked_batches + self.merged_batches > 0
    }
}

impl Partition {
    pub(crate) fn new(topic: usize, prepared: PreparedPartition, config: &FlowConfig, number: u32) -> Self {
        let PreparedPartition {
            partition,
            source_leader,
            target_leader,
            stored,
            translated_because,
            follows_log_start,
            ..
        } = prepared;
        let Summary { position, offsets, map_from, .. } = stored.summary;
        let stored_gaps = stored.gaps.len();
        let backoff = |seed| Backoff::new(config.first_retry, config.last_retry, u64::from(number) + seed);
        let mut partition = Self {
            topic,
            partition,
            state: State::Locating,
            generation: 0,
            source: SourceSide::new(source_leader, backoff(29)),
            target: TargetSide::new(target_leader),
            settled: position,
            offsets,
            translated_because,
            map: stored.map,
            map_from,
            gaps: stored.gaps,
            stored_gaps,
            follows_log_start,
            read_from: 0,
            ground: None,
            ground_from: position,
            cursor: Cursor::at(&position),
            shares_target: config.shares_target && offsets == OffsetsHeld::Translated,
            is_set_back: config.shares_target && stored.is_set_back,
            places: VecDeque::new(),
            landmark_parts: Vec::new(),
            is_learning: false,
            passing: Vec::new(),
            queue: VecDeque::new(),
            in_flight: 0,
            answered: 0,
            queued_bytes: 0,
            backlog: VecDeque::new(),
            is_repacking: false,
            is_merging: false,
            unmerged: 0,
            largest_merged: usize::MAX,
            is_filling: false,
            looked_at: None,
            looked_under: None,
            fenced_with: None,
            ending: None,
            suspect: None,
            backoff: backoff(11),
            unknown: None,
            troubled: Troubled::default(),
            goal: Goal::Unknown,
            counters: Counters::default(),
            is_forgotten: false,
        };
        partition.reset_cursor();
        partition
    }

    pub(crate) fn is_preserved(&self) -> bool {
        self.offsets == OffsetsHeld::Preserved
    }

    /// Whether the offsets before its first record have yet to be filled.
    pub(crate) fn is_before_first(&self) -> bool {
        self.is_preserved() && self.settled.source_offset > self.settled.target_offset
    }

    /// Back to what is settled: forgets everything read ahead. Batches under way must have been answered.
    pub(crate) fn rewind(&mut self) {
        self.generation = self.generation.wrapping_add(1);
        self.passing.clear();
        self.landmark_parts.clear();
        self.places.clear();
        self.is_learning = false;
        self.queue.clear();
        self.backlog.clear();
        self.queued_bytes = 0;
        self.is_repacking = false;
        self.is_merging = false;
        self.unmerged = 0;
        self.is_filling = false;
        self.ending = None;
        self.target.has_accepted = false;
        self.reset_cursor();
    }

    pub(crate) fn reset_cursor(&mut self) {
        self.cursor = Cursor::at(&self.settled);
        if self.is_preserved() {
            self.cursor.read_from(self.read_from.max(self.settled.source_offset));
        }
    }

    /// Target offset after the map's last run.
    pub(crate) fn map_to(&self) -> i64 {
        self.map.last().map_or(self.map.start().1, |run| run.target_end())
    }

    /// With preserved offsets: begins early, to see that the source is what the target ends with.
    pub(crate) fn begin_at_landmark(&mut self, landmark: Option<Landmark>) {
        self.cursor.landmark = landmark;
        self.landmark_parts.clear();
        if let Some(Landmark { header: copy, .. }) = landmark
            && copy.last_offset() < self.cursor.offset
        {
            // It may be several of the source's in one.
            self.cursor.offset = copy.base_offset;
            self.cursor.last_fetched_epoch = -1;
        }
    }

    /// What a wrong checksum at source offset `offset` means: one more try, or the end.
    pub(crate) fn corrupt(&mut self, offset: i64, bytes: usize) -> Failure {
        if self.suspect.replace(offset) == Some(offset) {
            Failure::Final(Arc::new(StopReason::CorruptAtSource { offset, bytes }))
        } else {
            Failure::Passing
        }
    }

    /// Whether the target has refused the batch at source offset `offset` with an error that nobody knows for so long that it will not
    /// take it.
    pub(crate) fn lasts_unknown(&mut self, offset: i64, now: Instant) -> bool {
        match self.unknown {
            Some((known, since)) if known == offset => now.duration_since(since) >= UNKNOWN_PATIENCE,
            _ => {
                self.unknown = Some((offset, now));
                false
            }
        }
    }

    /// The next batch to go under way, if one may and fewer than `most` are. Batches that only the holder of the claim may send wait for
    /// it.
    pub(crate) fn next_to_send(&self, claim: Option<i64>, most: usize) -> Option<&PatchedBatch> {
        let limit = if self.target.has_accepted { most } else { 1 };
        if !self.state.is_copying() || self.is_filling || self.is_merging || self.in_flight >= limit {
            return None;
        }
        let last = self.in_flight.checked_sub(1).and_then(|last| self.queue.get(last));
        if last.is_some_and(|last| last.is_old) {
            return None;
        }
        self.queue
            .get(self.in_flight)
            .filter(|next| next.fill_before == 0 && (!next.needs_claim || self.is_looked_at_under(claim)))
    }

    /// Whether the next batch is one that only the holder of the claim may send.
    pub(crate) fn waits_for_claim(&self) -> bool {
        self.state.is_copying() && self.queue.get(self.in_flight).is_some_and(|next| next.needs_claim)
    }

    /// Whether the target has been looked at since the claim of this number was granted: until then another
    /// instance may have gone on where this one thinks it is.
    pub(crate) fn is_looked_at_under(&self, claim: Option<i64>) -> bool {
        claim.is_some() && self.looked_under == claim
    }

    /// Whether what is known of the target's end may be out of date: a request of an instance that is no more may have arrived
    /// since. Of fresh records the broker would know that; who wrote old ones it may have forgotten.
    pub(crate) fn is_too_long_ago(&self, now: Instant) -> bool {
        let known_at = self.looked_at.max(self.target.accepted_at);
        self.in_flight == 0
            && self.queue.front().is_some_and(|next| next.is_old)
            && known_at.is_none_or(|at| now.duration_since(at) > TRUSTED)
    }

    /// How many offsets of the target have to be filled now, because the source has no record there.
    pub(crate) fn to_fill(&self) -> i64 {
        if !self.is_preserved() || !self.state.is_copying() || self.is_filling || self.in_flight > 0 {
            return 0;
        }
        match self.queue.front() {
            Some(next) => next.fill_before,
            None if self.is_repacking || !self.backlog.is_empty() => 0,
            None => (self.cursor.passed - self.settled.target_offset).max(0),
        }
    }

    /// Something of the source was passed over and needs no settling of its own.
    pub(crate) fn pass_to(&mut self, next_offset: i64, leader_epoch: i32) {
        if !self.state.is_copying() {
            return; // Set back meanwhile: it will be read again.
        }
        self.cursor.passed = self.cursor.passed.max(next_offset);
        self.cursor.passed_epoch = leader_epoch;
        if self.is_preserved() {
            return; // The target's end is the position; it moves when the gap has been filled.
        }
        if let Some(last) = self.queue.back_mut() {
            last.source_next = next_offset;
            last.leader_epoch = leader_epoch;
        } else if let Some(last) = self.passing.last_mut() {
            last.source_next = next_offset;
            last.leader_epoch = leader_epoch;
        } else {
            self.settled.source_offset = next_offset;
            self.settled.leader_epoch = leader_epoch;
            self.map.pass(next_offset);
        }
    }

    /// Records behind the source's end; `None` while that is not known.
    pub(crate) fn lag(&self) -> Option<i64> {
        self.source.end_offset.map(|end| (end - self.settled.source_offset).max(0))
    }

    /// What has to be stored since this was asked last.
    pub(crate) fn take_change(&mut self, mut change: PartitionChange) -> PartitionChange {
        if !self.is_preserved() {
            self.map.forget_below(self.source.log_start);
            change.chunks = self.map.take_changes();
        }
        change.gaps = self.gaps.get(self.stored_gaps..).unwrap_or_default().to_vec();
        self.stored_gaps = self.gaps.len();
        change
    }
}
