//! What a leader knows of a partition's log: ListOffsets (2), DescribeProducers (61); and InitProducerId (22).

use super::{BrokerError, Cluster, ClusterError, Lane, persist};
use crate::messages::describe_producers_request::TopicRequest;
use crate::messages::describe_producers_response::ProducerState as DescribedProducer;
use crate::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use crate::messages::{
    BrokerId, DescribeProducersRequest, InitProducerIdRequest, ListOffsetsRequest, StrBytes, TopicName,
};
use std::collections::BTreeMap;
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

/// The producers of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionProducers {
    /// Topic.
    pub topic: Arc<str>,
    /// Partition number.
    pub partition: i32,
    /// Everyone the leader remembers.
    pub producers: Vec<ProducerState>,
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
    /// Coordinator epoch of its last marker, −1 for none.
    pub coordinator_epoch: i32,
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
        let topics = by_topic(partitions).into_iter().map(|(topic, partitions)| {
            let asked = |partition| {
                ListOffsetsPartition::default()
                    .with_partition_index(partition)
                    .with_current_leader_epoch(-1)
                    .with_timestamp(at.wire_timestamp())
            };
            ListOffsetsTopic::default()
                .with_name(topic_name(topic))
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

    /// Asks broker `leader` what it remembers of the producers of `partitions`; `None` when it cannot tell
    /// (before Kafka 2.8).
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn describe_producers(
        &self,
        leader: i32,
        partitions: &[(Arc<str>, i32)],
    ) -> Result<Option<Vec<PartitionProducers>>, ClusterError> {
        const API_KEY: i16 = 61;
        if self.connection(leader, Lane::Control).await?.version(API_KEY, 0, 0).is_none() {
            return Ok(None);
        }
        let topics = by_topic(partitions).into_iter().map(|(topic, partitions)| {
            TopicRequest::default().with_name(topic_name(topic)).with_partition_indexes(partitions)
        });
        let request = DescribeProducersRequest::default().with_topics(topics.collect());
        let answer = self.call(leader, &request).await?;
        let found = answer.topics.into_iter().flat_map(|answered| {
            let topic: Arc<str> = answered.name.as_str().into();
            answered.partitions.into_iter().map(move |p| PartitionProducers {
                topic: topic.clone(),
                partition: p.partition_index,
                producers: p.active_producers.iter().map(producer_state).collect(),
                error: BrokerError(p.error_code),
            })
        });
        Ok(Some(found.collect()))
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
        persist(async || {
            let answer = self.call_any(&request).await?;
            let subject = format!("cluster {}", self.id());
            BrokerError(answer.error_code).check("get a producer id from", subject, None)?;
            Ok((answer.producer_id.0, answer.producer_epoch))
        })
        .await
    }
}

fn producer_state(answer: &DescribedProducer) -> ProducerState {
    ProducerState {
        producer_id: answer.producer_id.0,
        producer_epoch: answer.producer_epoch,
        last_sequence: answer.last_sequence,
        last_timestamp: answer.last_timestamp,
        coordinator_epoch: answer.coordinator_epoch,
    }
}

pub(super) fn by_topic_with<T: Copy>(
    partitions: &[(Arc<str>, i32, T)],
) -> BTreeMap<&Arc<str>, Vec<(i32, T)>> {
    let mut topics: BTreeMap<&Arc<str>, Vec<(i32, T)>> = BTreeMap::new();
    for (topic, partition, with) in partitions {
        topics.entry(topic).or_default().push((*partition, *with));
    }
    topics
}

fn by_topic(partitions: &[(Arc<str>, i32)]) -> BTreeMap<&Arc<str>, Vec<i32>> {
    let mut topics: BTreeMap<&Arc<str>, Vec<i32>> = BTreeMap::new();
    for (topic, partition) in partitions {
        topics.entry(topic).or_default().push(*partition);
    }
    topics
}

pub(super) fn topic_name(topic: &Arc<str>) -> TopicName {
    TopicName(StrBytes::from_string(topic.to_string()))
}
