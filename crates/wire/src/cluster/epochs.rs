//! Where leader epochs end, and so where the log does: OffsetForLeaderEpoch (23).

use super::by_topic::{by_topic, topic_name};
use super::{BrokerError, Cluster, ClusterError, PartitionOffset};
use crate::messages::offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use crate::messages::{BrokerId, OffsetForLeaderEpochRequest};
use std::collections::HashMap;
use std::sync::Arc;

/// `OffsetsForLeaderEpochRequest.CONSUMER_REPLICA_ID`: with it a broker asks for DESCRIBE on the topic only.
const CONSUMER: BrokerId = BrokerId(-1);

/// Where a leader epoch ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EpochEnd {
    /// Topic.
    pub topic: Arc<str>,
    /// Partition number.
    pub partition: i32,
    /// The largest epoch the log has that is not above the wanted one; −1 when the leader cannot tell, and with an
    /// error.
    pub leader_epoch: i32,
    /// First offset after that epoch; for the latest epoch the leader's log end, whether replicated or not. −1
    /// when the leader cannot tell, and with an error.
    pub end_offset: i64,
    /// The broker's error for this partition.
    pub error: BrokerError,
}

impl Cluster {
    /// Asks broker `leader` where epochs end. Each entry: topic, partition, the leader epoch the caller knows the
    /// partition by (−1 not to have it checked), the epoch wanted. An epoch newer than any the log has comes back
    /// as −1, −1 without an error (`LeaderEpochFileCache.endOffsetFor`).
    ///
    /// Errors of a partition (KIP-320): FENCED_LEADER_EPOCH (74) when the epoch the caller knows is not the current
    /// one any more, UNKNOWN_LEADER_EPOCH (75) when the broker has not heard of it yet, NOT_LEADER_OR_FOLLOWER (6).
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn end_offsets_for_epochs(
        &self,
        leader: i32,
        partitions: &[(Arc<str>, i32, i32, i32)],
    ) -> Result<Vec<EpochEnd>, ClusterError> {
        let partitions = partitions.iter().map(|(topic, partition, current, wanted)| {
            let asked = OffsetForLeaderPartition::default()
                .with_partition(*partition)
                .with_current_leader_epoch(*current)
                .with_leader_epoch(*wanted);
            (topic.clone(), asked)
        });
        let topics = by_topic(partitions).into_iter().map(|(topic, partitions)| {
            OffsetForLeaderTopic::default().with_topic(topic_name(&topic)).with_partitions(partitions)
        });
        let request =
            OffsetForLeaderEpochRequest::default().with_replica_id(CONSUMER).with_topics(topics.collect());
        let answer = self.call(leader, &request).await?;
        let ends = answer.topics.into_iter().flat_map(|answered| {
            let topic: Arc<str> = answered.topic.as_str().into();
            answered.partitions.into_iter().map(move |p| EpochEnd {
                topic: topic.clone(),
                partition: p.partition,
                leader_epoch: p.leader_epoch,
                end_offset: p.end_offset,
                error: BrokerError(p.error_code),
            })
        });
        Ok(ends.collect())
    }

    /// The log end of each of `partitions`: the offset the next record gets on broker `leader`, which may be above
    /// the high watermark. Each entry: topic, partition, and its current leader epoch. −1 where the leader does not
    /// keep epochs.
    ///
    /// No request asks for the log end as such; the end of the *current* epoch is it
    /// (`Partition.lastOffsetForLeaderEpoch`). Errors of a partition: as with
    /// [`Cluster::end_offsets_for_epochs`].
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn log_ends(
        &self,
        leader: i32,
        partitions: &[(Arc<str>, i32, i32)],
    ) -> Result<Vec<PartitionOffset>, ClusterError> {
        let epochs =
            partitions.iter().map(|(topic, partition, epoch)| (topic.clone(), *partition, *epoch, *epoch));
        let ends = self.end_offsets_for_epochs(leader, &epochs.collect::<Vec<_>>()).await?;
        let asked = partitions.iter().map(|(topic, partition, epoch)| ((&**topic, *partition), *epoch));
        let asked: HashMap<(&str, i32), i32> = asked.collect();
        let offsets = ends.into_iter().map(|end| {
            // The end of any other epoch than the current one is not the log's.
            let is_current = asked.get(&(&*end.topic, end.partition)) == Some(&end.leader_epoch);
            let offset = if is_current { end.end_offset } else { -1 };
            PartitionOffset { topic: end.topic, partition: end.partition, offset, error: end.error }
        });
        Ok(offsets.collect())
    }
}
