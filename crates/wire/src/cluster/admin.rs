//! Topics and their configs: CreateTopics (19), DescribeConfigs (32).

use super::{BrokerError, Cluster, ClusterError, PartitionMetadata, persist};
use crate::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use crate::messages::describe_configs_request::DescribeConfigsResource;
use crate::messages::{CreateTopicsRequest, DescribeConfigsRequest, StrBytes, TopicName};
use std::collections::BTreeMap;
use std::sync::Arc;

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

/// The value of a topic config and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicConfig {
    /// The value; `None` for sensitive ones.
    pub value: Option<String>,
    /// Whether it was set on the topic itself, not inherited from the broker or Kafka's defaults.
    pub is_topic_override: bool,
}

/// Configs of one topic by name.
pub type TopicConfigs = BTreeMap<String, TopicConfig>;

/// `ConfigResource.Type.TOPIC`.
const TOPIC_RESOURCE: i8 = 2;
/// `DescribeConfigsResponse.ConfigSource.TOPIC_CONFIG`.
const TOPIC_CONFIG_SOURCE: i8 = 1;
/// How long a broker may take to create a topic.
const CREATE_TIMEOUT_MS: i32 = 30_000;

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
        let request = CreateTopicsRequest::default()
            .with_topics(topics.iter().map(creatable).collect())
            .with_timeout_ms(CREATE_TIMEOUT_MS)
            .with_validate_only(validate_only);
        let answer = self.call_controller(&request).await?;
        let outcome = |topic: &NewTopic| {
            let Some(result) = answer.topics.iter().find(|result| **result.name == *topic.name) else {
                return Err(ClusterError::Missing {
                    request: "create topic",
                    subject: topic.name.to_string(),
                });
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

    /// The configs of `topics`, one outcome per topic, in order.
    ///
    /// # Errors
    /// When no broker answers.
    pub async fn topic_configs(
        &self,
        topics: &[Arc<str>],
    ) -> Result<Vec<Result<TopicConfigs, ClusterError>>, ClusterError> {
        let resource = |name: &Arc<str>| {
            DescribeConfigsResource::default()
                .with_resource_type(TOPIC_RESOURCE)
                .with_resource_name(StrBytes::from_string(name.to_string()))
        };
        let request = DescribeConfigsRequest::default().with_resources(topics.iter().map(resource).collect());
        let answer = self.call_any(&request).await?;
        let outcome = |name: &Arc<str>| {
            let Some(result) = answer.results.iter().find(|result| *result.resource_name == **name) else {
                return Err(ClusterError::Missing {
                    request: "describe configs of",
                    subject: name.to_string(),
                });
            };
            let message = result.error_message.as_ref().map(ToString::to_string);
            BrokerError(result.error_code).check("describe configs of topic", name, message)?;
            let configs = result.configs.iter().map(|config| {
                let value = config.value.as_ref().map(ToString::to_string);
                let is_topic_override = config.config_source == TOPIC_CONFIG_SOURCE;
                (config.name.to_string(), TopicConfig { value, is_topic_override })
            });
            Ok(configs.collect())
        };
        Ok(topics.iter().map(outcome).collect())
    }
}

fn creatable(topic: &NewTopic) -> CreatableTopic {
    let config = |(name, value): (&String, &String)| {
        CreatableTopicConfig::default()
            .with_name(StrBytes::from_string(name.clone()))
            .with_value(Some(StrBytes::from_string(value.clone())))
    };
    CreatableTopic::default()
        .with_name(TopicName(StrBytes::from_string(topic.name.to_string())))
        .with_num_partitions(topic.partitions)
        .with_replication_factor(topic.replication_factor)
        .with_configs(topic.configs.iter().map(config).collect())
}
