//! Topics: CreateTopics (19), DeleteTopics (20), CreatePartitions (37). The controller answers these.

use super::by_topic::topic_name;
use super::{BrokerError, CHANGE_TIMEOUT_MS, Cluster, ClusterError, PartitionMetadata, persist};
use crate::messages::create_partitions_request::CreatePartitionsTopic;
use crate::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use crate::messages::{CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest, StrBytes};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The last version of DeleteTopics that names topics in the plain list (6 can also name them by id).
const DELETE_TOPICS_VERSION: i16 = 5;

/// Partitions created with one request: controllers refuse changes of more than 10,000 records
/// (`QuorumController.MAX_RECORDS_PER_USER_OP`).
const PARTITIONS_AT_ONCE: i64 = 2000;

/// A topic to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTopic {
    /// Name.
    pub name: Arc<str>,
    /// Number of partitions.
    pub partitions: i32,
    /// Replication factor; −1 takes the broker's default (Kafka 2.4 and later).
    pub replication_factor: i16,
    /// Configs that differ from the broker's defaults.
    pub configs: BTreeMap<String, String>,
}

impl NewTopic {
    /// A topic with the broker's defaults.
    pub fn new(name: &str, partitions: i32) -> Self {
        Self { name: name.into(), partitions, replication_factor: -1, configs: BTreeMap::new() }
    }
}

impl Cluster {
    /// Creates `topics`; a topic that exists already is left as it is. With `validate_only` nothing is
    /// created. One outcome per topic, in order.
    ///
    /// # Errors
    /// When no broker answers.
    pub async fn create_topics(
        &self,
        topics: &[NewTopic],
        validate_only: bool,
    ) -> Result<Vec<Result<(), ClusterError>>, ClusterError> {
        let mut outcomes = Vec::with_capacity(topics.len());
        let mut rest = topics;
        while !rest.is_empty() {
            let mut partitions = 0i64;
            let fits = |topic: &&NewTopic| {
                partitions += i64::from(topic.partitions.max(1));
                partitions <= PARTITIONS_AT_ONCE
            };
            let (some, others) = rest.split_at(rest.iter().take_while(fits).count().max(1));
            outcomes.extend(self.create_some(some, validate_only).await?);
            rest = others;
        }
        Ok(outcomes)
    }

    async fn create_some(
        &self,
        topics: &[NewTopic],
        validate_only: bool,
    ) -> Result<Vec<Result<(), ClusterError>>, ClusterError> {
        let request = CreateTopicsRequest::default()
            .with_topics(topics.iter().map(creatable).collect())
            .with_timeout_ms(CHANGE_TIMEOUT_MS)
            .with_validate_only(validate_only);
        let answer = self.call_controller(&request, i16::MAX).await?;
        let outcome = |topic: &NewTopic| {
            let Some(result) = answer.topics.iter().find(|result| **result.name == *topic.name) else {
                return Err(missing("create topic", &topic.name));
            };
            let code = BrokerError(result.error_code);
            if code == BrokerError::TOPIC_ALREADY_EXISTS {
                return Ok(());
            }
            code.check("create topic", &topic.name, result.error_message.as_ref().map(ToString::to_string))
        };
        Ok(topics.iter().map(outcome).collect())
    }

    /// Creates one topic unless it exists, and waits until it can be used.
    ///
    /// # Errors
    /// When no broker answers, or it is refused.
    pub async fn create_topic(&self, topic: NewTopic) -> Result<(), ClusterError> {
        let name = topic.name.clone();
        self.create_topics(&[topic], false).await?.into_iter().collect::<Result<(), _>>()?;
        self.topics_are_there(&[name]).await
    }

