//! The two sides of a partition.

use super::trouble::Holder;
use crate::broker::LaneKey;
use crate::flow::ranges::Ranges;
use tokio::time::Instant;
use verbatim_wire::cluster::Backoff;

/// Broker id and leader epoch of a partition's leader.
pub(crate) type Leader = (i32, i32);

/// The source's side of a partition.
#[derive(Debug)]
pub(crate) struct SourceSide {
    /// Broker id and epoch of the leader, where known.
    pub(crate) leader: Option<Leader>,
    /// Broker whose fetch session the partition is in.
    pub(crate) fetched_from: Option<i32>,
    /// Answers to earlier requests of that broker are stale.
    pub(crate) valid_from_request: u64,
    /// Taken out of its session until the queue is shorter.
    pub(crate) is_paused: bool,
    /// Read in ranges instead of a session.
    pub(crate) ranges: Option<Box<Ranges>>,
    /// End of what can be read now: last stable offset or high watermark.
    pub(crate) end_offset: Option<i64>,
    /// End of what is replicated; open transactions may hold back what stands before it.
    pub(crate) high_watermark: Option<i64>,
    /// The producer whose transaction holds back what comes next, once it is known.
    pub(crate) held_by: Option<Holder>,
    pub(crate) log_start: i64,
    /// Log start up to where the target has followed it.
    pub(crate) followed_to: i64,
    /// The bounds of the log are being asked for, because it does not hold what we want.
    pub(crate) is_asking_bounds: bool,
    pub(crate) missing_since: Option<Instant>,
    /// The leader has refused to be read from: pauses grow until it does not.
    pub(crate) backoff: Backoff,
    /// It is not read from until such a pause is over.
    pub(crate) is_resting: bool,
}

impl SourceSide {
    pub(crate) fn new(leader: Option<Leader>, backoff: Backoff) -> Self {
        Self {
            leader,
            fetched_from: None,
            valid_from_request: 0,
            is_paused: false,
            ranges: None,
            end_offset: None,
            high_watermark: None,
            held_by: None,
            log_start: -1,
            followed_to: 0,
            is_asking_bounds: false,
            missing_since: None,
            backoff,
            is_resting: false,
        }
    }
}

/// The target's side of a partition.
#[derive(Debug)]
pub(crate) struct TargetSide {
    /// Broker id and epoch of the leader, where known.
    pub(crate) leader: Option<Leader>,
    /// The broker has accepted a batch of this life on this connection: until then batches go one at a time, because a
    /// broker that does not know a producer accepts any sequence number, also that of a second batch whose first
    /// was refused.
    pub(crate) has_accepted: bool,
    /// When that was.
    pub(crate) accepted_at: Option<Instant>,
    /// What its queue is counted as: bytes queued for a broker.
    pub(crate) counted: Option<(i32, usize)>,
    /// The lane in whose turn list it is.
    pub(crate) ready_on: Option<LaneKey>,
    pub(crate) missing_since: Option<Instant>,
}

impl TargetSide {
    pub(crate) fn new(leader: Option<Leader>) -> Self {
        Self {
            leader,
            has_accepted: false,
            accepted_at: None,
            counted: None,
            ready_on: None,
            missing_since: None,
        }
    }
}
