//! A partition on its way from source to target: where it is, what is queued, what is under way.

mod resume;
mod state;

pub(crate) use resume::{Resume, ResumeAnswer, look_at_target};
pub(crate) use state::{Failure, State};

use crate::broker::LaneKey;
use crate::config::FlowConfig;
use crate::error::StopReason;
use crate::flow::inspect::InspectedBatch;
use crate::flow::patch::PatchedBatch;
use crate::positions::Position;
use crate::prepare::PreparedPartition;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::time::Instant;
use verbatim_wire::cluster::Backoff;

/// Batches of a partition that may be under way at once: what brokers remember of a producer
/// (`ProducerStateEntry.NUM_BATCHES_TO_RETAIN`), so that any repetition of them is recognised.
pub(crate) const MAX_IN_FLIGHT: usize = 5;

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
    /// Up to where the source is known to be on the target.
    pub(crate) settled: Position,
    /// Up to where the source has been read.
    pub(crate) cursor: Cursor,
    /// Patched batches in order; the first `in_flight` are under way.
    pub(crate) queue: VecDeque<PatchedBatch>,
    pub(crate) in_flight: usize,
    /// How many of those have been answered behind one that failed.
    pub(crate) answered: usize,
    pub(crate) queued_bytes: usize,
    /// Read, and waiting for batches before them to be repacked.
    pub(crate) backlog: VecDeque<InspectedBatch>,
    pub(crate) is_repacking: bool,
    /// A batch that cannot go on has been read: stop once everything before it is settled.
    pub(crate) ending: Option<Arc<StopReason>>,
    /// Source offset of a batch whose checksum was wrong once. It is fetched again: damage on the way heals,
    /// damage on the source's disk does not.
    pub(crate) suspect: Option<i64>,
    pub(crate) backoff: Backoff,
    pub(crate) goal: Goal,
    pub(crate) counters: Counters,
}

/// What is read next and which sequence number it gets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor {
    /// Source offset to fetch from.
    pub(crate) offset: i64,
    /// Leader epoch of the last batch read, −1 for none.
    pub(crate) last_fetched_epoch: i32,
    /// Sequence number of the next record forwarded.
    pub(crate) sequence: i32,
    /// Records that the target has already and that are passed over.
    pub(crate) records_to_pass: i64,
}

impl Cursor {
    fn at(settled: &Position) -> Self {
        Self {
            offset: settled.source_offset,
            last_fetched_epoch: settled.leader_epoch,
            sequence: settled.sequence,
            records_to_pass: 0,
        }
    }
}

/// The source's side of a partition.
#[derive(Debug)]
pub(crate) struct SourceSide {
    /// Broker id and epoch of the leader, where known.
    pub(crate) leader: Option<(i32, i32)>,
    /// Broker whose fetch session the partition is in.
    pub(crate) fetched_from: Option<i32>,
    /// Answers to earlier requests of that broker are stale.
    pub(crate) valid_from_request: u64,
    /// Taken out of its session until the queue is shorter.
    pub(crate) is_paused: bool,
    /// End of what can be read now: last stable offset or high watermark.
    pub(crate) end_offset: Option<i64>,
    pub(crate) log_start: i64,
    pub(crate) missing_since: Option<Instant>,
}

/// The target's side of a partition.
#[derive(Debug)]
pub(crate) struct TargetSide {
    /// Broker id of the leader, where known.
    pub(crate) leader: Option<i32>,
    /// The broker has accepted a batch of this life: until then batches go one at a time, because a broker
    /// that does not know a producer accepts any sequence number, also that of a second batch whose first
    /// was refused.
    pub(crate) has_accepted: bool,
    /// The lane in whose turn list it is.
    pub(crate) ready_on: Option<LaneKey>,
    pub(crate) missing_since: Option<Instant>,
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
    /// Batches whose records went on in a new batch.
    pub repacked_batches: u64,
    /// Records settled on the target.
    pub records: u64,
    /// Bytes of batches settled on the target.
    pub bytes: u64,
    /// Batches of aborted transactions, left out.
    pub aborted_batches: u64,
    /// Commit and abort markers, and batches emptied by compaction, left out.
    pub empty_batches: u64,
}

impl Partition {
    pub(crate) fn new(topic: usize, prepared: &PreparedPartition, config: &FlowConfig, number: u32) -> Self {
        let PreparedPartition { partition, source_leader, target_leader, position, is_untouched: _ } =
            *prepared;
        Self {
            topic,
            partition,
            state: State::Locating,
            generation: 0,
            source: SourceSide {
                leader: source_leader,
                fetched_from: None,
                valid_from_request: 0,
                is_paused: false,
                end_offset: None,
                log_start: -1,
                missing_since: None,
            },
            target: TargetSide {
                leader: target_leader,
                has_accepted: false,
                ready_on: None,
                missing_since: None,
            },
            settled: position,
            cursor: Cursor::at(&position),
            queue: VecDeque::new(),
            in_flight: 0,
            answered: 0,
            queued_bytes: 0,
            backlog: VecDeque::new(),
            is_repacking: false,
            ending: None,
            suspect: None,
            backoff: Backoff::new(config.first_retry, config.last_retry, u64::from(number) + 11),
            goal: Goal::Unknown,
            counters: Counters::default(),
        }
    }

    /// Back to what is settled: forgets everything read ahead. Batches under way must have been answered.
    pub(crate) fn rewind(&mut self) {
        self.generation = self.generation.wrapping_add(1);
        self.queue.clear();
        self.backlog.clear();
        self.queued_bytes = 0;
        self.is_repacking = false;
        self.ending = None;
        self.target.has_accepted = false;
        self.cursor = Cursor::at(&self.settled);
    }

    /// What a wrong checksum at source offset `offset` means: one more try, or the end.
    pub(crate) fn corrupt(&mut self, offset: i64, bytes: usize) -> Failure {
        if self.suspect.replace(offset) == Some(offset) {
            Failure::Final(Arc::new(StopReason::CorruptAtSource { offset, bytes }))
        } else {
            Failure::Passing
        }
    }

    /// Batches patched and not under way.
    pub(crate) fn unsent(&self) -> usize {
        self.queue.len() - self.in_flight
    }

    /// Whether another batch may go under way.
    pub(crate) fn may_send(&self) -> bool {
        let limit = if self.target.has_accepted { MAX_IN_FLIGHT } else { 1 };
        self.state.is_copying() && self.unsent() > 0 && self.in_flight < limit
    }

    /// Something of the source was passed over and needs no settling of its own.
    pub(crate) fn pass_to(&mut self, next_offset: i64, leader_epoch: i32) {
        if let Some(last) = self.queue.back_mut() {
            last.source_next = next_offset;
            last.leader_epoch = leader_epoch;
        } else {
            self.settled.source_offset = next_offset;
            self.settled.leader_epoch = leader_epoch;
        }
    }

    /// Records behind the source's end; `None` while that is not known.
    pub(crate) fn lag(&self) -> Option<i64> {
        self.source.end_offset.map(|end| (end - self.settled.source_offset).max(0))
    }
}