    /// Gives `topic` `total` partitions in all; with `validate_only` nothing is done. Brokers hear of them some time after the answer; see
    /// [`Cluster::topics_are_there`].
    ///
    /// # Errors
    /// When no broker answers, or it is refused: INVALID_PARTITIONS when it has as many or more already.
    pub async fn create_partitions(
        &self,
        topic: &str,
        total: i32,
        validate_only: bool,
    ) -> Result<(), ClusterError> {
        let asked = CreatePartitionsTopic::default()
            .with_name(topic_name(topic))
            .with_count(total)
            .with_assignments(None);
        let request = CreatePartitionsRequest::default()
            .with_topics(vec![asked])
            .with_timeout_ms(CHANGE_TIMEOUT_MS)
            .with_validate_only(validate_only);
        let answer = self.call_controller(&request, i16::MAX).await?;
        let missing = || missing("create partitions of topic", topic);
        let result = answer.results.into_iter().find(|result| **result.name == *topic).ok_or_else(missing)?;
        let message = result.error_message.map(|message| message.to_string());
        BrokerError(result.error_code).check("create partitions of topic", topic, message)
    }

    /// Deletes `topics`, data included. One outcome per topic, in order; UNKNOWN_TOPIC_OR_PARTITION for one that
    /// is not there. Brokers may show a topic for some time after it was deleted.
    ///
    /// # Errors
    /// When no broker answers.
    pub async fn delete_topics(
        &self,
        topics: &[Arc<str>],
    ) -> Result<Vec<Result<(), ClusterError>>, ClusterError> {
        let names = topics.iter().map(|topic| topic_name(topic)).collect();
        let request =
            DeleteTopicsRequest::default().with_topic_names(names).with_timeout_ms(CHANGE_TIMEOUT_MS);
        let answer = self.call_controller(&request, DELETE_TOPICS_VERSION).await?;
        let outcome = |topic: &Arc<str>| {
            let named = |name: &crate::messages::TopicName| **name == **topic;
            let result = answer.responses.iter().find(|result| result.name.as_ref().is_some_and(named));
            let result = result.ok_or_else(|| missing("delete topic", topic))?;
            let message = result.error_message.as_ref().map(ToString::to_string);
            BrokerError(result.error_code).check("delete topic", topic, message)
        };
        Ok(topics.iter().map(outcome).collect())
    }

    /// Waits until no broker asked knows `topics` any more.
    ///
    /// # Errors
    /// When they are still there after some twenty seconds.
    pub async fn topics_are_gone(&self, topics: &[Arc<str>]) -> Result<(), ClusterError> {
        persist(async || {
            let metadata = self.metadata(Some(topics)).await?;
            let is_there = |name: &&Arc<str>| {
                metadata
                    .topic(name)
                    .is_some_and(|topic| topic.error != BrokerError::UNKNOWN_TOPIC_OR_PARTITION)
            };
            match topics.iter().find(is_there) {
                None => Ok(()),
                // A code that is tried again.
                Some(name) => {
                    BrokerError::LEADER_NOT_AVAILABLE.check("wait for the deletion of topic", name, None)
                }
            }
        })
        .await
    }

    /// Waits until every partition of `topics` has a leader: brokers hear of a new topic some time after the
    /// controller has answered.
    ///
    /// # Errors
    /// When they have none after some twenty seconds.
    pub async fn topics_are_there(&self, topics: &[Arc<str>]) -> Result<(), ClusterError> {
        persist(async || {
            let metadata = self.metadata(Some(topics)).await?;
            for name in topics {
                let found = metadata.topic(name);
                let code = found.map_or(BrokerError::UNKNOWN_TOPIC_OR_PARTITION, |topic| topic.error);
                code.check("find topic", name, None)?;
                let leaderless = found.and_then(|topic| topic.partitions.iter().find(|p| p.leader < 0));
                if let Some(PartitionMetadata { partition, .. }) = leaderless {
                    return Err(ClusterError::NoLeader { topic: name.clone(), partition: *partition });
                }
            }
            Ok(())
        })
        .await
    }
}

fn creatable(topic: &NewTopic) -> CreatableTopic {
    let config = |(name, value): (&String, &String)| {
        CreatableTopicConfig::default()
            .with_name(StrBytes::from_string(name.clone()))
            .with_value(Some(StrBytes::from_string(value.clone())))
    };
    CreatableTopic::default()
        .with_name(topic_name(&topic.name))
        .with_num_partitions(topic.partitions)
        .with_replication_factor(topic.replication_factor)
        .with_configs(topic.configs.iter().map(config).collect())
}

fn missing(request: &'static str, topic: &str) -> ClusterError {
    ClusterError::Missing { request, subject: topic.to_owned() }
}
