//! What a leader knows of a partition's log: ListOffsets (2), DescribeProducers (61); and InitProducerId (22).

use super::{BrokerError, Cluster, ClusterError, Lane};
use crate::messages::describe_producers_request::TopicRequest;
use crate::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use crate::messages::{
    BrokerId, DescribeProducersRequest, InitProducerIdRequest, ListOffsetsRequest, StrBytes, TopicName,
};
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionOffset {
    /// Partition number.
    pub partition: i32,
    /// Offset; −1 when no record is as late as the timestamp.
    pub offset: i64,
    /// The broker's error for this partition.
    pub error: BrokerError,
}

/// What the leader remembers of a producer id (`ProducerStateEntry`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerState {
    /// Producer id.
    pub producer_id: i64,
    /// Its epoch.
    pub producer_epoch: i32,
    /// Sequence number of its last record; −1 when it wrote only markers.
    pub last_sequence: i32,
    /// Largest timestamp of its last batch, in milliseconds since the epoch.
    pub last_timestamp: i64,
}

impl Cluster {
    /// Asks broker `leader` for an offset of each of `partitions` of `topic`.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn list_offsets(
        &self,
        leader: i32,
        topic: &Arc<str>,
        partitions: &[i32],
        at: OffsetAt,
    ) -> Result<Vec<PartitionOffset>, ClusterError> {
        let partitions = partitions.iter().map(|partition| {
            ListOffsetsPartition::default()
                .with_partition_index(*partition)
                .with_current_leader_epoch(-1)
                .with_timestamp(at.wire_timestamp())
        });
        let topic = ListOffsetsTopic::default().with_name(name(topic)).with_partitions(partitions.collect());
        let request = ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![topic]);
        let answer = self.call(leader, &request).await?;
        let partitions = answer.topics.into_iter().flat_map(|topic| topic.partitions);
        Ok(partitions
            .map(|p| PartitionOffset {
                partition: p.partition_index,
                offset: p.offset,
                error: BrokerError(p.error_code),
            })
            .collect())
    }

    /// Asks broker `leader` what it remembers of the producers of a partition; `None` when it cannot tell
    /// (before Kafka 2.8).
    ///
    /// # Errors
    /// When the broker does not answer, or refuses.
    pub async fn describe_producers(
        &self,
        leader: i32,
        topic: &Arc<str>,
        partition: i32,
    ) -> Result<Option<Vec<ProducerState>>, ClusterError> {
        const API_KEY: i16 = 61;
        if self.connection(leader, Lane::Control).await?.version(API_KEY, 0, 0).is_none() {
            return Ok(None);
        }
        let of_topic = TopicRequest::default().with_name(name(topic)).with_partition_indexes(vec![partition]);
        let answer =
            self.call(leader, &DescribeProducersRequest::default().with_topics(vec![of_topic])).await?;
        let subject = format!("{topic}-{partition}");
        let Some(found) = answer.topics.into_iter().flat_map(|topic| topic.partitions).next() else {
            return Err(ClusterError::Missing { request: "describe producers of", subject });
        };
        let message = found.error_message.map(|message| message.to_string());
        BrokerError(found.error_code).check("describe producers of", subject, message)?;
        let states = found.active_producers.into_iter().map(|producer| ProducerState {
            producer_id: producer.producer_id.0,
            producer_epoch: producer.producer_epoch,
            last_sequence: producer.last_sequence,
            last_timestamp: producer.last_timestamp,
        });
        Ok(Some(states.collect()))
    }

    /// A producer id of our own, with epoch 0 (idempotent, not transactional).
    ///
    /// # Errors
    /// When no broker answers, or it is refused.
    pub async fn init_producer_id(&self) -> Result<(i64, i16), ClusterError> {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(None)
            .with_transaction_timeout_ms(i32::MAX)
            .with_producer_id((-1).into())
            .with_producer_epoch(-1);
        let answer = self.call_any(&request).await?;
        BrokerError(answer.error_code).check(
            "get a producer id from",
            format!("cluster {}", self.id()),
            None,
        )?;
        Ok((answer.producer_id.0, answer.producer_epoch))
    }
}

fn name(topic: &Arc<str>) -> TopicName {
    TopicName(StrBytes::from_string(topic.to_string()))
}
