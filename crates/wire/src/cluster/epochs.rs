//! Where leader epochs end: OffsetForLeaderEpoch (23, KIP-101, KIP-320).

use super::offsets::{by_topic_with, topic_name};
use super::{BrokerError, Cluster, ClusterError, PartitionOffset};
use crate::messages::offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use crate::messages::{BrokerId, OffsetForLeaderEpochRequest};
use std::sync::Arc;

/// Replica id of a consumer (`OffsetsForLeaderEpochRequest.CONSUMER_REPLICA_ID`).
const CONSUMER: BrokerId = BrokerId(-1);

impl Cluster {
    /// Asks broker `leader` for the end of each partition's log, replicated or not. Partitions are named with their
    /// current leader epoch: the end of the epoch that is being written is the end of the log.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn log_ends(
        &self,
        leader: i32,
        partitions: &[(Arc<str>, i32, i32)],
    ) -> Result<Vec<PartitionOffset>, ClusterError> {
        let topics = by_topic_with(partitions).into_iter().map(|(topic, partitions)| {
            let asked = |(partition, epoch): (i32, i32)| {
                OffsetForLeaderPartition::default()
                    .with_partition(partition)
                    .with_current_leader_epoch(epoch)
                    .with_leader_epoch(epoch)
            };
            OffsetForLeaderTopic::default()
                .with_topic(topic_name(topic))
                .with_partitions(partitions.into_iter().map(asked).collect())
        });
        let request =
            OffsetForLeaderEpochRequest::default().with_replica_id(CONSUMER).with_topics(topics.collect());
        let answer = self.call(leader, &request).await?;
        let ends = answer.topics.into_iter().flat_map(|answered| {
            let topic: Arc<str> = answered.topic.as_str().into();
            answered.partitions.into_iter().map(move |p| PartitionOffset {
                topic: topic.clone(),
                partition: p.partition,
                offset: p.end_offset,
                error: BrokerError(p.error_code),
            })
        });
        Ok(ends.collect())
    }
}
