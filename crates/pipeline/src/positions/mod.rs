//! Where each partition stands, kept on the target so that any instance can go on.

mod entry;
mod lease;
mod map;
mod origins;
mod provenance;
mod topic;

pub use entry::EntryError;
pub use lease::{Claim, Claimed};
pub use map::{ChunkError, MapChunk, OffsetMap, Run};
pub(crate) use origins::Origins;
pub use provenance::{Provenance, sources_of};
pub use topic::TopicPositions;

use crate::error::PartitionName;
use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use verbatim_wire::cluster::ClusterError;
use verbatim_wire::primitives::TopicId;

/// Up to where a source partition is known to be on the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Source offset of the next record to copy.
    pub source_offset: i64,
    /// Target offset that record will get: the end of the target's log as far as it is ours.
    pub target_offset: i64,
    /// Sequence number that record will get: the number of records written so far, modulo 2³¹.
    pub sequence: i32,
    /// Leader epoch of the last source batch, −1 for none.
    pub leader_epoch: i32,
}

impl Position {
    /// The position of a partition nothing has been copied of yet.
    pub fn start(source_offset: i64, target_offset: i64) -> Self {
        Self { source_offset, target_offset, sequence: 0, leader_epoch: -1 }
    }

    /// As it was when the target's log ended at `target_offset`, which is before this: as many records fewer had
    /// been written. The source offset is the caller's to know.
    #[must_use]
    pub(crate) fn back_to(self, source_offset: i64, target_offset: i64) -> Self {
        let fewer = (self.target_offset - target_offset).rem_euclid(1 << 31);
        let sequence = (i64::from(self.sequence) - fewer).rem_euclid(1 << 31);
        // No leader epoch: it may be that of a later batch.
        Self {
            source_offset,
            target_offset,
            sequence: i32::try_from(sequence).unwrap_or(0),
            leader_epoch: -1,
        }
    }
}

/// What the offsets of a partition are on the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetsHeld {
    /// The same as on the source.
    Preserved,
    /// Their own; the offset map says which.
    Translated,
}

/// What is known of a partition besides its map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Up to where it is copied.
    pub position: Position,
    /// Whether offsets are the same on both sides.
    pub offsets: OffsetsHeld,
    /// Id of the source topic it was copied from; zero where the cluster has no topic ids.
    pub source_topic: TopicId,
    /// Id of the target topic it was copied to.
    pub target_topic: TopicId,
    /// Target offset from where on the map is valid: before it, the target holds what the source no longer has.
    pub map_from: i64,
    /// Target offset after the map's last run. It is behind the position where the target's last records stand for
    /// nothing of the source any more.
    pub map_to: i64,
}

/// Records of the source that are not on the target, or the other way around, because the source's log changed
/// under us and the policy was to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// Source offset up to where everything had been copied.
    pub from: i64,
    /// Source offset where copying went on.
    pub to: i64,
    /// Target offset of the record copied next.
    pub target: i64,
    /// What had happened.
    pub why: GapCause,
}

/// Why records are missing on one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GapCause {
    /// Retention (or DeleteRecords) on the source removed them before they were copied.
    Retention,
    /// The source's log was cut below what had been copied; the target holds records the source no longer has.
    Truncation,
    /// The source topic was deleted and created again.
    Recreation,
}

impl GapCause {
    pub(super) const ALL: [Self; 3] = [Self::Retention, Self::Truncation, Self::Recreation];
}

impl fmt::Display for GapCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Retention => "retention",
            Self::Truncation => "truncation",
            Self::Recreation => "recreation",
        })
    }
}

/// A partition as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPartition {
    /// Where it stands.
    pub summary: Summary,
    /// Where its records are.
    pub map: OffsetMap,
    /// What is missing, by the policy to go on.
    pub gaps: Vec<Gap>,
    /// The position was taken back to where the map ends. Its sequence number is right unless others write to the target too.
    pub is_set_back: bool,
}

