//! Where each partition stands, kept on the target so that any instance can go on.

mod entry;
mod log;
mod topic;

pub use entry::EntryError;
pub use topic::TopicPositions;

use crate::error::PartitionName;
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use verbatim_wire::cluster::ClusterError;

/// Up to where a source partition is known to be on the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Source offset of the next record to copy.
    pub source_offset: i64,
    /// Target offset that record will get, once the first one has been acknowledged.
    pub target_offset: Option<i64>,
    /// Sequence number that record will get: the number of records forwarded so far, modulo 2³¹.
    pub sequence: i32,
    /// Leader epoch of the last source batch, −1 for none.
    pub leader_epoch: i32,
}

impl Position {
    /// The position of a partition nothing has been copied of yet.
    pub fn start(source_offset: i64) -> Self {
        Self { source_offset, target_offset: None, sequence: 0, leader_epoch: -1 }
    }
}

/// Everything a flow has stored.
#[derive(Debug, Clone, Default)]
pub struct StoredState {
    /// Producer id and epoch the flow writes with, per id of the origin cluster.
    pub producers: HashMap<String, (i64, i16)>,
    /// Position per source partition.
    pub positions: HashMap<PartitionName, Position>,
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

/// Where positions are kept. A save replaces what was stored under the same partition.
pub trait PositionStore: std::fmt::Debug + Send + Sync {
    /// Reads everything.
    fn load(&self) -> Storing<'_, StoredState>;
    /// Registers the producer the flow writes with, before its first use.
    fn save_producer<'a>(&'a self, origin: &'a str, producer: (i64, i16)) -> Storing<'a, ()>;
    /// Saves positions.
    fn save(&self, positions: Vec<(PartitionName, Position)>) -> Storing<'_, ()>;
}
