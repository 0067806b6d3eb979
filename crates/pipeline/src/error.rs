//! Why a flow cannot start or ends. Why one of its partitions does is in `stop.rs`.

mod stop;

pub use stop::StopReason;

use crate::positions::PositionError;
use std::fmt;
use std::sync::Arc;
use verbatim_wire::cluster::ClusterError;

/// A flow could not be started or ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum FlowError {
    /// The source cluster failed us.
    #[error("source cluster: {0}")]
    Source(#[source] ClusterError),
    /// The target cluster failed us.
    #[error("target cluster: {0}")]
    Target(#[source] ClusterError),
    /// Both addresses lead to the same cluster.
    #[error("source and target are the same cluster (id {id}); a flow onto itself would never end")]
    SameCluster {
        /// The cluster's id.
        id: String,
    },
    /// The state under this name is that of a flow from elsewhere.
    #[error(
        "flow {flow} on the target cluster copies from the cluster of id {}, and this source has id {source_id}: the state in topic \
         __verbatim.{flow} is not this flow's. Give this one another name (--name, or name in the file)", .found.join(", ")
    )]
    OtherSource {
        /// The flow's name.
        flow: String,
        /// Ids of the clusters that it copies from.
        found: Vec<String>,
        /// Id of the cluster that it was to copy from.
        source_id: String,
    },
    /// A topic is not there.
    #[error("topic {topic} does not exist on the {side} cluster")]
    NoSuchTopic {
        /// Topic.
        topic: Arc<str>,
        /// Which cluster.
        side: Side,
    },
    /// The target has too few partitions to keep every record where it is.
    #[error(
        "topic {target} has fewer partitions on the target ({target_partitions}) than its source {source_topic} \
         ({source_partitions}); add partitions on the target (kafka-topics --alter --partitions {source_partitions})"
    )]
    TooFewPartitions {
        /// Topic on the source.
        source_topic: Arc<str>,
        /// Topic on the target.
        target: Arc<str>,
        /// Partitions on the source.
        source_partitions: usize,
        /// Partitions on the target.
        target_partitions: usize,
    },
    /// An explicit start offset is not in the log.
    #[error("{name} cannot start at offset {offset}: its source log holds {log_start} to {log_end}")]
    StartOutOfRange {
        /// The source partition.
        name: PartitionName,
        /// Where it was to start.
        offset: i64,
        /// First offset of the source log.
        log_start: i64,
        /// End of the source log.
        log_end: i64,
    },
    /// A partition cannot be asked where it begins and ends.
    #[error(
        "{name} has no leader that answers on the {side} cluster; start again once it has one (kafka-topics --describe)"
    )]
    NoLeader {
        /// The source partition.
        name: PartitionName,
        /// Which cluster.
        side: Side,
    },
    /// Stored positions could not be read or written.
    #[error(transparent)]
    Positions(#[from] PositionError),
    /// Partitions that stopped; the others went on.
    #[error("{}", listed(.0))]
    Stopped(Vec<(PartitionName, Arc<StopReason>)>),
    /// The flow's task is gone.
    #[error("the flow has ended")]
    Ended,
}

fn listed(stopped: &[(PartitionName, Arc<StopReason>)]) -> String {
    /// More than this do not help to see what is wrong.
    const MOST: usize = 10;
    let line = |(name, reason): &(PartitionName, Arc<StopReason>)| format!("{name} stopped: {reason}");
    let mut lines: Vec<String> = stopped.iter().take(MOST).map(line).collect();
    if stopped.len() > MOST {
        lines.push(format!("and {} partitions more", stopped.len() - MOST));
    }
    lines.join("\n")
}

/// One of the two clusters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// Where records come from.
    Source,
    /// Where they go.
    Target,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Source => "source",
            Self::Target => "target",
        })
    }
}

/// A topic and a partition of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartitionName {
    /// Topic.
    pub topic: Arc<str>,
    /// Partition.
    pub partition: i32,
}

impl fmt::Display for PartitionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "partition {} of topic {}", self.partition, self.topic)
    }
}