/// What has changed of a partition since it was stored last.
#[derive(Debug, Clone)]
pub struct PartitionChange {
    /// Source topic and partition.
    pub name: PartitionName,
    /// Where it stands; `None` when it is to be forgotten.
    pub summary: Option<Summary>,
    /// Chunks of its map by first source offset; `None` for those that are no more.
    pub chunks: Vec<(i64, Option<MapChunk>)>,
    /// Gaps that are new, or (`None`) the target offsets of those to be forgotten.
    pub gaps: Vec<Gap>,
    /// Target offsets of gaps to be forgotten.
    pub forgotten_gaps: Vec<i64>,
}

/// Everything a flow has stored.
#[derive(Debug, Clone, Default)]
pub struct StoredState {
    /// Producer id and epoch the flow writes records with, per id of the origin cluster.
    pub producers: HashMap<String, (i64, i16)>,
    /// Producer id and epoch the flow fills gaps with.
    pub marker_producer: Option<(i64, i16)>,
    /// What is known per source partition.
    pub partitions: HashMap<PartitionName, StoredPartition>,
    /// The cleanup.policy of target topics that are to get it back.
    pub widened_policies: HashMap<String, String>,
}

/// Who a registered producer id writes for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProducerRole<'a> {
    /// Records born in the cluster of this id: whoever reads the target can tell where they came from.
    Records {
        /// Id of the origin cluster.
        origin: &'a str,
    },
    /// Markers that fill gaps.
    Markers,
}

/// Positions could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum PositionError {
    /// The target cluster failed us.
    #[error("the flow's state, topic {topic} on the target cluster: {source}")]
    Cluster {
        /// State topic.
        topic: Arc<str>,
        /// What happened.
        #[source]
        source: ClusterError,
    },
    /// The topic holds something else.
    #[error(
        "topic {topic} on the target cluster does not hold this flow's state: at offset {offset}, {source}"
    )]
    Entry {
        /// State topic.
        topic: Arc<str>,
        /// Offset of the record.
        offset: i64,
        /// What is wrong with it.
        #[source]
        source: EntryError,
    },
    /// A stored batch cannot be read.
    #[error("topic {topic} on the target cluster: the batch at offset {offset} cannot be read")]
    Batch {
        /// State topic.
        topic: Arc<str>,
        /// Offset of the batch.
        offset: i64,
    },
    /// New state could not be written down.
    #[error("the flow's state could not be encoded")]
    Encode,
}

/// The future of a store's answer.
pub type Storing<'a, T> = Pin<Box<dyn Future<Output = Result<T, PositionError>> + Send + 'a>>;

/// Where positions are kept.
pub trait PositionStore: fmt::Debug + Send + Sync {
    /// Reads everything.
    fn load(&self) -> Storing<'_, StoredState>;

    /// Registers a producer the flow writes with, before its first use.
    fn save_producer<'a>(&'a self, role: ProducerRole<'a>, producer: (i64, i16)) -> Storing<'a, ()>;

    /// Saves what has changed, in this order; what is saved later replaces what was saved before.
    fn save(&self, changes: Vec<PartitionChange>) -> Storing<'_, ()>;

    /// The cleanup.policy that target topic `topic` had before it was widened for a moment, if that has yet to be put
    /// back; empty where it was not set on the topic.
    fn widened_policy<'a>(&'a self, topic: &'a str) -> Storing<'a, Option<String>>;

    /// Notes that, before it is done; `None` once it is put back.
    fn note_widened_policy<'a>(&'a self, topic: &'a str, policy: Option<&'a str>) -> Storing<'a, ()>;

    /// Asks to be the only instance of the flow that may do what brokers cannot make safe by themselves (filling
    /// gaps, records older than brokers remember producers), or to go on being it. At any time at most one instance
    /// holds a claim that has not ended.
    fn claim(&self) -> Storing<'_, Claimed>;

    /// Gives the claim up, if there is one.
    fn release(&self) -> Storing<'_, ()>;
}
