//! Offsets that bound a partition's log: ListOffsets (2), DeleteRecords (21). Its end before replication: `epochs`.

use super::by_topic::{by_topic, topic_name};
use super::{BrokerError, CHANGE_TIMEOUT, CHANGE_TIMEOUT_MS, Cluster, ClusterError};
use crate::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use crate::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use crate::messages::{BrokerId, DeleteRecordsRequest, ListOffsetsRequest};
use std::sync::Arc;

/// Which offset of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetAt {
    /// The first.
    Earliest,
    /// The high watermark: one past the last replicated record.
    Latest,
    /// The first whose timestamp is not before this, in milliseconds since the epoch.
    Timestamp(i64),
}

impl OffsetAt {
    fn wire_timestamp(self) -> i64 {
        match self {
            Self::Latest => -1,
            Self::Earliest => -2,
            Self::Timestamp(ms) => ms,
        }
    }
}

/// The answer for one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionOffset {
    /// Topic.
    pub topic: Arc<str>,
    /// Partition number.
    pub partition: i32,
    /// Offset; −1 when no record is as late as the timestamp.
    pub offset: i64,
    /// The broker's error for this partition.
    pub error: BrokerError,
}

impl Cluster {
    /// Asks broker `leader` for an offset of each of `partitions`.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn list_offsets(
        &self,
        leader: i32,
        partitions: &[(Arc<str>, i32)],
        at: OffsetAt,
    ) -> Result<Vec<PartitionOffset>, ClusterError> {
        let partitions = partitions.iter().map(|(topic, partition)| (topic.clone(), *partition));
        let topics = by_topic(partitions).into_iter().map(|(topic, partitions)| {
            let asked = |partition| {
                ListOffsetsPartition::default()
                    .with_partition_index(partition)
                    .with_current_leader_epoch(-1)
                    .with_timestamp(at.wire_timestamp())
            };
            ListOffsetsTopic::default()
                .with_name(topic_name(&topic))
                .with_partitions(partitions.into_iter().map(asked).collect())
        });
        let request =
            ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(topics.collect());
        let answer = self.call(leader, &request).await?;
        let offsets = answer.topics.into_iter().flat_map(|answered| {
            let topic: Arc<str> = answered.name.as_str().into();
            answered.partitions.into_iter().map(move |p| PartitionOffset {
                topic: topic.clone(),
                partition: p.partition_index,
                offset: p.offset,
                error: BrokerError(p.error_code),
            })
        });
        Ok(offsets.collect())
    }

    /// The first offset of a partition's log and the one after its last replicated record, asked of broker `leader`.
    ///
    /// # Errors
    /// When the broker does not answer, or refuses.
    pub async fn log_bounds(
        &self,
        leader: i32,
        partition: (Arc<str>, i32),
    ) -> Result<(i64, i64), ClusterError> {
        const REQUEST: &str = "list offsets of";
        let asked = [partition];
        let bound = async |at| {
            let subject = || asked.iter().map(|(topic, partition)| format!("{topic}-{partition}")).collect();
            let found = self.list_offsets(leader, &asked, at).await?.into_iter().next();
            let found =
                found.ok_or_else(|| ClusterError::Missing { request: REQUEST, subject: subject() })?;
            found.error.check(REQUEST, subject(), None)?;
            Ok::<_, ClusterError>(found.offset)
        };
        tokio::try_join!(bound(OffsetAt::Earliest), bound(OffsetAt::Latest))
    }

    /// Moves the first offset of each of `partitions` up to the given one; −1 means the high watermark. Returns the
    /// low watermark of all replicas, which is where the log begins then; −1 with an error. Asking for an offset
    /// below the log's start changes nothing and is no error.
    ///
    /// Errors of a partition (`ReplicaManager.deleteRecordsOnLocalLog`): POLICY_VIOLATION (44) where
    /// `cleanup.policy` does not contain `delete`, OFFSET_OUT_OF_RANGE (1) above the high watermark,
    /// REQUEST_TIMED_OUT (7) when a replica did not follow within 30 seconds. Needs DELETE on the topic.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn delete_records(
        &self,
        leader: i32,
        partitions: &[(Arc<str>, i32, i64)],
    ) -> Result<Vec<PartitionOffset>, ClusterError> {
        let partitions = partitions.iter().map(|(topic, partition, before)| {
            let asked = DeleteRecordsPartition::default().with_partition_index(*partition);
            (topic.clone(), asked.with_offset(*before))
        });
        let topics = by_topic(partitions).into_iter().map(|(topic, partitions)| {
            DeleteRecordsTopic::default().with_name(topic_name(&topic)).with_partitions(partitions)
        });
        let request =
            DeleteRecordsRequest::default().with_topics(topics.collect()).with_timeout_ms(CHANGE_TIMEOUT_MS);
        let answer = self.call_limited(leader, &request, i16::MAX, CHANGE_TIMEOUT).await?;
        let offsets = answer.topics.into_iter().flat_map(|answered| {
            let topic: Arc<str> = answered.name.as_str().into();
            answered.partitions.into_iter().map(move |p| PartitionOffset {
                topic: topic.clone(),
                partition: p.partition_index,
                offset: p.low_watermark,
                error: BrokerError(p.error_code),
            })
        });
        Ok(offsets.collect())
    }
}
