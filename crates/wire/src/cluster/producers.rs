//! Producer ids and what a leader remembers of them: InitProducerId (22), DescribeProducers (61).

use super::by_topic::{by_topic, topic_name};
use super::{BrokerError, Cluster, ClusterError, Lane, persist};
use crate::messages::describe_producers_request::TopicRequest;
use crate::messages::describe_producers_response::ProducerState as DescribedProducer;
use crate::messages::{DescribeProducersRequest, InitProducerIdRequest};
use std::sync::Arc;

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
    /// Epoch of the transaction coordinator that wrote its last marker; markers with a lower one are refused
    /// with TRANSACTION_COORDINATOR_FENCED. −1 before any marker.
    pub coordinator_epoch: i32,
    /// First offset of its open transaction; −1 for none.
    pub current_txn_start_offset: i64,
}

impl Cluster {
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
        let partitions = partitions.iter().map(|(topic, partition)| (topic.clone(), *partition));
        let topics = by_topic(partitions).into_iter().map(|(topic, partitions)| {
            TopicRequest::default().with_name(topic_name(&topic)).with_partition_indexes(partitions)
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
        current_txn_start_offset: answer.current_txn_start_offset,
    }
}
